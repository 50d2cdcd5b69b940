"""Another tool's history against files that say what they were: applied, pending, edited, or for a person to say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from tidelock.core.adoption.tool import Style, Tool

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tidelock.core.model import Migration

WAS = re.compile(r"(?P<tool>[a-z][a-z-]*) (?P<key>\S.*?)(?: \((?P<more>[^()]*)\))?")
"""`was flyway 3.1 (-1319490205)`, `was alembic 0741 (after c048)`: what a file was, and what the tool knew it by."""


class State(StrEnum):
    """What the other tool's table says of one migration."""

    APPLIED = "applied"
    FAILED = "failed"
    DOUBTFUL = "doubtful"
    """Recorded without having been run, as far as the row tells."""
    BASELINE = "baseline"
    """Applied, as is every version below it, recorded or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of its history."""

    key: str
    state: State = State.APPLIED
    checksum: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What one tool has recorded in this database."""

    tool: Tool
    table: str
    """`schema.table`."""
    entries: Sequence[Entry]


class Verdict(StrEnum):
    """What becomes of a file."""

    APPLIED = "applied"
    PENDING = "pending"
    KNOWN = "in the ledger"
    ASK = "?"
    """A person has to say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One file, and what is to be made of it."""

    migration: Migration
    key: str
    """What it was; empty for a file that was nothing."""
    verdict: Verdict
    evidence: str
    """Why: `checksum equal`, `edited since: …`."""
    settled: bool = False
    """A person has said so."""


@dataclass(frozen=True, slots=True)
class Was:
    """A file's own word on what it was."""

    tool: str
    key: str
    sums: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


def was(migration: Migration) -> Was | None:
    """Its last `-- tidelock: was …` line on another tool, or else on itself."""
    lines = [found for each in migration.directives if each.name == "was" and (found := read_was(each.value))]
    return next((each for each in lines if each.tool != "file"), lines[0] if lines else None)


def read_was(value: str) -> Was | None:
    """What a line says."""
    found = WAS.fullmatch(value)
    if found is None:
        return None
    more, key = found["more"] or "", decoded(found["key"])
    if more.startswith("after "):
        return Was(found["tool"], key, after=tuple(map(decoded, more.removeprefix("after ").split(", "))))
    return Was(found["tool"], key, sums=tuple(each for each in more.split(" | ") if each))


SPECIAL = "%(),|"
"""What would be taken for a part of the line; in a key it stands as in a URL."""


def encoded(key: str) -> str:
    """A key as it stands in the line."""
    return "".join(f"%{ord(each):02X}" if each in SPECIAL or not each.isprintable() else each for each in key)


def decoded(text: str) -> str:
    """And back."""
    return re.sub(r"%([0-9A-F]{2})", lambda found: chr(int(found[1], 16)), text)


def compare(files: Sequence[Migration], history: History, known: Iterable[int]) -> list[Match]:
    """Each file against the history. Files that were nothing of this tool's are pending; `known` are in the ledger."""
    names = [(file, found if (found := was(file)) and found.tool == history.tool.name else None) for file in files]
    rows = _by_key(history, [found for _, found in names if found])
    in_ledger = set(known)
    matches: list[Match] = []
    broken = ""
    for file, found in names:
        if file.version in in_ledger:
            matches.append(_match(file, found, Verdict.KNOWN, ""))
        elif found is None:
            matches.append(_match(file, found, Verdict.PENDING, f"new, unknown to {history.tool.title}"))
        elif (entry := rows.get(found.key)) is None:
            matches.append(_match(file, found, Verdict.PENDING, "not in its history"))
        else:
            match = _judged(file, found, entry)
            edited = match.verdict is Verdict.ASK and entry.state is State.APPLIED
            if edited and history.tool.chained and broken:
                match = _match(file, found, Verdict.APPLIED, f"in its history; not provable behind {broken}, edited")
            elif edited:
                broken = file.label
            matches.append(match)
    return matches


def _match(file: Migration, found: Was | None, verdict: Verdict, evidence: str) -> Match:
    return Match(migration=file, key=found.key if found else "", verdict=verdict, evidence=evidence)


def _judged(file: Migration, found: Was, entry: Entry) -> Match:
    """A file with a row."""
    if entry.state not in (State.APPLIED, State.BASELINE):
        return _match(
            file, found, Verdict.ASK, f"{entry.state} in its history" + (f": {entry.note}" if entry.note else "")
        )
    if not entry.checksum or not found.sums or entry.state is State.BASELINE:
        return _match(file, found, Verdict.APPLIED, entry.note or "in its history; no checksum to prove it")
    if entry.checksum in found.sums:
        return _match(file, found, Verdict.APPLIED, "checksum equal")
    return _match(file, found, Verdict.ASK, f"edited since it was applied (recorded {entry.checksum[:16]})")


def _by_key(history: History, files: Sequence[Was]) -> Mapping[str, Entry]:
    """Key → row, for styles that record only the last one too."""
    rows = {each.key: each for each in history.entries}
    if history.tool.style is Style.HEADS:
        return _ancestors(rows, files)
    if history.tool.style is Style.REACHES and rows:
        return _reached(next(iter(rows.values())), sorted(int(each.key) for each in files if each.key.isdigit()))
    return _covered(rows, history.tool, files)


def _covered(rows: Mapping[str, Entry], tool: Tool, files: Sequence[Was]) -> Mapping[str, Entry]:
    """The rows, and the files that a baseline covers: the tool never runs what is not above it."""
    baselines = [found for each in rows.values() if each.state is State.BASELINE and (found := tool.version(each.key))]
    if not baselines:
        return rows
    highest = max(baselines)
    covered = {
        each.key: Entry(key=each.key, note="not above its baseline")
        for each in files
        if (version := tool.version(each.key)) and version <= highest
    }
    return {**covered, **rows}


def _reached(last: Entry, numbers: Sequence[int]) -> Mapping[str, Entry]:
    """All up to a number. When that one is dirty, its up may have failed, or the down of the next one."""
    version = int(last.key)
    found = {str(each): Entry(key=last.key, note=f"its version is {version}") for each in numbers if each <= version}
    if last.state is State.FAILED:
        found[last.key] = last
        if following := next((each for each in numbers if each > version), None):
            note = f"dirty at {version}: its way down may have failed"
            found[str(following)] = Entry(key=last.key, state=State.FAILED, note=note)
    return found


def _ancestors(heads: Mapping[str, Entry], files: Sequence[Was]) -> Mapping[str, Entry]:
    """The heads, and all that they come after."""
    after = {each.key: each.after for each in files}
    found: dict[str, Entry] = {}
    waiting = list(heads)
    while waiting:
        key = waiting.pop()
        if key not in found:
            found[key] = heads.get(key, Entry(key=key, note="comes before the recorded revision"))
            waiting += after.get(key, ())
    return found


def left_over(files: Sequence[Migration], history: History) -> list[str]:
    """Rows of the history that no file says it was."""
    keys = {found.key for file in files if (found := was(file)) and found.tool == history.tool.name}
    if history.tool.style is Style.REACHES:
        return []
    return [each.key for each in history.entries if each.key not in keys]
