"""DROP for every kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.ddl import rights
from tidelock.core.ddl.creation import of_role
from tidelock.core.ddl.timescale import lookup, schema_of
from tidelock.core.ddl.words import above, bare, in_this_database

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidelock.core.snapshot import Attributes, Key, Snapshot

WORDS = {"continuous aggregate": "MATERIALIZED VIEW"}


def drop(snapshot: Snapshot, key: Key) -> str:
    """The statement that removes an object of the snapshot, and what is part of it."""
    kind, name = key
    attributes = snapshot.objects[key]
    if kind in DROP:
        return DROP[kind](name, attributes)
    if kind == "job":
        return f"SELECT {schema_of(snapshot)}.delete_job(j.job_id) {lookup(attributes)}"
    if kind == "index" and attributes.get("of_aggregate"):
        return index_of_aggregate(name, attributes)
    word = "FOREIGN TABLE" if kind == "table" and "server" in attributes else WORDS.get(kind, kind.upper())
    return f"DROP {word} {name};"


def index_of_aggregate(name: str, attributes: Attributes) -> str:
    """It lies on the materialized hypertable, in TimescaleDB's schema; a generated name has a number in it."""
    if attributes.get("generated"):
        return f"-- look its name up (\\d on the materialized hypertable) and drop it: {attributes['definition']}"
    return f"DROP INDEX _timescaledb_internal.{bare(name)};"


def of_table(kind: str, name: str) -> str:
    """DROP TRIGGER … ON … and the like."""
    return f"DROP {kind.upper()} {bare(name)} ON {above(name)};"


DROP: dict[str, Callable[[str, Attributes], str]] = {
    "column": lambda name, _: f"ALTER TABLE {above(name)} DROP COLUMN {bare(name)};",
    "constraint": lambda name, _: f"ALTER TABLE {above(name)} DROP CONSTRAINT {bare(name)};",
    "trigger": lambda name, _: of_table("trigger", name),
    "rule": lambda name, _: of_table("rule", name),
    "policy": lambda name, _: of_table("policy", name),
    "comment": lambda _, attributes: rights.comment(attributes, None),
    "grant": lambda _, attributes: "\n".join(rights.ungrant(attributes)),
    "default privileges": lambda _, attributes: "\n".join(rights.default_privileges(attributes, back=True)),
    "setting": lambda _, attributes: in_this_database(f"{of_role(attributes)} RESET {attributes['setting']}"),
    "hypertable": lambda *_: "-- a hypertable becomes a plain table only by copying its rows into a new one",
    "cast": lambda name, _: f"DROP CAST ({name});",
    "operator": lambda _, each: f"DROP OPERATOR {each['symbol']} ({each.get('left', 'NONE')}, {each['right']});",
}
