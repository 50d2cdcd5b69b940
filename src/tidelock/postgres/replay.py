"""What the steps of an earlier run had made in its session, made again for the steps that follow."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidelock.core.facts.tree import is_temporary_schema
from tidelock.core.secrets import masked
from tidelock.core.statement import Ending, Kind
from tidelock.core.surroundings import bare
from tidelock.errors import LedgerFault
from tidelock.postgres import called

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import psycopg

    from tidelock.core.model import Migration, PlannedMigration
    from tidelock.core.statement import Statement
    from tidelock.core.step import Step

    Connection = psycopg.Connection[tuple[object, ...]]

READS = ("AccessShare", "RowShare")
KEEPS_ROWS = (*READS, "Share", "ShareUpdateExclusive")
"""Locks of what leaves a table's rows as they are: building an index, VACUUM."""
CONFIG = frozenset({"set_config", "pg_catalog.set_config"})
OF_SEQUENCES = frozenset({"currval", "lastval"})
LEAVES = re.compile(r"\b(set|reset|temp|temporary|pg_temp|declare|prepare|listen)\b", re.IGNORECASE)
"""Words by which SQL may leave something in the session."""
BRIEF = re.compile(r"\bon\s+commit\s+drop\b", re.IGNORECASE)
HOLD = re.compile(r"\bwith\s+hold\b", re.IGNORECASE)
CURSOR = re.compile(r'\s*declare\s+("(?:[^"]|"")+"|[\w$]+)', re.IGNORECASE)


class SessionGone(LedgerFault):
    """A session held what cannot be had again, and the rest of the file wants it."""

    code = "L021"

    def __init__(self, migration: Migration, what: str, left: Statement | None, used: Statement) -> None:
        by = f"; {left.place} left it there in a way that cannot be repeated" if left else ""
        super().__init__(
            f"{migration.label} was cut off, and {what} is gone with its session{by}; {used.place} may use it",
            hint=f"run the rest of the file by hand, then `tidelock adopt --up-to {migration.version}`; "
            "next time keep it in an ordinary table and drop that at the end",
            detail=(f"left by    {shown(left)}\n" if left else "") + f"used by    {shown(used)}",
        )


def shown(statement: Statement) -> str:
    """The beginning of its text, without secrets."""
    return masked(statement.shown)[:200]


@dataclass(slots=True)
class Remake:
    """Which statements of the steps that are done are run once more, and what they do not bring back."""

    again: list[tuple[Step, list[Statement]]] = field(default_factory=list)
    """Those that change the session alone, in order, with the step whose transaction they share."""
    lost: dict[str, tuple[str, Statement | None]] = field(default_factory=dict)
    """Name → what it is, and what left it: temporary objects that are not there again, or perhaps with other rows."""
    doubtful: list[tuple[frozenset[str], frozenset[str], str, Statement]] = field(default_factory=list)
    """(tables that were read, tables that were changed since, name, statement): the name is lost as well unless the
    catalog knows that the first have nothing to do with the second."""

    def lose(self, had: Iterable[str], has: Iterable[str]) -> None:
        """Objects that the session had, and that a new one has not."""
        self.lost |= {name: (f"its {name}", None) for name in had if name not in (*has, *self.lost)}

    @property
    def names(self) -> set[str]:
        """Of the objects that running them again gives."""
        return {name for _, statements in self.again for each in statements for name in created(each)}


def remake(done: Sequence[Step]) -> Remake:
    """What stands in a transaction that the file rolls back never came to be, and is left out."""
    found = Remake()
    kept = [(step, each) for step in done if not step.rolled_back for each in step.statements if not step.in_vain(each)]
    made, never, brief = set[str](), set[str](), set[str]()

    def forget(names: set[str]) -> None:
        for name in names:
            made.discard(name)
            never.discard(name)
            found.lost.pop(name, None)

    for index, (step, each) in enumerate(kept):
        if index and kept[index - 1][0] is not step:
            forget(brief)
            brief = set()
        names = touched(each, made)
        made |= names
        if names or each.facts.session_only or configures(each):
            lost = any(mentions(each, name) for name in found.lost)
            if not repeatable(each, made) or any(mentions(each, name) for name in never):
                never |= names
                lost = True
            elif found.again and found.again[-1][0] is step:
                found.again[-1][1].append(each)
            else:
                found.again.append((step, [each]))
            read = reads(each) - within(reads(each), made)
            later = [one for _, one in kept[index + 1 :]] if read else []
            since = {name for one in later for name in changed(one, but=KEEPS_ROWS) - within(changed(one), made)}
            if lost or any(map(opaque, later)) or {*map(bare, read)} & {*map(bare, since)}:
                found.lost |= {name: (described(each, name), each) for name in names}
            elif since:
                found.doubtful += [(frozenset(read), frozenset(since), name, each) for name in names]
        brief |= names if brief_one(each) else set()
        forget(ended(each, made))
    forget(brief)
    return found


def touched(statement: Statement, made: set[str]) -> set[str]:
    """Bare names of the temporary objects that it makes, fills or changes, or may.

    A bare name means the temporary table of that name when one was made before, as search_path has pg_temp first.
    """
    facts = statement.facts
    own = created(statement) | {bare(name) for name in within(changed(statement), made)}
    own |= {after.name for before, after in facts.renames if before.name in made}
    if statement.runtime or facts.kind in (Kind.CODE, Kind.UNKNOWN):
        own |= {name for name in made if mentions(statement, name)}
    return own


def created(statement: Statement) -> set[str]:
    """Bare names of the temporary objects that it makes, cursors among them."""
    facts = statement.facts
    own = {each.name for each in facts.creates if is_temporary_schema(each.schema)}
    if facts.command == "DECLARE CURSOR" and (found := CURSOR.match(statement.text)):
        own.add(found[1].strip('"'))
    return own


def within(names: set[str], made: set[str]) -> set[str]:
    """Which of some names, as written, mean temporary objects."""
    return {name for name in names if is_temporary_schema(name.partition(".")[0]) or name in made}


def brief_one(statement: Statement) -> bool:
    """What it makes ends with the transaction: ON COMMIT DROP, a cursor without HOLD."""
    if statement.facts.command == "DECLARE CURSOR":
        return HOLD.search(statement.text) is None
    return BRIEF.search(statement.text) is not None


def ended(statement: Statement, made: set[str]) -> set[str]:
    """Bare names that mean no temporary object any more."""
    facts = statement.facts
    if facts.command in ("DISCARD TEMP", "DISCARD ALL"):
        return set(made)
    return {each.name for each in facts.drops} | {before.name for before, _ in facts.renames}


def repeatable(statement: Statement, made: set[str]) -> bool:
    """Whether it changes the session alone, and in the same way each time."""
    facts = statement.facts
    if statement.runtime or facts.kind in (Kind.CODE, Kind.UNKNOWN):
        return False
    if configures(statement):
        return True
    names = changed(statement) | {each.parent or each.qualified for each in facts.creates}
    alone = facts.session_only or bool(names)
    return alone and within(names, made) == names and not facts.varies and not facts.fires


def configures(statement: Statement) -> bool:
    """SELECT set_config(…) of constants, as pg_dump writes it: a SET in other words."""
    facts = statement.facts
    return facts.kind is Kind.QUERY and not facts.locks and bool(facts.calls) and facts.calls <= CONFIG


def changed(statement: Statement, *, but: Sequence[str] = READS) -> set[str]:
    """Names, as written, of the tables that it changes: writes to, or locks in another mode than these."""
    facts = statement.facts
    return {lock.table for lock in facts.locks if lock.mode not in but} | facts.writes


def reads(statement: Statement) -> set[str]:
    """Names, as written, of the tables that it reads."""
    return {lock.table for lock in statement.facts.locks if lock.mode in READS}


def opaque(statement: Statement) -> bool:
    """It may do more than its text says."""
    facts = statement.facts
    unknown = statement.runtime or facts.kind is Kind.UNKNOWN or facts.unread or bool(facts.strange)
    return unknown or facts.cascade or bool(facts.renames)


def mentions(statement: Statement, name: str) -> bool:
    """Its text has the name as a word."""
    return re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", statement.text, re.IGNORECASE) is not None


def described(statement: Statement, name: str) -> str:
    """`its temporary table kept`."""
    kinds = {each.name: f"temporary {each.kind}" for each in statement.facts.creates}
    cursor = statement.facts.command == "DECLARE CURSOR"
    return f"its {'cursor' if cursor else kinds.get(name, 'temporary table')} {name}"


# The tables that were read are tables and nothing else; no other table's rows take theirs along, and no code of the
# changed ones did more than their statements say.
APART = """
SELECT NOT EXISTS (
         SELECT FROM pg_catalog.unnest(%s::text[]) AS n (name)
           LEFT JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(n.name)
          WHERE c.oid IS NULL OR c.oid < 16384 OR c.relkind <> 'r' OR c.relispartition
             OR EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE c.oid IN (i.inhparent, i.inhrelid))
             OR EXISTS (SELECT FROM pg_catalog.pg_constraint f WHERE f.contype = 'f' AND f.conrelid = c.oid
                           AND (f.confdeltype IN ('c', 'n', 'd') OR f.confupdtype IN ('c', 'n', 'd'))))
   AND NOT EXISTS (
         SELECT FROM pg_catalog.unnest(%s::text[]) AS n (name)
           LEFT JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(n.name)
          WHERE c.oid IS NULL OR c.relhasrules
             OR EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal))"""


def apart(conn: Connection, read: Iterable[str], since: Iterable[str]) -> bool:
    """Whether what was read cannot have changed with what was changed."""
    names = [[called.path(each) for each in some] for some in (read, since)]
    row = conn.execute(APART.encode(), names).fetchone()
    return bool(row and row[0])


def unclear(steps: Sequence[Step]) -> tuple[str, Statement] | None:
    """The first statement that has left something which nothing brings back, or may have; and what."""
    for step in steps:
        for each in step.statements if not step.rolled_back else ():
            keeps = each.facts.keeps if "advisory" not in each.facts.keeps else ""
            if keeps and not repeatable(each, set()):
                return f"what {keeps} had set", each
            if each.ending is Ending.GEXEC and LEAVES.search(each.text):
                return "what it had set", each
            if each.facts.command == "ROLLBACK TO SAVEPOINT" and any(one.facts.keeps for one in step.statements):
                return "what it had set before a savepoint or after it", each
    return None


def check(conn: Connection, planned: PlannedMigration, remade: Remake, before: int) -> None:
    """Refuse when the rest of the file uses, or may use, what the session had and cannot be had again.

    `before`: the step before which the journal says what the session had; 0 when it does not. Raises SessionGone.
    """
    done, left, lost = planned.steps[: planned.done], planned.steps[planned.done :], dict(remade.lost)
    for read, since, name, statement in remade.doubtful:
        if name not in lost and not apart(conn, read, since):
            lost[name] = described(statement, name), statement
    unseen = done[max(before - 1, 0) :]
    if left and (gone := unclear(unseen) or called.changing(conn, unseen)):
        raise SessionGone(planned.migration, *gone, left[0].statements[0])
    check_used(planned.migration, lost, left)


def check_used(migration: Migration, lost: Mapping[str, tuple[str, Statement | None]], left: Sequence[Step]) -> None:
    """Refuse what uses, or may use, something that is lost."""
    advanced = False
    for statement in (each for step in left for each in step.statements):
        facts = statement.facts
        hides = statement.ending is Ending.GEXEC or facts.kind is Kind.UNKNOWN or facts.unread or bool(facts.strange)
        for name, (what, source) in lost.items():
            if hides or mentions(statement, name):
                raise SessionGone(migration, what, source, statement)
        if not advanced and (found := {bare(each) for each in facts.calls} & OF_SEQUENCES):
            raise SessionGone(migration, f"the value that {sorted(found)[0]}() gave", None, statement)
        advanced = advanced or bool(facts.writes) or "nextval" in {bare(each) for each in facts.calls}
