"""A fallback script for a critical table, made from the migration that creates it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidelock.core.facts import facts_of
from tidelock.errors import UsageFault
from tidelock.repo.directory import shown_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
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


@dataclass(frozen=True, slots=True)
class Fallback:
    """A script that was written."""

    path: str
    setting: str
    """What tidelock.toml wants."""
    warnings: tuple[str, ...]
    """What a person should look at before relying on it."""


def create(
    directory: Path, table: str, scripts: Sequence[tuple[Migration, Script]], *, project: Path, database: str = ""
) -> Fallback:
    """Write the script beside the migrations' directory, or beside tidelock.toml, in `project`, if that lies lower.

    `database` is the `[databases.NAME]` that the directory is of.
    """
    made = [(file, script) for file, script in scripts if any(creates(each, table) for each in script.statements)]
    if not made:
        known = [item.qualified for _, script in scripts for each in script.statements for item in tables(each)]
        raise NoSuchTable(table, known)
    file, script = made[0]
    beside = directory.parent if directory.parent.resolve().is_relative_to(project.resolve()) else project
    folder = beside / "fallback"
    folder.mkdir(exist_ok=True)
    path = folder / f"{file.label.split()[0]}_{re.sub(r'[^a-zA-Z0-9]+', '_', table)}.sql"
    statements = [guarded(each) for each in wanted(script, table)]
    text = HEAD.format(table=table, path=file.path) + "".join(f"\n{each};\n" for each in statements)
    try:
        with path.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError:
        raise AlreadyThere(shown(path)) from None
    setting = SETTING.format(table=table, version=file.version, path=os.path.relpath(path, project))
    setting += f'database = "{database}"\n' if database else ""
    return Fallback(shown(path), setting, tuple(warnings(statements, scripts)))


def warnings(statements: Sequence[str], scripts: Sequence[tuple[Migration, Script]]) -> Iterator[str]:
    """What the script counts on and does not make, and what of it cannot run twice."""
    facts = [facts_of(each) for each in statements]
    own = {bare(made.name) for each in facts for made in each.creates}
    for each in facts:
        for name in sorted({lock.table for lock in each.locks if bare(lock.table) not in own}):
            yield (
                f"it refers to {name}{maker(name, scripts)}: when that is not there, the fallback fails; take the "
                "reference out, or make that table in the same script"
            )
    for text, each in zip(statements, facts, strict=True):
        if each.creates and not each.guarded:
            yield f"{' '.join(text.split())[:60]}… is without IF NOT EXISTS: it fails where that is there already"


def maker(table: str, scripts: Sequence[tuple[Migration, Script]]) -> str:
    """` (of 001 base)`: the migration that creates it."""
    made = (file for file, script in scripts if any(creates(each, table) for each in script.statements))
    return next((f" (of {file.label})" for file in made), "")


def bare(name: str) -> str:
    """Without its schema."""
    return name.rpartition(".")[2]


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
        of_it = any(item.kind == "index" and bare(item.parent) == bare(table) for item in each.facts.creates)
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
