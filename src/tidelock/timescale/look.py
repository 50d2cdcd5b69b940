"""One look at TimescaleDB's catalog → Stock."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from psycopg import sql

from tidelock.core.aggregates import INTEGERS, RETENTION, Aggregate, Hypertable, Job, Span, Stock
from tidelock.timescale.points import bucket_end, number, regular

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[Any]

EDITION = """
SELECT (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'),
       coalesce(current_setting('timescaledb.license', true), 'apache') <> 'apache'"""

HYPERTABLES = """
SELECT format('%I.%I', h.schema_name, h.table_name), d.column_name, d.column_type::regtype::text,
       coalesce(CASE WHEN d.column_type::regtype::text IN ('smallint', 'integer', 'bigint') THEN d.interval_length::text
                     WHEN d.interval_length % 86400000000 = 0 THEN format('%s days', d.interval_length / 86400000000)
                     ELSE make_interval(secs => d.interval_length / 1000000.0)::text END, ''),
       coalesce(c.chunks, 0), coalesce(c.compressed, 0), c.first, c.last,
       coalesce((SELECT sum(total_bytes) FROM hypertable_detailed_size(
                   format('%I.%I', h.schema_name, h.table_name)::regclass)), 0)::bigint,
       h.compression_state = 1
  FROM _timescaledb_catalog.hypertable h
  JOIN LATERAL (SELECT * FROM _timescaledb_catalog.dimension d
                 WHERE d.hypertable_id = h.id AND d.interval_length IS NOT NULL ORDER BY d.id LIMIT 1) d ON true
  LEFT JOIN LATERAL (
    SELECT count(*) AS chunks, count(*) FILTER (WHERE is_compressed) AS compressed,
           min(coalesce(range_start_integer, (extract(epoch FROM range_start) * 1000000)::bigint)) AS first,
           max(coalesce(range_end_integer, (extract(epoch FROM range_end) * 1000000)::bigint)) AS last
      FROM timescaledb_information.chunks
     WHERE hypertable_schema = h.schema_name AND hypertable_name = h.table_name) c ON true
 WHERE h.compression_state <> 2
   AND NOT EXISTS (SELECT FROM _timescaledb_catalog.continuous_agg a WHERE a.mat_hypertable_id = h.id)
   AND has_schema_privilege(h.schema_name, 'USAGE')
 ORDER BY 1"""

AGGREGATES = """
SELECT format('%I.%I', a.user_view_schema, a.user_view_name), a.mat_hypertable_id,
       CASE WHEN p.user_view_name IS NULL THEN '' ELSE format('%I.%I', p.user_view_schema, p.user_view_name) END,
       f.bucket_width::text, f.bucket_fixed_width, coalesce(f.bucket_timezone, ''),
       d.column_name, d.column_type::regtype::text, format('%I.%I', m.schema_name, m.table_name),
       format('%I.%I', r.schema_name, r.table_name), rd.column_name,
       format('%I.%I', a.direct_view_schema, a.direct_view_name), NOT a.materialized_only, m.compression_state = 1,
       coalesce((SELECT sum(total_bytes) FROM hypertable_detailed_size(
                   format('%I.%I', m.schema_name, m.table_name)::regclass)), 0)::bigint
  FROM _timescaledb_catalog.continuous_agg a
  LEFT JOIN _timescaledb_catalog.continuous_agg p ON p.mat_hypertable_id = a.parent_mat_hypertable_id
  LEFT JOIN _timescaledb_catalog.continuous_aggs_bucket_function f ON f.mat_hypertable_id = a.mat_hypertable_id
  JOIN _timescaledb_catalog.hypertable m ON m.id = a.mat_hypertable_id
  JOIN _timescaledb_catalog.hypertable r ON r.id = a.raw_hypertable_id
  JOIN _timescaledb_catalog.dimension d ON d.hypertable_id = m.id AND d.interval_length IS NOT NULL
  JOIN LATERAL (SELECT * FROM _timescaledb_catalog.dimension d
                 WHERE d.hypertable_id = r.id AND d.interval_length IS NOT NULL ORDER BY d.id LIMIT 1) rd ON true
 ORDER BY a.mat_hypertable_id"""

FIRST_CHUNK = """
SELECT min(coalesce(c.range_end_integer, (extract(epoch FROM c.range_end) * 1000000)::bigint))
  FROM timescaledb_information.chunks c
 WHERE format('%%I.%%I', c.hypertable_schema, c.hypertable_name) = %(source)s
   AND coalesce(c.range_end_integer, (extract(epoch FROM c.range_end) * 1000000)::bigint) > %(first)s"""
AGE = "SELECT (extract(epoch FROM now() - %s::interval) * 1000000)::bigint"

JOBS = """
SELECT j.job_id, CASE WHEN j.proc_schema ~ '^_timescaledb' THEN j.proc_name
                      ELSE format('%I.%I', j.proc_schema, j.proc_name) END,
       CASE WHEN j.hypertable_name IS NULL THEN '' ELSE format('%I.%I', j.hypertable_schema, j.hypertable_name) END,
       coalesce(j.config, '{}'),
       j.schedule_interval::text, j.scheduled, CASE WHEN isfinite(j.next_start) THEN j.next_start END,
       CASE WHEN isfinite(s.last_successful_finish) THEN s.last_successful_finish END, coalesce(s.last_run_status, ''),
       coalesce(s.job_status = 'Running', false), coalesce(s.total_failures, 0),
       coalesce((SELECT e.err_message FROM timescaledb_information.job_errors e
                  WHERE e.job_id = j.job_id AND s.last_run_status = 'Failed' ORDER BY e.start_time DESC LIMIT 1), '')
  FROM timescaledb_information.jobs j LEFT JOIN timescaledb_information.job_stats s USING (job_id)
 WHERE j.job_id >= 1000 ORDER BY j.job_id"""


def take(conn: Connection) -> Stock:
    """All hypertables, aggregates and jobs, with the spans of their rows; what exists nowhere else is not counted.

    Works inside an open transaction as well, and sees its state.
    """
    version, community = conn.execute(EDITION).fetchone() or ("", False)
    if not version:
        return Stock(version="", community=False)
    jobs = [Job(**dict(zip(Job.__dataclass_fields__, row, strict=True))) for row in conn.execute(JOBS)]
    hypertables = tuple(hypertable(row, jobs) for row in conn.execute(HYPERTABLES).fetchall())
    aggregates: list[Aggregate] = []
    for row in conn.execute(AGGREGATES).fetchall():
        found = aggregate(row, jobs)
        root = next((each.hypertable for each in aggregates if each.name == found.parent), found.source)
        found = with_spans(conn, replace(found, hypertable=root))
        aggregates.append(replace(found, doubtful=doubtful(conn, found, jobs)))
    rest = tuple(each for each in jobs if not each.on)
    return Stock(version=version, community=community, hypertables=hypertables, aggregates=tuple(aggregates), jobs=rest)


def hypertable(row: tuple[Any, ...], jobs: list[Job]) -> Hypertable:
    """One row of HYPERTABLES."""
    name, time, kind, interval, chunks, compressed, first, last, size, columnstore = row
    return Hypertable(
        name=name,
        time=time,
        kind=regular(kind),
        chunk_interval=interval,
        chunks=chunks,
        compressed=compressed,
        span=Span(start=first, end=last, kind=regular(kind)) if chunks else None,
        size_bytes=size,
        columnstore=columnstore,
        jobs=tuple(each for each in jobs if each.on == name),
    )


def aggregate(row: tuple[Any, ...], jobs: list[Job]) -> Aggregate:
    """One row of AGGREGATES."""
    name, number_, parent, bucket, fixed, zone, column, kind, relation, source, time, direct, real, store, size = row
    return Aggregate(
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
        direct=direct,
        real_time=real,
        columnstore=store,
        size_bytes=size,
        jobs=tuple(each for each in jobs if each.on == name),
    )


def with_spans(conn: Connection, found: Aggregate) -> Aggregate:
    """The same, with the spans of its rows and of its source's."""
    own = sql.Identifier(found.column)
    materialized = span(conn, found, found.relation, own, bucket_end(found, sql.SQL("max({})").format(own)))
    time = sql.Identifier(found.source_time)
    last = sql.SQL("max({})").format(time)
    raw = span(conn, found, found.source, time, last)
    if raw is not None:
        raw = replace(raw, end=raw.end + 1)  # a span is without its end
    return replace(found, materialized=materialized, raw=raw)


def doubtful(conn: Connection, found: Aggregate, jobs: list[Job]) -> int | None:
    """Until where buckets of the source may be there in part: its first chunk, and the age at which retention drops."""
    if found.raw is None:
        return None
    row = conn.execute(FIRST_CHUNK, {"source": found.source, "first": found.raw.start}).fetchone()
    until: int | None = row[0] if row else None
    of = found.parent or found.source
    kept = next((each.config.get("drop_after") for each in jobs if each.proc == RETENTION and each.on == of), None)
    if kept is not None and found.kind not in INTEGERS:
        aged = conn.execute(AGE, (kept,)).fetchone()
        until = max(each for each in (until, aged and aged[0]) if each is not None)
    return until


def span(
    conn: Connection, found: Aggregate, relation: str, column: sql.Identifier, last: sql.Composable
) -> Span | None:
    """From the least value of a column to `last`; None without rows."""
    # Names come from the catalog by format('%I.%I'): they are quoted.
    query = sql.SQL("SELECT {}, {} FROM {}").format(
        number(found.kind, sql.SQL("min({})").format(column)), number(found.kind, last), sql.SQL(relation)
    )
    row = conn.execute(query).fetchone()
    return Span(start=row[0], end=row[1], kind=found.kind) if row and row[0] is not None else None
