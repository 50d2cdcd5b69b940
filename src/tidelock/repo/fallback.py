"""A fallback script for a critical table, made from the migration that creates it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from tidelock.errors import UsageFault
from tidelock.repo.directory import shown_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tidelock.core.model import Migration
    from tidelock.core.statement import Object, Script, Statement

GUARDS = (
    (re.compile(r"^(CREATE\s+(?:UNLOGGED\s+)?TABLE)\s+(?!IF\b)", re.IGNORECASE), r"\1 IF NOT EXISTS "),
    (
        re.compile(r"^(CREATE\s+(?:UNIQUE\s+)?INDEX)\s+(?!IF\b|CONCURRENTLY\b|ON\b)", re.IGNORECASE),
        r"\1 IF NOT EXISTS ",
    ),
    (re.compile(r"^(CREATE\s+SEQUENCE)\s+(?!IF\b)", re.IGNORECASE), r"\1 IF NOT EXISTS "),
)
HEAD = """\
-- Fallback for the critical table {table}: runs when {path} could not be applied,
-- so that the application can start. Keep it as that migration has it, and able to run twice; the migration, once
-- mended, has to accept what is here.
"""
SETTING = """\
[[critical]]
table = "{table}"
migration = {version}
fallback = "{path}"
"""


class NoSuchTable(UsageFault):
    """No migration creates the table."""

    code = "U016"

    def __init__(self, table: str, known: Sequence[str]) -> None:
        from difflib import get_close_matches

        near = get_close_matches(table, known, n=1)
        super().__init__(
            f"no migration creates a table {table}",
            hint=f"did you mean {near[0]}?" if near else "name it as its CREATE TABLE does",
        )


def create(directory: Path, table: str, scripts: Sequence[tuple[Migration, Script]]) -> tuple[str, str]:
    """Write the script beside the migrations' directory; returns its path and what tidelock.toml wants."""
    made = [(file, script) for file, script in scripts if any(creates(each, table) for each in script.statements)]
    if not made:
        known = [item.qualified for _, script in scripts for each in script.statements for item in tables(each)]
        raise NoSuchTable(table, known)
    file, script = made[0]
    folder = directory.parent / "fallback"
    folder.mkdir(exist_ok=True)
    path = folder / f"{file.label.split()[0]}_{re.sub(r'[^a-zA-Z0-9]+', '_', table)}.sql"
    text = HEAD.format(table=table, path=file.path) + "".join(f"\n{guarded(each)};\n" for each in wanted(script, table))
    try:
        with path.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError:
        raise AlreadyThere(shown(path)) from None
    return shown(path), SETTING.format(table=table, version=file.version, path=os.path.relpath(path, directory.parent))


class AlreadyThere(UsageFault):
    """A fallback of that name is there."""

    code = "U017"

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is there already", hint="edit it, or remove it first")


def shown(path: Path) -> str:
    """As people see it."""
    return f"{shown_path(path.parent)}/{path.name}"


def tables(statement: Statement) -> list[Object]:
    """The tables that it creates."""
    return [each for each in statement.facts.creates if each.kind == "table"]


def creates(statement: Statement, table: str) -> bool:
    """It is the table's CREATE TABLE."""
    return any(table in (each.qualified, each.name) for each in tables(statement))


def wanted(script: Script, table: str) -> list[Statement]:
    """What the table is made of: itself, and its plain indexes."""
    found = []
    for each in script.statements:
        bare = table.rpartition(".")[2]
        of_it = any(item.kind == "index" and item.parent.rpartition(".")[2] == bare for item in each.facts.creates)
        if creates(each, table) or (of_it and not each.facts.alone and named_index(each)):
            found.append(each)
    return found


def named_index(statement: Statement) -> bool:
    """An index without a name would be made again each time."""
    return all(each.name for each in statement.facts.creates)


def guarded(statement: Statement) -> str:
    """The statement with IF NOT EXISTS."""
    text = statement.text.strip()
    for pattern, replacement in GUARDS:
        text = pattern.sub(replacement, text)
    return text
