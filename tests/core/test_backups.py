"""Which backups may go."""

from __future__ import annotations

from tidelock.core.backups import AFFECTED, WHOLE, Keep, Manifest, expendable

NONE = Keep(daily=0, weekly=0, monthly=0, least=1, runs=0)


def taken(day: int, hour: int = 12, *, scope: str = WHOLE, run: str = "") -> Manifest:
    at = f"2026-11-{day:02}T{hour:02}:00:00+00:00"
    made = f"202611{day:02}T{hour:02}0000Z-{'aa' if scope == WHOLE else 'bb'}"
    return Manifest(
        id=made, database="farm", system="1", at=at, took_s=1, tidelock="0", server=180000, scope=scope, run=run
    )


def part(day: int, hour: int = 12, *, run: str = "") -> Manifest:
    return taken(day, hour, scope=AFFECTED, run=run)


def test_a_backup_of_some_tables_is_never_the_newest_of_a_day_and_counts_for_no_minimum() -> None:
    whole, parts = taken(3, 1), [part(3, hour, run=f"r{hour}") for hour in (2, 3, 4)]
    assert whole not in expendable([whole, *parts], Keep(daily=1, weekly=0, monthly=0, least=0), (), {})
    assert whole not in expendable([whole, *parts], Keep(daily=0, weekly=0, monthly=1, least=0), (), {})
    assert whole not in expendable([whole, *parts], NONE, (), {})


def test_a_backup_of_some_tables_stays_for_the_last_runs_and_as_long_as_its_day_counts() -> None:
    whole, old, older = taken(1), part(9), part(2, run="r")
    found = [whole, older, old, taken(10)]
    uses = {older.id: older.moment}
    assert older not in expendable(found, Keep(daily=0, weekly=0, monthly=0, least=1, runs=1), (), uses)
    assert old not in expendable(found, Keep(daily=2, weekly=0, monthly=0, least=1, runs=0), (), {})
    assert expendable(found, Keep(daily=1, weekly=0, monthly=0, least=1, runs=0), (), {}) == [whole, older, old]


def test_the_last_verified_whole_one_stays_beside_a_newer_one_of_some_tables() -> None:
    whole, newer = taken(1), part(2)
    assert expendable([whole, newer, taken(3)], NONE, [whole.id, newer.id], {}) == []
    assert expendable([whole, newer, taken(3)], NONE, [newer.id], {}) == [whole]


def test_the_last_runs_are_told_by_when_they_stood_on_a_backup() -> None:
    old, new, newest = taken(1), taken(2), taken(3)
    keep = Keep(daily=0, weekly=0, monthly=0, least=1, runs=1)
    uses = {old.id: newest.moment, new.id: new.moment}
    assert expendable([old, new, newest], keep, (), uses) == [new]
