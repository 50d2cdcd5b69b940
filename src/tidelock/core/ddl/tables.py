"""CREATE TABLE: columns and the constraints that can stand inside, partitions, inheritance, foreign tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidelock.core.ddl.words import above, bare, foreign_options, sequence_options, storage_options
from tidelock.core.snapshot import needs, wholes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tidelock.core.snapshot import Attributes, Key, Snapshot

INSIDE = ("column", "table", "type", "domain", "extension", "schema", "collation", "sequence")
"""What a constraint may need and stand inside of CREATE TABLE: nothing that may need the table itself."""


def table(snapshot: Snapshot, name: str) -> str:
    """CREATE TABLE, and what can only be said about it afterwards."""
    attributes = snapshot.objects["table", name]
    attached = "partition_of" in attributes and any(not each.get("inherited") for _, each in columns(snapshot, name))
    lines = [
        *(
            f"    {column_line(key, each, typed='of' in attributes)}"
            for key, each in columns(snapshot, name)
            if ("of" not in attributes or each.keys() & OPTIONS) and (attached or not each.get("inherited"))
        ),
        *(
            f"    CONSTRAINT {bare(key[1])} {snapshot.objects[key]['definition']}"
            for key in inline(snapshot, name)
        ),
    ]  # fmt: skip
    body = " (\n" + ",\n".join(lines) + "\n)" if lines else " ()"
    if "partition_of" in attributes and not attached:
        body = f" PARTITION OF {attributes['partition_of']}{body if lines else ''} {attributes['bound']}"
    elif "of" in attributes:
        body = f" OF {attributes['of']}{body if lines else ''}"
    kind = "FOREIGN TABLE" if "server" in attributes else "UNLOGGED TABLE" if attributes.get("unlogged") else "TABLE"
    statements = [f"CREATE {kind} {name}{body}{tail(attributes)};"]
    if attached:
        statements.append(f"ALTER TABLE {attributes['partition_of']} ATTACH PARTITION {name} {attributes['bound']};")
    return "\n".join([*statements, *column_extras(snapshot, name), *table_extras(name, attributes)])


def columns(snapshot: Snapshot, name: str) -> list[tuple[Key, Attributes]]:
    """The columns of a table in their order."""
    order = snapshot.objects.get(("column order", name), {}).get("columns", [])
    keys = [("column", f"{name}.{each}") for each in order]
    return [(key, snapshot.objects[key]) for key in keys if key in snapshot.objects]


def inline(snapshot: Snapshot, name: str) -> list[Key]:
    """The constraints that stand inside of CREATE TABLE."""
    keys = (("constraint", key[1]) for key in snapshot.parts().get(("table", name), ()) if key[0] == "constraint")
    return sorted(key for key in keys if is_inline(snapshot, key))


def is_inline(snapshot: Snapshot, key: Key) -> bool:
    """A constraint that needs nothing but the table and its types, and is valid."""
    attributes = snapshot.objects[key]
    own = above(key[1])
    if attributes["type"] in ("foreign key", "not null") or attributes.get("not_validated"):
        return False
    return all(each[0] in INSIDE and (each[0] != "column" or above(each[1]) == own) for each in needs(attributes))


def tail(attributes: Attributes) -> str:
    """What follows the columns."""
    words = []
    if "inherits" in attributes:
        words.append(f" INHERITS ({', '.join(attributes['inherits'])})")
    if "partition_by" in attributes:
        words.append(f" PARTITION BY {attributes['partition_by']}")
    if "method" in attributes:
        words.append(f" USING {attributes['method']}")
    if "options" in attributes:
        words.append(f" WITH ({storage_options(attributes['options'])})")
    if "tablespace" in attributes:
        words.append(f" TABLESPACE {attributes['tablespace']}")
    if "server" in attributes:
        words.append(f" SERVER {attributes['server']}")
    if "foreign_options" in attributes:
        words.append(f" {foreign_options(attributes['foreign_options'])}")
    return "".join(words)


OPTIONS = {"generated", "default", "not_null"}
"""What a column of a typed table may have of its own."""


def column_line(key: Key, attributes: Attributes, *, typed: bool = False) -> str:
    """One column, as in CREATE TABLE or ADD COLUMN; in a `typed` table it has its type from there."""
    words = [bare(key[1]), "WITH OPTIONS" if typed else attributes["type"]]
    if typed:
        attributes = {name: value for name, value in attributes.items() if name in OPTIONS | {"virtual"}}
    if "foreign_options" in attributes:
        words.append(foreign_options(attributes["foreign_options"]))
    if "compression" in attributes:
        words.append(f"COMPRESSION {attributes['compression']}")
    if "collation" in attributes:
        words.append(f"COLLATE {attributes['collation']}")
    if "generated" in attributes:
        how = "VIRTUAL" if attributes.get("virtual") else "STORED"
        words.append(f"GENERATED ALWAYS AS ({attributes['generated']}) {how}")
    if "identity" in attributes:
        words.append(identity(attributes["identity"]))
    if "default" in attributes:
        words.append(f"DEFAULT {attributes['default']}")
    if attributes.get("not_null"):
        words.append("NOT NULL")
    return " ".join(words)


def identity(attributes: Mapping[str, Any]) -> str:
    """GENERATED … AS IDENTITY, with its sequence."""
    how = "ALWAYS" if attributes.get("always") else "BY DEFAULT"
    options = f"SEQUENCE NAME {attributes['name']} {sequence_options(attributes)}".rstrip()
    return f"GENERATED {how} AS IDENTITY ({options})"


def column_extras(snapshot: Snapshot, name: str) -> Iterator[str]:
    """What no column definition can say; and in what an inherited column differs from its parent's."""
    for key, attributes in columns(snapshot, name):
        if attributes.get("inherited"):
            yield from inherited(snapshot, key)
        else:
            yield from (f"{only(key)} {action};" for action in column_settings(attributes, {}))


def only(key: Key) -> str:
    """ALTER TABLE ONLY … ALTER COLUMN …"""
    return f"ALTER TABLE ONLY {above(key[1])} ALTER COLUMN {bare(key[1])}"


def inherited(snapshot: Snapshot, key: Key) -> Iterator[str]:
    """What a column has otherwise than that of the parent, which made it."""
    attributes = snapshot.objects[key]
    parent = next((snapshot.objects[each] for each in wholes(attributes) if each[0] == "column"), {})
    for action in (*against_parent(attributes, parent), *column_settings(attributes, parent)):
        yield f"{only(key)} {action};"


def against_parent(attributes: Attributes, parent: Attributes) -> Iterator[str]:
    """Default and NOT NULL of an inherited column."""
    if attributes.get("default") != parent.get("default"):
        yield f"SET DEFAULT {attributes['default']}" if "default" in attributes else "DROP DEFAULT"
    if attributes.get("not_null") and not parent.get("not_null"):
        yield "SET NOT NULL"


def column_settings(attributes: Attributes, parent: Attributes) -> Iterator[str]:
    """Storage, statistics, options."""
    if attributes.get("storage") != parent.get("storage") and "storage" in attributes:
        yield f"SET STORAGE {attributes['storage']}"
    if "statistics" in attributes:
        yield f"SET STATISTICS {attributes['statistics']}"
    if "options" in attributes:
        yield f"SET ({storage_options(attributes['options'])})"


def table_extras(name: str, attributes: Attributes) -> Iterator[str]:
    """Row security. Replica identity may name an index, and comes last."""
    if attributes.get("row_security"):
        yield f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;"
    if attributes.get("force_row_security"):
        yield f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY;"


def replica_identity(name: str, value: str | None) -> str:
    """ALTER TABLE … REPLICA IDENTITY …"""
    word = value or "DEFAULT"
    return f"ALTER TABLE {name} REPLICA IDENTITY {f'USING {word}' if word.startswith('INDEX') else word};"


def constraint(key: Key, attributes: Attributes) -> str:
    """ALTER TABLE … ADD CONSTRAINT."""
    suffix = " NOT VALID" if attributes.get("not_validated") else ""
    return f"ALTER TABLE {above(key[1])} ADD CONSTRAINT {bare(key[1])} {attributes['definition']}{suffix};"


def constraint_extras(key: Key, attributes: Attributes) -> Iterator[str]:
    """What a constraint has beside its definition."""
    table_name, name = above(key[1]), bare(key[1])
    if "options" in attributes:
        yield f"ALTER INDEX {above(table_name)}.{name} SET ({storage_options(attributes['options'])});"
    if attributes.get("clustered"):
        yield f"ALTER TABLE {table_name} CLUSTER ON {name};"
