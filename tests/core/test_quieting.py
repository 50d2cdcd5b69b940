from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tidelock.core.quieting import RENEWAL, Held, detail, left

WAS = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
SET = datetime(2026, 11, 24, 10, 30, 0, 123456, tzinfo=UTC)
LATER = SET + timedelta(hours=1)


def test_what_was_put_off_and_not_put_back_is_left():
    assert left([detail({1001: Held(WAS, SET), 1002: Held(None, SET)})], []) == {
        1001: Held(WAS, SET),
        1002: Held(None, SET),
    }


def test_what_was_put_back_is_not_left():
    line = detail({1001: Held(WAS, SET)})
    assert left([line], [line]) == {}


def test_a_job_that_was_put_off_again_after_that_is_left():
    first, second = detail({1001: Held(WAS, SET)}), detail({1001: Held(SET, LATER)})
    assert left([first, second], [first]) == {1001: Held(SET, LATER)}


def test_a_next_start_is_ours_when_it_is_the_one_that_was_given_or_a_renewal_of_it():
    held = Held(WAS, SET)
    assert held.is_ours(SET)
    assert held.is_ours(SET + RENEWAL)
    assert not held.is_ours(SET + timedelta(seconds=1))
    assert not held.is_ours(WAS)
    assert not held.is_ours(None)
