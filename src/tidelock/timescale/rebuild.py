"""An aggregate that a file drops and creates again keeps its history: in the step's own transaction its rows are copied
out before the DROP, and put into the new one before COMMIT, with everything that had hung on the old one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import errors, sql

from tidelock.app.ports import StepHooks
from tidelock.core.ddl.creation import create
from tidelock.core.ddl.mending import without_defaults
from tidelock.core.ddl.order import ordered
from tidelock.core.ddl.removal import drop
from tidelock.core.ddl.timescale import columnstore, schema_of, span
from tidelock.core.ddl.words import literal
from tidelock.core.facts.tree import identifier
from tidelock.core.filling import Fill, detail_of
from tidelock.core.rebuilding import rebuilt, widened
from tidelock.core.report import Happening
from tidelock.core.snapshot import key_of
from tidelock.core.statement import Object
from tidelock.core.step import Mode
from tidelock.errors import LedgerFault
from tidelock.timescale import filling, look, policies, rows
from tidelock.timescale.call import Wish
from tidelock.timescale.said import AGGREGATE, Said, closure, may_drop
from tidelock.timescale.telling import rebuilt_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tidelock.app.ports import Scene
    from tidelock.config import Target
    from tidelock.core.aggregates import Aggregate, Stock
    from tidelock.core.snapshot import Key, Snapshot
    from tidelock.core.statement import Statement
    from tidelock.core.step import Step
    from tidelock.timescale.refresher import Refresher

RESOLVED = """
SELECT format('%%I.%%I', n.nspname, c.relname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass(%s)"""
OWNERS = """
SELECT format('%I.%I', n.nspname, c.relname), c.relowner::regrole::text
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('v', 'm')"""
GONE = (errors.UndefinedColumn, errors.UndefinedObject, errors.UndefinedTable, errors.InvalidColumnReference)


class NotMadeAgain(LedgerFault):
    """The file dropped an aggregate that it was to rebuild, and did not create it."""

    code = "L047"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} was dropped, and is not there at the end of its transaction: its history would be lost",
            hint="create it in the same transaction; or, when it may go: `-- tidelock: accept-loss NAME: why`",
        )


class CannotComeBack(LedgerFault):
    """What depends on a rebuilt aggregate does not fit the new one."""

    code = "L048"

    def __init__(self, what: str, name: str, why: str) -> None:
        super().__init__(
            f"{what} depends on {name} and cannot be made again on the new one: {why}",
            hint="DROP it by name and create it anew in the same file, before and after the aggregate",
        )


@dataclass(slots=True)
class Kept:
    """What was there before the first DROP of a step."""

    stock: Stock
    schema: Snapshot
    names: tuple[str, ...]
    """The aggregates whose rows are kept, a parent before those that read it."""
    rebuilt: tuple[str, ...]
    """Those of them that the file rebuilds; the others hang on them."""
    copies: dict[str, rows.Copy] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    closure: list[Key] = field(default_factory=list)
    jobs: list[policies.Timed] = field(default_factory=list)
    reshaped: dict[str, str] = field(default_factory=dict)
    """Aggregates whose buckets have another width now, and the old one."""


@dataclass(slots=True)
class Rebuilder(StepHooks):
    """Keeps the history of aggregates that are made anew."""

    scene: Scene
    target: Target
    refresher: Refresher
    kept: Kept | None = None
    fills: dict[str, Fill] = field(default_factory=dict)
    shapes: dict[str, tuple[str | None, ...]] = field(default_factory=dict)

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
        self.kept, self.fills, self.shapes = None, {}, {}
        if step.mode is Mode.ALONE:
            return
        names = {each.name for each in map(widened, step.statements) if each is not None}
        if any(map(may_drop, step.statements)):
            wanted = rebuilt(self.scene.plan.migration, self.scene.plan.script, self.target)
            names |= {identifier(each)[1] for each in wanted}
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
                    self.fills[each.name] = filling.reckoned(conn, stock, each, known)
                    self.shapes[each.name] = filling.shape(conn, each)

    def before(self, step: Step, statement: Statement) -> None:
        """Keep everything before the first statement that may drop it, and make way for a DROP without CASCADE."""
        if step.mode is Mode.ALONE or not may_drop(statement):
            return
        if self.kept is None:
            self.keep(step)
        if self.kept is not None and not statement.facts.cascade:
            self.make_way(self.kept, statement)

    def keep(self, step: Step) -> None:
        """Look, and copy rows out: nothing is locked against readers and writers yet."""
        conn = self.scene.conn
        made = [each for one in step.statements for each in one.facts.creates if each.kind == "aggregate"]
        wanted = rebuilt(self.scene.plan.migration, self.scene.plan.script, self.target)
        names = [resolved(conn, each) for each in made if each.qualified in wanted]
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
        for number, each in enumerate(each for each in stock.aggregates if each.name in all_):
            self.scene.tell(Happening.PROGRESS, f"copying the rows of {each.name}")
            kept.copies[each.name] = rows.copy_out(conn, each, number)
        self.kept = kept

    def make_way(self, kept: Kept, statement: Statement) -> None:
        """Drop what hangs on an aggregate that the statement drops."""
        conn = self.scene.conn
        for each in statement.facts.drops:
            name = resolved(conn, each)
            if name not in kept.rebuilt:
                continue
            above = set(closure(kept.schema, [(AGGREGATE, name)])) - {(AGGREGATE, name)}
            for key in reversed(ordered(kept.schema, above)):
                if key[0] in ("view", "materialized view", AGGREGATE) and exists(conn, key[1]):
                    self.scene.query([drop(kept.schema, key).rstrip(";")])

    def closing(self, step: Step) -> None:
        """Put back what was kept, and see that nothing is missing."""
        if step.mode is Mode.ALONE:
            return
        self.widen(step)
        if self.kept is None:
            return
        kept, conn = self.kept, self.scene.conn
        said = self.said(step)
        for name in kept.names:
            key = (AGGREGATE, name)
            if not exists(conn, name):
                if name in kept.rebuilt:
                    raise NotMadeAgain(name)
                if said.drops(key) or said.makes_later(key):
                    continue
                self.make(kept, key, name)
            self.put_back(kept, name, said)
        came = list(self.restore(kept, said))
        policies.resume(self.scene, kept.schema, kept.jobs, came)
        self.own(kept)
        self.report(kept, came)

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

    def make(self, kept: Kept, key: Key, name: str) -> None:
        """One that depends on a rebuilt one, as it was."""
        try:
            with self.scene.conn.transaction():
                self.scene.conn.execute(create(kept.schema, key).encode())
        except GONE as error:
            raise CannotComeBack(f"{key[0]} {key[1]}", name, error.diag.message_primary or "") from None

    def put_back(self, kept: Kept, name: str, said: Said) -> None:
        """Settings that CREATE did not say, and the rows. Until it is refreshed it shows these alone."""
        conn = self.scene.conn
        now = look.take(conn).aggregate(name)
        assert now is not None, "it is there"
        settings = kept.schema.objects[AGGREGATE, name].get("columnstore")
        if settings and not now.columnstore and not said.mentions(name, "compress", "columnstore"):
            there = rows.columns(conn, now.relation)
            lasting = {**settings, "segment_by": [each for each in settings.get("segment_by", ()) if each in there]}
            if any(identifier(each.partition(" ")[0])[1] not in there for each in settings.get("order_by", ())):
                del lasting["order_by"]
            lasting = {each: value for each, value in lasting.items() if value}
            self.scene.query([columnstore("MATERIALIZED VIEW", name, lasting).rstrip(";")])
        self.chunk_as_before(kept, name, said)
        if name in self.shapes and filling.shape(conn, now) != self.shapes[name]:
            kept.reshaped[name] = aggregate(kept.stock, name).bucket
        copy = kept.copies[name]
        if now.real_time:
            self.scene.query([f"ALTER MATERIALIZED VIEW {name} SET (timescaledb.materialized_only = true)"])
        kept.copies[name] = replace(rows.put_back(conn, copy, now), real_time=now.real_time)

    def chunk_as_before(self, kept: Kept, name: str, said: Said) -> None:
        """Its chunks are as long as they were, before rows come in."""
        interval = kept.schema.objects[AGGREGATE, name].get("chunk_interval")
        if interval and not said.mentions(name, "chunk_interval", "chunk_time_interval"):
            call = f"set_chunk_time_interval({literal(name)}, {span(interval)})"
            self.scene.query([f"SELECT {schema_of(kept.schema)}.{call}"])

    def restore(self, kept: Kept, said: Said) -> Iterator[Key]:
        """Views, policies, grants, comments, indexes that are not there and that the file did not drop or make."""
        conn = self.scene.conn
        found = self.scene.snapshot()
        missing = [
            key
            for key in kept.closure
            if key not in found.objects and key[0] != "column" and not said.drops(key) and not said.makes_later(key)
        ]
        for key in ordered(kept.schema, missing):
            statements = "\n".join([create(kept.schema, key), *without_defaults(kept.schema, found, key)]).strip()
            if not statements:
                continue
            if key[0] == "materialized view":
                statements += f"\nREFRESH MATERIALIZED VIEW {key[1]};"
            try:
                with conn.transaction():
                    conn.execute(statements.encode())
            except GONE as error:
                if key[0] in ("view", "materialized view", "function", "procedure"):
                    raise CannotComeBack(
                        f"{key[0]} {key[1]}", kept.rebuilt[0], error.diag.message_primary or ""
                    ) from None
                told = f"{key[0]} {key[1]} did not come back: {error.diag.message_primary}"
                self.scene.tell(Happening.NOTE, told)
            else:
                yield key

    def own(self, kept: Kept) -> None:
        """Give everything back to its owner."""
        now = dict(self.scene.conn.execute(OWNERS).fetchall())
        for kind, name in ordered(kept.schema, kept.closure):
            owner = kept.owners.get(name)
            if owner and name in now and now[name] != owner:
                word = "VIEW" if kind == "view" else "MATERIALIZED VIEW"
                self.scene.query([f"ALTER {word} {name} OWNER TO {owner}"])

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
            before = aggregate(kept.stock, each)
            reshaped = each in kept.reshaped
            found = filling.after(self.fills, each, name, reshaped=reshaped, before=before)
            if found is not None and stock.aggregate(each) is not None:
                yield each, found

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


def aggregate(stock: Stock, name: str) -> Aggregate:
    """The one of that name, which is there."""
    found = stock.aggregate(name)
    assert found is not None, name
    return found


def since(fill: Fill | None, otherwise: int | None) -> int | None:
    """Where what can be computed anew begins."""
    return min((each.start for each in fill.empty), default=None) if fill else otherwise


def resolved(conn: psycopg.Connection[Any], each: Object) -> str:
    """`schema.name` as the server finds it, quoted; empty when it is not there."""
    path = sql.Identifier(*([each.schema] if each.schema else []), each.name).as_string()
    row = conn.execute(RESOLVED, (path,)).fetchone()
    return row[0] if row else ""


def exists(conn: psycopg.Connection[Any], name: str) -> bool:
    """Whether a relation is there."""
    row = conn.execute("SELECT to_regclass(%s) IS NOT NULL", (name,)).fetchone()
    return bool(row and row[0])


__all__ = ["CannotComeBack", "NotMadeAgain", "Rebuilder", "key_of"]
