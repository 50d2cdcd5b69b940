"""Looks, before an aggregate is dropped, at which of its buckets raw data holds whole: afterwards nobody can say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidelock.core.aggregates import Span
from tidelock.core.filling import Fill, read
from tidelock.core.windows import merged
from tidelock.timescale.ground import buckets, ground
from tidelock.timescale.holes import begins, changes, remains
from tidelock.timescale.thinning import fewer

if TYPE_CHECKING:
    import psycopg

    from tidelock.app.ports import Scene
    from tidelock.core.aggregates import Aggregate

    Connection = psycopg.Connection[Any]

NOTED = ("rebuilt", "widened")
"""The journal's lines that say so."""
PIECES = 64
"""Of the source that are looked at with one question: some eight chunks."""


def known(scene: Scene, aggregate: Aggregate) -> Fill | None:
    """What this journal says of an aggregate that was rebuilt."""
    rebuilt = [detail for event in NOTED for _, _, detail in scene.noted(event)]
    return read(rebuilt, [detail for _, _, detail in scene.noted("refreshed")] if rebuilt else [], aggregate.number)


def reckoned(conn: Connection, aggregate: Aggregate, before: Fill | None) -> Fill:
    """What a rebuild may replace, and what has to stay. `before`: it was rebuilt already, and perhaps never filled."""
    if aggregate.raw is None or aggregate.source_kind == "uuid":
        return Fill()
    before = current(conn, aggregate, before)
    pieces = ground(conn, aggregate, None, None, before)
    noted = changes(conn, aggregate)
    stays: list[Span] = [*before.stays] if before else []
    for number in range(0, len(pieces), PIECES):
        for window in merged(pieces[number : number + PIECES]):
            stays += remains(conn, aggregate, window, noted, before)
    return Fill(
        empty=tuple(merged(pieces)),
        stays=tuple(merged(stays)),
        since=aggregate.raw.start,
        begins=begins(conn, aggregate),
    )


def current(conn: Connection, aggregate: Aggregate, fill: Fill | None) -> Fill | None:
    """As it is now, in whole buckets of the aggregate."""
    if fill is None:
        return None
    edges = buckets(conn, aggregate)

    def after(point: int) -> int:
        [(first, end)] = edges.around(conn, [point])
        return first if max((start for start, _ in aggregate.chunks if start <= point), default=first) <= first else end

    return fill.from_now(aggregate.raw, begins(conn, aggregate), after).aligned(
        lambda points: edges.around(conn, points)
    )


def shape(conn: Connection, aggregate: Aggregate) -> tuple[str | None, ...]:
    """How wide its buckets are, and where they begin."""
    found = buckets(conn, aggregate)
    return (found.width, found.timezone, found.origin, found.offset)


def elsewhere(conn: Connection, now: Aggregate) -> Fill:
    """Of one that reads another hypertable now: where that has less than the rows that were kept, these stay."""
    if now.raw is None or now.materialized is None:
        return Fill()
    [(first, end)] = buckets(conn, now).around(conn, [now.raw.start])
    edge = [Span(start=first, end=end, kind=now.kind)] if first < now.raw.start else []
    start, end = max(first, now.materialized.start), min(now.raw.end, now.materialized.end)
    less = fewer(conn, now, Span(start=start, end=end, kind=now.kind)) if start < end else []
    return Fill(stays=tuple(merged([*edge, *(each.span for each in less)])))
