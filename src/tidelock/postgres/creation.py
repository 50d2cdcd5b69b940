"""The CREATE TABLE of the ledger that a file may carry: its columns are honoured, and so it is made before all files.

Only a statement that does nothing else: what else makes a table of that name (DO, CREATE TABLE AS, TEMP, UNLOGGED, with
the words of another table) runs in its place, as written.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidelock.core.statement import Kind, Statement
from tidelock.postgres.ledger import OWN_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.core.statement import Item, Script
    from tidelock.postgres.ledger import Ledger

PLAIN = re.compile(r"create\s+table\b", re.IGNORECASE)
PATH = re.compile(r"""set\s+(?:session\s+|local\s+)?search_path\s*(?:=|\bto\b)\s*['"]?([\w$]+)""")


def first_in(scripts: Sequence[Script], ledger: Ledger) -> Statement | None:
    """The first that the files carry, when there is no ledger yet."""
    if ledger.exists or ledger.schema == OWN_SCHEMA:
        return None
    found = (each for script in scripts for each in script.statements if makes(each, script, ledger))
    return next(found, None)


def makes(item: Item, script: Script, ledger: Ledger) -> bool:
    """True for a plain CREATE TABLE of the ledger, where the file's search_path leads to it."""
    if not isinstance(item, Statement) or item.runtime or item.facts.command != "CREATE TABLE":
        return False
    if item.facts.alters or not PLAIN.match(item.text):  # PARTITION OF; TEMP, UNLOGGED
        return False
    found = (each for each in item.facts.creates if each.kind == "table" and each.name == ledger.table)
    table = next(found, None)
    return table is not None and (table.schema or led_to(item, script, ledger.schema)) == ledger.schema


def led_to(item: Item, script: Script, default: str) -> str:
    """The schema that the file's search_path leads to before an item; empty when nobody knows."""
    schema = default
    for each in script.statements:
        if each is item:
            break
        text = each.text.lower()
        if each.facts.sets not in ("search_path", "all") and (each.facts.kind is Kind.DDL or "search_path" not in text):
            continue
        found = PATH.match(text)
        schema = found[1] if found else default if text.startswith("reset") else ""
        schema = default if schema == "default" else schema
    return schema
