"""Types whose values another type holds unchanged, and to which PostgreSQL casts in an INSERT. Pure."""

from __future__ import annotations

import re

WIDER = {
    "smallint": {"integer", "bigint", "numeric", "real", "double precision"},
    "integer": {"bigint", "numeric", "double precision"},
    "bigint": {"numeric"},
    "real": {"double precision"},
    "numeric": {"numeric"},
    "character varying": {"text", "character varying"},
    "text": {"character varying"},
}
"""Where the wider one has no limit of its own. real to numeric is left out: it rounds to six digits."""
LIMITED = re.compile(r"(.+?)\((\d+)(?:,(\d+))?\)")


def widens(before: str, now: str) -> bool:
    """Whether each value of one type (as format_type writes it) is one of the other."""
    if before == now:
        return True
    plain, size, scale = parts(before)
    wider, limit, places = parts(now)
    if limit is None:
        return wider in WIDER.get(plain, ())
    if plain != wider or size is None:
        return False
    if plain == "numeric":
        return places >= scale and limit - places >= size - scale
    return plain == "character varying" and limit >= size


def parts(name: str) -> tuple[str, int | None, int]:
    """`numeric(10,2)` is (numeric, 10, 2)."""
    found = LIMITED.fullmatch(name)
    return (found[1], int(found[2]), int(found[3] or 0)) if found else (name, None, 0)
