"""Code that a statement sets off without naming it: of triggers, rules, defaults, views, event triggers.

Such code may change the session (`set_config`, SET ROLE, temporary tables) as a statement of the file might, and the
file does not show it. Without functions of the database's own there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidelock.core.statement import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import psycopg

    from tidelock.core.model import PlannedMigration
    from tidelock.core.statement import Statement
    from tidelock.core.step import Step

    Connection = psycopg.Connection[tuple[object, ...]]

EVERY, NONE = 0, 2**63
"""As a version: code is there from the first file on, or in no file."""
THERE = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.oid >= 16384 AND NOT EXISTS (
                 SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')),
       EXISTS (SELECT FROM pg_catalog.pg_event_trigger t WHERE t.evtenabled <> 'D' AND NOT EXISTS (
                 SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_event_trigger'::regclass AND d.objid = t.oid AND d.deptype = 'e'))"""
"""Functions and event triggers of the database's own; those of extensions leave the session as it was."""
BODIES = ("function", "procedure")
RUNS_ROWS = (Kind.DML, Kind.COPY, Kind.QUERY)


@dataclass(frozen=True, slots=True)
class Hidden:
    """From which version on there may be hidden code."""

    rows: int = NONE
    """Behind statements that read or write rows."""
    definitions: int = NONE
    """Behind those that define something."""

    def behind(self, step: Step) -> bool:
        """Whether the step may set off code that it does not name."""
        kinds = {each.facts.kind for each in step.statements}
        if not kinds.isdisjoint(RUNS_ROWS):
            return step.version >= self.rows
        return step.version >= self.definitions


def look(conn: Connection, pending: Sequence[PlannedMigration]) -> Hidden:
    """What is there now, and what the pending files themselves will bring."""
    rows, definitions = conn.execute(THERE).fetchone() or (True, True)
    return Hidden(
        EVERY if rows else first(pending, brings_function),
        EVERY if definitions else first(pending, brings_event_trigger),
    )


def first(pending: Sequence[PlannedMigration], brings: Callable[[Statement], bool]) -> int:
    """The lowest version with a statement that may bring code."""
    return next((each.migration.version for each in pending if any(map(brings, statements(each)))), NONE)


def statements(planned: PlannedMigration) -> Iterator[Statement]:
    """All statements of a migration."""
    return (each for step in planned.steps for each in step.statements)


def unread(statement: Statement) -> bool:
    """Nobody knows all that it does."""
    return statement.runtime or statement.facts.kind in (Kind.UNKNOWN, Kind.CODE)


def may_catch(statement: Statement) -> bool:
    """It runs code that may catch errors: DO, CALL, functions that nobody knows, what only the run will read."""
    return unread(statement) or bool(statement.facts.strange)


def brings_function(statement: Statement) -> bool:
    """CREATE FUNCTION, or what may hold one."""
    return unread(statement) or any(each.kind in BODIES for each in statement.facts.creates)


def brings_event_trigger(statement: Statement) -> bool:
    """CREATE or ALTER EVENT TRIGGER, or what may hold one."""
    return unread(statement) or "EVENT TRIGGER" in statement.facts.command
