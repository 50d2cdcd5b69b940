"""Background jobs of a live database: those of the objects that a step touches, and when they start next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime

    import psycopg

    from tidelock.core.step import Step

    Connection = psycopg.Connection[Any]

WAKE = timedelta(seconds=6)
"""The scheduler sleeps at most 5 s: a job that is due within that time may be on its way when it is put off."""
STRONG = ("AccessExclusive", "Exclusive", "ShareRowExclusive", "Share")
"""Locks that a background job waits for, or that wait for it."""
TOUCHED = ("table", "view", "materialized view", "index", "aggregate", "hypertable")
PARENTS = ("index", "trigger", "policy", "rule", "column", "constraint", "dimension", "job")

# The table of jobs was in another schema before 2.22.
HOME = """
SELECT e.extnamespace::regnamespace::text,
       coalesce(to_regclass('_timescaledb_catalog.bgw_job'), to_regclass('_timescaledb_config.bgw_job'))::text
  FROM pg_extension e WHERE e.extname = 'timescaledb'"""

# Of a hypertable: its jobs and those of every aggregate above it. Of an aggregate: as well those of what it is made
# from, since dropping one locks its source. A user's job is known by its configuration.
JOBS = """
WITH RECURSIVE given AS (
  SELECT coalesce(i.indrelid, c.oid) AS id FROM unnest(%(names)s::text[]) n
    JOIN pg_class c ON c.oid = to_regclass(n) LEFT JOIN pg_index i ON i.indexrelid = c.oid
   UNION SELECT c.oid FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
          WHERE s.nspname = ANY (%(schemas)s) AND c.relkind IN ('r', 'v')),
named AS (
  SELECT h.id FROM given g JOIN pg_class c ON c.oid = g.id JOIN pg_namespace s ON s.oid = c.relnamespace
    JOIN _timescaledb_catalog.hypertable h ON (h.schema_name, h.table_name) = (s.nspname, c.relname)
   UNION SELECT k.hypertable_id FROM given g JOIN pg_class c ON c.oid = g.id
    JOIN pg_namespace s ON s.oid = c.relnamespace
    JOIN _timescaledb_catalog.chunk k ON (k.schema_name, k.table_name) = (s.nspname, c.relname)
   UNION SELECT a.mat_hypertable_id FROM given g JOIN pg_class c ON c.oid = g.id
    JOIN pg_namespace s ON s.oid = c.relnamespace
    JOIN _timescaledb_catalog.continuous_agg a ON (a.user_view_schema, a.user_view_name) = (s.nspname, c.relname)),
above AS (
  SELECT id FROM named UNION SELECT a.mat_hypertable_id
    FROM above b JOIN _timescaledb_catalog.continuous_agg a ON a.raw_hypertable_id = b.id),
below AS (
  SELECT id FROM named UNION SELECT a.raw_hypertable_id
    FROM below b JOIN _timescaledb_catalog.continuous_agg a ON a.mat_hypertable_id = b.id),
family AS (SELECT id FROM above UNION SELECT id FROM below),
called AS (
  SELECT schema_name AS schema, table_name AS name FROM family JOIN _timescaledb_catalog.hypertable h USING (id)
   UNION SELECT a.user_view_schema, a.user_view_name FROM family f
    JOIN _timescaledb_catalog.continuous_agg a ON a.mat_hypertable_id = f.id)
SELECT j.id, j.application_name, j.timezone, CASE WHEN isfinite(s.next_start) THEN s.next_start END,
       coalesce(s.next_start = 'infinity', false), p.pid,
       coalesce(extract(epoch FROM clock_timestamp() - p.since), 0)::float8, clock_timestamp()
  FROM {jobs} j LEFT JOIN _timescaledb_internal.bgw_job_stat s ON s.job_id = j.id
  LEFT JOIN LATERAL (SELECT min(pid) AS pid, min(backend_start) AS since FROM pg_stat_activity
                      WHERE application_name = j.application_name AND datname = current_database()) p ON true
 WHERE j.scheduled AND j.id >= 1000
   AND (j.hypertable_id IN (SELECT id FROM family) OR j.id = ANY (%(ids)s)
        OR (j.hypertable_id IS NULL AND jsonb_typeof(j.config) = 'object' AND EXISTS (
             SELECT FROM jsonb_each_text(j.config) c, called n
              WHERE c.value IN (n.name, n.schema || '.' || n.name, format('%%I.%%I', n.schema, n.name)))))
 ORDER BY j.id"""

# A fixed schedule loses its time zone unless it is given again.
ALTER = """
SELECT next_start FROM {schema}.alter_job(%(job)s, next_start => %(next)s::timestamptz, timezone => %(zone)s::text)"""


@dataclass(frozen=True, slots=True)
class Due:
    """A scheduled job as it stands now."""

    id: int
    name: str
    timezone: str | None
    next_start: datetime | None
    """None when it never ran and is due at once, or runs now."""
    never: bool
    """Somebody has put it off for ever."""
    pid: int | None
    """Of the process that runs it now."""
    running_s: float
    now: datetime
    """By the server's clock."""

    @property
    def starting(self) -> bool:
        """Whether it may be starting at this moment, by what the scheduler knew before."""
        return not self.waits(WAKE)

    def waits(self, time: timedelta) -> bool:
        """Whether it starts after so long only."""
        return self.next_start is not None and self.next_start > self.now + time


@dataclass(frozen=True, slots=True)
class Home:
    """Where TimescaleDB keeps what is asked here."""

    schema: str
    jobs: str

    def alter(self, conn: Connection, job: Due, to: datetime) -> None:
        """Give a job another next start; all else stays. Raises what the server raises."""
        query = sql.SQL(ALTER).format(schema=sql.SQL(self.schema))  # quoted by regnamespace
        conn.execute(query, {"job": job.id, "next": to, "zone": job.timezone})

    def look(
        self, conn: Connection, names: Collection[str] = (), schemas: Collection[str] = (), ids: Collection[int] = ()
    ) -> list[Due]:
        """Scheduled jobs on relations (quoted names), on all relations of schemas, and some by their number."""
        query = sql.SQL(JOBS).format(jobs=sql.SQL(self.jobs))  # quoted by regclass
        values = {"names": sorted(names), "schemas": sorted(schemas), "ids": sorted(ids)}
        return [Due(*row) for row in conn.execute(query, values).fetchall()]


def home(conn: Connection) -> Home | None:
    """None without the extension."""
    row = conn.execute(HOME).fetchone()
    return Home(*row) if row and row[1] else None


def touched(step: Step) -> tuple[frozenset[str], frozenset[str]]:
    """Relations (quoted names) that a step locks, alters or drops, and schemas that it drops; by what it says.

    What it makes itself is left out: nobody else knows it yet.
    """
    made = {each.qualified for one in step.statements for each in one.facts.creates if each.kind in TOUCHED[:3]}
    names = frozenset(quoted(name) for name in _names(step) if name and name not in made)
    schemas = {each.name for one in step.statements for each in one.facts.drops if each.kind == "schema"}
    return names, frozenset(schemas)


def _names(step: Step) -> Iterator[str]:
    for statement in step.statements:
        facts = statement.facts
        yield from (each.table for each in facts.locks if each.mode in STRONG)
        yield from (each.qualified for each in (*facts.alters, *facts.drops) if each.kind in TOUCHED)
        yield from (before.qualified for before, _ in facts.renames if before.kind in TOUCHED)
        yield from (each.parent for each in (*facts.creates, *facts.alters, *facts.drops) if each.kind in PARENTS)


def quoted(name: str) -> str:
    """`schema.name` as written in Facts, quoted."""
    schema, _, bare = name.rpartition(".")
    return sql.Identifier(*([schema] if schema else []), bare).as_string()
