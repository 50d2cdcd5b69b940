"""Puts back what hung on aggregates that a step made anew: their rows, settings, what reads them, and owners."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from psycopg import errors

from tidelock.core.ddl.creation import create
from tidelock.core.ddl.mending import without_defaults
from tidelock.core.ddl.order import ordered
from tidelock.core.ddl.timescale import columnstore, schema_of, span
from tidelock.core.ddl.words import literal
from tidelock.core.facts.tree import identifier
from tidelock.core.report import Happening
from tidelock.errors import LedgerFault
from tidelock.timescale import filling, look, policies, rights, rows
from tidelock.timescale.said import AGGREGATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import psycopg

    from tidelock.app.ports import Scene
    from tidelock.core.aggregates import Aggregate, Stock
    from tidelock.core.snapshot import Key, Snapshot
    from tidelock.timescale.rights import Right
    from tidelock.timescale.said import Said

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


class ColumnsGone(LedgerFault):
    """An aggregate is kept because the settings say so, and its new definition leaves out columns that have history."""

    code = "L053"

    def __init__(self, name: str, columns: Sequence[str]) -> None:
        short = name.removeprefix("public.")
        super().__init__(
            f"{name} is made again without {', '.join(columns)}: what they hold of times whose rows are gone exists "
            f"nowhere else; rolled back",
            hint=f"keep the columns; or, when that may go: `-- tidelock: rebuild {short}` at the top of the file",
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
    rights: set[Right] = field(default_factory=set)
    jobs: list[policies.Timed] = field(default_factory=list)
    reshaped: dict[str, str] = field(default_factory=dict)
    """Aggregates whose buckets have another width now, and the old one."""

    def lacks(self, name: str) -> bool:
        """Its old rows do not have all that it has now, or are of other buckets: nothing is to be made of them."""
        return name in self.reshaped or bool(self.copies[name].empty)


@dataclass(slots=True)
class Restoring:
    """One step's, before its COMMIT."""

    scene: Scene
    kept: Kept
    said: Said
    shapes: dict[str, tuple[str | None, ...]]
    """Aggregate → its buckets as they were."""

    def run(self) -> list[Key]:
        """All of it. Returns what came back beside rows; raises NotMadeAgain and CannotComeBack."""
        for name in self.kept.names:
            key = (AGGREGATE, name)
            if not exists(self.scene.conn, name):
                if name in self.kept.rebuilt:
                    raise NotMadeAgain(name)
                if self.said.drops(key) or self.said.makes_later(key):
                    continue
                self.make(key, name)
            self.put_back(name)
        came = list(self.restore())
        policies.resume(self.scene, self.kept.schema, self.kept.jobs, came)
        self.own()
        self.entitle()
        return came

    def make(self, key: Key, name: str) -> None:
        """One that depends on a rebuilt one, as it was."""
        try:
            with self.scene.conn.transaction():
                self.scene.conn.execute(create(self.kept.schema, key).encode())
        except GONE as error:
            parent = aggregate(self.kept.stock, name).parent
            raise CannotComeBack(f"{key[0]} {key[1]}", parent, error.diag.message_primary or "") from None

    def put_back(self, name: str) -> None:
        """Settings that CREATE did not say, and the rows. Until it is refreshed it shows these alone."""
        conn = self.scene.conn
        now = look.take(conn).aggregate(name)
        if now is None:  # something else has its name
            raise NotMadeAgain(name)
        settings = self.kept.schema.objects[AGGREGATE, name].get("columnstore")
        if settings and not now.columnstore and not self.said.mentions(name, "compress", "columnstore"):
            there = rows.columns(conn, now.relation)
            lasting = {**settings, "segment_by": [each for each in settings.get("segment_by", ()) if each in there]}
            if any(identifier(each.partition(" ")[0])[1] not in there for each in settings.get("order_by", ())):
                del lasting["order_by"]
            lasting = {each: value for each, value in lasting.items() if value}
            self.scene.query([columnstore("MATERIALIZED VIEW", name, lasting).rstrip(";")])
        self.chunk_as_before(name)
        if name in self.shapes and filling.shape(conn, now) != self.shapes[name]:
            self.kept.reshaped[name] = aggregate(self.kept.stock, name).bucket
        copy = self.kept.copies[name]
        was = aggregate(self.kept.stock, name).real_time
        real_time = now.real_time or (was and not self.said.mentions(name, "materialized_only"))
        if now.real_time:
            self.scene.query([f"ALTER MATERIALIZED VIEW {name} SET (timescaledb.materialized_only = true)"])
        copy = self.kept.copies[name] = replace(rows.put_back(conn, copy, now), real_time=real_time)
        if copy.empty and name not in self.kept.rebuilt:
            parent = aggregate(self.kept.stock, name).parent
            why = f"its old rows do not fit {', '.join(copy.empty)}"
            raise CannotComeBack(f"{AGGREGATE} {name}", parent, why)

    def chunk_as_before(self, name: str) -> None:
        """Its chunks are as long as they were, before rows come in."""
        interval = self.kept.schema.objects[AGGREGATE, name].get("chunk_interval")
        if interval and not self.said.mentions(name, "chunk_interval", "chunk_time_interval"):
            call = f"set_chunk_time_interval({literal(name)}, {span(interval)})"
            self.scene.query([f"SELECT {schema_of(self.kept.schema)}.{call}"])

    def restore(self) -> Iterator[Key]:
        """Views, policies, grants, comments, indexes that are not there and that the file did not drop or make."""
        conn, kept, said = self.scene.conn, self.kept, self.said
        found = self.scene.snapshot()
        self.no_data_lost(found)
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

    def no_data_lost(self, found: Snapshot) -> None:
        """Raise when a column of a table went with an aggregate whose row type it had: no definition brings it back."""
        for kind, name in self.kept.closure:
            table = ("table", name.rpartition(".")[0])
            if kind == "column" and (kind, name) not in found.objects and table in found.objects:
                raise CannotComeBack(f"column {name}", self.kept.rebuilt[0], "it went with its values")

    def own(self) -> None:
        """Give everything back to its owner."""
        now = dict(self.scene.conn.execute(OWNERS).fetchall())
        for kind, name in ordered(self.kept.schema, self.kept.closure):
            owner = self.kept.owners.get(name)
            if owner and name in now and now[name] != owner:
                word = "VIEW" if kind == "view" else "MATERIALIZED VIEW"
                self.scene.query([f"ALTER {word} {name} OWNER TO {owner}"])

    def entitle(self) -> None:
        """Give back who may do what, and take what default privileges have given to what was made anew."""
        told = [name for name in {each[0] for each in self.kept.rights} if self.said.entitles(name)]
        if changes := list(rights.as_before(self.scene.conn, self.kept.rights, told)):
            self.scene.query(changes)


def aggregate(stock: Stock, name: str) -> Aggregate:
    """The one of that name, which is there."""
    found = stock.aggregate(name)
    assert found is not None, name
    return found


def exists(conn: psycopg.Connection[Any], name: str) -> bool:
    """Whether a relation is there."""
    row = conn.execute("SELECT to_regclass(%s) IS NOT NULL", (name,)).fetchone()
    return bool(row and row[0])
