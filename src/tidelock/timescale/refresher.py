"""Does with care what a file's CALL refresh_continuous_aggregate asks for."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from tidelock.app.ports import StepHooks
from tidelock.core.aggregates import INTEGERS, Aggregate, Span
from tidelock.core.calling import arguments_of
from tidelock.core.facts import facts_of
from tidelock.core.report import Happening
from tidelock.core.step import Mode
from tidelock.errors import LedgerFault
from tidelock.timescale import history, look
from tidelock.timescale.call import Way, Wish
from tidelock.timescale.consent import accepted, among
from tidelock.timescale.filling import known
from tidelock.timescale.order import ordered
from tidelock.timescale.points import number
from tidelock.timescale.refreshing import Outcome, Refreshing
from tidelock.timescale.telling import kept_line, outcome_line

if TYPE_CHECKING:
    from tidelock.app.ports import Scene
    from tidelock.config import Target
    from tidelock.core.aggregates import Stock
    from tidelock.core.statement import Statement
    from tidelock.core.step import Step

    Connection = psycopg.Connection[Any]

NAME = "refresh_continuous_aggregate"
PLACES = ("continuous_aggregate", "window_start", "window_end", "force", "options")
EVENT = "refreshed"

# The aggregate that a name means here, as `look` writes it.
RESOLVED = """
SELECT format('%I.%I', n.nspname, c.relname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ({})::regclass"""
SETTINGS = """
SELECT name, setting FROM pg_settings
 WHERE source = 'session' AND (name LIKE 'timescaledb.%' OR name IN ('work_mem', 'maintenance_work_mem', 'jit'))"""


class RefreshUnread(LedgerFault):
    """What a CALL would refresh is known to the server alone, and it might erase history."""

    code = "L052"

    def __init__(self, label: str, place: object, names: str) -> None:
        super().__init__(
            f"{label}: what this refresh covers cannot be read ({place}), and {names} holds history that it may erase",
            hint="write its arguments as constants or expressions, without psql variables; or, when the history may "
            "go: `-- tidelock: accept-loss NAME: why`",
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """A CALL, read: the aggregate and what it wants of it."""

    aggregate: Aggregate
    wish: Wish


@dataclass(slots=True)
class Refresher(StepHooks):
    """Refreshes in windows that cannot erase."""

    scene: Scene
    target: Target

    def attends(self, step: Step) -> bool:
        """Steps that are such a CALL."""
        return step.mode is Mode.ALONE and any(NAME in each.text.lower() for each in step.statements)

    def instead(self, step: Step, statement: Statement) -> bool:
        """The careful refresh; False leaves the CALL to the server as it stands."""
        if not is_call(statement):
            return False
        stock = look.take(self.scene.conn)
        arguments = None if statement.runtime else arguments_of(statement.text, PLACES)
        asked = read(self.scene.conn, stock, arguments) if arguments else None
        if arguments and asked is None:
            return False  # of no aggregate, or with a value that is none: the server says what is wrong
        if asked is None:
            self.refuse_blind(stock, statement)
            return False
        if self.accepted(asked.aggregate):
            return False
        self.refresh(step, statement, stock, asked)
        return True

    def refuse_blind(self, stock: Stock, statement: Statement) -> None:
        """A CALL that cannot be read must not run while there is history."""
        with_history = [each.name for each in stock.aggregates if history.of(self.scene.conn, each)]
        kept = [name for name in with_history if not self.accepted(stock.aggregate(name))]
        if kept:
            raise RefreshUnread(statement.place.path, statement.place, ", ".join(kept))

    def accepted(self, aggregate: Aggregate | None) -> bool:
        """`-- tidelock: accept-loss NAME: reason` stands in the file."""
        return aggregate is not None and among(aggregate.name, accepted(self.scene.migration))

    def refresh(self, step: Step, statement: Statement, stock: Stock, asked: Asked) -> None:
        """What lies beneath when it is stale, then the aggregate itself."""
        names = ordered(self.scene.conn, stock, [asked.aggregate.name])
        for name in names:
            wish = asked.wish
            if name != asked.aggregate.name:
                wish = Wish(aggregate=name, start=wish.start, end=wish.end)
                stock = look.take(self.scene.conn)
            elif len(names) > 1:
                stock = look.take(self.scene.conn)
            self.one(step, statement, stock, wish)

    def one(self, step: Step, statement: Statement, stock: Stock, wish: Wish) -> Outcome:
        """One aggregate."""
        found = stock.aggregate(wish.aggregate)
        assert found is not None, "it was looked up"
        if wish.force:
            wish = replace(wish, done=self.done_before(step, found))
        work = Refreshing(
            conn=self.scene.conn,
            connect=self.scene.connect,
            stock=stock,
            wish=wish,
            way=self.way(),
            tell=lambda text, fraction: self.scene.tell(
                Happening.PROGRESS, f"{found.name}  {text}", statement.place, fraction=fraction
            ),
            note=lambda window: self.scene.note(EVENT, detail_of(found, window, step)),
            fill=known(self.scene, found),
        )
        outcome = work.run()
        self.scene.tell(Happening.NOTE, outcome_line(outcome), statement.place)
        if outcome.kept:
            self.scene.tell(Happening.NOTE, kept_line(outcome), statement.place)
        return outcome

    def way(self) -> Way:
        """How the target wants it, with what the file has set in the session."""
        rows = self.scene.conn.execute(SETTINGS).fetchall()
        return Way(
            parallel=self.target.refresh_parallel,
            lock_wait_s=self.target.refresh_lock_wait_s,
            role=self.target.role,
            settings=tuple(rows),
        )

    def done_before(self, step: Step, aggregate: Aggregate) -> tuple[Span, ...]:
        """Windows that an earlier run of this step has done: with force the server would do them again."""
        return tuple(
            Span(start=each["from"], end=each["to"], kind=aggregate.kind)
            for version, _, each in self.scene.noted(EVENT)
            if (version, each.get("step"), each.get("digest"), each.get("number"))
            == (step.version, step.number, step.digest, aggregate.number)
        )


def detail_of(aggregate: Aggregate, window: Span, step: Step | None = None) -> dict[str, object]:
    """A window in the journal."""
    found: dict[str, object] = {
        "aggregate": aggregate.name,
        "number": aggregate.number,
        "from": window.start,
        "to": window.end,
    }
    return found | ({"step": step.number, "digest": step.digest} if step else {})


def is_call(statement: Statement) -> bool:
    """A CALL of it, not a DO that has one inside."""
    if statement.runtime:
        return statement.text.lstrip().lower().startswith("call")
    actions = facts_of(statement.text, detailed=True).actions
    return any(each.what == "call" and each.name.rpartition(".")[2] == NAME for each in actions) and (
        statement.facts.command.upper() != "DO"
    )


def read(conn: Connection, stock: Stock, arguments: dict[str, str]) -> Asked | None:
    """The aggregate and the window that are meant; expressions are computed by the server. None when they are none."""
    try:
        row = conn.execute(sql.SQL(RESOLVED).format(sql.SQL(arguments.get(PLACES[0], "NULL")))).fetchone()
        aggregate = stock.aggregate(row[0]) if row else None
        if aggregate is None:
            return None
        start, end = (point_of(conn, arguments.get(each, "NULL"), aggregate.kind) for each in PLACES[1:3])
        force = conn.execute(sql.SQL("SELECT ({})::bool").format(sql.SQL(arguments.get("force", "NULL")))).fetchone()
        options = conn.execute(
            sql.SQL("SELECT ({})::jsonb").format(sql.SQL(arguments.get("options", "NULL")))
        ).fetchone()
    except psycopg.Error as error:
        if conn.closed or error.sqlstate is None:
            raise
        return None
    given = json.dumps(options[0]) if options and options[0] is not None else ""
    wish = Wish(aggregate=aggregate.name, start=start, end=end, force=bool(force and force[0]), options=given)
    return Asked(aggregate, wish)


TYPE = "SELECT pg_typeof({})::text"


def point_of(conn: Connection, expression: str, kind: str) -> int | None:
    """A point in time as the server reads it for a window; None for NULL and for infinity."""
    [type_] = conn.execute(sql.SQL(TYPE).format(sql.SQL(expression))).fetchone() or ("unknown",)
    value = sql.SQL("({})").format(sql.SQL(expression))
    if type_ == "interval":
        value = sql.SQL("(now() - {})").format(value)  # as TimescaleDB reads one: so long ago
    value = sql.SQL("{}::{}").format(value, sql.SQL(kind))
    finite = sql.SQL("true") if kind in INTEGERS else sql.SQL("isfinite(v)")
    query = sql.SQL("SELECT CASE WHEN {} THEN {} END FROM (SELECT {} AS v) p").format(
        finite, number(kind, sql.SQL("v")), value
    )
    row = conn.execute(query).fetchone()
    return row[0] if row else None
