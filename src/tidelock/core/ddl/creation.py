"""CREATE for every kind but tables: from an object's attributes the statements that make it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.ddl import rights, tables, timescale
from tidelock.core.ddl.words import (
    above,
    bare,
    foreign_options,
    in_this_database,
    literal,
    sequence_options,
    setting_value,
    storage_options,
)
from tidelock.core.renaming import stem
from tidelock.core.snapshot import wholes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tidelock.core.snapshot import Attributes, Key, Snapshot

STATES = {"no": "DISABLE", "replica": "ENABLE REPLICA", "always": "ENABLE ALWAYS", "yes": "ENABLE", None: "ENABLE"}
"""`enabled` of triggers and rules → the words of ALTER TABLE."""


def create(snapshot: Snapshot, key: Key) -> str:
    """The statements that make one object; parts of it that are objects of their own are not among them."""
    kind, name = key
    attributes = snapshot.objects[key]
    if kind == "table":
        return tables.table(snapshot, name)
    if kind in ("hypertable", "continuous aggregate", "job"):
        return timescale.create(snapshot, key)
    if kind == "index" and attributes.get("of_aggregate"):
        return timescale.index(snapshot, key)
    return CREATE[kind](name, attributes)


def schema(name: str, _: Attributes) -> str:
    """CREATE SCHEMA."""
    return "" if name == "public" else f"CREATE SCHEMA {name};"


def extension(name: str, attributes: Attributes) -> str:
    """CREATE EXTENSION, in the version that was there."""
    place = "" if attributes["schema"] == "pg_catalog" else f" SCHEMA {attributes['schema']}"
    return f"CREATE EXTENSION IF NOT EXISTS {name} WITH{place} VERSION {literal(attributes['version'])};"


def type_(name: str, attributes: Attributes) -> str:
    """CREATE TYPE: an enum, a composite or a range."""
    if attributes["as"] == "enum":
        return f"CREATE TYPE {name} AS ENUM ({', '.join(map(literal, attributes.get('values', ())))});"
    if attributes["as"] == "composite":
        fields = ", ".join(map(field, attributes.get("attributes", ())))
        return f"CREATE TYPE {name} AS ({fields});"
    words = {
        "SUBTYPE": attributes["subtype"],
        "SUBTYPE_OPCLASS": attributes.get("operator_class"),
        "COLLATION": attributes.get("range_collation"),
        "CANONICAL": attributes.get("canonical"),
        "SUBTYPE_DIFF": attributes.get("difference"),
        "MULTIRANGE_TYPE_NAME": f'{above(name)}."{attributes["multirange"]}"',
    }
    return f"CREATE TYPE {name} AS RANGE ({listed(words)});"


def listed(words: Mapping[str, str | None]) -> str:
    """`A = x, B = y`."""
    return ", ".join(f"{word} = {value}" for word, value in words.items() if value is not None)


def field(attributes: Attributes) -> str:
    """One attribute of a composite type."""
    collation = f" COLLATE {attributes['collation']}" if "collation" in attributes else ""
    return f'"{attributes["name"]}" {attributes["type"]}{collation}'


def domain(name: str, attributes: Attributes) -> str:
    """CREATE DOMAIN."""
    words = [
        f"CREATE DOMAIN {name} AS {attributes['base']}",
        *([f"COLLATE {attributes['collation']}"] if "collation" in attributes else []),
        *([f"DEFAULT {attributes['default']}"] if "default" in attributes else []),
        *(["NOT NULL"] if attributes.get("not_null") else []),
        *(f'CONSTRAINT "{each}" {check}' for each, check in sorted(attributes.get("checks", {}).items())),
    ]
    return " ".join(words) + ";"


def sequence(name: str, attributes: Attributes) -> str:
    """CREATE SEQUENCE. Its column comes later."""
    kind = "" if attributes["type"] == "bigint" else f"AS {attributes['type']}"
    unlogged = "UNLOGGED " if attributes.get("unlogged") else ""
    return f"CREATE {unlogged}SEQUENCE {' '.join(filter(None, (name, kind, sequence_options(attributes))))};"


def owned(name: str, attributes: Attributes) -> str:
    """ALTER SEQUENCE … OWNED BY."""
    return f"ALTER SEQUENCE {name} OWNED BY {attributes.get('owned_by', 'NONE')};"


def column(name: str, attributes: Attributes) -> str:
    """ALTER TABLE … ADD COLUMN."""
    key = ("column", name)
    alter = f"ALTER TABLE {above(name)}"
    settings = (f"{alter} ALTER COLUMN {bare(name)} {each};" for each in tables.column_settings(attributes, {}))
    return "\n".join([f"{alter} ADD COLUMN {tables.column_line(key, attributes)};", *settings])


def constraint(name: str, attributes: Attributes) -> str:
    """ALTER TABLE … ADD CONSTRAINT."""
    key = ("constraint", name)
    return "\n".join([tables.constraint(key, attributes), *tables.constraint_extras(key, attributes)])


def index(_: str, attributes: Attributes) -> str:
    """CREATE INDEX, with what it has beside its definition."""
    return f"{attributes['definition']};"


def index_extras(snapshot: Snapshot, key: Key) -> list[str]:
    """CLUSTER ON, statistics targets."""
    attributes = snapshot.objects[key]
    table = next((each[1] for each in wholes(attributes) if each[0] in ("table", "materialized view")), "")
    found = [f"ALTER TABLE {table} CLUSTER ON {bare(key[1])};"] if attributes.get("clustered") else []
    targets = attributes.get("statistics", {}).items()
    if "attached_to" in attributes:
        found.append(f"ALTER INDEX {attributes['attached_to']} ATTACH PARTITION {key[1]};")
    return found + [f"ALTER INDEX {key[1]} ALTER COLUMN {number} SET STATISTICS {value};" for number, value in targets]


def view(name: str, attributes: Attributes, kind: str = "VIEW") -> str:
    """CREATE VIEW."""
    options = f" WITH ({storage_options(attributes['options'])})" if "options" in attributes else ""
    made = f"CREATE {kind} {name}{options} AS\n{attributes['definition']}"
    defaults = (
        f'ALTER VIEW {name} ALTER COLUMN "{column_}" SET DEFAULT {value};'
        for column_, value in sorted(attributes.get("defaults", {}).items())
    )
    return "\n".join([f"{made};", *defaults])


def materialized_view(name: str, attributes: Attributes) -> str:
    """CREATE MATERIALIZED VIEW, empty: what it reads may not be there yet."""
    return view(name, attributes, "MATERIALIZED VIEW").removesuffix(";") + "\nWITH NO DATA;"


def function(_: str, attributes: Attributes) -> str:
    """CREATE OR REPLACE FUNCTION or PROCEDURE."""
    return f"{attributes['definition']};"


def aggregate(name: str, attributes: Attributes) -> str:
    """CREATE AGGREGATE."""
    words = {word: str(value) for word, value in attributes.items() if word.isupper() and value is not True}
    flags = [word for word, value in attributes.items() if word.isupper() and value is True]
    return f"CREATE AGGREGATE {stem(name)}({attributes['arguments']}) ({', '.join([listed(words), *flags])});"


def trigger(name: str, attributes: Attributes) -> str:
    """CREATE TRIGGER, and whether it fires."""
    return with_state(name, attributes, "TRIGGER", f"{attributes['definition']};")


def rule(name: str, attributes: Attributes) -> str:
    """CREATE RULE."""
    return with_state(name, attributes, "RULE", attributes["definition"])


def with_state(name: str, attributes: Attributes, word: str, made: str) -> str:
    """The statement, and ALTER TABLE when it is not simply enabled."""
    return f"{made}\n{state(name, attributes.get('enabled'), word)}" if "enabled" in attributes else made


def state(name: str, enabled: str | None, word: str) -> str:
    """ALTER TABLE … DISABLE TRIGGER … and the like."""
    return f"ALTER TABLE {above(name)} {STATES[enabled]} {word} {bare(name)};"


def policy(name: str, attributes: Attributes) -> str:
    """CREATE POLICY."""
    words = [
        f"CREATE POLICY {bare(name)} ON {above(name)}",
        *(["AS RESTRICTIVE"] if attributes.get("restrictive") else []),
        *([f"FOR {attributes['command']}"] if "command" in attributes else []),
        *([f"TO {', '.join(attributes['roles'])}"] if "roles" in attributes else []),
        *([f"USING ({attributes['using']})"] if "using" in attributes else []),
        *([f"WITH CHECK ({attributes['check']})"] if "check" in attributes else []),
    ]
    return " ".join(words) + ";"


def statistics(name: str, attributes: Attributes) -> str:
    """CREATE STATISTICS."""
    made = f"{attributes['definition']};"
    return f"{made}\nALTER STATISTICS {name} SET STATISTICS {attributes['target']};" if "target" in attributes else made


def event_trigger(name: str, attributes: Attributes) -> str:
    """CREATE EVENT TRIGGER."""
    tags = f" WHEN TAG IN ({', '.join(map(literal, attributes['tags']))})" if "tags" in attributes else ""
    made = f"CREATE EVENT TRIGGER {name} ON {attributes['event']}{tags} EXECUTE FUNCTION {attributes['function']}();"
    return f"{made}\n{event_state(name, attributes.get('enabled'))}" if "enabled" in attributes else made


def event_state(name: str, enabled: str | None) -> str:
    """ALTER EVENT TRIGGER … DISABLE and the like."""
    return f"ALTER EVENT TRIGGER {name} {STATES[enabled]};"


def publication(name: str, attributes: Attributes) -> str:
    """CREATE PUBLICATION."""
    what = [
        *(f"TABLE {published(each, how)}" for each, how in sorted(attributes.get("tables", {}).items())),
        *(f"TABLES IN SCHEMA {each}" for each in attributes.get("schemas", ())),
    ]
    words = ["ALL TABLES"] if attributes.get("all_tables") else what
    options = {
        "publish": literal(attributes["publish"]) if "publish" in attributes else None,
        "publish_via_partition_root": "true" if attributes.get("via_root") else None,
    }
    suffix = f" WITH ({listed(options)})" if any(options.values()) else ""
    return f"CREATE PUBLICATION {name}{' FOR ' + ', '.join(words) if words else ''}{suffix};"


def published(name: str, how: Attributes) -> str:
    """One table of a publication."""
    columns = f" ({', '.join(how['columns'])})" if "columns" in how else ""
    return f"{name}{columns}" + (f" WHERE {how['where']}" if "where" in how else "")


def wrapper(name: str, attributes: Attributes) -> str:
    """CREATE FOREIGN DATA WRAPPER."""
    words = [
        f"CREATE FOREIGN DATA WRAPPER {name}",
        *([f"HANDLER {attributes['handler']}"] if "handler" in attributes else []),
        *([f"VALIDATOR {attributes['validator']}"] if "validator" in attributes else []),
        *([foreign_options(attributes["options"])] if "options" in attributes else []),
    ]
    return " ".join(words) + ";"


def server(name: str, attributes: Attributes) -> str:
    """CREATE SERVER."""
    words = [
        f"CREATE SERVER {name}",
        *([f"TYPE {literal(attributes['type'])}"] if "type" in attributes else []),
        *([f"VERSION {literal(attributes['version'])}"] if "version" in attributes else []),
        f"FOREIGN DATA WRAPPER {attributes['wrapper']}",
        *([foreign_options(attributes["options"])] if "options" in attributes else []),
    ]
    return " ".join(words) + ";"


def collation(name: str, attributes: Attributes) -> str:
    """CREATE COLLATION."""
    words = {
        "PROVIDER": attributes["provider"],
        "LC_COLLATE": quoted(attributes.get("lc_collate")),
        "LC_CTYPE": quoted(attributes.get("lc_ctype")),
        "LOCALE": quoted(attributes.get("locale")),
        "DETERMINISTIC": "false" if attributes.get("nondeterministic") else None,
    }
    return f"CREATE COLLATION {name} ({listed(words)});"


def quoted(text: str | None) -> str | None:
    """A literal, or nothing."""
    return None if text is None else literal(text)


def cast(name: str, attributes: Attributes) -> str:
    """CREATE CAST."""
    context = f" AS {attributes['context']}" if "context" in attributes else ""
    return f"CREATE CAST ({name}) {attributes['with']}{context};"


def operator(_: str, attributes: Attributes) -> str:
    """CREATE OPERATOR."""
    words = {
        "FUNCTION": attributes["function"],
        "LEFTARG": attributes.get("left"),
        "RIGHTARG": attributes.get("right"),
        "COMMUTATOR": attributes.get("commutator"),
        "NEGATOR": attributes.get("negator"),
        "RESTRICT": attributes.get("restrict"),
        "JOIN": attributes.get("join"),
    }
    flags = [word for word, name in (("HASHES", "hashes"), ("MERGES", "merges")) if attributes.get(name)]
    return f"CREATE OPERATOR {attributes['symbol']} ({', '.join([listed(words), *flags])});"


def setting(_: str, attributes: Attributes) -> str:
    """ALTER DATABASE … SET, or ALTER ROLE … IN DATABASE … SET."""
    name = attributes["setting"]
    if attributes.get("hidden"):
        return in_this_database(f"{of_role(attributes)} SET {name} TO ''") + " -- its value is not kept in a snapshot"
    return in_this_database(f"{of_role(attributes)} SET {name} TO {setting_value(name, attributes['value'])}")


def of_role(attributes: Attributes) -> str:
    """ALTER DATABASE %I, or ALTER ROLE … IN DATABASE %I."""
    return f"ALTER ROLE {attributes['role']} IN DATABASE %I" if "role" in attributes else "ALTER DATABASE %I"


CREATE: dict[str, Callable[[str, Attributes], str]] = {
    "schema": schema,
    "extension": extension,
    "type": type_,
    "domain": domain,
    "sequence": sequence,
    "column": column,
    "constraint": constraint,
    "index": index,
    "view": view,
    "materialized view": materialized_view,
    "function": function,
    "procedure": function,
    "aggregate": aggregate,
    "trigger": trigger,
    "rule": rule,
    "policy": policy,
    "statistics": statistics,
    "event trigger": event_trigger,
    "publication": publication,
    "foreign data wrapper": wrapper,
    "server": server,
    "collation": collation,
    "cast": cast,
    "operator": operator,
    "setting": setting,
    "grant": lambda _, attributes: "\n".join(rights.grant(attributes)),
    "default privileges": lambda _, attributes: "\n".join(rights.default_privileges(attributes)),
    "comment": lambda _, attributes: rights.comment(attributes, attributes["text"]),
    "column order": lambda *_: "",
}
