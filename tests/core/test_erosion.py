"""Which refresh policies erase history, and the SQL that stops them."""

from __future__ import annotations

import pytest

from tidelock.core import erosion
from tidelock.core.aggregates import REFRESH, RETENTION, Aggregate, Hypertable, Interval, Job, Stock
from tidelock.core.durations import longest, parsed, shortest, written

HOUR = 3_600_000_000


def days(count: int) -> Interval:
    return Interval(days=count)


def stock(
    start: Interval | int | None,
    retention: Interval | int | None,
    *,
    bucket: str = "01:00:00",
    end: Interval | int | None = Interval(us=HOUR),
    zone: str = "",
    kind: str = "timestamptz",
    scheduled: bool = True,
) -> Stock:
    offsets = {name: value for name, value in (("start_offset", start), ("end_offset", end)) if value is not None}
    refresh = Job(id=1001, proc=REFRESH, on="public.h", offsets=offsets, timezone=zone, scheduled=scheduled)
    keeper = Job(id=1000, proc=RETENTION, on="public.r")
    found = Aggregate(
        name="public.h",
        number=2,
        hypertable="public.r",
        bucket=bucket,
        kind=kind,
        retention=retention,
        jobs=(refresh,),
    )
    table = Hypertable(name="public.r", time="at", kind=kind, jobs=(keeper,))
    return Stock(version="2.28.3", community=True, hypertables=(table,), aggregates=(found,))


@pytest.mark.parametrize(
    ("start", "retention"),
    [
        (days(45), days(30)),
        (None, days(30)),
        (Interval(months=1), days(30)),  # in March it goes back 31 days
        (days(30), Interval(months=1)),  # in March a month keeps 28 days
        (Interval(days=30, us=1), days(30)),
        (Interval(months=1, days=1), Interval(months=1)),
        (1001, 1000),
    ],
)
def test_a_refresh_that_goes_back_behind_retention_erodes(start: Interval | int | None, retention: Interval | int):
    end = 10 if isinstance(retention, int) else None
    kind = "bigint" if isinstance(retention, int) else "timestamptz"
    bucket = "10" if isinstance(retention, int) else "01:00:00"
    assert len(erosion.flaws(stock(start, retention, end=end, kind=kind, bucket=bucket))) == 1


@pytest.mark.parametrize(
    ("start", "retention"),
    [
        (days(30), days(30)),
        (days(20), days(30)),
        (days(28), Interval(months=1)),
        (Interval(months=1), Interval(months=1)),
        (Interval(months=1), days(31)),
        (None, None),
        (days(900), None),
        (Interval(us=24 * HOUR), days(1)),
        (Interval(months=12), Interval(months=13)),
    ],
)
def test_one_that_stays_within_it_does_not(start: Interval | None, retention: Interval | None):
    assert erosion.flaws(stock(start, retention)) == []


def test_one_that_is_switched_off_does_not():
    assert erosion.flaws(stock(days(45), days(30), scheduled=False)) == []


def test_the_sql_moves_the_start_and_keeps_the_time_zone():
    [flaw] = erosion.flaws(stock(days(45), days(30), zone="Europe/Berlin"))
    assert flaw.what == (
        "public.h: its refresh (job 1001) goes back 45 days, and public.r keeps 30 days: "
        "each run erases buckets that exist nowhere else"
    )
    assert flaw.mend == (
        """SELECT alter_job(job_id, config => config || '{"start_offset": "30 days"}', timezone => 'Europe/Berlin') """
        "FROM timescaledb_information.jobs WHERE job_id = 1001;"
    )


def test_over_integers_it_is_a_number():
    [flaw] = erosion.flaws(stock(None, 1000, end=10, bucket="10", kind="bigint"))
    assert """'{"start_offset": 1000}'""" in flaw.mend


def test_where_less_than_two_buckets_are_left_raw_data_has_to_stay_longer():
    [flaw] = erosion.flaws(stock(None, days(30), bucket="1 mon", end=days(1)))
    remark, longer, start = flaw.mend.splitlines()
    assert "30 days do not hold 2 buckets of 1 mon" in remark
    assert """'{"drop_after": "63 days"}'""" in longer
    assert longer.endswith("job_id = 1000;")
    assert """'{"start_offset": "63 days"}'""" in start
    assert start.endswith("job_id = 1001;")
    [flaw] = erosion.flaws(stock(days(90), days(30), bucket="1 mon", end=days(1)))
    assert """'{"drop_after": "90 days"}'""" in flaw.mend


@pytest.mark.parametrize(
    ("text", "value", "again"),
    [
        ("01:00:00", Interval(us=HOUR), "1 hour"),
        ("1 day", days(1), "1 day"),
        ("1 mon", Interval(months=1), "1 month"),
        ("1 year 2 mons 3 days 04:05:06.7", Interval(14, 3, 14_706_700_000), "14 months 3 days 04:05:06.700000"),
        ("-00:30:00", Interval(us=-HOUR // 2), "-00:30:00"),
        ("00:15:00", Interval(us=HOUR // 4), "00:15:00"),
        ("17", 17, "17"),
    ],
)
def test_intervals_are_read_and_written(text: str, value: Interval | int, again: str):
    assert (parsed(text), written(value)) == (value, again)


def test_months_have_extremes():
    day = 24 * HOUR
    assert (shortest(Interval(months=1)), longest(Interval(months=1))) == (28 * day, 31 * day)
    assert (shortest(Interval(months=-1)), longest(Interval(months=-1))) == (-31 * day, -28 * day)
    assert (shortest(Interval(months=13)), longest(Interval(months=13))) == (393 * day, 397 * day)
