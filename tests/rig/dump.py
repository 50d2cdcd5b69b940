"""A canonical dump of a database's catalog and rows, and the difference of two.

    assert_same(expected_dsn, found_dsn)

Two databases are the same when every schema, table, column, constraint, index (its validity too), view,
function, trigger, policy, type, sequence (its definition, not its value), extension, comment and privilege is
defined alike and every table holds the same rows. Of the ledger only (version, description) counts, of
Tidelock's other tables nothing does.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from tests.rig.catalog import LEDGERS, ROWS, SECTIONS, TIMESCALE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Connection = psycopg.Connection[tuple[object, ...]]
    Key = tuple[str, str]

SHOWN_ROWS = 5


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that two dumps say differently. `None` is the side that does not have it."""

    section: str
    name: str
    left: str | None
    right: str | None

    @property
    def what(self) -> str:
        """`section name`, as in `column public.t.a`."""
        return f"{self.section} {self.name}"

    def __str__(self) -> str:
        if self.left is None:
            return f"only right  {self.what}: {self.right}"
        if self.right is None:
            return f"only left   {self.what}: {self.left}"
        return f"different   {self.what}\n    left   {self.left}\n    right  {self.right}"


@dataclass(frozen=True, slots=True)
class Dump:
    """What a database holds: `objects` by (section, name), `rows` as a bag of texts by table."""

    objects: Mapping[Key, str]
    rows: Mapping[str, Counter[str]]

    def __str__(self) -> str:
        lines = [f"{section} {name}: {text}" for (section, name), text in sorted(self.objects.items())]
        for table, bag in sorted(self.rows.items()):
            lines += [f"row {table}: {row}" for row in sorted(bag.elements())]
        return "\n".join(lines)


def dump(dsn: str, *, fed_columns: bool = True, without: Sequence[str] = ()) -> Dump:
    """Read a database.

    With `fed_columns` False the values of columns whose default is a sequence, a clock or chance are left
    out, and so are the columns named in `without` (`schema.table.column`). A table whose every column is left
    out still counts its rows.
    """
    with psycopg.connect(dsn, options="-c search_path= -c timezone=UTC -c datestyle=ISO") as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        objects = _objects(connection, SECTIONS)
        if ("extension", "timescaledb") in objects:
            objects |= _objects(connection, TIMESCALE)
        rows = dict(_rows(connection, fed_columns, frozenset(without)))
        rows |= dict(_ledgers(connection))
    return Dump(objects, rows)


def _objects(connection: Connection, sections: Mapping[str, str]) -> dict[Key, str]:
    found: dict[Key, str] = {}
    for section, query in sections.items():
        for name, text in connection.execute(query.encode()):
            key = (section, str(name))
            found[key] = "\n".join(sorted([found[key], str(text)])) if key in found else str(text)
    return found


def _rows(connection: Connection, fed_columns: bool, without: frozenset[str]) -> Iterator[tuple[str, Counter[str]]]:
    for schema, table, steady, every in connection.execute(ROWS.encode()).fetchall():
        chosen = every if fed_columns else steady
        assert isinstance(schema, str)
        assert isinstance(table, str)
        columns = [name for name in _names(chosen) if f"{schema}.{table}.{name}" not in without]
        yield f"{schema}.{table}", _bag(connection, schema, table, columns)


def _names(value: object) -> list[str]:
    return [str(name) for name in value] if isinstance(value, list) else []


def _ledgers(connection: Connection) -> Iterator[tuple[str, Counter[str]]]:
    for schema, table, description in connection.execute(LEDGERS.encode()).fetchall():
        yield f"{schema}.{table}", _bag(connection, str(schema), str(table), ["version", str(description)])


def _bag(connection: Connection, schema: str, table: str, columns: Sequence[str]) -> Counter[str]:
    values = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in columns)
    query = sql.SQL("SELECT ROW({})::text FROM {}").format(values, sql.Identifier(schema, table))
    return Counter(str(row) for (row,) in connection.execute(query))


def differences(left: Dump, right: Dump) -> list[Difference]:
    """Everything in which two dumps differ, in order."""
    found = [
        Difference(section, name, left.objects.get((section, name)), right.objects.get((section, name)))
        for section, name in sorted(left.objects.keys() | right.objects.keys())
        if left.objects.get((section, name)) != right.objects.get((section, name))
    ]
    for table in sorted(left.rows.keys() | right.rows.keys()):
        mine, theirs = left.rows.get(table), right.rows.get(table)
        if mine != theirs:
            found.append(Difference("rows of", table, _excess(mine, theirs), _excess(theirs, mine)))
    return found


def _excess(mine: Counter[str] | None, theirs: Counter[str] | None) -> str | None:
    """What one side has above the other, None when it has no such table."""
    if mine is None:
        return None
    above = mine - (theirs or Counter())
    shown = " ".join(sorted(above.elements())[:SHOWN_ROWS])
    more = f" and {above.total() - SHOWN_ROWS} more" if above.total() > SHOWN_ROWS else ""
    return f"{mine.total()} rows" + (f", {above.total()} of them only here: {shown}{more}" if above else "")


def assert_same(left_dsn: str, right_dsn: str, *, fed_columns: bool = True, without: Sequence[str] = ()) -> None:
    """Fail with a readable difference unless both databases hold the same."""
    left = dump(left_dsn, fed_columns=fed_columns, without=without)
    found = differences(left, dump(right_dsn, fed_columns=fed_columns, without=without))
    assert not found, "the databases differ:\n" + "\n".join(map(str, found))
