"""Intervals as files write them."""

from __future__ import annotations

import pytest

from tidelock.core.lint.timescale.interval import length, seconds, written

DAY = 86400


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("30 days", 30 * DAY),
        ("1 hour", 3600),
        ("45d", 45 * DAY),
        ("1 day 02:30:00", DAY + 9000),
        ("P1DT2H", DAY + 7200),
        ("7 days, 3 hours", 7 * DAY + 10800),
        ("1 mon", 30 * DAY),
        ("-3 days", -3 * DAY),
        ("90 minutes", 5400),
    ],
)
def test_an_interval_is_so_many_seconds(text: str, value: float):
    assert seconds(text) == value


def test_twelve_months_are_a_year():
    assert seconds("12 months") == seconds("1 year")
    assert seconds("13 mons") == seconds("1 year 1 month")


@pytest.mark.parametrize("text", ["", "30", "tomorrow", "3 moons", "2026-01-01"])
def test_what_is_no_interval_is_not_guessed(text: str):
    assert seconds(text) is None


def test_a_number_is_a_length_of_its_own_and_true_is_none():
    assert length(86400) == 86400
    assert length(True) is None
    assert length(None) is None


def test_lengths_are_written_as_people_write_them():
    assert [written(each) for each in (45 * DAY, 3600, 5400, 86401)] == [
        "45 days",
        "1 hour",
        "90 minutes",
        "86401 seconds",
    ]
