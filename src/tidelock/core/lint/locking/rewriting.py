"""Whether ALTER COLUMN TYPE rewrites the table. Each pair is tried on a server in tests/postgres/test_rule_claims.py.

PostgreSQL leaves the rows alone when the new type reads the stored bytes as they are (src/backend/commands/tablecmds.c,
ATColumnChangeRequiresRewrite): a binary-coercible type, or a length that cannot cut anything off.
"""

from __future__ import annotations

from enum import StrEnum

from tidelock.core.patterns import regex


class Change(StrEnum):
    """What a change of type costs."""

    FREE = "free"
    """Only the catalog changes."""
    REWRITE = "rewrite"
    """Every row is written again, and every index of the table built again."""
    IN_UTC = "in UTC"
    """Free while the session's TimeZone is UTC, else a rewrite."""
    UNKNOWN = "unknown"
    """One of the types is not PostgreSQL's own."""


TYPE = regex(r"(?P<base>[^(\[]+)(?:\((?P<sizes>[\d,-]+)\))?(?P<array>(?:\[\])*)")
SERIAL = {
    "serial": "int4",
    "serial4": "int4",
    "bigserial": "int8",
    "serial8": "int8",
    "smallserial": "int2",
    "serial2": "int2",
}
TEXTS = frozenset(("text", "varchar", "citext"))
MOMENTS = frozenset(("timestamp", "timestamptz", "time", "timetz"))
OWN = (
    TEXTS
    | MOMENTS
    | frozenset(
        """
        int2 int4 int8 float4 float8 numeric bool bpchar char name bytea date interval uuid json jsonb xml inet cidr
        macaddr macaddr8 bit varbit money oid tsvector tsquery point line lseg box path polygon circle int4range
        int8range numrange tsrange tstzrange daterange
        """.split()  # noqa: SIM905
    )
)
FREE_PAIRS = frozenset((("cidr", "inet"), ("int4", "oid"), ("oid", "int4"), ("xml", "text"), ("xml", "varchar")))


def change(old: str, new: str) -> Change:
    """What a change from one type to another costs, both as `Column.type` writes them."""
    before, after = TYPE.fullmatch(SERIAL.get(old, old)), TYPE.fullmatch(SERIAL.get(new, new))
    if before is None or after is None:
        return Change.UNKNOWN
    if before[0] == after[0]:
        return Change.FREE
    old_base, new_base = before["base"], after["base"]
    if old_base not in OWN or new_base not in OWN:
        return Change.UNKNOWN
    if before["array"] or after["array"]:
        # Element by element, also from text[] to varchar[]; only a length may go.
        longer = before["array"] and after["array"] and old_base == new_base and not after["sizes"]
        return Change.FREE if longer else Change.REWRITE
    return _plain(old_base, _sizes(before["sizes"]), new_base, _sizes(after["sizes"]))


def _sizes(text: str | None) -> tuple[int, ...]:
    return tuple(map(int, text.split(","))) if text else ()


def _plain(old: str, old_sizes: tuple[int, ...], new: str, new_sizes: tuple[int, ...]) -> Change:
    if old in TEXTS and new in TEXTS:
        fits = not new_sizes or (bool(old_sizes) and old_sizes <= new_sizes)
    elif {old, new} == {"timestamp", "timestamptz"} and not new_sizes:
        return Change.IN_UTC
    elif old == new == "numeric":
        fits = not new_sizes or _numeric_fits(old_sizes, new_sizes)
    elif old == new and new in MOMENTS:
        fits = (old_sizes or (6,)) <= (new_sizes or (6,))
    elif old == new == "varbit":
        fits = not new_sizes or (bool(old_sizes) and old_sizes <= new_sizes)
    else:
        fits = (old, new) in FREE_PAIRS and not new_sizes
    return Change.FREE if fits else Change.REWRITE


def _numeric_fits(old: tuple[int, ...], new: tuple[int, ...]) -> bool:
    """More digits before the point, and as many after it."""
    scale = (*old, 0)[1:2] == (*new, 0)[1:2]
    return bool(old) and scale and old[0] <= new[0]
