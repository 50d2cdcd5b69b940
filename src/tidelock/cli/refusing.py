"""Before anything runs: what a live TimescaleDB will refuse of the pending files, in Tidelock's words; and the policies
that would erode an aggregate once they have run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import psycopg

from tidelock.core.lint.eroding import Witness, accepted, brought, pairs, paused
from tidelock.core.lint.known import Known, target
from tidelock.core.lint.refusing import LIVE, Pending, Server, live, refused
from tidelock.core.model import Place
from tidelock.core.report import Finding, Severity
from tidelock.errors import DatabaseFault
from tidelock.timescale import denials

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tidelock.app.reading import Reader
    from tidelock.core.lint.eroding import Erosion
    from tidelock.core.lint.look import Look
    from tidelock.core.lint.refusing import Doubt
    from tidelock.core.model import Observed, Plan, PlannedMigration
    from tidelock.core.statement import Script, Statement
    from tidelock.postgres.database import PostgresDatabase
    from tidelock.timescale.denials import Connection

NEWEST_GRAMMAR = 19
"""Of this PostgreSQL and newer ones it is not known what their grammar has not."""


def refuse(database: PostgresDatabase, reader: Reader, plan: Plan, observed: Observed) -> Eroding:
    """Raise what the server would refuse: no extension, its edition, its limits. Changes nothing.

    Returns what it would take, and what would then erode.
    """
    from tidelock.postgres.translation import translated

    with translated(database.target):
        return look(database, reader, plan, observed)


@dataclass(frozen=True, slots=True)
class Eroding:
    """Aggregates that will erode by what the plan brings."""

    refused: tuple[Erosion, ...] = ()
    accepted: tuple[Erosion, ...] = ()
    """Those that a file accepts."""


def look(database: PostgresDatabase, reader: Reader, plan: Plan, observed: Observed) -> Eroding:
    """The same; psycopg's errors go on."""
    conn = database.conn
    present = "timescaledb" in observed.extensions
    standing = denials.standing(conn) if present else denials.Standing()
    if not denials.matters(plan, standing):
        return Eroding()
    pending = detailed(reader, plan)
    if not present:
        version = denials.check_extension(conn, pending, Known())
        if not version:
            return Eroding()
        standing = denials.Standing(version=version)
    if standing.apache:
        denials.check_edition(pending, Known())
    preserves = reader.on_recreate == "preserve"
    found, eroding = list(unwritable(plan, observed)), Eroding()
    try:
        remarks, eroding = ruled(database, pending, present=present, preserves=preserves)
        found += [each for each in remarks if standing.refuses(each.code)]
    except (psycopg.Error, DatabaseFault):  # what may not be read is not known; the server speaks for itself
        if conn.closed:
            raise
    if found and standing.measured:
        raise denials.ServerRefuses(sorted(found, key=lambda each: each.place or Place("", 0)))
    return eroding


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


def schema(database: PostgresDatabase) -> Script:
    """The statements that make the live schema."""
    from tidelock.app.reading import Reader
    from tidelock.core.ddl import document

    text = document.text(database.snapshot())
    return Reader((), load=str, detailed=True, digests=False).beside(LIVE, text)


def ruled(
    database: PostgresDatabase, pending: Sequence[Pending], *, present: bool, preserves: bool
) -> tuple[list[Finding], Eroding]:
    """What rules and rows say, where names mean here what the rules take them for; and what would erode."""
    conn = database.conn
    known, server, off = Known(), Server(), frozenset[Place]()
    if present:
        script = schema(database)
        known, server, off = live(script), denials.server(conn, preserves=preserves), paused(script)
        for name in server.compressed & known.tables.keys():
            known.tables[name].compressed = True
    before, witness = [pair for pair, *_ in pairs(known)], Witness()

    def more(look: Look, doubt: Doubt) -> Iterator[Finding]:
        witness.see(look, doubt)
        return filled(conn, look, doubt)

    remarks = list(refused(pending, known, server, more))
    erosions = list(brought(known, before, witness, pending, off))
    names = {name for statement, _ in remarks for name in named(statement)}
    names |= {name for each in erosions for name in (each.aggregate, each.source)}
    other = denials.elsewhere(conn, names) if names else set()
    erosions = [each for each in erosions if not other & {each.aggregate, each.source}]
    return [found for statement, found in remarks if not other & named(statement)], Eroding(
        refused=tuple(each for each in erosions if not accepted(each, pending)),
        accepted=tuple(each for each in erosions if accepted(each, pending)),
    )


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
