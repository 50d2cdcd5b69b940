"""A database without a history: what each file makes and ends, and how much of it is to be seen."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tidelock.core.adoption.match import Match, Verdict
from tidelock.core.statement import Kind, Object

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from tidelock.core.model import Migration
    from tidelock.core.statement import Script, Statement

SHOWN = 3
QUIET = (Kind.QUERY, Kind.SESSION, Kind.BEGIN, Kind.COMMIT)
RELATIONS = frozenset({"table", "view", "materialized view", "sequence", "index", "aggregate", "hypertable"})
"""Kinds that share their names."""
NOT_MISSED = frozenset({"function", "procedure", "role", "database", "tablespace"})
"""Kinds that may be there after their DROP: overloaded ones, and those that belong to the cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What one file leaves in the catalog."""

    makes: tuple[Object, ...] = ()
    """What only it makes, and nothing later ends: to be expected."""
    passing: tuple[Object, ...] = ()
    """What only it makes, and something later ends: where it is there, the file has run."""
    ends: tuple[Object, ...] = ()
    """What only it drops or renames, and nothing later makes again: where it is there, the file has not run."""

    @property
    def objects(self) -> tuple[Object, ...]:
        """All that the catalog is to be asked for."""
        return (*self.makes, *self.passing, *self.ends)


def traces(scripts: Sequence[Script]) -> list[Trace]:
    """What each file leaves, given what the others do."""
    all_made, all_ended = [made(each) for each in scripts], [ended(each) for each in scripts]
    ended_later: list[Object] = []
    kept: list[tuple[Object, ...]] = []
    for objects, ends in zip(reversed(all_made), reversed(all_ended), strict=True):
        kept.insert(0, tuple(each for each in objects if not any(gone(each, later) for later in ended_later)))
        ended_later += ends
    # What two files make (OR REPLACE, IF NOT EXISTS) does not tell which of them has run.
    expected = Counter(each for objects in kept for each in objects)
    makers = Counter(each for objects in all_made for each in objects)
    return [
        Trace(
            makes=tuple(each for each in kept[at] if expected[each] == 1),
            passing=tuple(each for each in objects if each not in kept[at] and makers[each] == 1),
            ends=tuple(missed(at, scripts, all_ended)),
        )
        for at, objects in enumerate(all_made)
    ]


def made(script: Script) -> tuple[Object, ...]:
    """What is there when a file has run: what it makes and does not end again."""
    found: dict[Object, None] = {}
    for statement in script.statements:
        if statement.runtime:
            continue
        for each in ended_by(statement):
            found = {kept: None for kept in found if not gone(kept, each)}
        found.update(dict.fromkeys(made_by(statement)))
    return tuple(found)


def made_by(statement: Statement) -> tuple[Object, ...]:
    """What a statement makes, new names and enum values among it."""
    facts = statement.facts
    values = (Object("enum value", value, parent=type_) for type_, value in facts.new_enum_values)
    return (*facts.creates, *(after for _, after in facts.renames), *values)


def ended_by(statement: Statement) -> tuple[Object, ...]:
    """What a statement drops, or takes the name of."""
    return (*statement.facts.drops, *(before for before, _ in statement.facts.renames))


def ended(script: Script) -> tuple[Object, ...]:
    """What a file drops or renames anywhere."""
    return tuple(each for statement in script.statements for each in ended_by(statement))


def missed(at: int, scripts: Sequence[Script], all_ended: Sequence[Sequence[Object]]) -> Iterable[Object]:
    """What a file ends for certain, what it makes itself left out, and what others end or later ones make."""
    certain = [each for each in scripts[at].statements if not each.runtime and each.facts.kind is not Kind.CODE]
    candidates = dict.fromkeys(each for statement in certain for each in ended_by(statement))
    if not candidates:
        return
    again = {key(each) for script in scripts[at:] for statement in script.statements for each in made_by(statement)}
    for each in candidates:
        by_others = any(gone(each, other) for place, ends in enumerate(all_ended) if place != at for other in ends)
        if each.kind not in NOT_MISSED and not by_others and not {key(each), key(table_of(each))} & again:
            yield each


def gone(kept: Object, dropped: Object) -> bool:
    """Ended by name, with its table or type, or with its schema. A name without a schema may be the one with it."""
    with_parent = dropped.kind in (*RELATIONS, "type") and bare(kept.parent) == dropped.name
    with_schema = dropped.kind == "schema" and kept.schema == dropped.name
    return key(kept) == key(dropped) or with_parent or with_schema


def key(item: Object) -> tuple[str, str, str]:
    """What makes two mentions the same object. An index is dropped without its table's name."""
    if item.kind in RELATIONS:
        return ("relation", item.name, "")
    return (item.kind, item.name, bare(item.parent))


def table_of(item: Object) -> Object:
    """The table that something belongs to; itself when it belongs to none."""
    return Object("table", bare(item.parent)) if item.parent else item


def bare(name: str) -> str:
    """Without its schema."""
    return name.rpartition(".")[2]


def unseen(script: Script) -> str:
    """What it does beside, and no look at the catalog shows: `INSERT, GRANT`."""
    words = (
        "COPY" if each.copy_data is not None else each.facts.command or "a statement that nobody can read"
        for each in script.statements
        if (each.copy_data is not None or not (made_by(each) or ended_by(each))) and each.facts.kind not in QUIET
    )
    return ", ".join(dict.fromkeys(words))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What the catalog shows of one file."""

    there: tuple[Object, ...]
    away: tuple[Object, ...]
    left: tuple[Object, ...]
    """What it should have ended."""
    ended: tuple[Object, ...]
    """What it ends, and is not there: weak, since it need never have been there."""

    @property
    def weak(self) -> bool:
        """Only what is not there speaks for it."""
        return bool(self.ended) and not (self.there or self.away or self.left)


def sight(trace: Trace, states: Mapping[Object, str | None]) -> Sight:
    """The states of a trace's objects, sorted."""
    asked = [each for each in trace.makes if states.get(each) is not None]
    passing = [each for each in trace.passing if states.get(each) == "present"]
    return Sight(
        there=(*(each for each in asked if states[each] == "present"), *passing),
        away=tuple(each for each in asked if states[each] != "present"),
        left=tuple(each for each in trace.ends if states.get(each) in ("present", "invalid")),
        ended=tuple(each for each in trace.ends if states.get(each) == "absent"),
    )


def judged(
    files: Sequence[Migration],
    scripts: Sequence[Script],
    told: Sequence[Trace],
    states: Mapping[Object, str | None],
    known: Container[int],
) -> list[Match]:
    """Present, absent, partly there, or nothing that the catalog could show; `known` are in the ledger."""
    sights = [sight(trace, states) for trace in told]
    found = [
        one(file, seen, states, known=file.version in known, beside=unseen(script))
        for file, script, seen in zip(files, scripts, sights, strict=True)
    ]
    makes = [{key(each) for each in made(script)} for script in scripts]
    return [
        believed(match, seen, makers(seen.ended, makes[:at], found)) if seen.weak else match
        for at, (match, seen) in enumerate(zip(found, sights, strict=True))
    ]


def makers(
    objects: Iterable[Object], before: Sequence[Container[object]], found: Sequence[Match]
) -> list[Verdict | None]:
    """What is known of the last file before that made each, by itself or with its table; None when no file did."""
    return [
        next(
            (
                found[at].verdict
                for at in range(len(before) - 1, -1, -1)
                if key(each) in before[at] or key(table_of(each)) in before[at]
            ),
            None,
        )
        for each in objects
    ]


def believed(match: Match, seen: Sight, before: Sequence[Verdict | None]) -> Match:
    """A file that only ends something: it has run where that had been there, and has not where that is yet to come."""
    if match.verdict is not Verdict.ASK:
        return match
    if all(each in (Verdict.APPLIED, Verdict.KNOWN) for each in before):
        return replace(match, verdict=Verdict.APPLIED, evidence=f"gone: {listed(seen.ended)}")
    if Verdict.PENDING in before:
        return replace(match, verdict=Verdict.PENDING, evidence=f"not made yet: {listed(seen.ended)}")
    return match


def one(file: Migration, seen: Sight, states: Mapping[Object, str | None], *, known: bool, beside: str) -> Match:
    """One file by what is seen of it. `beside`: what it does unseen."""
    if known:
        return Match(migration=file, key="", verdict=Verdict.KNOWN, evidence="")
    against = [
        *([f"missing: {listed(seen.away, states)}"] if seen.away else []),
        *([f"still there: {listed(seen.left)}"] if seen.left else []),
    ]
    aside = f"; not seen: {beside}" if beside else ""
    if seen.there and against:
        verdict, evidence = Verdict.ASK, f"partly there: {listed(seen.there)}; {'; '.join(against)}"
    elif seen.there:
        verdict, evidence = Verdict.APPLIED, f"present: {listed(seen.there)}{aside}"
    elif against:
        verdict, evidence = Verdict.PENDING, "; ".join(against).replace("missing: ", "absent: ")
    elif seen.ended:
        verdict, evidence = Verdict.ASK, f"not there: {listed(seen.ended)}; dropped, or never made?"
    else:
        verdict, evidence = Verdict.ASK, "nothing that only it makes, and that the catalog shows"
    return Match(migration=file, key="", verdict=verdict, evidence=evidence)


def listed(objects: Sequence[Object], states: Mapping[Object, str | None] | None = None) -> str:
    """`table a, index b (invalid) and 3 more`."""
    words = []
    for each in objects[:SHOWN]:
        invalid = " (invalid)" if states and states.get(each) == "invalid" else ""
        words.append(f"{each.kind} {each.qualified}{f' of {each.parent}' if each.parent else ''}{invalid}")
    more = len(objects) - SHOWN
    return ", ".join(words) + (f" and {more} more" if more > 0 else "")
