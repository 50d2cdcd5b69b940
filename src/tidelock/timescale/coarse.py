"""TimescaleDB before 2.26 cuts the window of a refresh as if buckets had no origin and no offset.

It then computes anew the buckets that what is left of the window lies in: rows at the window's edges are passed
over, and of a single bucket nothing is left ("refresh window too small"). So such an aggregate is not refreshed in many
windows, and a window is asked for with a bucket more on each side, where the aggregate has none to lose.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tidelock.timescale.ground import buckets, first_in

if TYPE_CHECKING:
    import psycopg

    from tidelock.core.aggregates import Aggregate, Span, Stock

    Connection = psycopg.Connection[Any]

ALIGNS = (2, 26)


def is_coarse(conn: Connection, stock: Stock, aggregate: Aggregate) -> bool:
    """Whether it is so with this one."""
    if stock.release >= ALIGNS or not aggregate.fixed:
        return False
    found = buckets(conn, aggregate)
    return bool(found.origin or found.offset)


def around(conn: Connection, aggregate: Aggregate, part: Span) -> Span | None:
    """The window that refreshes a part and nothing beside it that could be lost; None when there is none."""
    (before, _), (_, first), (_, after) = buckets(conn, aggregate).around(conn, [part.start - 1, part.start, part.end])
    sides = replace(part, start=before, end=part.start), replace(part, start=part.end, end=after)
    left, right = (not first_in(conn, aggregate.relation, aggregate.column, each) for each in sides)
    if first == part.end and not left and not right:
        return None
    return replace(part, start=before if left else part.start, end=after if right else part.end)
