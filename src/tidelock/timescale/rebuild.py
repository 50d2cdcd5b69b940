"""An aggregate that a file drops and creates again keeps its history: in the step's own transaction its rows are copied
out before the DROP, and put into the new one before COMMIT, with everything that had hung on the old one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from tidelock.app.ports import StepHooks
from tidelock.core.ddl.order import ordered
from tidelock.core.ddl.removal import drop
from tidelock.core.facts.tree import identifier
from tidelock.core.filling import Fill, detail_of, sealed
from tidelock.core.rebuilding import rebuilt, widened
from tidelock.core.report import Happening
from tidelock.core.statement import Object
from tidelock.core.step import Mode
from tidelock.core.windows import merged, without
from tidelock.timescale import filling, look, policies, rows
from tidelock.timescale.call import Wish
from tidelock.timescale.consent import among
from tidelock.timescale.restoring import OWNERS, ColumnsGone, Kept, Restoring, aggregate, exists
from tidelock.timescale.rights import rights
from tidelock.timescale.said import AGGREGATE, Said, closure, may_drop, readers
from tidelock.timescale.taken import counted, taken
from tidelock.timescale.telling import rebuilt_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tidelock.app.ports import Scene
    from tidelock.config import Target
    from tidelock.core.aggregates import Stock
    from tidelock.core.snapshot import Key
    from tidelock.core.statement import Statement
    from tidelock.core.step import Step
    from tidelock.timescale.refresher import Refresher
    from tidelock.timescale.taken import Chunks

RESOLVED = """
SELECT format('%%I.%%I', n.nspname, c.relname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass(%s)"""


@dataclass(slots=True)
class Rebuilder(StepHooks):
    """Keeps the history of aggregates that are made anew."""

    scene: Scene
    target: Target
    refresher: Refresher
    kept: Kept | None = None
    fills: dict[str, Fill] = field(default_factory=dict)
    shapes: dict[str, tuple[str | None, ...]] = field(default_factory=dict)
    chunks: Chunks = field(default_factory=dict)
    """Those of the hypertables beneath, as they were."""

    def attends(self, step: Step) -> bool:
        """Transactions that create an aggregate or give one a column, and refreshes."""
        if step.mode is Mode.ALONE:
            return self.refresher.attends(step)
        return any(
            widened(one) is not None or any(each.kind == "aggregate" for each in one.facts.creates)
            for one in step.statements
        )

    def opened(self, step: Step) -> None:
        """A transaction begins, perhaps for another time: see what raw data holds of what may be dropped.

        Through another connection, so that the step holds no lock on chunks that it did not ask for.
        """
        self.kept, self.fills, self.shapes, self.chunks = None, {}, {}, {}
        if step.mode is Mode.ALONE:
            return
        names = {each.name for each in map(widened, step.statements) if each is not None}
        if any(map(may_drop, step.statements)):
            wanted = rebuilt(self.scene.plan.migration, self.scene.plan.script, self.target)
            names |= {name for _, name in wanted}
        if not names:
            return
        with self.scene.connect() as conn:
            conn.autocommit = True
            if not exists(conn, "_timescaledb_catalog.continuous_agg"):  # the file makes the extension
                return
            stock = look.take(conn)
            for each in stock.aggregates:
                if identifier(each.name)[1] in names:
                    known = filling.known(self.scene, each)
                    self.fills[each.name] = filling.reckoned(conn, each, known)
                    self.shapes[each.name] = filling.shape(conn, each)
        self.chunks = counted(
            self.scene.conn, {each.hypertable for each in stock.aggregates if each.name in self.fills}
        )

    def before(self, step: Step, statement: Statement) -> None:
        """Keep everything before the first statement that may drop it, and make way for it."""
        if step.mode is Mode.ALONE or not may_drop(statement):
            return
        if self.kept is None:
            self.keep(step)
        if self.kept is not None:
            self.make_way(self.kept, statement)

    def keep(self, step: Step) -> None:
        """Look, and copy rows out: nothing is locked against readers and writers yet."""
        conn = self.scene.conn
        made = [each for one in step.statements for each in one.facts.creates if each.kind == "aggregate"]
        wanted = rebuilt(self.scene.plan.migration, self.scene.plan.script, self.target)
        names = [resolved(conn, each) for each in made if (each.schema, each.name) in wanted]
        stock = look.take(conn)
        found = [each for each in stock.aggregates if each.name in names]
        if not found:
            return
        all_ = {each.name for one in found for each in (one, *stock.above(one))}
        kept = Kept(
            stock=stock,
            schema=self.scene.snapshot(),
            names=tuple(each.name for each in stock.aggregates if each.name in all_),
            rebuilt=tuple(each.name for each in found),
            owners=dict(conn.execute(OWNERS).fetchall()),
            jobs=policies.as_before(self.scene, policies.timed(conn)),
        )
        kept.closure = closure(kept.schema, [(AGGREGATE, name) for name in kept.names])
        kept.rights = rights(conn, {*kept.names, *(name for _, name in kept.closure)})
        for number, each in enumerate(each for each in stock.aggregates if each.name in all_):
            self.scene.tell(Happening.PROGRESS, f"copying the rows of {each.name}")
            kept.copies[each.name] = rows.copy_out(conn, each, number)
        self.kept = kept

    def make_way(self, kept: Kept, statement: Statement) -> None:
        """Drop what hangs on an aggregate that the statement drops. CASCADE does it, but fails over three levels."""
        conn = self.scene.conn
        for each in statement.facts.drops:
            name = resolved(conn, each)
            if name not in kept.rebuilt:
                continue
            above = readers(kept.schema, (AGGREGATE, name))
            if statement.facts.cascade and not any(readers(kept.schema, key) for key in above if key[0] == AGGREGATE):
                continue
            cascade = " CASCADE" if statement.facts.cascade else ""
            for key in reversed(ordered(kept.schema, above)):
                if exists(conn, key[1]):
                    self.scene.query([drop(kept.schema, key).rstrip(";") + cascade])

    def closing(self, step: Step) -> None:
        """Put back what was kept, and see that nothing is missing."""
        if step.mode is Mode.ALONE:
            return
        self.widen(step)
        if self.kept is None:
            return
        kept = self.kept
        came = Restoring(self.scene, kept, self.said(step), self.shapes).run()
        self.no_column_lost(kept)
        self.report(kept, came)

    def no_column_lost(self, kept: Kept) -> None:
        """Raise when a file that does not speak of a rebuild leaves out columns with values that nothing gives back."""
        asked = {identifier(each.value) for each in self.scene.migration.directives if each.name == "rebuild"}
        for name in kept.rebuilt:
            copy, had = kept.copies[name], aggregate(kept.stock, name).materialized
            fill = self.fills.get(name)
            if not copy.gone or not had or fill is None or among(name, asked):
                continue
            if rows.holds(self.scene.conn, copy, without(had, fill.empty)):
                raise ColumnsGone(name, copy.gone)

    def widen(self, step: Step) -> None:
        """Note what a new column can be filled from: its old rows differ from what they would be now."""
        for grown in map(widened, step.statements):
            name = resolved(self.scene.conn, grown) if grown else ""
            if name in self.fills and (self.kept is None or name not in self.kept.names):
                found = aggregate(look.take(self.scene.conn), name)
                done = len(self.scene.noted("refreshed"))
                self.scene.note(
                    "widened", {"aggregate": name, "fill": [detail_of(self.fills[name], found.number, done)]}
                )

    def report(self, kept: Kept, came: Iterable[Key]) -> None:
        """One line for each, in the journal too."""
        stock = look.take(self.scene.conn)
        back = [f"{kind} {name}" for kind, name in came]
        for name in kept.rebuilt:
            copy = kept.copies[name]
            above = [each.name for each in kept.stock.above(aggregate(kept.stock, name))]
            fills = dict(self.filled(kept, stock, name, above))
            detail: dict[str, object] = {
                "aggregate": name,
                "rows": copy.rows,
                "null": list(copy.empty),
                "since": since(fills.get(name), copy.since),
                "above": above,
                "real_time": [each for each in (name, *above) if each in kept.copies and kept.copies[each].real_time],
                "fill": [detail_of(fill, aggregate(stock, each).number) for each, fill in fills.items()],
            }
            self.scene.note("rebuilt", detail)
            span = aggregate(kept.stock, name).materialized
            self.scene.tell(Happening.NOTE, rebuilt_line(copy, span, kept.reshaped.get(name, ""), back))
            for each in (name, *above):
                if (there := stock.aggregate(each)) is not None:
                    for text in policies.warnings(stock, there):
                        self.scene.tell(Happening.NOTE, text)

    def filled(self, kept: Kept, stock: Stock, name: str, above: Iterable[str]) -> Iterator[tuple[str, Fill]]:
        """What may be replaced and what has to stay, of a rebuilt one and of those above it."""
        for each in (name, *above):
            found = self.fill_of(kept, stock, each)
            if found is not None and stock.aggregate(each) is not None:
                yield each, found

    def fill_of(self, kept: Kept, stock: Stock, name: str) -> Fill | None:
        """Of one that was made anew. What it reads may be new as well, and its old rows lack what this is made of."""
        before, now, own = aggregate(kept.stock, name), stock.aggregate(name), self.fills.get(name)
        if before.parent in kept.names and (own is None or kept.lacks(before.parent)):
            beneath = self.fill_of(kept, stock, before.parent)
            return sealed(replace(beneath, since=None, begins=None), before.materialized) if beneath else None
        if own is None or now is None:
            return own
        if not before.parent and now.source != before.source:
            return filling.elsewhere(self.scene.conn, now)
        gone = taken(self.scene.conn, self.chunks, before.hypertable, before.kind) if self.chunks else []
        own = replace(own, stays=tuple(merged([*own.stays, *gone])))
        return sealed(own, before.materialized) if name in kept.reshaped else own

    def said(self, step: Step) -> Said:
        """What the file says of such things itself."""
        script = self.scene.plan.script.statements
        last = max((n for n, each in enumerate(script) if any(each is one for one in step.statements)), default=0)
        return Said(script, script[last + 1 :])

    # --- after the refresh -----------------------------------------------------------------------------------------

    def after(self, step: Step, statement: Statement) -> None:
        """A rebuilt aggregate was refreshed: those above it follow, and what is real-time shows it again."""
        if step.mode is not Mode.ALONE:
            return
        for version, _, detail in self.scene.noted("rebuilt"):
            name = str(detail["aggregate"])
            if version == step.version and any(
                each.kind == "aggregate" and resolved(self.scene.conn, each) == name for each in statement.facts.alters
            ):
                self.follow(step, statement, detail)

    def follow(self, step: Step, statement: Statement, detail: dict[str, Any]) -> None:
        """Only from where raw data begins: further back the kept rows may lack what those above were made of."""
        conn = self.scene.conn
        for name in detail["above"]:
            stock = look.take(conn)
            if detail["since"] is not None and stock.aggregate(name) is not None:
                self.refresher.one(step, statement, stock, Wish(aggregate=name, start=detail["since"], end=None))
        for name in detail["real_time"]:
            if not exists(conn, name):
                continue
            if rows.has_watermark(conn, name):
                self.scene.query([f"ALTER MATERIALIZED VIEW {name} SET (timescaledb.materialized_only = false)"])
            else:
                told = (
                    f"{name} shows its kept rows only, as there is no raw data yet: once there is, ALTER MATERIALIZED "
                    f"VIEW {name} SET (timescaledb.materialized_only = false)"
                )
                self.scene.tell(Happening.NOTE, told)


def since(fill: Fill | None, otherwise: int | None) -> int | None:
    """Where what can be computed anew begins."""
    return min((each.start for each in fill.empty), default=None) if fill else otherwise


def resolved(conn: psycopg.Connection[Any], each: Object) -> str:
    """`schema.name` as the server finds it, quoted; empty when it is not there."""
    path = sql.Identifier(*([each.schema] if each.schema else []), each.name).as_string()
    row = conn.execute(RESOLVED, (path,)).fetchone()
    return row[0] if row else ""
