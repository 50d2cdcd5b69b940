"""Refresh policies that a plan sets to erode an aggregate: they reach further back than its source will be kept. Pure.

What counts is how things stand once all files have run: an old file that a later one mends is no fault, nor is what the
database has already, of which `verify` tells. As in `refusing`, only what is certain counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidelock.core.lint.known import meant
from tidelock.core.lint.refusing import LIVE
from tidelock.core.lint.timescale.sight import drop_after, retention, start_offset

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tidelock.core.lint.known import Known, Policy
    from tidelock.core.lint.look import Look
    from tidelock.core.lint.refusing import Doubt, Pending
    from tidelock.core.model import Place
    from tidelock.core.statement import Script

ALTERS = ("alter_job", "delete_job")
"""They know jobs by their numbers: whose policy it is, no file says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erosion:
    """An aggregate that will lose bucket after bucket."""

    aggregate: str
    source: str
    start: str
    """How far back the policy refreshes, as written; empty for NULL: to the beginning."""
    kept: str
    """How long the source is kept, as written."""
    place: Place
    """Of the statement that completes it."""
    paths: frozenset[str]
    """The pending files that have a part in it."""


@dataclass(slots=True)
class Witness:
    """Sees the statements that are sure to run."""

    sure: set[Place] = field(default_factory=set)
    doubt: Doubt | None = None
    """What was in doubt; at the end, of the plan as a whole."""

    def see(self, look: Look, doubt: Doubt) -> None:
        """One more."""
        self.sure.add(look.statement.place)
        self.doubt = doubt


Pair = tuple[str, str, float, float]
"""Aggregate, source, start_offset, drop_after."""


def pairs(known: Known) -> Iterator[tuple[Pair, Policy, Policy]]:
    """Each refresh policy that reaches further back than a retention policy keeps what it reads; with both."""
    for aggregate in known.aggregates.values():
        keeps = retention(known, aggregate.source)
        after = drop_after(keeps)
        for refresh in known.refreshes.get(aggregate.name, []):
            start = start_offset(refresh)
            if keeps is not None and start is not None and after is not None and start > after:
                yield (aggregate.name, aggregate.source, start, after), refresh, keeps


def paused(schema: Script) -> frozenset[Place]:
    """Where policies of the live database are made that are switched off."""
    return frozenset(
        each.place
        for each in schema.statements
        for action in each.facts.actions
        if action.name.endswith("alter_job") and action.arguments.get("scheduled") is False
    )


def brought(
    known: Known, before: Iterable[Pair], witness: Witness, pending: Sequence[Pending], off: frozenset[Place]
) -> Iterator[Erosion]:
    """What the plan brings; `known` has learnt it, `before` is what the database had."""
    doubt = witness.doubt
    if doubt is None or doubt.everything or any(map(alters, pending)):
        return
    had = set(before)
    files = {one.place: each.migration.path for each in pending for one in each.script.statements}
    order = {place: at for at, place in enumerate(files)}
    for pair, *policies in pairs(known):
        aggregate, source = pair[:2]
        refresh, keeps = policies
        ours = [each.place for each in policies if each.place.path != LIVE]
        theirs = [each.place for each in policies if each.place.path == LIVE]
        bare = {each.rpartition(".")[2] for each in (aggregate, source)}
        unsure = doubt.unqualified or bare & doubt.words or not witness.sure.issuperset(ours)
        if pair in had or not ours or unsure or any(same(each, off) for each in theirs):
            continue
        yield Erosion(
            aggregate=aggregate,
            source=source,
            start=str(refresh.given(1, "start_offset") or ""),
            kept=str(keeps.given(1, "drop_after")),
            place=max(ours, key=order.__getitem__),
            paths=frozenset(files[each] for each in ours),
        )


def alters(pending: Pending) -> bool:
    """A file of the plan changes jobs by their numbers: which, and to what, nobody can say."""
    return any(each in text for text in pending.script.sources.values() for each in ALTERS)


def same(place: Place, places: frozenset[Place]) -> bool:
    """Whether a place is on a line of these: what is learnt of the live schema keeps the line alone."""
    return any(place.line == each.line for each in places)


def accepted(erosion: Erosion, pending: Iterable[Pending]) -> bool:
    """`-- tidelock: accept-loss NAME: why` stands in a file that has a part in it."""
    return any(
        directive.name == "accept-loss" and meant(directive) == erosion.aggregate
        for each in pending
        if each.migration.path in erosion.paths
        for directive in each.migration.directives
    )
