"""Compares aggregates before and after a step, in the step's own transaction: what no parser can see is rolled back.

It attends every step but those that can take nothing: whose statements name no threat (what was harmless when the run
began may not be so any more) and cannot set off code of the database's own. Those cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from tidelock.app.ports import StepHooks
from tidelock.core.aggregates import Span
from tidelock.core.secrets import brief
from tidelock.core.statement import Kind
from tidelock.core.step import Mode
from tidelock.core.threats import How, foreign, stores_code, threats
from tidelock.core.windows import clipped
from tidelock.timescale import history, look, trace
from tidelock.timescale.coming import threats_of
from tidelock.timescale.consent import NOTHING, File, among, file_of
from tidelock.timescale.losses import BRIEF, Reckoning, refuse
from tidelock.timescale.refusals import AggregateReplaced, CursorHeld, HistoryLost, Loss, SourceTaken
from tidelock.timescale.said import may_drop
from tidelock.timescale.soundness import genuine
from tidelock.timescale.taken import counted, taken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.app.ports import Scene
    from tidelock.config import Target
    from tidelock.core.aggregates import Aggregate, History, Stock
    from tidelock.core.model import PlannedMigration
    from tidelock.core.statement import Statement
    from tidelock.core.step import Step
    from tidelock.timescale.taken import Chunks
    from tidelock.timescale.trace import Trace

    Connection = psycopg.Connection[Any]

AS_CONNECTED = ("SET LOCAL SESSION AUTHORIZATION DEFAULT", "SET LOCAL ROLE NONE")
"""A file may have taken a role that sees less."""
QUIET = (How.CREATE, How.THIN, How.REFRESH_POLICY, How.RETENTION_POLICY, How.REWRITE)
"""What takes no row of an aggregate in the step itself."""
CONTROL = (Kind.BEGIN, Kind.COMMIT, Kind.ROLLBACK, Kind.SAVEPOINT)
PLAIN = "TABLE VIEW SEQUENCE SCHEMA TYPE DOMAIN FUNCTION PROCEDURE TRIGGER RULE POLICY".split()  # noqa: SIM905
HARMLESS = {*(f"{verb} {what}" for verb in ("CREATE", "DROP") for what in PLAIN), "COMMENT", "GRANT", "REVOKE"}
"""DDL that runs no code but an event trigger's."""

# What could set off something: functions and rules of the database's own, views that call what acts; event triggers.
CODE = """
WITH own AS (
  SELECT p.oid FROM pg_catalog.pg_proc p
   WHERE p.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
          WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'))
SELECT EXISTS (SELECT FROM own) OR EXISTS (
         SELECT FROM pg_catalog.pg_rewrite r
          WHERE r.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
                 WHERE e.classid = 'pg_catalog.pg_class'::regclass AND e.objid = r.ev_class AND e.deptype = 'e')
            AND (r.ev_type <> '1' OR EXISTS (
                  SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid
                   WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
                     AND d.refclassid = 'pg_catalog.pg_proc'::regclass AND p.oid >= 16384 AND p.provolatile = 'v'))),
       EXISTS (SELECT FROM pg_catalog.pg_event_trigger t JOIN own ON own.oid = t.evtfoid WHERE t.evtenabled <> 'D')"""

# By number: a name may have changed hands. The view's text shows whether another took its place.
NOW = """
SELECT a.mat_hypertable_id, pg_catalog.pg_get_viewdef(c.oid), pg_catalog.pg_get_viewdef(d.oid), a.materialized_only
  FROM _timescaledb_catalog.continuous_agg a
  JOIN pg_catalog.pg_namespace n ON n.nspname = a.user_view_schema
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = a.user_view_name
  JOIN pg_catalog.pg_namespace dn ON dn.nspname = a.direct_view_schema
  JOIN pg_catalog.pg_class d ON d.relnamespace = dn.oid AND d.relname = a.direct_view_name"""
# Their queries run at COMMIT, after all that is looked at here.
CURSORS = """
SELECT name, statement FROM pg_catalog.pg_cursors
 WHERE is_holdable AND creation_time >= pg_catalog.transaction_timestamp()"""


@dataclass(frozen=True, slots=True)
class View:
    """What readers of an aggregate see: its view, and the query that it was made with."""

    text: str
    direct: str
    materialized_only: bool

    def genuine(self, aggregate: Aggregate) -> bool:
        """It is the one that TimescaleDB wrote."""
        return genuine(replace(aggregate, real_time=not self.materialized_only), self.text, self.direct)


@dataclass(frozen=True, slots=True)
class Before:
    """An aggregate with history, before the step."""

    aggregate: Aggregate
    history: History | None
    view: View
    trace: Trace | None
    known: bool
    """It was looked at whether a DELETE took a part of what it was made from."""


@dataclass
class Guard(StepHooks):
    """Watches over what exists in aggregates alone."""

    scene: Scene
    target: Target
    pending: Sequence[PlannedMigration] = ()
    file: File = field(default=NOTHING, init=False)
    before_step: dict[int, Before] = field(default_factory=dict, init=False)
    chunks: Chunks = field(default_factory=dict, init=False)
    """Those of hypertables that aggregates can be made of again, as they were."""
    copied: set[int] = field(default_factory=set, init=False)
    """Aggregates that were whole when a rebuild took their rows out."""
    _decided: dict[tuple[int, int], bool] = field(default_factory=dict, init=False)
    _code: tuple[bool, bool] = field(init=False)
    _brings: bool = field(default=False, init=False)
    """A file of this run may have made code."""

    def __post_init__(self) -> None:
        # Now: `attends` is asked while the server is at work.
        row = self.scene.conn.execute(CODE).fetchone()
        self._code = (bool(row[0]), bool(row[1])) if row else (True, True)

    def attends(self, step: Step) -> bool:
        """Steps that may take something, and that are not undone by themselves."""
        key = (step.version, step.number)
        if key not in self._decided:
            self._brings |= any(map(stores_code, step.statements))
            asked = self.grave if step.mode is Mode.ALONE else self.serious
            self._decided[key] = not step.rolled_back and any(map(asked, step.statements))
        return self._decided[key]

    def grave(self, statement: Statement) -> bool:
        """It may take something, and no transaction holds it."""
        code, events = (self._code[0] or self._brings, self._code[1] or self._brings)
        sets_off = statement.facts.kind is Kind.DDL and (events or (code and bool(foreign(statement.facts))))
        return sets_off or bool(threats(statement))

    def serious(self, statement: Statement) -> bool:
        """It may take something: by what it says, or by code that it may set off."""
        facts = statement.facts
        if any(each.how not in QUIET for each in threats(statement)) or foreign(facts):
            return True
        code, events = (self._code[0] or self._brings, self._code[1] or self._brings)
        if facts.kind is Kind.DDL:
            return code and (events or facts.command not in HARMLESS)
        if facts.kind is Kind.SESSION:
            return code and facts.command in ("DECLARE CURSOR", "FETCH", "MOVE")
        return code and facts.kind not in CONTROL

    def prepare(self, step: Step) -> None:
        """What no transaction holds is reckoned once more, after all that ran before it."""
        if step.mode is not Mode.ALONE or not self.attends(step):
            return
        planned = self.planned(step)
        if planned is None:
            return
        reckoning = Reckoning(conn=self.scene.conn, stock=look.take(self.scene.conn), target=self.target)
        reckoning.take(
            planned, [(step.mode, each, threats_of(self.scene.conn, step.mode, each)) for each in step.statements]
        )
        refuse(reckoning)

    def planned(self, step: Step) -> PlannedMigration | None:
        """The file of a step."""
        return next((each for each in self.pending if each.migration.version == step.version), None)

    def opened(self, step: Step) -> None:
        """Note what is there. Through another connection, so that the step holds no lock that it did not ask for."""
        self.before_step, self.copied = {}, set()
        if step.mode is Mode.ALONE:
            return
        with self.scene.connect() as conn:
            conn.autocommit = True
            stock = look.take(conn)
            if not stock.aggregates:
                return
            self.file = self.file_of(conn, step, stock)
            views = {number: View(*rest) for number, *rest in conn.execute(NOW).fetchall()}
            for each in stock.aggregates:
                if each.number in views:
                    found = history.of(conn, each)
                    then = trace.first(conn, each, found) if found else None
                    span = each.materialized
                    known = found is not None or span is None or bool(each.unread) or history.few(conn, each, span)
                    self.before_step[each.number] = Before(each, found, views[each.number], then, known)
        whole = {each.aggregate.hypertable for each in self.before_step.values() if each.history is None}
        self.chunks = counted(self.scene.conn, whole) if whole else {}

    def before(self, step: Step, statement: Statement) -> None:
        """A rebuild copies rows out before the first statement that may drop them: nothing before it may take any."""
        if step.mode is Mode.ALONE or not self.file.rebuilds or not may_drop(statement):
            return
        known = [each.aggregate for each in self.before_step.values()]
        kept = {number: each for number, each in self.before_step.items() if self.file.keeps(each.aggregate, known)}
        there = {number for number, *_ in self.scene.conn.execute(NOW).fetchall()} if kept else set()
        there -= {number for number in kept if number in there and self.harmed(kept[number])}
        if losses := [self.loss(step, each) for number, each in kept.items()
                      if each.history and number not in there | self.copied]:  # fmt: skip
            raise HistoryLost(losses, done=True)
        self.copied |= kept.keys() & there

    def harmed(self, before: Before) -> bool:
        """Its history is not what it was."""
        found, then = before.history, before.trace
        return (
            found is not None
            and then is not None
            and trace.again(self.scene.conn, before.aggregate, found, then) != then
        )

    def others(self, before: Before) -> bool:
        """What is not as it was, somebody else has committed meanwhile: a job that drops old buckets."""
        assert before.history is not None
        assert before.trace is not None
        how = (before.aggregate, before.history, before.trace)
        try:
            with self.scene.connect() as conn:
                conn.execute("SET lock_timeout = '200ms'")
                return trace.again(conn, *how) == trace.again(self.scene.conn, *how)
        except psycopg.Error:  # the step holds a lock on it
            return False

    def file_of(self, conn: Connection, step: Step, stock: Stock) -> File:
        """What the file says that counts for this step: kept is only what the very step makes anew."""
        planned = self.planned(step)
        if planned is None:
            return NOTHING
        made = {one.name for each in step.statements for one in each.facts.creates if one.kind == "aggregate"}
        file = file_of(conn, planned, self.target, stock.aggregates)
        return replace(file, rebuilds=frozenset(each for each in file.rebuilds if each[1] in made))

    def closing(self, step: Step) -> None:
        """Compare; raise, so that the transaction is rolled back, when history went that nobody gave up."""
        if not self.before_step:
            return
        if any(each.history for each in self.before_step.values()):
            # What waits for COMMIT runs now, as the role that the file has taken, as it would with psql.
            self.scene.query(["SET CONSTRAINTS ALL IMMEDIATE"])
        self.scene.query(AS_CONNECTED)
        now = {number: View(*rest) for number, *rest in self.scene.conn.execute(NOW).fetchall()}
        file, known = self.file, [each.aggregate for each in self.before_step.values()]
        losses: list[Loss] = []
        for number, before in self.before_step.items():
            name = before.aggregate.name
            if among(name, file.accepts) or (number in self.copied and file.keeps(before.aggregate, known)):
                continue
            if number in now and self.replaced(before, now[number]) and "L044" not in file.allows:
                raise AggregateReplaced(self.statement_of(step).place, name, done=True)
            if before.history is None:
                if number not in now:
                    self.not_needed(step, before)
                continue
            if number not in now or (self.harmed(before) and not self.others(before)):
                losses.append(self.loss(step, before))
        if losses:
            raise HistoryLost(losses, done=True)
        self.no_cursor(step)

    def kept(self, step: Step) -> None:
        """Raise when a rebuild has not put back what this has let go because it would."""
        stock = None
        losses: list[Loss] = []
        for number in self.copied:
            before = self.before_step[number]
            if before.trace is None or among(before.aggregate.name, self.file.accepts):
                continue
            stock = stock or look.take(self.scene.conn)
            there = stock.aggregate(before.aggregate.name)
            if there is None or self.rows(there, before) < before.trace.rows:
                losses.append(self.loss(step, before))
        if losses:
            raise HistoryLost(losses, done=True)

    def rows(self, there: Aggregate, before: Before) -> int:
        """How many an aggregate has where the one of that name had its history."""
        assert before.history is not None
        span = before.history.span
        query = sql.SQL("SELECT pg_catalog.count(*) FROM {} WHERE {}").format(
            sql.SQL(there.relation), history.between(there, span.start, span.end)
        )
        [found] = self.scene.conn.execute(query).fetchone() or (0,)
        return int(found)

    def not_needed(self, step: Step, before: Before) -> None:
        """Raise when an aggregate that went cannot be made again, though before the step it could, or nobody knows."""
        place, aggregate = self.statement_of(step).place, before.aggregate
        if not before.known and not any(may_drop(each) and each.facts.drops for each in step.statements):
            why = f"more of {aggregate.hypertable} has changed than was looked at"
            raise SourceTaken(place, aggregate.name, why)
        if aggregate.unread:
            raise SourceTaken(place, aggregate.name, f"this role may not read {', '.join(aggregate.unread)}")
        spans = taken(self.scene.conn, self.chunks, aggregate.hypertable, aggregate.kind)
        if aggregate.materialized and (
            lost := clipped(spans, aggregate.materialized.start, aggregate.materialized.end)
        ):
            hull = Span(start=min(each.start for each in lost), end=max(each.end for each in lost), kind=aggregate.kind)
            why = f"rows of {aggregate.hypertable} from {hull} that it was made of were deleted in it"
            raise SourceTaken(place, aggregate.name, why)

    def no_cursor(self, step: Step) -> None:
        """Raise when a query is left for COMMIT, unless all that it could take is given up."""
        at_stake = [
            self.loss(step, each)
            for each in self.before_step.values()
            if each.history and not among(each.aggregate.name, self.file.accepts)
        ]
        if not at_stake or "L055" in self.file.allows:
            return
        cursor = self.scene.conn.execute(CURSORS).fetchone()
        if cursor:
            raise CursorHeld(self.statement_of(step).place, cursor[0], brief(cursor[1], BRIEF), at_stake)

    def replaced(self, before: Before, now: View) -> bool:
        """Another view stands where the aggregate's was: not one that real-time, or a renaming, wrote anew."""
        changed = now.text != before.view.text
        return changed and before.view.genuine(before.aggregate) and not now.genuine(before.aggregate)

    def statement_of(self, step: Step) -> Statement:
        """The likeliest culprit: the first that may take something."""
        return next((each for each in step.statements if self.serious(each)), step.statements[0])

    def loss(self, step: Step, before: Before) -> Loss:
        """What went."""
        statement = self.statement_of(step)
        assert before.history is not None
        return Loss(
            place=statement.place,
            statement=brief(statement.shown, BRIEF),
            aggregate=before.aggregate.name,
            history=before.history,
        )


@dataclass
class Keeping(StepHooks):
    """The guard's last look, after what was to be kept was put back."""

    guard: Guard

    def attends(self, step: Step) -> bool:
        """As the guard does."""
        return self.guard.attends(step)

    def closing(self, step: Step) -> None:
        """See that it is all there."""
        if step.mode is not Mode.ALONE:
            self.guard.kept(step)
