"""Other tools' history tables: which of them are in a database, told apart by columns, and what they say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

from tidelock.core.adoption.match import Entry, History, State
from tidelock.core.adoption.tool import TOOLS, Style
from tidelock.errors import LedgerFault
from tidelock.postgres.ledger import literal, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidelock.postgres.ledger import Ask


class HistoryUnfit(LedgerFault):
    """A table that looks like a tool's, and does not hold what that tool writes."""

    code = "L034"

    def __init__(self, table: str, title: str, why: str) -> None:
        super().__init__(
            f"{table} looks like {title}'s table, and cannot be read as one: {why}",
            hint="mend it with the tool itself; or `tidelock adopt --observe`, which asks the catalog instead",
        )


@dataclass(frozen=True, slots=True)
class Shape:
    """How one tool's table is recognised and read."""

    tables: tuple[str, ...]
    has: frozenset[str]
    query: LiteralString
    """Rows (key, state, checksum, note) of the table, which is called {table}."""
    only: bool = False
    """No column but these: dbmate's and Rails' tables have a single one, and others share their name."""


def shape(*tables: str, has: str, query: LiteralString, only: bool = False) -> Shape:
    """A Shape from words."""
    return Shape(tables, frozenset(has.split()), query, only)


SHAPES: dict[str, Shape] = {
    # The row of a version that is being run, or that failed, is dirty; -1 stands for "before the first".
    "golang-migrate": shape(
        "schema_migrations",
        has="version dirty",
        query="""SELECT version::text, CASE WHEN dirty THEN 'failed' ELSE 'applied' END, NULL,
                        CASE WHEN dirty THEN 'dirty' END FROM {table}""",
    ),
    "rails": shape(
        "schema_migrations", has="version", only=True, query="SELECT version, 'applied', NULL, NULL FROM {table}"
    ),
    "dbmate": shape(
        "schema_migrations", has="version", only=True, query="SELECT version, 'applied', NULL, NULL FROM {table}"
    ),
    # The newest row of a version counts; a tombstone (DELETE) takes it away.
    "flyway": shape(
        "flyway_schema_history",
        has="installed_rank version script checksum success type",
        query="""SELECT coalesce(version, regexp_replace(script, '^.*/', '')),
                        CASE WHEN NOT success THEN 'failed'
                             WHEN type LIKE '%BASELINE' THEN 'baseline' ELSE 'applied' END, checksum::text,
                        CASE WHEN type LIKE '%BASELINE' THEN 'its baseline' END
                   FROM (SELECT DISTINCT ON (coalesce(version, script)) * FROM {table}
                          WHERE installed_rank > 0 ORDER BY coalesce(version, script), installed_rank DESC) newest
                  WHERE type NOT IN ('DELETE', 'SCHEMA') AND type NOT LIKE 'UNDO%'""",
    ),
    "goose": shape(
        "goose_db_version",
        has="id version_id is_applied",
        query="""SELECT version_id::text, 'applied', NULL, NULL
                   FROM (SELECT DISTINCT ON (version_id) * FROM {table} ORDER BY version_id, id DESC) newest
                  WHERE is_applied AND version_id > 0""",
    ),
    "sqitch": shape(
        "changes",
        has="change_id script_hash change project planned_at",
        query="SELECT change_id, 'applied', script_hash, NULL FROM {table}",
    ),
    "alembic": shape(
        "alembic_version", has="version_num", only=True, query="SELECT version_num, 'applied', NULL, NULL FROM {table}"
    ),
    "liquibase": shape(
        "databasechangelog",
        has="id author filename exectype md5sum",
        query="""SELECT filename || '::' || id || '::' || author,
                        CASE exectype WHEN 'EXECUTED' THEN 'applied' WHEN 'RERAN' THEN 'applied'
                                      WHEN 'MARK_RAN' THEN 'doubtful' ELSE 'failed' END, md5sum,
                        CASE exectype WHEN 'MARK_RAN' THEN 'MARK_RAN, which means not executed' END FROM {table}""",
    ),
    "sqlx": shape(
        "_sqlx_migrations",
        has="version description success checksum execution_time",
        query="""SELECT version::text,
                        CASE WHEN success IS NOT TRUE THEN 'failed'
                             WHEN execution_time = -1 THEN 'doubtful' ELSE 'applied' END,
                        encode(checksum, 'hex'),
                        CASE WHEN execution_time = -1 THEN 'execution_time is -1: skipped by hand, or cut off' END
                   FROM {table}""",
    ),
    "diesel": shape(
        "__diesel_schema_migrations",
        has="version run_on",
        query="SELECT version, 'applied', NULL, NULL FROM {table}",
    ),
    "yoyo": shape(
        "_yoyo_migration",
        "_yoyo_migrations",
        has="migration_hash migration_id",
        query="SELECT migration_id, 'applied', NULL, NULL FROM {table}",
    ),
    "tern": shape(
        "schema_version", has="version", only=True, query="SELECT version::text, 'applied', NULL, NULL FROM {table}"
    ),
    # Types are bits: 1 baseline, 2 executed, 4 set by hand.
    "atlas": shape(
        "atlas_schema_revisions",
        has="version type applied total hash",
        query="""SELECT version,
                        CASE WHEN type & 2 = 2 AND (applied < total) IS NOT FALSE THEN 'failed'
                             WHEN type & 1 = 1 THEN 'baseline' ELSE 'applied' END,
                        nullif(hash, ''), CASE WHEN type & 2 = 2 AND (applied < total) IS NOT FALSE
                                               THEN applied || ' of ' || total || ' statements ran'
                                               WHEN type & 1 = 1 THEN 'its baseline' END
                   FROM {table} WHERE version NOT LIKE '.%'""",
    ),
    "django": shape(
        "django_migrations",
        has="id app name applied",
        query="SELECT app || '.' || name, 'applied', NULL, NULL FROM {table} ORDER BY id",
    ),
}

COLUMNS = """
SELECT coalesce(json_agg(json_build_array(n.nspname, c.relname,
         (SELECT json_agg(a.attname) FROM pg_attribute a
           WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
         to_regclass(quote_ident(c.relname)) = c.oid) ORDER BY n.nspname, c.relname), '[]')
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND c.relname IN ({names})"""
RAILS = "ar_internal_metadata"


def found(ask: Ask) -> list[History]:
    """Every history that is there. Those in the search_path come first."""
    names = {name for each in SHAPES.values() for name in each.tables} | {RAILS}
    tables = [
        (bool(visible), schema, table, frozenset(columns))
        for schema, table, columns, visible in ask(COLUMNS.format(names=", ".join(map(literal, sorted(names)))))
    ]
    rails = {schema for _, schema, table, _ in tables if table == RAILS}
    histories = []
    for _, schema, table, columns in sorted(tables, key=lambda each: not each[0]):
        tool = belonging(table, columns, rails=schema in rails)
        if tool is not None:
            histories.append(read(ask, tool, schema, table))
    return histories


def belonging(table: str, columns: frozenset[str], *, rails: bool) -> str | None:
    """The tool that this table is of."""
    for tool, each in SHAPES.items():
        fits = columns == each.has if each.only else columns >= each.has
        if table in each.tables and fits and (tool not in ("rails", "dbmate") or rails == (tool == "rails")):
            return tool
    return None


def read(ask: Ask, tool: str, schema: str, table: str) -> History:
    """What a table says."""
    import psycopg

    name = f"{schema}.{table}"
    query = SHAPES[tool].query.format_map({"table": f"{quoted(schema)}.{quoted(table)}"})
    try:
        rows = answers(ask, query)
    except psycopg.errors.ProgrammingError as error:  # a column of another type than the tool's
        raise HistoryUnfit(name, TOOLS[tool].title, error.diag.message_primary or str(error)) from None
    keys = [row[0] for row in rows]
    if None in keys:
        raise HistoryUnfit(name, TOOLS[tool].title, "it has a row without a key")
    if TOOLS[tool].style is Style.REACHES and (len(keys) > 1 or not all(re.fullmatch(r"-?\d+", each) for each in keys)):
        raise HistoryUnfit(name, TOOLS[tool].title, f"it should hold one number, and holds {', '.join(keys[:3])}")
    return History(
        tool=TOOLS[tool],
        table=name,
        entries=tuple(
            Entry(key=key, state=State(state), checksum=checksum, note=note or "")
            for key, state, checksum, note in rows
        ),
    )


def answers(ask: Ask, query: str) -> list[tuple[str, str, str | None, str | None]]:
    """The rows of a query, as texts."""
    found: list[tuple[str, str, str | None, str | None]] = ask(
        f"SELECT coalesce(json_agg(json_build_array(k::text, s, c, n)), '[]') FROM ({query}) rows (k, s, c, n)"  # noqa: S608 - our own text
    )
    return found


def absent() -> Mapping[str, tuple[str, ...]]:
    """Tool → tables that were looked for."""
    return {TOOLS[name].title: each.tables for name, each in SHAPES.items()}
