"""What a rebuilt aggregate lacks, what stays as it is; and which types hold the values of another."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tidelock.core.aggregates import Span
from tidelock.core.filling import Fill, detail_of, read, sealed
from tidelock.core.widening import widens


def span(start: int, end: int) -> Span:
    return Span(start=start, end=end, kind="bigint")


FILL = Fill(empty=(span(100, 200), span(300, 400)), stays=(span(100, 110),), since=100)


def test_what_was_refreshed_is_not_empty_any_more_and_what_stays_stays():
    assert FILL.filled([span(150, 350)]) == Fill(
        empty=(span(100, 150), span(350, 400)), stays=(span(100, 110),), since=100
    )


def test_it_comes_back_from_the_journal_with_what_was_refreshed_since():
    lines = [{"fill": [detail_of(Fill(), 7), detail_of(FILL, 8, 1)]}]
    done = [
        {"number": 8, "from": 100, "to": 200},
        {"number": 8, "from": 300, "to": 350},
        {"number": 7, "from": 0, "to": 999},
    ]
    found = read(lines, done, 8)
    assert found is not None
    assert found.empty == (span(100, 200), span(350, 400))
    assert read(lines, done, 9) is None


def test_retention_that_went_on_takes_the_first_bucket_with_it():
    def after(point: int) -> int:
        return point + 10

    assert FILL.from_now(span(150, 400), None, after).empty == (span(160, 200), span(300, 400))
    assert FILL.from_now(span(100, 400), None, after) == FILL
    assert FILL.from_now(None, None, after).empty == ()
    behind = replace(FILL, begins=100)
    assert behind.from_now(span(50, 400), 150, after).empty == (span(160, 200), span(300, 400)), "a late row at 50"


def test_an_old_bucket_that_reaches_into_a_new_one_keeps_it_from_being_computed():
    found = FILL.aligned(lambda points: [(each // 40 * 40, each // 40 * 40 + 40) for each in points])
    assert found.stays == (span(80, 120),)


def test_a_window_begins_where_the_old_bucket_of_its_first_row_does():
    assert FILL.widened([span(105, 200), span(300, 400)]) == [span(100, 200), span(300, 400)]
    assert FILL.widened([span(100, 120), span(150, 200)]) == [span(100, 120), span(150, 200)]


def test_one_that_is_sealed_keeps_what_lies_before_and_between():
    assert sealed(FILL, span(50, 500)).stays == (span(50, 110), span(200, 300))
    assert sealed(FILL, None) == FILL


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("integer", "bigint"), ("integer", "numeric"), ("real", "double precision"), ("character varying(9)", "text"),
        ("character varying(9)", "character varying(12)"), ("numeric(8,2)", "numeric(10,3)"), ("numeric(8,2)", "numeric"),
    ],
)  # fmt: skip
def test_a_wider_type_holds_every_value_and_never_the_other_way_round(before: str, now: str):
    assert widens(before, now)
    assert not widens(now, before)


@pytest.mark.parametrize(
    ("before", "now"),
    [("real", "numeric"), ("bigint", "double precision"), ("numeric(8,2)", "numeric(8,3)"), ("text", "integer"),
     ("timestamp without time zone", "timestamp with time zone")],
)  # fmt: skip
def test_a_type_that_could_round_or_refuse_is_none(before: str, now: str):
    assert not widens(before, now)
