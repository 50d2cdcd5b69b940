"""The migrations that every contender applies: small, as most are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Change:
    """One migration: its version (from 1), its name and its statement."""

    version: int
    name: str
    sql: str


def changes(count: int) -> tuple[Change, ...]:
    """In turn: a table with three columns, a fourth column, a row."""
    return tuple(_change(version) for version in range(1, count + 1))


def _change(version: int) -> Change:
    table = f"t_{(version - 1) // 3 + 1}"
    match version % 3:
        case 1:
            sql = f"CREATE TABLE {table} (id bigint PRIMARY KEY, name text NOT NULL, at timestamptz DEFAULT now());"
            return Change(version, f"create_{table}", sql)
        case 2:
            return Change(version, f"add_note_to_{table}", f"ALTER TABLE {table} ADD COLUMN note text;")
        case _:
            sql = f"INSERT INTO {table} (id, name, note) VALUES ({version}, 'row {version}', 'a note; with text');"
            return Change(version, f"fill_{table}", sql)


def tables(count: int) -> int:
    """How many tables there are afterwards."""
    return (count + 2) // 3


def rows(count: int) -> int:
    """How many rows all of them hold together."""
    return count // 3
