"""A database without a history: what each file makes, and how much of it is there."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from tidelock.core.adoption.match import Match, Verdict
from tidelock.core.statement import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidelock.core.model import Migration
    from tidelock.core.statement import Object, Script, Statement

SHOWN = 3
QUIET = (Kind.QUERY, Kind.SESSION, Kind.BEGIN, Kind.COMMIT)
MOVES = re.compile(r"\b(RENAME(?! VALUE)|SET SCHEMA)\b")


def made(script: Script) -> tuple[Object, ...]:
    """What is there when a file has run: what it makes and does not drop again."""
    found: dict[Object, None] = {}
    for statement in script.statements:
        if statement.runtime:
            continue
        for each in statement.facts.drops:
            found = {kept: None for kept in found if not gone(kept, each)}
        found.update(dict.fromkeys(statement.facts.creates))
    return tuple(found)


def gone(kept: Object, dropped: Object) -> bool:
    """Dropped by name, or with its table. A name without a schema may be the one with it."""
    same = (kept.kind, kept.name, bare(kept.parent)) == (dropped.kind, dropped.name, bare(dropped.parent))
    return same or (dropped.kind == "table" and bare(kept.parent) == dropped.name)


def bare(name: str) -> str:
    """Without its schema."""
    return name.rpartition(".")[2]


def still_wanted(scripts: Sequence[Script]) -> list[tuple[Object, ...]]:
    """For each file what it makes and no later file drops or renames: only that can be expected."""
    wanted: list[tuple[Object, ...]] = []
    dropped: list[Object] = []
    for script in reversed(scripts):
        wanted.append(tuple(each for each in made(script) if not any(gone(each, later) for later in dropped)))
        dropped += [each for statement in script.statements for each in (*statement.facts.drops, *moved(statement))]
    makers = Counter(each for objects in wanted for each in objects)
    # What two files make (OR REPLACE, IF NOT EXISTS) does not tell which of them has run.
    return [tuple(each for each in objects if makers[each] == 1) for objects in wanted[::-1]]


def moved(statement: Statement) -> tuple[Object, ...]:
    """What it renames or moves: under its old name nothing can be expected any more."""
    if not MOVES.search(statement.facts.command):
        return ()
    named = [each for each in statement.facts.alters if each.kind != "table"]
    return tuple(named) if named else statement.facts.alters


def unseen(script: Script) -> str:
    """What it does beside, and no look at the catalog shows: `INSERT, GRANT`."""
    words = (
        "COPY" if each.copy_data is not None else each.facts.command or "a statement that nobody can read"
        for each in script.statements
        if (each.copy_data is not None or not (each.facts.creates or each.facts.drops)) and each.facts.kind not in QUIET
    )
    return ", ".join(dict.fromkeys(words))


def judged(
    file: Migration, wanted: Sequence[Object], states: Mapping[Object, str | None], *, known: bool, beside: str
) -> Match:
    """Present, absent, partly there, or nothing that the catalog could show. `beside`: what it does unseen."""
    if known:
        return Match(migration=file, key="", verdict=Verdict.KNOWN, evidence="")
    asked = [each for each in wanted if states.get(each) is not None]
    there = [each for each in asked if states[each] == "present"]
    away = [each for each in asked if states[each] != "present"]
    if not asked:
        verdict, evidence = Verdict.ASK, "nothing that only it makes, and that the catalog shows"
    elif not away:
        aside = f"; not seen: {beside}" if beside else ""
        verdict, evidence = Verdict.APPLIED, f"present: {listed(there)}{aside}"
    elif not there:
        verdict, evidence = Verdict.PENDING, f"absent: {listed(away)}"
    else:
        verdict, evidence = Verdict.ASK, f"partly there: {listed(there)}; missing: {listed(away, states)}"
    return Match(migration=file, key="", verdict=verdict, evidence=evidence)


def listed(objects: Sequence[Object], states: Mapping[Object, str | None] | None = None) -> str:
    """`table a, index b (invalid) and 3 more`."""
    words = []
    for each in objects[:SHOWN]:
        invalid = " (invalid)" if states and states.get(each) == "invalid" else ""
        words.append(f"{each.kind} {each.qualified}{f' of {each.parent}' if each.parent else ''}{invalid}")
    more = len(objects) - SHOWN
    return ", ".join(words) + (f" and {more} more" if more > 0 else "")
