"""Intervals as numbers and as text. A month has 28 to 31 days: what is compared is compared at the extremes."""

from __future__ import annotations

import re

from tidelock.core.aggregates import Interval

DAY_US = 86_400_000_000
LEAST = (0, 28, 59, 89, 120, 150, 181, 212, 242, 273, 303, 334)
"""Days that so many months in a row have at least."""
MOST = (0, 31, 62, 92, 123, 153, 184, 215, 245, 276, 306, 337)
PART = re.compile(r"(-?\d+) (year|mon|day)s?")
CLOCK = re.compile(r"(-?)(\d+):(\d\d):(\d\d)(?:\.(\d+))?$")


def parsed(text: str) -> Interval | int:
    """An interval as PostgreSQL writes it (`1 mon`, `1 day 02:00:00`), or a number."""
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    parts = {unit: int(count) for count, unit in PART.findall(text)}
    us = 0
    if found := CLOCK.search(text):
        hours, minutes, seconds = (int(found[each]) for each in (2, 3, 4))
        us = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + int((found[5] or "").ljust(6, "0")[:6])
        us = -us if found[1] else us
    return Interval(parts.get("year", 0) * 12 + parts.get("mon", 0), parts.get("day", 0), us)


def written(value: Interval | int) -> str:
    """For a policy's config and for people: `30 days`, `1 mon 12:00:00`, `1 hour`."""
    if isinstance(value, int):
        return str(value)
    parts = [
        f"{count} {unit}{'' if count == 1 else 's'}"
        for count, unit in ((value.months, "month"), (value.days, "day"))
        if count
    ]
    if value.us % 3_600_000_000 == 0 and value.us:
        hours = value.us // 3_600_000_000
        parts.append(f"{hours} hour{'' if hours == 1 else 's'}")
    elif value.us:
        seconds, us = divmod(abs(value.us), 1_000_000)
        clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}" + (f".{us:06}" if us else "")
        parts.append(f"{'-' if value.us < 0 else ''}{clock}")
    return " ".join(parts) or "0 days"


def minus(one: Interval | int, other: Interval | int) -> Interval | int:
    """The difference, part by part."""
    if isinstance(one, Interval) and isinstance(other, Interval):
        return Interval(one.months - other.months, one.days - other.days, one.us - other.us)
    assert not isinstance(one, Interval), "both are of the same time column"
    assert not isinstance(other, Interval), "both are of the same time column"
    return one - other


def times(value: Interval | int, factor: int) -> Interval | int:
    """So many of them."""
    if isinstance(value, int):
        return value * factor
    return Interval(value.months * factor, value.days * factor, value.us * factor)


def longest(value: Interval | int) -> int:
    """In microseconds, at most; a number is itself."""
    return value if isinstance(value, int) else extreme(value, MOST, 366)


def shortest(value: Interval | int) -> int:
    """In microseconds, at least; a number is itself."""
    return value if isinstance(value, int) else extreme(value, LEAST, 365)


def extreme(value: Interval, days: tuple[int, ...], year: int) -> int:
    """With months of so many days, and years too. A negative number of months has its own extreme."""
    if value.months < 0:
        days, year = (LEAST, 365) if days is MOST else (MOST, 366)
    years, months = divmod(abs(value.months), 12)
    whole = (years * year + days[months]) * (-1 if value.months < 0 else 1)
    return (whole + value.days) * DAY_US + value.us
