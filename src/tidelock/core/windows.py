"""Which parts of an aggregate are refreshed, and in what order. Pure: numbers in, spans out.

An edge is where a bucket begins. All windows lie between edges, so that each holds whole buckets, whatever a bucket
is (months, days of a time zone): where edges are, the server says.
"""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidelock.core.aggregates import Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PARTS = 8
"""A chunk is cut into so many pieces, when its buckets are short enough: a window takes as many as it has time for."""
GROWTH = 4
"""A window may have so many times the pieces of the one before it."""


def marks(chunks: Iterable[Span]) -> list[int]:
    """Where to look for edges: chunks in parts, and the last point of each."""
    found: set[int] = set()
    for each in chunks:
        step = max(1, (each.end - each.start) // PARTS)
        found.update(each.start + step * part for part in range(PARTS) if each.start + step * part < each.end)
        found.add(each.end - 1)
    return sorted(found)


def clipped(spans: Iterable[Span], start: int | None, end: int | None) -> list[Span]:
    """What of them lies between two points; None is no bound."""
    found = []
    for each in spans:
        low = each.start if start is None else max(each.start, start)
        high = each.end if end is None else min(each.end, end)
        if low < high:
            found.append(Span(start=low, end=high, kind=each.kind))
    return found


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same points in as few spans as can be, oldest first."""
    found: list[Span] = []
    for each in sorted(spans, key=lambda span: (span.start, span.end)):
        if found and each.start <= found[-1].end:
            found[-1] = Span(start=found[-1].start, end=max(found[-1].end, each.end), kind=each.kind)
        else:
            found.append(each)
    return found


def pieces(occupied: Iterable[Span], edges: Iterable[int]) -> list[Span]:
    """Merged spans that begin and end at edges, cut at every edge within; oldest first."""
    cuts, found = sorted(set(edges)), []
    for each in occupied:
        points = [each.start, *(cut for cut in cuts if each.start < cut < each.end), each.end]
        found += [Span(start=a, end=b, kind=each.kind) for a, b in itertools.pairwise(points)]
    return found


def without(span: Span, kept: Sequence[Span]) -> list[Span]:
    """A span without others, newest first."""
    found, start = [], span.start
    for each in merged(kept):
        if each.end <= start or each.start >= span.end:
            continue
        if each.start > start:
            found.append(Span(start=start, end=each.start, kind=span.kind))
        start = max(start, each.end)
    if start < span.end:
        found.append(Span(start=start, end=span.end, kind=span.kind))
    return found[::-1]


@dataclass(slots=True)
class Pile:
    """The pieces that are left. Windows are taken from it newest first, as long as one should take; safe in threads."""

    left: list[Span]
    """Oldest first."""
    aim_s: float
    """How long one window should take."""
    count: float = 1.0
    """Pieces of the next window, by the time that the last ones took."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> list[Span]:
        """The pieces of the next window: neighbours, newest first. Empty when nothing is left."""
        with self.lock:
            taken: list[Span] = []
            while self.left and len(taken) < max(1, int(self.count)):
                if taken and self.left[-1].end != taken[-1].start:
                    break
                taken.append(self.left.pop())
            return taken

    def give_back(self, taken: Sequence[Span]) -> None:
        """It could not be done: it is the next one."""
        with self.lock:
            self.left = sorted([*self.left, *taken], key=lambda span: span.start)

    def learn(self, count: int, took_s: float) -> None:
        """How long a window of so many pieces took."""
        with self.lock:
            fits = count * self.aim_s / max(took_s, 0.001)
            self.count = max(1.0, min(fits, count * GROWTH))


def joined(taken: Sequence[Span]) -> Span:
    """Neighbours as one window."""
    return Span(start=taken[-1].start, end=taken[0].end, kind=taken[0].kind)


def length(spans: Iterable[Span]) -> int:
    """How much they hold."""
    return sum(each.end - each.start for each in spans)


def amount(value: float, kind: str) -> str:
    """A length for people: `36 days`, `5 hours`; a number for a hypertable over integers."""
    from tidelock.core.aggregates import INTEGERS

    if kind in INTEGERS:
        return f"{value:,.0f}"
    hours = value / 3_600_000_000
    if hours >= 48:
        return f"{hours / 24:,.0f} days" if hours >= 240 else f"{hours / 24:.1f} days"
    return f"{hours:.0f} hours" if hours >= 10 else f"{hours:.1f} hours"


def clock(seconds: float) -> str:
    """`0:09`, `2:05:00`."""
    whole = int(seconds + 0.5)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
