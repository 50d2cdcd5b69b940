"""What became of a statement that no transaction held, when nobody recorded its end: the catalog is asked.

Before such a statement runs, `evidence` notes which of the objects that it names are there. Afterwards the same
look tells whether it ran: an index that was absent and is valid was built; one that is invalid is dropped and built
again. Where the catalog cannot tell and the statement is not safe to repeat, a person decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

from psycopg import sql

from tidelock.core.facts import facts_of, index_definition
from tidelock.core.model import Outcome
from tidelock.core.statement import Ending, Kind, Statement
from tidelock.core.step import Mode
from tidelock.postgres.presence import ABSENT, INVALID, PRESENT, path_of, quoted, state
from tidelock.postgres.variables import as_sent

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

    from tidelock.core.facts import IndexDefinition
    from tidelock.core.model import StepRecord
    from tidelock.core.statement import Facts, Object
    from tidelock.core.step import Step

    Connection = psycopg.Connection[tuple[object, ...]]
    Evidence = Mapping[str, Any]


class Verdict(StrEnum):
    """What is to be done with a statement whose end nobody recorded."""

    DONE = "done"
    RETRY = "retry"
    ASK = "ask"


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict, why, and what has to be mended first."""

    verdict: Verdict
    why: str
    repairs: tuple[str, ...] = ()
    """SQL to run first, one statement each, outside of a transaction."""


INDEXES = """
SELECT coalesce(array_agg(indexrelid::bigint ORDER BY indexrelid), '{}')
  FROM pg_index WHERE indrelid = to_regclass(%s)"""
# Of the table, or the index's table, that is named, of its partitions and of what TOAST keeps for these; of all when
# none is named (REINDEX DATABASE).
LEFTOVERS = """
WITH named AS (
  SELECT coalesce((SELECT indrelid FROM pg_index WHERE indexrelid = found), found::oid) AS id
    FROM to_regclass(nullif(%(path)s, '')) found),
tables AS (
  SELECT id FROM named UNION SELECT relid FROM named, pg_partition_tree(named.id::regclass)),
rebuilt AS (
  SELECT id FROM tables UNION SELECT reltoastrelid FROM pg_class JOIN tables ON oid = id WHERE reltoastrelid <> 0)
SELECT c.oid::bigint, format('%%I.%%I', n.nspname, c.relname)
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$' AND c.relkind = 'i'
   AND (%(path)s = '' OR i.indrelid IN (SELECT id FROM rebuilt))"""
NEW_INDEXES = """
SELECT c.relname, format('%%I.%%I', n.nspname, c.relname), i.indisvalid AND i.indisready, pg_get_indexdef(i.indexrelid)
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE i.indrelid = to_regclass(%(table)s) AND NOT i.indexrelid::bigint = ANY (%(before)s)"""
# to_jsonb: before PostgreSQL 14 there is no such column, and no DETACH … CONCURRENTLY.
PARTITION = """
SELECT CASE (to_jsonb(i) ->> 'inhdetachpending')::boolean WHEN true THEN 'pending' ELSE 'attached' END
  FROM pg_inherits i WHERE inhparent = to_regclass(%s) AND inhrelid = to_regclass(%s)"""


def evidence(conn: Connection, statement: Statement) -> dict[str, object]:
    """What is there before the statement runs; kept in the journal."""
    facts = statement.facts
    found: dict[str, object] = {
        "objects": [
            {
                "kind": each.kind,
                "name": each.name,
                "schema": each.schema,
                "parent": each.parent,
                "wanted": PRESENT if each in facts.creates else ABSENT,
                "state": state(conn, each),
            }
            for each in (*facts.creates, *facts.drops)
        ]
    }
    if builds_index(facts):
        table = next(each.parent for each in facts.creates if each.kind == "index")
        row = conn.execute(INDEXES, (quoted(table),)).fetchone()
        found |= {"table": table, "indexes": row[0] if row else [], "definition": statement.text}
    if is_reindex(facts):
        found["leftovers"] = [oid for oid, _ in leftovers(conn, facts)]
    if detaches(facts):
        found["partition"] = [*parent_and_partition(facts), partition_state(conn, facts)]
    return found


def builds_index(facts: Facts) -> bool:
    """CREATE INDEX, of whatever kind."""
    return any(each.kind == "index" for each in facts.creates)


def is_reindex(facts: Facts) -> bool:
    """REINDEX … CONCURRENTLY."""
    return facts.command.upper().startswith("REINDEX")


def detaches(facts: Facts) -> bool:
    """ALTER TABLE … DETACH PARTITION … CONCURRENTLY."""
    return facts.command.endswith("DETACH PARTITION CONCURRENTLY")


def parent_and_partition(facts: Facts) -> list[str]:
    """The two tables of a DETACH, quoted."""
    return [path_of(each.name, each.schema) for each in facts.alters]


def partition_state(conn: Connection, facts: Facts) -> str:
    """attached, pending (an interrupted DETACH … CONCURRENTLY), or absent."""
    row = conn.execute(PARTITION, parent_and_partition(facts)).fetchone()
    return cast("str", row[0]) if row else ABSENT


def waits_for_snapshots(facts: Facts) -> bool:
    """A concurrent build, drop or detach: lock_timeout would fail it on any old snapshot and leave damage."""
    return "CONCURRENTLY" in facts.command.upper() or is_reindex(facts)


def before_start(conn: Connection, statement: Statement) -> tuple[str, ...]:
    """Repairs without which the statement would hide damage: IF NOT EXISTS skips an invalid index as if it were one."""
    if not statement.facts.guarded:
        return ()
    return tuple(
        drop_index(each, statement.facts)
        for each in statement.facts.creates
        if each.kind == "index" and state(conn, each) == INVALID
    )


def drop_index(index: Object, facts: Facts) -> str:
    """DROP INDEX for an invalid index, in the schema of its table."""
    schema = index.schema or index.parent.rpartition(".")[0]
    word = "DROP INDEX CONCURRENTLY IF EXISTS" if waits_for_snapshots(facts) else "DROP INDEX IF EXISTS"
    return f"{word} {path_of(index.name, schema)}"


def outlook(conn: Connection, step: Step, record: StepRecord, variables: Mapping[str, str]) -> Finding:
    """What `apply` will do about a step that an earlier run started, with the variables of the steps before it."""
    if step.mode is Mode.ALONE:
        statement = as_sent(conn, step.statements[0], variables)
        return judge(conn, statement, record.evidence, failed=record.outcome is Outcome.FAILED)
    if any(each.facts.external and not each.facts.rerunnable for each in step.statements):
        return Finding(Verdict.ASK, "it has effects that no rollback undoes")
    return Finding(Verdict.RETRY, "nothing of its transaction remains")


def judge(conn: Connection, statement: Statement, before: Evidence, *, failed: bool) -> Finding:
    """Decide about a statement that was started. `failed`: the server refused it, and that was recorded."""
    facts = statement.facts
    if statement.ending is Ending.GEXEC and "sent" in before:
        return judge_sent(conn, statement, before, failed=failed)
    if repairs := leftover_indexes(conn, before):
        return Finding(Verdict.RETRY, "the index is there and invalid; dropping it and building it again", repairs)
    if is_reindex(facts):
        return Finding(Verdict.RETRY, "rebuilding an index again is harmless", leftover_copies(conn, facts, before))
    if builds_index(facts) and not facts.creates[0].name:
        return unnamed_index(conn, before)
    if detaches(facts) and (found := judge_detach(conn, facts, before)):
        return found
    if found := judge_objects(conn, statement, before):
        return found
    if failed and facts.kind not in (Kind.CODE, Kind.UNKNOWN) and not statement.runtime:
        return Finding(Verdict.RETRY, "the server refused it and kept nothing of it")
    if facts.rerunnable and not statement.runtime:
        return Finding(Verdict.RETRY, "running it twice is harmless")
    return Finding(Verdict.ASK, "the catalog cannot tell whether it ran, and running it twice may not be harmless")


def judge_sent(conn: Connection, statement: Statement, before: Evidence, *, failed: bool) -> Finding:
    """Decide about a \\gexec whose last text was started; those before it ran, and would run again with it."""
    text = str(before["sent"])
    found = judge(conn, Statement(text=text, place=statement.place, facts=facts_of(text)), before, failed=failed)
    if found.verdict is Verdict.DONE and before["last"]:
        return found
    if found.verdict is Verdict.RETRY and before["again"]:
        return found
    return Finding(Verdict.ASK, "\\gexec had sent what may not be harmless to run twice", found.repairs)


def judge_objects(conn: Connection, statement: Statement, before: Evidence) -> Finding | None:
    """Compare what the statement wanted with what is there; None when that tells nothing."""
    objects = [*statement.facts.creates, *statement.facts.drops]
    noted = cast("list[dict[str, Any]]", before.get("objects", []))
    same = [(each.kind, each.name) for each in objects] == [(each["kind"], each["name"]) for each in noted]
    if not objects or not same or any(each["state"] is None for each in noted):
        return None  # nothing to ask about, or the statement was edited after the server had refused it
    now = [state(conn, each) for each in objects]
    names = ", ".join(each.qualified for each in objects)
    if all(found == note["wanted"] for found, note in zip(now, noted, strict=True)):
        if any(note["state"] != note["wanted"] for note in noted):
            return Finding(Verdict.DONE, f"{names}: it is as the statement wanted", fill_aggregates(conn, statement))
        return Finding(Verdict.RETRY, f"{names}: it was like that before the statement ran")
    if all(found in (note["state"], INVALID) for found, note in zip(now, noted, strict=True)):
        return Finding(Verdict.RETRY, f"{names}: nothing has changed since before it ran")
    return None


def judge_detach(conn: Connection, facts: Facts, before: Evidence) -> Finding | None:
    """A detach works in two transactions: after the first the catalog has it as pending. None when it tells nothing."""
    parent, partition = parent_and_partition(facts)
    now = partition_state(conn, facts)
    if now == "pending":
        why = f"{partition} is half detached from {parent}; finishing that with FINALIZE"
        return Finding(Verdict.DONE, why, (f"ALTER TABLE {parent} DETACH PARTITION {partition} FINALIZE",))
    if now == "attached":
        return Finding(Verdict.RETRY, f"{partition} is still a partition of {parent}")
    if before.get("partition") in ([parent, partition, "attached"], [parent, partition, "pending"]):
        return Finding(Verdict.DONE, f"{partition} is no partition of {parent} any more")
    return None


EXTENSION = """
SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'timescaledb'"""


def fill_aggregates(conn: Connection, statement: Statement) -> tuple[str, ...]:
    """A continuous aggregate WITH DATA is created and filled in two transactions: the second may be missing.

    All of it comes from raw data that is there, since the aggregate is as old as the statement.
    """
    made = [path_of(each.name, each.schema) for each in statement.facts.creates if each.kind == "aggregate"]
    row = conn.execute(EXTENSION).fetchone() if made else None
    call = sql.SQL("CALL {}.refresh_continuous_aggregate({}, NULL, NULL)")
    schema = sql.Identifier(str(row[0]) if row else "public")  # the file may have emptied the search_path
    return tuple(call.format(schema, sql.Literal(each)).as_string() for each in made)


def unnamed_index(conn: Connection, before: Evidence) -> Finding:
    """An index that the server named: one on its table that is new and defined as the statement says."""
    new = new_indexes(conn, before)
    if new:
        return Finding(Verdict.DONE, f"{', '.join(name for name, _ in new)}: it is there and valid")
    return Finding(Verdict.RETRY, "the index was not added to the table")


def new_indexes(conn: Connection, before: Evidence) -> list[tuple[str, bool]]:
    """(quoted name, valid) of the indexes that the statement made: new on its table, and with its name or definition.

    Another session may add an index to the same table meanwhile, or be building one that looks invalid: not ours.
    """
    wanted = index_definition(str(before.get("definition", "")))
    if wanted is None:
        return []
    parameters = {"table": quoted(str(before["table"])), "before": list(before["indexes"])}
    found = cast("list[tuple[str, str, bool, str]]", conn.execute(NEW_INDEXES, parameters).fetchall())
    return [(path, valid) for name, path, valid, definition in found if is_wanted(wanted, name, definition)]


def is_wanted(wanted: IndexDefinition, name: str, definition: str) -> bool:
    """Whether an index is the one that a statement defines: by its name, or by what it indexes when it names none."""
    if wanted.name:
        return name == wanted.name
    there = index_definition(definition)
    return there is not None and wanted.same_as(there)


def leftover_indexes(conn: Connection, before: Evidence) -> tuple[str, ...]:
    """DROP INDEX for what an index build that was cut off left on its table."""
    return tuple(f"DROP INDEX IF EXISTS {name}" for name, valid in new_indexes(conn, before) if not valid)


def leftovers(conn: Connection, facts: Facts) -> list[tuple[int, str]]:
    """The copies that a REINDEX CONCURRENTLY of what the statement names has, or has left."""
    path = next((path_of(each.name, each.schema) for each in facts.alters), "")
    return cast("list[tuple[int, str]]", conn.execute(LEFTOVERS, {"path": path}).fetchall())


def leftover_copies(conn: Connection, facts: Facts, before: Evidence) -> tuple[str, ...]:
    """DROP INDEX for the copies that an interrupted REINDEX CONCURRENTLY left."""
    known = set(before.get("leftovers", []))
    return tuple(f"DROP INDEX IF EXISTS {name}" for oid, name in leftovers(conn, facts) if oid not in known)
