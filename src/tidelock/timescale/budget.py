"""The lock budget: how many locks a step takes at once on hypertables, against what the server has room for.

DDL on a hypertable locks each of its chunks, and often their indexes too. A server whose lock table is full refuses
with "out of shared memory" (53200), to this run and to everybody else who wants a lock at that moment. What is counted
here is what 2.28 was seen to take, and where it was seen to take more, less: a step that would have fitted is not
refused for its count.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from psycopg import sql

from tidelock.core.step import Mode
from tidelock.errors import DatabaseFault
from tidelock.timescale.background import STRONG, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import psycopg

    from tidelock.core.model import Place, Plan
    from tidelock.core.statement import Facts, Statement
    from tidelock.core.step import Step

    Connection = psycopg.Connection[Any]

ROOT_ALONE = (
    "RENAME",
    "SET SCHEMA",
    "SET",
    "RESET",
    "ENABLE ROW LEVEL SECURITY",
    "DISABLE ROW LEVEL SECURITY",
    "FORCE ROW LEVEL SECURITY",
    "NO FORCE ROW LEVEL SECURITY",
    "INHERIT",
    "NO INHERIT",
)
"""What ALTER TABLE does without a look at the chunks."""
EVERY_CHUNK = ("CREATE INDEX", "CREATE TRIGGER", "DROP TRIGGER", "LOCK TABLE", "LOCK")
PACKED_TOO = ("ADD COLUMN", "DROP COLUMN", "RENAME COLUMN", "OWNER TO")
"""What is done to the tables of compressed chunks as well."""
DROPPED = ("table", "view", "materialized view", "aggregate", "hypertable")
PACKED_PARTS = 6
"""A compressed chunk's table with its two types, an index, and its TOAST table and index."""
SHARE = 1.3
"""The server sets memory aside for a lock and two holders of it, and a tenth more, which others may take. A lock with
one holder takes less: so many more of them fit. (11,860 fitted where 7,168 were promised; where 320 were, 524 or 422,
by what had been locked before.)"""
ROUND = 64

# Relations by their quoted names, and all in some schemas; with the aggregates above them (`root` is false).
CHUNKS = """
WITH RECURSIVE given AS (
  SELECT n AS name, coalesce(i.indrelid, c.oid) AS id FROM unnest(%(names)s::text[]) n
    JOIN pg_class c ON c.oid = to_regclass(n) LEFT JOIN pg_index i ON i.indexrelid = c.oid
   UNION SELECT n, c.oid FROM unnest(%(schemas)s::text[]) n JOIN pg_namespace s ON s.oid = to_regnamespace(n)
           JOIN pg_class c ON c.relnamespace = s.oid AND c.relkind IN ('r', 'v')),
named AS (
  SELECT g.name, coalesce(a.mat_hypertable_id, h.id) AS id
    FROM given g JOIN pg_class c ON c.oid = g.id JOIN pg_namespace s ON s.oid = c.relnamespace
    LEFT JOIN _timescaledb_catalog.hypertable h ON (h.schema_name, h.table_name) = (s.nspname, c.relname)
    LEFT JOIN _timescaledb_catalog.continuous_agg a
           ON (a.user_view_schema, a.user_view_name) = (s.nspname, c.relname)
   WHERE h.id IS NOT NULL OR a.mat_hypertable_id IS NOT NULL),
above AS (
  SELECT name, id, true AS root FROM named
   UNION SELECT b.name, a.mat_hypertable_id, false
    FROM above b JOIN _timescaledb_catalog.continuous_agg a ON a.raw_hypertable_id = b.id)
SELECT u.name, h.id, u.root,
       format('%%I.%%I', coalesce(v.user_view_schema, h.schema_name), coalesce(v.user_view_name, h.table_name)),
       k.chunks, k.indexes, k.constraints, k.toasts,
       (SELECT count(*) FROM timescaledb_information.chunks t WHERE t.is_compressed
         AND (t.hypertable_schema, t.hypertable_name) = (h.schema_name, h.table_name)),
       (SELECT count(*) FROM unnest(%(guarded)s::text[], %(indexes)s::text[]) x (at, name)
         WHERE x.at = u.name AND EXISTS (SELECT FROM pg_class o JOIN pg_namespace s ON s.oid = o.relnamespace
                                          WHERE o.relname = x.name AND s.nspname = h.schema_name))
  FROM above u JOIN _timescaledb_catalog.hypertable h ON h.id = u.id
  LEFT JOIN _timescaledb_catalog.continuous_agg v ON v.mat_hypertable_id = h.id,
  LATERAL (SELECT count(*) AS chunks, coalesce(sum((SELECT count(*) FROM pg_index i WHERE i.indrelid = c.oid)), 0)::int
                  AS indexes, coalesce(sum((SELECT count(*) FROM pg_constraint t WHERE t.conrelid = c.oid)), 0)::int
                  AS constraints, count(*) FILTER (WHERE c.reltoastrelid <> 0) AS toasts
             FROM pg_namespace s JOIN pg_class o ON o.relnamespace = s.oid AND o.relname = h.table_name
             JOIN pg_inherits p ON p.inhparent = o.oid JOIN pg_class c ON c.oid = p.inhrelid
            WHERE s.nspname = h.schema_name) k
 WHERE k.chunks > 0"""

# The lock table is made for every process that the server may have. (Of 18 on, autovacuum's slots are another setting.)
ROOM = """
SELECT current_setting('max_locks_per_transaction')::bigint, sum(setting::bigint) + 1,
       (SELECT count(*) FROM pg_locks WHERE NOT fastpath AND pid IS DISTINCT FROM pg_backend_pid())
  FROM pg_settings
 WHERE name IN ('max_connections', 'max_prepared_transactions', 'max_worker_processes', 'max_wal_senders')
    OR name = CASE WHEN EXISTS (SELECT FROM pg_settings WHERE name = 'autovacuum_worker_slots')
                   THEN 'autovacuum_worker_slots' ELSE 'autovacuum_max_workers' END"""


@dataclass(frozen=True, slots=True)
class Room:
    """What the server's lock table holds."""

    each: int
    """max_locks_per_transaction"""
    processes: int
    taken: int

    @property
    def all(self) -> int:
        """Locks that fit, by what the server sets aside."""
        return int(self.each * self.processes * SHARE)

    def setting_for(self, locks: int) -> int:
        """The max_locks_per_transaction that promises so many."""
        return -(-(locks + self.taken) // self.processes // ROUND) * ROUND


@dataclass(frozen=True, slots=True)
class Chunks:
    """The chunks of one hypertable, or of an aggregate's, and what hangs on them."""

    name: str
    """As it was asked for."""
    id: int
    root: bool
    """False for an aggregate above what was asked for."""
    label: str
    chunks: int
    indexes: int
    constraints: int
    toasts: int
    packed: int
    """Compressed ones, whose rows are in a table of their own."""
    there: int
    """Indexes that IF NOT EXISTS will find."""


@dataclass(slots=True)
class Wanted:
    """What the statements of a step do to one relation, all together: a lock that is taken twice counts once."""

    place: Place
    locked: bool = False
    packed: bool = False
    indexes: int = 0
    """New ones."""
    guarded: list[str] = field(default_factory=list)
    parts: int = 0
    """Constraints and triggers that go."""
    index_dropped: bool = False
    rewritten: bool = False
    dropped: bool = False
    cascade: bool = False
    schema: bool = False
    """It is a schema, with all that is in it."""

    def locks(self, found: Chunks) -> int:
        """How many locks that is on the chunks."""
        if self.dropped:
            if not (found.root or self.cascade):
                return 0
            parts = found.indexes + found.constraints + 2 * found.toasts
            return 3 * found.chunks + parts + PACKED_PARTS * found.packed  # a table has two types
        if not found.root or not self.locked:
            return 0
        locks = found.chunks * (1 + max(self.indexes - found.there, 0) + self.parts)
        if self.rewritten:
            locks += 2 * found.indexes + 4 * found.toasts
        elif self.index_dropped:
            locks += found.indexes
        return locks + (found.packed if self.packed else 0)


class TooManyLocks(DatabaseFault):
    """A step would take more locks at once than the server has room for."""

    code = "D040"

    def __init__(self, step: Step, place: Place, found: Sequence[tuple[Chunks, int]], room: Room) -> None:
        self.locks = sum(locks for _, locks in found)
        each = ", ".join(
            f"{one.label.removeprefix('public.')}: {one.chunks:,} chunks × {locks / one.chunks:.1f}"
            for one, locks in found
        )
        taken = f", of which {room.taken:,} are taken now" if room.taken else ""
        super().__init__(
            f"{place}: step {step.number} would lock about {self.locks:,} relations at once ({each}); the server has "
            f"room for about {room.all:,}{taken}: max_locks_per_transaction is {room.each}, for {room.processes:,} "
            "processes",
            hint=f"set max_locks_per_transaction = {room.setting_for(self.locks)} and restart the server; or take "
            "fewer at a time: one file for each statement, drop_chunks in parts before a DROP, CREATE INDEX … WITH "
            "(timescaledb.transaction_per_chunk)",
        )


def check(conn: Connection, plan: Plan) -> None:
    """Raise TooManyLocks for the first step that cannot have the locks it needs. Nearly always it asks nothing."""
    steps = [(step, wanted(step)) for each in plan.pending for step in each.steps[each.done :]]
    steps = [(step, given) for step, given in steps if given]
    if not steps:
        return
    found = look(conn, [given for _, given in steps])
    needs = [(step, given, list(needed(given, found))) for step, given in steps]
    if not any(need for _, _, need in needs):
        return
    row = conn.execute(ROOM).fetchone()
    assert row
    room = Room(*map(int, row))
    for step, given, need in needs:
        if sum(locks for _, locks in need) + room.taken > room.all:
            need.sort(key=lambda one: -one[1])
            raise TooManyLocks(step, given[need[0][0].name].place, need, room)


def look(conn: Connection, steps: Iterable[dict[str, Wanted]]) -> list[Chunks]:
    """The chunks of everything that is named: one query."""
    given = [(name, each) for one in steps for name, each in one.items()]
    guarded = {(name, index) for name, each in given for index in each.guarded}
    values = {
        "names": sorted({name for name, each in given if not each.schema}),
        "schemas": sorted({name for name, each in given if each.schema}),
        "guarded": [name for name, _ in sorted(guarded)],
        "indexes": [index for _, index in sorted(guarded)],
    }
    return [Chunks(*row) for row in conn.execute(CHUNKS, values).fetchall()]


def needed(given: dict[str, Wanted], found: Sequence[Chunks]) -> Iterable[tuple[Chunks, int]]:
    """Each hypertable once, with the most that is asked of it."""
    most: dict[int, tuple[Chunks, int]] = {}
    for each in found:
        locks = given[each.name].locks(each) if each.name in given else 0
        if locks and locks > most.get(each.id, (each, 0))[1]:
            most[each.id] = (each, locks)
    return most.values()


def wanted(step: Step) -> dict[str, Wanted]:
    """Quoted name, also of a schema that is dropped → what the step does to it, by what it says."""
    found: dict[str, Wanted] = {}

    def at(name: str, statement: Statement) -> Wanted:
        return found.setdefault(name, Wanted(statement.place))

    for each in step.statements:
        facts = each.facts
        for lock in facts.locks:
            if lock.mode in STRONG and reaches_chunks(step, facts):
                to = at(quoted(lock.table), each)
                to.locked = True
                to.rewritten |= lock.rewrite
                to.packed |= lock.mode == "AccessExclusive" and action(facts) in PACKED_TOO
                to.dropped |= facts.command == "TRUNCATE"
        for name, many in made(facts).items():
            at(quoted(name), each).indexes += len(many)
            at(quoted(name), each).guarded += many if facts.guarded else []
        for one in facts.drops:
            if one.kind == "index":
                to = at(quoted(one.qualified), each)
                to.locked = to.index_dropped = True
            elif one.kind in ("constraint", "trigger") and not facts.guarded:
                at(quoted(one.parent), each).parts += 1
            elif one.kind in DROPPED or (one.kind == "schema" and facts.cascade):
                to = at(sql.Identifier(one.name).as_string() if one.kind == "schema" else quoted(one.qualified), each)
                to.dropped, to.cascade, to.schema = True, to.cascade or facts.cascade, one.kind == "schema"
    return found


def made(facts: Facts) -> dict[str, list[str]]:
    """Table → names of the indexes that are made on it."""
    found: dict[str, list[str]] = defaultdict(list)
    for each in facts.creates:
        if each.kind == "index":
            found[each.parent].append(each.name)
    return found


def action(facts: Facts) -> str:
    """What ALTER TABLE does; empty for another command."""
    before, _, what = facts.command.partition(" … ")
    return what if before in ("ALTER TABLE", "ALTER MATERIALIZED VIEW", "ALTER INDEX") else ""


def reaches_chunks(step: Step, facts: Facts) -> bool:
    """Whether a lock that it names is taken on every chunk, in one transaction."""
    if facts.command == "CREATE INDEX":
        return step.mode is not Mode.ALONE  # one transaction for each chunk
    what = action(facts)
    return (what not in ROOT_ALONE) if what else facts.command in (*EVERY_CHUNK, "TRUNCATE")
