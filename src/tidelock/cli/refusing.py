"""Before anything runs: what a live TimescaleDB will refuse of the pending files, in Tidelock's words."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from tidelock.core.lint.known import Known, target
from tidelock.core.lint.refusing import LIVE, Pending, Server, live, refused
from tidelock.core.model import Place
from tidelock.core.report import Finding, Severity
from tidelock.timescale import denials

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tidelock.app.reading import Reader
    from tidelock.core.lint.look import Look
    from tidelock.core.lint.refusing import Doubt
    from tidelock.core.model import Observed, Plan, PlannedMigration
    from tidelock.core.statement import Statement
    from tidelock.postgres.database import PostgresDatabase
    from tidelock.timescale.denials import Connection

NEWEST_GRAMMAR = 19
"""Of this PostgreSQL and newer ones it is not known what their grammar has not."""


def refuse(database: PostgresDatabase, reader: Reader, plan: Plan, observed: Observed) -> None:
    """Raise what the server would refuse: no extension, its edition, its limits. Changes nothing."""
    from tidelock.postgres.database import translated

    with translated(database.target):
        look(database, reader, plan, observed)


def look(database: PostgresDatabase, reader: Reader, plan: Plan, observed: Observed) -> None:
    """The same; psycopg's errors go on."""
    conn = database.conn
    present = "timescaledb" in observed.extensions
    standing = denials.standing(conn) if present else denials.Standing()
    if not denials.matters(plan, standing):
        return
    pending = detailed(reader, plan)
    if not present:
        version = denials.check_extension(conn, pending, Known())
        if not version:
            return
        standing = denials.Standing(version=version)
    if standing.apache:
        denials.check_edition(pending, Known())
    if not standing.measured:
        return
    preserves = reader.on_recreate == "preserve"
    found = [*unwritable(plan, observed), *ruled(database, pending, present=present, preserves=preserves)]
    if found:
        raise denials.ServerRefuses(sorted(found, key=lambda each: each.place or Place("", 0)))


def detailed(reader: Reader, plan: Plan) -> list[Pending]:
    """The pending files with what their statements do; rows alone change nothing that is asked about."""
    ours = replace(reader, detailed=True, digests=False)
    return [
        Pending(
            migration=each.migration,
            script=ours.script(each.migration) if any(map(denials.is_asked, each.script.statements)) else each.script,
            done=done(each),
        )
        for each in plan.pending
    ]


def done(planned: PlannedMigration) -> frozenset[Place]:
    """The statements that have run; of a step that was cut off nobody knows."""
    upto = planned.done + (planned.interrupted is not None)
    return frozenset(one.place for step in planned.steps[:upto] for one in step.statements)


def schema(database: PostgresDatabase) -> Known:
    """The live schema, as if files had made it."""
    from tidelock.app.reading import Reader
    from tidelock.core.ddl import document

    text = document.text(database.snapshot())
    return live(Reader((), load=str, detailed=True, digests=False).beside(LIVE, text))


def ruled(
    database: PostgresDatabase, pending: Sequence[Pending], *, present: bool, preserves: bool
) -> Iterator[Finding]:
    """What rules and rows say, where names mean here what the rules take them for."""
    conn = database.conn
    known, server = Known(), Server()
    if present:
        known, server = schema(database), denials.server(conn, preserves=preserves)
    pairs = list(refused(pending, known, server, partial(filled, conn)))
    other = denials.elsewhere(conn, {name for statement, _ in pairs for name in named(statement)}) if pairs else set()
    return (found for statement, found in pairs if not other & named(statement))


def named(statement: Statement) -> set[str]:
    """The relations that a statement is about."""
    return {name for each in statement.facts.actions for name in (each.table, target(each)) if name}


def unwritable(plan: Plan, observed: Observed) -> Iterator[Finding]:
    """What the grammar has not."""
    if observed.server_version // 10000 >= NEWEST_GRAMMAR:
        return
    for each in plan.pending:
        ran = done(each)
        for statement in each.script.statements:
            message, hint = denials.unwritable(statement)
            if message and statement.place not in ran:
                yield Finding(code="", severity=Severity.ERROR, message=message, place=statement.place, hint=hint)


def filled(conn: Connection, look: Look, doubt: Doubt) -> Iterator[Finding]:
    """create_hypertable on a table that has rows."""
    if name := denials.not_empty(conn, look, doubt.changed):
        yield Finding(
            code="TS008",
            severity=Severity.ERROR,
            message=f"{name} has rows, and create_hypertable takes only an empty table",
            place=look.statement.place,
            hint="add migrate_data => true, which locks the table until every row has moved; or make an empty "
            "hypertable beside it and copy in parts",
        )
