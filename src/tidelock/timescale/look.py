"""One look at TimescaleDB's catalog → Stock.

What needs each chunk is asked once for all, and of a relation only the chunks at its ends are read: with 1,000 chunks a
question to the whole takes seconds, and a lock for each of them until the transaction ends.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tidelock.core.aggregates import INTEGERS, RETENTION, Aggregate, Hypertable, Job, Span, Stock
from tidelock.errors import DatabaseFault
from tidelock.timescale import jobs as policies
from tidelock.timescale.ends import ranges, with_spans
from tidelock.timescale.points import regular

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import psycopg

    Connection = psycopg.Connection[Any]
    Ranges = Mapping[str, tuple[tuple[int, int], ...]]

OLDEST = (2, 15)
"""Before it the catalog keeps buckets in another way."""


class TooOld(DatabaseFault):
    """A TimescaleDB whose catalog Tidelock cannot read."""

    code = "D032"

    def __init__(self, version: str) -> None:
        super().__init__(
            f"TimescaleDB {version} keeps its aggregates in a way that Tidelock does not read",
            hint="update it to 2.15 or later, as the first command of a session: ALTER EXTENSION timescaledb UPDATE;",
        )


EDITION = """
SELECT (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'),
       coalesce(current_setting('timescaledb.license', true), 'apache') <> 'apache',
       (extract(epoch FROM now()) * 1000000)::bigint"""

HYPERTABLES = """
SELECT format('%I.%I', h.schema_name, h.table_name), d.column_name, d.column_type::regtype::text,
       coalesce(CASE WHEN d.column_type::regtype::text IN ('smallint', 'integer', 'bigint') THEN d.interval_length::text
                     WHEN d.interval_length % 86400000000 = 0 THEN format('%s days', d.interval_length / 86400000000)
                     ELSE make_interval(secs => d.interval_length / 1000000.0)::text END, ''),
       coalesce(c.chunks, 0), coalesce(c.compressed, 0), h.compression_state = 1
  FROM _timescaledb_catalog.hypertable h
  JOIN LATERAL (SELECT * FROM _timescaledb_catalog.dimension d
                 WHERE d.hypertable_id = h.id AND d.interval_length IS NOT NULL ORDER BY d.id LIMIT 1) d ON true
  LEFT JOIN (SELECT hypertable_schema, hypertable_name, count(*) AS chunks,
                    count(*) FILTER (WHERE is_compressed) AS compressed
               FROM timescaledb_information.chunks GROUP BY 1, 2) c
    ON c.hypertable_schema = h.schema_name AND c.hypertable_name = h.table_name
 WHERE h.compression_state <> 2
   AND NOT EXISTS (SELECT FROM _timescaledb_catalog.continuous_agg a WHERE a.mat_hypertable_id = h.id)
 ORDER BY 1"""

AGGREGATES = """
SELECT format('%I.%I', a.user_view_schema, a.user_view_name), a.mat_hypertable_id,
       CASE WHEN p.user_view_name IS NULL THEN '' ELSE format('%I.%I', p.user_view_schema, p.user_view_name) END,
       f.bucket_width::text, f.bucket_fixed_width, coalesce(f.bucket_timezone, ''),
       d.column_name, d.column_type::regtype::text, format('%I.%I', m.schema_name, m.table_name),
       format('%I.%I', r.schema_name, r.table_name), rd.column_name, rd.column_type::regtype::text,
       format('%I.%I', a.direct_view_schema, a.direct_view_name), NOT a.materialized_only, m.compression_state = 1,
       CASE WHEN rd.integer_now_func IS NOT NULL
            THEN format('%I.%I', rd.integer_now_func_schema, rd.integer_now_func) ELSE '' END,
       ARRAY(SELECT format('%I.%I', s, t) FROM (VALUES (m.schema_name, m.table_name), (r.schema_name, r.table_name),
                                                       (a.direct_view_schema, a.direct_view_name)) v (s, t)
              WHERE NOT CASE WHEN has_schema_privilege(s, 'USAGE')
                             THEN has_table_privilege(format('%I.%I', s, t), 'SELECT') ELSE false END)
  FROM _timescaledb_catalog.continuous_agg a
  LEFT JOIN _timescaledb_catalog.continuous_agg p ON p.mat_hypertable_id = a.parent_mat_hypertable_id
  LEFT JOIN _timescaledb_catalog.continuous_aggs_bucket_function f ON f.mat_hypertable_id = a.mat_hypertable_id
  JOIN _timescaledb_catalog.hypertable m ON m.id = a.mat_hypertable_id
  JOIN _timescaledb_catalog.hypertable r ON r.id = a.raw_hypertable_id
  JOIN LATERAL (SELECT * FROM _timescaledb_catalog.dimension d
                 WHERE d.hypertable_id = m.id AND d.interval_length IS NOT NULL ORDER BY d.id LIMIT 1) d ON true
  JOIN LATERAL (SELECT * FROM _timescaledb_catalog.dimension d
                 WHERE d.hypertable_id = r.id AND d.interval_length IS NOT NULL ORDER BY d.id LIMIT 1) rd ON true
 ORDER BY a.mat_hypertable_id"""
SIZE = """
SELECT coalesce(sum(total_bytes), 0)::bigint
  FROM hypertable_detailed_size(CASE WHEN has_schema_privilege((parse_ident(%(name)s))[1], 'USAGE')
                                     THEN to_regclass(%(name)s) END)"""


def take(conn: Connection, *, sizes: bool = False) -> Stock:
    """All hypertables, aggregates and jobs, with the spans of their rows; what exists nowhere else is not counted.

    Works inside an open transaction as well, and sees its state. `sizes` asks the file system about each chunk.
    """
    version, community, now = conn.execute(EDITION).fetchone() or ("", False, 0)
    if not version:
        return Stock(version="", community=False)
    if tuple(int(each) for each in version.split("-")[0].split(".")[:2]) < OLDEST:
        raise TooOld(version)
    jobs = policies.take(conn)
    reach = ranges(conn)
    hypertables = [hypertable(row, jobs, reach) for row in conn.execute(HYPERTABLES).fetchall()]
    aggregates: list[Aggregate] = []
    for row in conn.execute(AGGREGATES).fetchall():
        found = aggregate(conn, row, jobs, reach, readable=community)
        root = next((each.hypertable for each in aggregates if each.name == found.parent), found.source)
        aggregates.append(replace(found, hypertable=root))
    if sizes:
        hypertables = [replace(each, size_bytes=size(conn, each.name)) for each in hypertables]
        aggregates = [replace(each, size_bytes=size(conn, each.relation)) for each in aggregates]
    owned = {each.name for each in hypertables} | {each.name for each in aggregates}
    return Stock(
        version=version,
        community=community,
        hypertables=tuple(hypertables),
        aggregates=tuple(aggregates),
        jobs=tuple(each for each in jobs if each.on not in owned),
        now=now,
    )


def hypertable(row: tuple[Any, ...], jobs: Sequence[Job], reach: Ranges) -> Hypertable:
    """One row of HYPERTABLES."""
    name, time, kind, interval, chunks, compressed, columnstore = row
    spans = reach.get(name)
    return Hypertable(
        name=name,
        time=time,
        kind=regular(kind),
        chunk_interval=interval,
        chunks=chunks,
        compressed=compressed,
        span=Span(start=spans[0][0], end=max(end for _, end in spans), kind=regular(kind)) if spans else None,
        columnstore=columnstore,
        jobs=tuple(each for each in jobs if each.on == name),
    )


def aggregate(
    conn: Connection, row: tuple[Any, ...], jobs: Sequence[Job], reach: Ranges, *, readable: bool
) -> Aggregate:
    """One row of AGGREGATES, with the spans of its rows and of its source's. Its hypertable is its source for now.

    Not `readable`: the Apache edition has aggregates from before, and refuses to read compressed chunks.
    """
    name, number_, parent, bucket, fixed, zone, column, kind, relation, source, time, source_kind = row[:12]
    direct, real, store, clock, unread = row[12:]
    dropping = next((each for each in jobs if each.on == (parent or source) and each.proc == RETENTION), None)
    found = Aggregate(
        name=name,
        number=number_,
        hypertable=source,
        parent=parent,
        bucket=bucket or "",
        fixed=bool(fixed),
        timezone=zone,
        column=column,
        kind=regular(kind),
        relation=relation,
        source=source,
        source_time=time,
        source_kind=regular(source_kind),
        direct=direct,
        real_time=real,
        columnstore=store,
        jobs=tuple(each for each in jobs if each.on == name),
        unread=tuple(unread) if readable else tuple(dict.fromkeys((relation, source, *unread))),
        chunks=reach.get(source, ()),
        retention=dropping.offsets.get("drop_after") if dropping and dropping.scheduled else None,
    )
    dropped = policies.aged(conn, dropping, clock, found.kind in INTEGERS)
    return replace(with_spans(conn, found, reach.get(relation, ())), doubtful=dropped)


def size(conn: Connection, name: str) -> int:
    """Bytes of a hypertable with all its chunks, in both stores."""
    [found] = conn.execute(SIZE, {"name": name}).fetchone() or (0,)
    return int(found)
