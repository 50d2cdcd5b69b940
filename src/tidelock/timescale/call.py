"""The CALL of a refresh: what is asked for, in which way, and how this version of TimescaleDB takes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import sql

from tidelock.timescale.points import point

if TYPE_CHECKING:
    import psycopg

    from tidelock.core.aggregates import Aggregate, Span

    Connection = psycopg.Connection[Any]

SURE = """
SELECT n.nspname, e.extversion,
       (SELECT array_agg(a) FROM pg_proc p, unnest(p.proargnames) a
         WHERE p.proname = 'refresh_continuous_aggregate' AND p.pronamespace = n.oid)
  FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'timescaledb'"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be refreshed, and how."""

    aggregate: str
    start: int | None = None
    end: int | None = None
    """As asked: not of whole buckets yet. None is no bound."""
    force: bool = False
    options: str = ""
    """The statement's own, as JSON; empty for ours."""
    done: tuple[Span, ...] = ()
    """What an earlier run has done of just this, and the server would do again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How the work is done."""

    parallel: int = 0
    """Connections; 0 lets us choose."""
    lock_wait_s: float = 1.0
    role: str = ""
    settings: tuple[tuple[str, str], ...] = ()
    """Of the session that asks, for those that work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """The CALL, as this version takes it."""

    schema: str
    arguments: sql.Composed
    """What follows the window."""
    name: str
    """The aggregate, `schema.name`."""

    @classmethod
    def of(cls, conn: Connection, aggregate: Aggregate, wish: Wish) -> Call:
        """The call for an aggregate, as the extension there takes it."""
        schema, _, names = conn.execute(SURE).fetchone() or ("public", "", [])
        arguments = sql.Composed([])
        if wish.force:
            arguments += sql.Composed([sql.SQL(", force => true")])
        # Without it the server cuts a window into batches of ten buckets: 30.2 s against 18.5 s for all of them.
        if options := wish.options or ('{"buckets_per_batch": 0}' if "options" in names else ""):
            arguments += sql.SQL(", options => {}::jsonb").format(sql.Literal(options))
        return cls(schema=schema, arguments=arguments, name=aggregate.name)

    def over(self, window: Span) -> sql.Composed:
        """The CALL for one window."""
        return sql.SQL("CALL {}.refresh_continuous_aggregate({}::regclass, {}, {}{})").format(
            sql.Identifier(self.schema),
            sql.Literal(self.name),
            point(window.start, window.kind),
            point(window.end, window.kind),
            self.arguments,
        )


def mark(conn: Connection) -> sql.SQL:
    """The run's mark, by which its watch knows (and cancels, when the lease is lost) what is its own."""
    name = conn.info.parameter_status("application_name") or ""
    run_id = name.removeprefix("tidelock ")
    return sql.SQL(f"/* tidelock run {run_id} */ " if run_id.isalnum() else "")
