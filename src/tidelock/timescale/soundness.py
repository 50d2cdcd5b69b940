"""What may be wrong with TimescaleDB's objects in a live database, each with the SQL that mends it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, LiteralString

from psycopg import sql

from tidelock.core import erosion, upkeep
from tidelock.core.check import Check, Flaw
from tidelock.core.quieting import left
from tidelock.timescale import eroding, look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import psycopg

    from tidelock.core.aggregates import Aggregate, Stock

    Connection = psycopg.Connection[Any]
    Noted = Callable[[str], list[tuple[int, str, dict[str, Any]]]]
    """(version, run, detail) of the journal's lines with an event."""

# CONCURRENTLY is refused on hypertables. While a build chunk by chunk is at work, the index above is invalid too.
INDEXES = r"""
SELECT count(*), coalesce(json_agg(json_build_array(
         format('index %s on %s is invalid: some chunks lack it, and IF NOT EXISTS passes it over',
                i.indexrelid::regclass, i.indrelid::regclass),
         format('DROP INDEX %s; %s;%s', i.indexrelid::regclass,
                CASE WHEN i.indisunique THEN d.def
                     WHEN c.reloptions IS NOT NULL
                     THEN regexp_replace(d.base, '\)$', ', timescaledb.transaction_per_chunk)') || d.rest
                     ELSE d.base || ' WITH (timescaledb.transaction_per_chunk)' || d.rest END,
                CASE WHEN i.indisunique THEN ' -- nobody can write meanwhile, and duplicates make it fail' ELSE '' END))
         ORDER BY c.relname)
       FILTER (WHERE NOT (i.indisvalid AND i.indisready)
                 AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p
                                  WHERE p.relid = i.indrelid
                                     OR p.relid IN (SELECT inhrelid FROM pg_inherits
                                                     WHERE inhparent = i.indrelid))), '[]')
  FROM timescaledb_information.hypertables h
  JOIN pg_namespace n ON n.nspname = h.hypertable_schema
  JOIN pg_class t ON t.relnamespace = n.oid AND t.relname = h.hypertable_name
  JOIN pg_index i ON i.indrelid = t.oid
  JOIN pg_class c ON c.oid = i.indexrelid
  JOIN LATERAL (SELECT pg_get_indexdef(i.indexrelid) AS def,
                       coalesce(' WHERE ' || pg_get_expr(i.indpred, i.indrelid), '') AS rest) w ON true
  JOIN LATERAL (SELECT w.def, w.rest, left(w.def, length(w.def) - length(w.rest)) AS base) d ON true"""

HAS_RELID = """
SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = '_timescaledb_catalog.compression_settings'::regclass
                                          AND attname = 'compress_relid')"""
# The chunk has a missing value; whether the compressed rows rely on it, only they can say.
BORROWED = """
SELECT format('%I.%I', h.schema_name, h.table_name), format('%I.%I', k.schema_name, k.table_name), a.attname::text,
       z.oid::regclass::text, has_schema_privilege(z.relnamespace, 'USAGE') AND has_table_privilege(z.oid, 'SELECT')
  FROM _timescaledb_catalog.hypertable h
  JOIN _timescaledb_catalog.chunk k ON k.hypertable_id = h.id
  JOIN pg_namespace n ON n.nspname = k.schema_name
  JOIN pg_class c ON c.relname = k.table_name AND c.relnamespace = n.oid
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.atthasmissing AND NOT a.attisdropped
  {compressed}
  JOIN pg_attribute za ON za.attrelid = z.oid AND za.attname = a.attname
 ORDER BY 1, a.attnum, k.id"""
BY_RELID = """
  JOIN _timescaledb_catalog.compression_settings s ON s.relid = c.oid
  JOIN pg_class z ON z.oid = s.compress_relid"""
BY_ID = """
  JOIN _timescaledb_catalog.chunk kz ON kz.id = k.compressed_chunk_id
  JOIN pg_namespace zn ON zn.nspname = kz.schema_name
  JOIN pg_class z ON z.relname = kz.table_name AND z.relnamespace = zn.oid"""
# A name in a schema that this role may not use is an error, and not NULL.
DEFINITIONS = """
WITH o AS MATERIALIZED (
  SELECT CASE WHEN may THEN to_regclass(%(view)s) END AS view, CASE WHEN may THEN to_regclass(%(direct)s) END AS direct,
         CASE WHEN may THEN to_regclass(%(rows)s) END AS rows
    FROM (SELECT bool_and(has_schema_privilege((parse_ident(name))[1], 'USAGE')) AS may
            FROM unnest(ARRAY[%(view)s, %(direct)s, %(rows)s]) name) schemas)
SELECT pg_get_viewdef(o.view), pg_get_viewdef(o.direct), v.columns, v.alien
  FROM o CROSS JOIN LATERAL (
    SELECT array_agg(a.attname::text ORDER BY a.attnum) AS columns,
           coalesce(array_agg(quote_ident(a.attname) ORDER BY a.attnum) FILTER (WHERE r.attname IS NULL), '{}') AS alien
      FROM pg_attribute a
      LEFT JOIN pg_attribute r ON r.attrelid = o.rows AND r.attname = a.attname AND NOT r.attisdropped
     WHERE a.attrelid = o.view AND a.attnum > 0 AND NOT a.attisdropped) v"""


def checks(conn: Connection, noted: Noted) -> list[Check]:
    """Every question; without the community edition there are no aggregates and no policies."""
    stock = look.take(conn)
    held = left((each for _, _, each in noted("quieted")), (each for _, _, each in noted("unquieted")))
    jobs = f"{len(upkeep.jobs(stock))} jobs"
    found = [
        indexes(conn),
        Check(name="background jobs", about=jobs, flaws=tuple(upkeep.failed(stock))),
        Check(name="jobs that a run put off", about=jobs, flaws=tuple(upkeep.forgotten(stock, held))),
    ]
    if not stock.community:
        return found
    count = f"{len(stock.aggregates)} aggregates"
    stock = replace(
        stock, aggregates=tuple(replace(each, at_risk=eroding.at_risk(conn, each)) for each in stock.aggregates)
    )
    return [
        *found,
        Check(name="refresh within retention", about=count, flaws=tuple(erosion.flaws(stock))),
        overwritten(conn, stock),
        defaults(conn, stock),
    ]


def indexes(conn: Connection) -> Check:
    """Indexes of hypertables that a build chunk by chunk has left invalid."""
    count, flaws = conn.execute(INDEXES).fetchone() or (0, [])
    return Check(
        name="invalid indexes of hypertables",
        about=f"{count} indexes",
        flaws=tuple(Flaw(what=what, mend=mend) for what, mend in flaws),
    )


def overwritten(conn: Connection, stock: Stock) -> Check:
    """Aggregates whose view no longer says what TimescaleDB wrote: CREATE OR REPLACE VIEW takes it without a word."""
    found, unread = [], []
    for each in stock.aggregates:
        row = conn.execute(DEFINITIONS, {"view": each.name, "direct": each.direct, "rows": each.relation}).fetchone()
        view, direct, columns, alien = row or (None, None, [], [])
        if not view or not direct:
            unread.append(each.name)
        elif not genuine(each, view, direct):
            what = f"the view {each.name} is not the one of its aggregate: CREATE OR REPLACE VIEW wrote over it"
            if each.real_time and "UNION ALL" not in view:
                what += "; until it is mended, changing materialized_only crashes the server (seen with 2.28.3)"
            found.append(Flaw(what=what, mend=rewritten(each, columns, alien)))
    about = f"{len(stock.aggregates)} aggregates{but(unread)}"
    return Check(name="views of aggregates", about=about, flaws=tuple(found))


def but(unread: Iterable[str]) -> str:
    """What this role may not look at, by name."""
    names = ", ".join(unread)
    return f"; this role may not look at {names}" if names else ""


def rewritten(aggregate: Aggregate, columns: list[str], alien: list[str]) -> str:
    """SQL that gives an aggregate its own view again.

    TimescaleDB writes the half of a view that computes only when materialized_only changes, and takes what it finds
    apart into two halves: over one without UNION ALL the server crashes. So it is given both, and then changed.
    """
    if alien:
        return (
            f"-- {', '.join(alien)}: no column of the aggregate, and a view cannot lose one. "
            f"Drop and recreate it in a file with `-- tidelock: rebuild {aggregate.name}`"
        )
    half = sql.SQL("SELECT {} FROM {}").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)), sql.SQL(aggregate.relation)
    )
    start = f"CREATE OR REPLACE VIEW {aggregate.name} AS {half.as_string(None)}"
    if not aggregate.real_time:
        return f"{start};"
    change = f"ALTER MATERIALIZED VIEW {aggregate.name} SET (timescaledb.materialized_only = "
    return f"BEGIN; {start} UNION ALL {half.as_string(None)}; {change}true); {change}false); COMMIT;"


def genuine(aggregate: Aggregate, view: str, direct: str) -> bool:
    """Whether a view reads the aggregate's rows, all of them, and beside them at most what computes the rest."""
    column = rf'{re.escape(aggregate.relation.rpartition(".")[2])}\.(?:"(?:[^"]|"")+"|[^\s,"]+)'
    column += r'(?: AS (?:"(?:[^"]|"")+"|[^\s,"]+))?'
    plain = rf"\s*SELECT {column}(?:,\s+{column})*\s+FROM (?:\w+\.)?{re.escape(aggregate.relation.rpartition('.')[2])}"
    stored, union, computed = view.rstrip("; \n").partition("\nUNION ALL\n")
    if not union:
        return not aggregate.real_time and re.fullmatch(plain, stored) is not None
    mark = f"cagg_watermark({aggregate.number})"
    return (
        aggregate.real_time
        and re.match(plain + r"\s+WHERE \(.*\)$", stored, re.DOTALL) is not None
        and stored.count(mark) == computed.count(mark) == 1
        and ends(computed) == ends(direct.rstrip("; \n"))
    )


def ends(query: str) -> tuple[str, str]:
    """What a query returns, and its GROUP BY with all behind it: the condition between them differs."""
    return query.partition("\n   FROM ")[0].strip(), query.rpartition("\n  GROUP BY ")[2].strip()


def defaults(conn: Connection, stock: Stock) -> Check:
    """Columns that were added with a default over compressed chunks: their values are in the catalog alone."""
    by = BY_RELID if conn.execute(HAS_RELID).fetchone() == (True,) else BY_ID
    query: LiteralString = BORROWED.replace("{compressed}", by)
    found: dict[tuple[str, str], list[str]] = {}
    unread: dict[str, None] = {}
    for table, chunk, column, relation, readable in conn.execute(query).fetchall():
        if not readable:
            unread[table] = None
        elif relies(conn, relation, column):
            found.setdefault((table, column), []).append(chunk)
    flaws = [borrowed(table, column, chunks) for (table, column), chunks in found.items()]
    compressed = sum(each.compressed for each in stock.hypertables)
    return Check(
        name="defaults over compressed chunks", about=f"{compressed} compressed chunks{but(unread)}", flaws=tuple(flaws)
    )


def relies(conn: Connection, relation: str, column: str) -> bool:
    """Whether compressed rows have no value of their own there. One that is NULL is written down since 2.17."""
    query = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {} IS NULL)").format(sql.SQL(relation), sql.Identifier(column))
    return conn.execute(query).fetchone() == (True,)


def borrowed(table: str, column: str, chunks: list[str]) -> Flaw:
    """What can happen to one column, and the SQL that writes its values down."""
    if len(chunks) <= 3:
        names = ", ".join(sql.Literal(each).as_string(None) for each in chunks)
        source = f"unnest(ARRAY[{names}]::regclass[]) ch"
    else:
        source = (
            f"show_chunks({sql.Literal(table).as_string(None)}) ch JOIN timescaledb_information.chunks i ON "
            "format('%I.%I', i.chunk_schema, i.chunk_name)::regclass = ch WHERE i.is_compressed"
        )
    return Flaw(
        what=f"{column} of {table}: in {len(chunks)} compressed chunk{'' if len(chunks) == 1 else 's'} its values are "
        "the default of ADD COLUMN, kept in the catalog alone; VACUUM FULL, CLUSTER or reorder_chunk of a chunk makes "
        "them NULL",
        mend=f"SELECT compress_chunk(decompress_chunk(ch)) FROM {source};",  # noqa: S608 - printed
    )
