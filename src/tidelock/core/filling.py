"""What an aggregate that was made anew still lacks, and what of its old rows no refresh may touch. Pure.

When it was rebuilt, its old definition told which buckets the raw data holds whole. Its new definition cannot: all rows
differ from what it gives.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tidelock.core.aggregates import Span
from tidelock.core.windows import clipped, merged, without

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """Of one aggregate."""

    empty: tuple[Span, ...] = ()
    """Where raw data was when it was rebuilt, in whole old buckets, and nothing has been computed anew since: all that
    it has there is replaced."""
    stays: tuple[Span, ...] = ()
    """Old buckets that the raw data held no more, or in part only: they stay as they are, for ever."""
    since: int | None = None
    """Where the raw rows began then."""
    begins: int | None = None
    """Where the first chunk that was made in the order of time began then: a late row does not move it back."""

    def filled(self, done: Iterable[Span]) -> Fill:
        """The same, after some of it was refreshed."""
        over = merged(done)
        return replace(self, empty=tuple(part for each in self.empty for part in reversed(without(each, over))))

    def from_now(self, raw: Span | None, begins: int | None, after: Callable[[int], int]) -> Fill:
        """The same, when retention has gone on since. `after`: from a point on, the first bucket that is whole."""
        if raw is None:
            return replace(self, empty=())
        pairs = ((self.since, raw.start), (self.begins, begins))
        moved = [now for then, now in pairs if then is not None and now is not None and now > then]
        return replace(self, empty=tuple(clipped(self.empty, after(max(moved)), None))) if moved else self

    def aligned(self, edges: Callable[[Sequence[int]], Sequence[tuple[int, int]]]) -> Fill:
        """The same in whole new buckets: none that an old one reaches into is computed."""
        points = [point for each in (*self.empty, *self.stays) for point in (each.start, each.end - 1)]
        around = dict(zip(points, edges(points), strict=True))
        found = [
            [Span(start=around[each.start][0], end=around[each.end - 1][1], kind=each.kind) for each in spans]
            for spans in (self.empty, self.stays)
        ]
        return replace(self, empty=tuple(merged(found[0])), stays=tuple(merged(found[1])))

    def widened(self, occupied: Sequence[Span]) -> list[Span]:
        """Where rows are, and the beginning of the old bucket that the first of them are in."""
        found = []
        for number, each in enumerate(occupied):
            start = min((one.start for one in self.empty if one.start < each.start < one.end), default=each.start)
            free = number == 0 or occupied[number - 1].end <= start
            found.append(replace(each, start=start) if free else each)
        return merged(found)

    def settles(self, start: int) -> bool:
        """What becomes of a bucket that begins there is known."""
        return any(each.start <= start < each.end for each in (*self.empty, *self.stays))


def detail_of(fill: Fill, number: int, refreshed: int = 0) -> dict[str, Any]:
    """For the journal. `number`: of the materialized hypertable; `refreshed`: windows that the journal had by then."""
    return {
        "number": number,
        "kind": next((each.kind for each in (*fill.empty, *fill.stays)), ""),
        "since": fill.since,
        "begins": fill.begins,
        "refreshed": refreshed,
        "empty": [[each.start, each.end] for each in fill.empty],
        "stays": [[each.start, each.end] for each in fill.stays],
    }


def read(rebuilt: Iterable[Mapping[str, Any]], refreshed: Sequence[Mapping[str, Any]], number: int) -> Fill | None:
    """What the journal says of an aggregate; None when it was neither rebuilt nor given a column."""
    found = [one for each in rebuilt for one in each.get("fill", ()) if one["number"] == number]
    if not found:
        return None
    kind = found[-1]["kind"]

    def spans(pairs: Iterable[Sequence[int]]) -> tuple[Span, ...]:
        return tuple(Span(start=start, end=end, kind=kind) for start, end in pairs)

    last = found[-1]
    starts = {"since": last["since"], "begins": last.get("begins")}
    fill = Fill(empty=spans(last["empty"]), stays=spans(last["stays"]), **starts)
    done = [(each["from"], each["to"]) for each in refreshed[last["refreshed"] :] if each.get("number") == number]
    return fill.filled(spans(done))


def sealed(fill: Fill, had: Span | None) -> Fill:
    """Computed anew is only what is empty; `had`: where the aggregate has rows. Of one that was made of other buckets,
    and of one that reads a rebuilt one, whose old rows may lack what this is made of.
    """
    if had is None:
        return fill
    first = min((each.start for each in fill.empty), default=had.end)
    old = Span(start=had.start, end=first, kind=had.kind)
    stays = [each for each in (old, *gaps(fill.empty)) if each.start < each.end]
    return replace(fill, stays=tuple(merged([*fill.stays, *stays])))


def gaps(spans: Sequence[Span]) -> list[Span]:
    """What lies between them."""
    found = [Span(start=one.end, end=other.start, kind=one.kind) for one, other in pairwise(spans)]
    return [each for each in found if each.start < each.end]
