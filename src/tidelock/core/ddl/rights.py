"""GRANT, REVOKE, ALTER DEFAULT PRIVILEGES, COMMENT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.ddl.words import above, bare, in_this_database, literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tidelock.core.snapshot import Attributes

GRANTED_ON = {
    "table": "TABLE",
    "view": "TABLE",
    "materialized view": "TABLE",
    "continuous aggregate": "TABLE",
    "sequence": "SEQUENCE",
    "schema": "SCHEMA",
    "function": "FUNCTION",
    "procedure": "PROCEDURE",
    "aggregate": "FUNCTION",
    "type": "TYPE",
    "domain": "DOMAIN",
    "server": "FOREIGN SERVER",
    "foreign data wrapper": "FOREIGN DATA WRAPPER",
    "database": "DATABASE",
}
OPTION = " WITH GRANT OPTION"


def grant(attributes: Attributes) -> list[str]:
    """What makes the rights of one role on one object out of the usual ones."""
    return [
        *change(attributes, "REVOKE", attributes.get("revoked")),
        *change(attributes, "GRANT", attributes.get("granted")),
    ]


def ungrant(attributes: Attributes) -> list[str]:
    """What takes them back."""
    granted = [each.removesuffix(OPTION) for each in attributes.get("granted", ())]
    return [*change(attributes, "REVOKE", granted), *change(attributes, "GRANT", attributes.get("revoked"))]


def change(attributes: Attributes, verb: str, rights: Sequence[str] | None) -> Iterator[str]:
    """GRANT or REVOKE, those with the grant option by themselves."""
    for option in ("", OPTION):
        chosen = [each.removesuffix(OPTION) for each in rights or () if each.endswith(OPTION) == bool(option)]
        if chosen:
            yield statement(attributes, verb, chosen, option)


def statement(attributes: Attributes, verb: str, rights: Sequence[str], option: str) -> str:
    """One GRANT or REVOKE."""
    kind, name = attributes["on"], attributes["object"]
    words = ", ".join(rights)
    if kind == "column":
        column, name, kind = bare(name), above(name), "table"
        words = ", ".join(f"{each} ({column})" for each in rights)
    role = "CURRENT_USER" if attributes["to"] == "OWNER" else attributes["to"]
    end = f"{'TO' if verb == 'GRANT' else 'FROM'} {role}{option}"
    if kind == "database":
        return in_this_database(f"{verb} {words} ON DATABASE %I {end}")
    return f"{verb} {words} ON {GRANTED_ON[kind]} {name} {end};"


def default_privileges(attributes: Attributes, *, back: bool = False) -> list[str]:
    """ALTER DEFAULT PRIVILEGES, or what takes it back."""
    maker = f" FOR ROLE {attributes['maker']}" if "maker" in attributes else ""
    schema = f" IN SCHEMA {attributes['schema']}" if "schema" in attributes else ""
    role = "CURRENT_USER" if attributes["to"] == "OWNER" else attributes["to"]
    found = []
    for verb, rights in (("REVOKE", attributes.get("revoked")), ("GRANT", attributes.get("granted"))):
        if not rights:
            continue
        word = verb if not back else {"REVOKE": "GRANT", "GRANT": "REVOKE"}[verb]
        plain = ", ".join(each.removesuffix(OPTION) for each in rights)
        option = OPTION if word == "GRANT" and any(each.endswith(OPTION) for each in rights) else ""
        end = f"{'TO' if word == 'GRANT' else 'FROM'} {role}{option}"
        found.append(f"ALTER DEFAULT PRIVILEGES{maker}{schema} {word} {plain} ON {attributes['on']} {end};")
    return found


def comment(attributes: Attributes, text: str | None) -> str:
    """COMMENT ON … IS …"""
    kind, name = attributes["on"], attributes["object"]
    value = "NULL" if text is None else literal(text)
    if kind in ("constraint", "trigger", "rule", "policy"):
        return f"COMMENT ON {kind.upper()} {bare(name)} ON {above(name)} IS {value};"
    words = {"continuous aggregate": "VIEW", "cast": "CAST"}.get(kind, kind.upper())
    return f"COMMENT ON {words} {f'({name})' if kind == 'cast' else name} IS {value};"
