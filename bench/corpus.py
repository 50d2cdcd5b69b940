"""The migrations that every contender applies: small, as most are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Change:
    """One migration: its version (from 1), its name and its statement."""

    version: int
    name: str
    sql: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """Three templates that take turns: a table, a column, a row."""

    create: str
    alter: str
    insert: str
    says: str
    """In a sentence, for the page."""


CORPORA = {
    "small": Corpus(
        "CREATE TABLE {table} (id bigint, name varchar(40) NOT NULL, at timestamptz);",
        "ALTER TABLE {table} ADD COLUMN note varchar(80);",
        "INSERT INTO {table} (id, name, note) VALUES ({version}, 'row {version}', 'a note; with text');",
        "a table of three columns without an index, a fourth column, a row",
    ),
    "keyed": Corpus(
        "CREATE TABLE {table} (id bigint PRIMARY KEY, name text NOT NULL, at timestamptz DEFAULT now());",
        "ALTER TABLE {table} ADD COLUMN note text;",
        "INSERT INTO {table} (id, name, note) VALUES ({version}, 'row {version}', 'a note; with text');",
        "a table of three columns with a primary key and a TOAST table, a fourth column, a row",
    ),
}
"""What the server does for `keyed` takes most of everybody's time, so it shows less of the tools."""


def changes(name: str, count: int) -> tuple[Change, ...]:
    """`count` migrations of that corpus."""
    return tuple(_change(CORPORA[name], version) for version in range(1, count + 1))


def _change(corpus: Corpus, version: int) -> Change:
    table = f"t_{(version - 1) // 3 + 1}"
    label, template = (
        (f"create_{table}", corpus.create),
        (f"add_note_to_{table}", corpus.alter),
        (f"fill_{table}", corpus.insert),
    )[(version - 1) % 3]
    return Change(version, label, template.format(table=table, version=version))


def tables(count: int) -> int:
    """How many tables there are afterwards."""
    return (count + 2) // 3


def rows(count: int) -> int:
    """How many rows all of them hold together."""
    return count // 3
