"""Intervals as files write them → seconds: how long a policy keeps, how wide a bucket is."""

from __future__ import annotations

import re

from tidelock.core.patterns import regex

DAY = 86400.0
MONTH = 30 * DAY
"""A month counts as 30 days, 12 of them as a year of 365.25: what the server does depends on the calendar."""
YEAR = 365.25 * DAY

UNITS = {
    "microsecond": 1e-6,
    "us": 1e-6,
    "millisecond": 1e-3,
    "ms": 1e-3,
    "msec": 1e-3,
    "second": 1.0,
    "sec": 1.0,
    "s": 1.0,
    "minute": 60.0,
    "min": 60.0,
    "m": 60.0,
    "hour": 3600.0,
    "hr": 3600.0,
    "h": 3600.0,
    "day": DAY,
    "d": DAY,
    "week": 7 * DAY,
    "w": 7 * DAY,
    "month": MONTH,
    "mon": MONTH,
    "year": YEAR,
    "yr": YEAR,
    "y": YEAR,
    "decade": 10 * YEAR,
    "century": 100 * YEAR,
    "centurie": 100 * YEAR,
}
PART = regex(
    r"\s*(?:(?P<sign>[+-])?(?P<hours>\d+):(?P<minutes>\d\d)(?::(?P<seconds>\d\d(?:\.\d+)?))?"
    r"|(?P<number>[+-]?\d+(?:\.\d+)?)\s*(?P<unit>[a-zA-Z]+))\s*,?"
)
ISO = regex(r"\s*P(?:(?P<date>(?:\d+[YMWD])*))?(?:T(?P<time>(?:\d+[HMS])*))?\s*$", re.IGNORECASE)
ISO_DATE = {"Y": YEAR, "M": MONTH, "W": 7 * DAY, "D": DAY}
ISO_TIME = {"H": 3600.0, "M": 60.0, "S": 1.0}


def seconds(text: str) -> float | None:
    """`30 days`, `1 hour`, `45d`, `1 day 02:30:00`, `P1DT2H` → seconds; None for what is read in no such way."""
    if (found := ISO.match(text)) and (found["date"] or found["time"]):
        return _iso(found["date"] or "", ISO_DATE) + _iso(found["time"] or "", ISO_TIME)
    total, at = 0.0, 0
    while at < len(text.rstrip()):
        part = PART.match(text, at)
        if part is None:
            return None
        value = _clock(part) if part["hours"] else _unit(part["number"], part["unit"])
        if value is None:
            return None
        total, at = total + value, part.end()
    return total if at else None


def _iso(text: str, units: dict[str, float]) -> float:
    return sum(int(number) * units[unit.upper()] for number, unit in re.findall(r"(\d+)([A-Za-z])", text))


def _clock(part: re.Match[str]) -> float:
    value = int(part["hours"]) * 3600 + int(part["minutes"]) * 60 + float(part["seconds"] or 0)
    return -value if part["sign"] == "-" else value


def _unit(number: str, unit: str) -> float | None:
    name = unit.lower()
    width = UNITS.get(name) or UNITS.get(name.removesuffix("s"))
    if width is None:
        return None
    years, rest = divmod(float(number), 12) if width == MONTH else (0.0, float(number))
    return years * YEAR + rest * width


def length(value: str | int | bool | None) -> float | None:
    """An argument as a length: seconds of an interval, or the number that a table with integer time is given."""
    if isinstance(value, bool) or value is None:
        return None
    return float(value) if isinstance(value, int) else seconds(value)


def written(value: float) -> str:
    """Seconds as people write them: `45 days`, `90 minutes`, `1 hour`."""
    for width, name in ((DAY, "day"), (3600.0, "hour"), (60.0, "minute")):
        if value % width == 0:
            count = int(value // width)
            return f"{count} {name}{'' if count == 1 else 's'}"
    return f"{value:g} seconds"
