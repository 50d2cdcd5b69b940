"""ALTER for what can be altered: from the attributes as they should be and as they are. None: drop and create it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidelock.core.ddl import rights, tables, timescale_alteration
from tidelock.core.ddl.creation import event_state, state
from tidelock.core.ddl.words import (
    above,
    bare,
    changed_options,
    literal,
    reset_options,
    sequence_options,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from tidelock.core.snapshot import Attributes, Key, Snapshot


def alter(snapshot: Snapshot, key: Key, is_now: Attributes, changes: Mapping[str, tuple[Any, Any]]) -> list[str] | None:
    """The statements that give an object its attributes of the snapshot back; None when only DROP and CREATE do."""
    how = ALTER.get(key[0])
    lines = None if how is None else how(snapshot, key, is_now, changes)
    return None if lines is None else list(lines)


def column(snapshot: Snapshot, key: Key, _: Attributes, changes: Mapping[str, tuple[Any, Any]]) -> list[str] | None:
    """Type, default, identity, storage, options. A generated column is made again: nothing is lost by it."""
    wanted = snapshot.objects[key]
    if "generated" in wanted and ("generated" in changes or "virtual" in changes):
        return None
    kind = "FOREIGN TABLE" if "server" in snapshot.objects.get(("table", above(key[1])), {}) else "TABLE"
    start = f"ALTER {kind} {above(key[1])} ALTER COLUMN {bare(key[1])}"
    return [f"{start} {action};" for action in column_actions(bare(key[1]), wanted, changes)]


def column_actions(name: str, wanted: Attributes, changes: Mapping[str, tuple[Any, Any]]) -> Iterator[str]:
    """What follows ALTER COLUMN."""
    if "generated" in changes:
        yield "DROP EXPRESSION"
    retyped = "type" in changes or "collation" in changes
    if retyped and "default" in wanted:
        yield "DROP DEFAULT"
    if retyped:
        collation = f" COLLATE {wanted['collation']}" if "collation" in wanted else ""
        yield f"TYPE {wanted['type']}{collation} USING {name}::{wanted['type']}"
    if "identity" in changes:
        yield from identity(*changes["identity"])
    if "default" in changes or (retyped and "default" in wanted):
        yield f"SET DEFAULT {wanted['default']}" if "default" in wanted else "DROP DEFAULT"
    if "not_null" in changes:
        yield "SET NOT NULL" if wanted.get("not_null") else "DROP NOT NULL"
    if "storage" in changes:
        yield f"SET STORAGE {wanted.get('storage', 'DEFAULT')}"
    if "compression" in changes:
        yield f"SET COMPRESSION {wanted.get('compression', 'default')}"
    if "statistics" in changes:
        yield f"SET STATISTICS {wanted.get('statistics', -1)}"
    if "options" in changes:
        yield from reset_options(*changes["options"])
    if "foreign_options" in changes:
        yield changed_options(*changes["foreign_options"])


def identity(before: Attributes | None, after: Attributes | None) -> Iterator[str]:
    """ADD, DROP or SET GENERATED."""
    if before is None:
        yield "DROP IDENTITY"
    elif after is None:
        yield f"ADD {tables.identity(before)}"
    else:
        options = sequence_options(before, every=True)
        words = " ".join(f"SET {each}" for each in split_options(options))
        yield f"SET GENERATED {'ALWAYS' if before.get('always') else 'BY DEFAULT'} {words}"


def split_options(options: str) -> list[str]:
    """`START 1 INCREMENT 1 … NO CYCLE` in its parts."""
    words, found = options.split(), list[str]()
    for word in words:
        if word in ("START", "INCREMENT", "MINVALUE", "MAXVALUE", "CACHE", "NO") or (
            word == "CYCLE" and found[-1:] != ["NO"]
        ):
            found.append(word)
        else:
            found[-1] += f" {word}"
    return found


def table(snapshot: Snapshot, key: Key, _: Attributes, changes: Mapping[str, tuple[Any, Any]]) -> Iterator[str]:
    """Options, row security, persistence, replica identity, parents."""
    name = key[1]
    for each, (before, after) in sorted(changes.items()):
        if each in TABLE:
            yield from (f"ALTER TABLE {name} {action};" for action in TABLE[each](before, after))
    if "unenforced" in changes and not changes["unenforced"][0]:
        yield from (f"ALTER TABLE {name} {action};" for action in disabled(snapshot, key))
    if "trigger_states" in changes:
        yield from triggers(snapshot, name, *changes["trigger_states"])
    if "replica_identity" in changes:
        yield tables.replica_identity(name, changes["replica_identity"][0])
    yield from partition(name, changes)


TABLE: dict[str, Callable[[Any, Any], Iterable[str]]] = {
    "options": reset_options,
    "row_security": lambda before, _: [f"{'ENABLE' if before else 'DISABLE'} ROW LEVEL SECURITY"],
    "force_row_security": lambda before, _: [f"{'' if before else 'NO '}FORCE ROW LEVEL SECURITY"],
    "unlogged": lambda before, _: ["SET UNLOGGED" if before else "SET LOGGED"],
    "tablespace": lambda before, _: [f"SET TABLESPACE {before or 'pg_default'}"],
    "method": lambda before, _: [f"SET ACCESS METHOD {before or 'heap'}"],
    "of": lambda before, _: [f"OF {before}" if before else "NOT OF"],
    "inherits": lambda before, after: [
        *(f"NO INHERIT {parent}" for parent in after or () if parent not in (before or ())),
        *(f"INHERIT {parent}" for parent in before or () if parent not in (after or ())),
    ],
    "foreign_options": lambda before, after: [changed_options(before, after)],
    "unenforced": lambda before, _: ["DISABLE TRIGGER ALL" if before else "ENABLE TRIGGER ALL"],
}
"""Attribute → the actions of ALTER TABLE that make it what it was."""


def triggers(snapshot: Snapshot, name: str, before: Attributes | None, after: Attributes | None) -> Iterator[str]:
    """The triggers that a partition has from its parent, in states of its own or in the parent's."""
    wanted, found = before or {}, after or {}
    for each in sorted(wanted.keys() | found.keys()):
        if wanted.get(each) != found.get(each):
            yield state(f"{name}.{each}", wanted.get(each) or parents(snapshot, name, each), "TRIGGER")


def parents(snapshot: Snapshot, name: str, trigger: str) -> str | None:
    """The state of a trigger in the table that it comes from."""
    while (above_ := snapshot.objects.get(("table", name), {}).get("partition_of")) is not None:
        name = above_
    return snapshot.objects.get(("trigger", f"{name}.{trigger}"), {}).get("enabled")


def disabled(snapshot: Snapshot, key: Key) -> Iterator[str]:
    """The user's triggers that are off all the same."""
    for each in snapshot.parts().get(key, ()):
        if each[0] == "trigger" and snapshot.objects[each].get("enabled") == "no":
            yield f"DISABLE TRIGGER {bare(each[1])}"


def partition(name: str, changes: Mapping[str, tuple[Any, Any]]) -> Iterator[str]:
    """DETACH and ATTACH."""
    if "bound" not in changes and "partition_of" not in changes:
        return
    (parent, parent_now), (bound, _) = changes.get("partition_of", (None, None)), changes.get("bound", (None, None))
    if parent_now:
        yield f"ALTER TABLE {parent_now} DETACH PARTITION {name};"
    if parent and bound:
        yield f"ALTER TABLE {parent} ATTACH PARTITION {name} {bound};"
    if bound and "partition_of" not in changes:
        yield f"-- detach {name} and attach it again {bound}"


def order(_: Snapshot, __: Key, ___: Attributes, changes: Mapping[str, tuple[Any, Any]]) -> Iterator[str]:
    """Nothing but a new table changes it."""
    yield f"-- the order of columns cannot be changed in place; it was: {', '.join(changes['columns'][0])}"


def constraint(
    snapshot: Snapshot, key: Key, is_now: Attributes, changes: Mapping[str, tuple[Any, Any]]
) -> list[str] | None:
    """Validity, the triggers behind a foreign key."""
    name = above(key[1])
    if set(changes) == {"not_validated"} and is_now.get("not_validated"):
        return [f"ALTER TABLE {name} VALIDATE CONSTRAINT {bare(key[1])};"]
    if set(changes) == {"options"}:
        return [f"ALTER INDEX {above(name)}.{bare(key[1])} {each};" for each in reset_options(*changes["options"])]
    return clustered(snapshot, key, changes)


def clustered(snapshot: Snapshot, key: Key, changes: Mapping[str, tuple[Any, Any]]) -> list[str] | None:
    """CLUSTER ON, when that is all."""
    if set(changes) != {"clustered"}:
        return None
    whole = next(each for each in map(str, snapshot.objects[key]["part_of"]) if each.startswith("table:"))
    name = whole.partition(":")[2]
    return [f"ALTER TABLE {name} {f'CLUSTER ON {bare(key[1])}' if changes['clustered'][0] else 'SET WITHOUT CLUSTER'};"]


def index(snapshot: Snapshot, key: Key, _: Attributes, changes: Mapping[str, tuple[Any, Any]]) -> list[str] | None:
    """Clustering and statistics; all else is another index."""
    if set(changes) == {"statistics"}:
        before, after = ({} if each is None else each for each in changes["statistics"])
        numbers = sorted(before.keys() | after.keys())
        return [f"ALTER INDEX {key[1]} ALTER COLUMN {each} SET STATISTICS {before.get(each, -1)};" for each in numbers]
    return clustered(snapshot, key, changes)


def view(_: Snapshot, key: Key, __: Attributes, changes: Mapping[str, tuple[Any, Any]]) -> list[str] | None:
    """Options and defaults."""
    if not set(changes) <= {"options", "defaults"}:
        return None
    word = key[0].upper()
    lines = [f"ALTER {word} {key[1]} {each};" for each in reset_options(*changes.get("options", (None, None)))]
    wanted, found = (each or {} for each in changes.get("defaults", (None, None)))
    for name in sorted(wanted.keys() | found.keys()):
        action = f"SET DEFAULT {wanted[name]}" if name in wanted else "DROP DEFAULT"
        lines.append(f'ALTER VIEW {key[1]} ALTER COLUMN "{name}" {action};')
    return lines


def function(snapshot: Snapshot, key: Key, is_now: Attributes, _: Mapping[str, tuple[Any, Any]]) -> list[str] | None:
    """CREATE OR REPLACE, unless it returns something else."""
    wanted = snapshot.objects[key]["definition"]
    if returns(wanted) != returns(is_now["definition"]) or wanted.split("\n")[0] != is_now["definition"].split("\n")[0]:
        return None
    return [f"{wanted};"]


def returns(definition: str) -> str:
    """The line that says what a function returns."""
    return next((line for line in definition.split("\n") if line.startswith(" RETURNS ")), "")


def type_(_: Snapshot, key: Key, __: Attributes, changes: Mapping[str, tuple[Any, Any]]) -> list[str] | None:
    """Values of an enum, attributes of a composite type."""
    if set(changes) == {"values"}:
        return list(values(key[1], *changes["values"]))
    if set(changes) == {"attributes"}:
        return list(fields(key[1], *changes["attributes"]))
    return None


def values(name: str, wanted: list[str], found: list[str]) -> Iterator[str]:
    """ADD VALUE, RENAME VALUE, or why neither."""
    if len(wanted) == len(found) and sum(one != other for one, other in zip(wanted, found, strict=True)) == 1:
        [(to, now)] = [pair for pair in zip(wanted, found, strict=True) if pair[0] != pair[1]]
        yield f"ALTER TYPE {name} RENAME VALUE {literal(now)} TO {literal(to)};"
        return
    for number, value in enumerate(wanted):
        if value not in found:
            place = (
                f" AFTER {literal(wanted[number - 1])}"
                if number
                else f" BEFORE {literal(wanted[1])}"
                if len(wanted) > 1
                else ""
            )
            yield f"ALTER TYPE {name} ADD VALUE {literal(value)}{place};"
    if gone := [each for each in found if each not in wanted]:
        yield f"-- values cannot be removed from an enum: {', '.join(gone)}; make a new type and move the columns to it"


def fields(name: str, wanted: list[Attributes], found: list[Attributes]) -> Iterator[str]:
    """ADD, DROP and ALTER ATTRIBUTE."""
    before, after = ({each["name"]: each["type"] for each in some} for some in (wanted, found))
    yield from (f'ALTER TYPE {name} DROP ATTRIBUTE "{each}";' for each in after if each not in before)
    for each, kind in before.items():
        if each not in after:
            yield f'ALTER TYPE {name} ADD ATTRIBUTE "{each}" {kind};'
        elif after[each] != kind:
            yield f'ALTER TYPE {name} ALTER ATTRIBUTE "{each}" TYPE {kind};'


def domain(_: Snapshot, key: Key, __: Attributes, changes: Mapping[str, tuple[Any, Any]]) -> list[str] | None:
    """Default, NOT NULL, checks."""
    if not set(changes) <= {"default", "not_null", "checks"}:
        return None
    actions = []
    if "default" in changes:
        before = changes["default"][0]
        actions.append("DROP DEFAULT" if before is None else f"SET DEFAULT {before}")
    if "not_null" in changes:
        actions.append("SET NOT NULL" if changes["not_null"][0] else "DROP NOT NULL")
    wanted, found = (each or {} for each in changes.get("checks", (None, None)))
    actions += [f'DROP CONSTRAINT "{name}"' for name in found if wanted.get(name) != found[name]]
    actions += [f'ADD CONSTRAINT "{name}" {check}' for name, check in wanted.items() if found.get(name) != check]
    return [f"ALTER DOMAIN {key[1]} {each};" for each in actions]


def sequence(snapshot: Snapshot, key: Key, _: Attributes, changes: Mapping[str, tuple[Any, Any]]) -> Iterator[str]:
    """Its options, its owner."""
    wanted = snapshot.objects[key]
    if set(changes) - {"owned_by", "unlogged"}:
        yield f"ALTER SEQUENCE {key[1]} AS {wanted['type']} {sequence_options(wanted, every=True)};"
    if "owned_by" in changes:
        yield f"ALTER SEQUENCE {key[1]} OWNED BY {wanted.get('owned_by', 'NONE')};"
    if "unlogged" in changes:
        yield f"ALTER SEQUENCE {key[1]} SET {'UNLOGGED' if wanted.get('unlogged') else 'LOGGED'};"


def stateful(snapshot: Snapshot, key: Key, _: Attributes, changes: Mapping[str, tuple[Any, Any]]) -> list[str] | None:
    """Whether a trigger or a rule fires."""
    if set(changes) != {"enabled"}:
        return None
    enabled = snapshot.objects[key].get("enabled")
    return [event_state(key[1], enabled) if key[0] == "event trigger" else state(key[1], enabled, key[0].upper())]


def statistics(snapshot: Snapshot, key: Key, _: Attributes, changes: Mapping[str, tuple[Any, Any]]) -> list[str] | None:
    """The target."""
    if set(changes) != {"target"}:
        return None
    return [f"ALTER STATISTICS {key[1]} SET STATISTICS {snapshot.objects[key].get('target', -1)};"]


def extension(_: Snapshot, key: Key, __: Attributes, changes: Mapping[str, tuple[Any, Any]]) -> Iterator[str]:
    """Version and schema."""
    if "version" in changes:
        yield f"ALTER EXTENSION {key[1]} UPDATE TO {literal(changes['version'][0])};"
    if "schema" in changes:
        yield f"ALTER EXTENSION {key[1]} SET SCHEMA {changes['schema'][0]};"


def server(_: Snapshot, key: Key, __: Attributes, changes: Mapping[str, tuple[Any, Any]]) -> list[str] | None:
    """Version and options."""
    if not set(changes) <= {"version", "options"}:
        return None
    version = f" VERSION {literal(changes['version'][0] or '')}" if "version" in changes else ""
    options = f" {changed_options(*changes['options'])}" if "options" in changes else ""
    return [f"ALTER {key[0].upper()} {key[1]}{version}{options};"]


def grant(snapshot: Snapshot, key: Key, is_now: Attributes, _: Mapping[str, tuple[Any, Any]]) -> list[str]:
    """Back to the usual rights, and from there on."""
    return [*rights.ungrant(is_now), *rights.grant(snapshot.objects[key])]


def default_privileges(snapshot: Snapshot, key: Key, is_now: Attributes, _: Mapping[str, tuple[Any, Any]]) -> list[str]:
    """The same for default privileges."""
    return [*rights.default_privileges(is_now, back=True), *rights.default_privileges(snapshot.objects[key])]


def comment(snapshot: Snapshot, key: Key, _: Attributes, __: Mapping[str, tuple[Any, Any]]) -> list[str]:
    """The text."""
    return [rights.comment(snapshot.objects[key], snapshot.objects[key]["text"])]


ALTER: dict[str, Callable[[Snapshot, Key, Attributes, Mapping[str, tuple[Any, Any]]], Iterable[str] | None]] = {
    "column": column,
    "table": table,
    "column order": order,
    "constraint": constraint,
    "index": index,
    "view": view,
    "materialized view": view,
    "function": function,
    "procedure": function,
    "type": type_,
    "domain": domain,
    "sequence": sequence,
    "trigger": stateful,
    "rule": stateful,
    "event trigger": stateful,
    "statistics": statistics,
    "extension": extension,
    "server": server,
    "foreign data wrapper": server,
    "grant": grant,
    "default privileges": default_privileges,
    "comment": comment,
    "hypertable": timescale_alteration.hypertable,
    "continuous aggregate": timescale_alteration.aggregate,
    "job": timescale_alteration.job,
}
