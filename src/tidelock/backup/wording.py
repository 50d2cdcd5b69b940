"""How the server writes an expression: what it reads back in one form it may write in another, of the same meaning."""

from __future__ import annotations

import re
from typing import Any

# `x IN ('a', 'b')` over varchar is written so at first, and so when that was read again:
#   (ARRAY['a'::character varying, 'b'::character varying])::text[]
#   ARRAY[('a'::character varying)::text, ('b'::character varying)::text]
CAST = re.compile(r"\(ARRAY\[((?:'(?:[^']|'')*'|[^'\[\]])*)\]\)::([a-z][a-z ]*(?:\(\d+(?:,\d+)?\))?)\[\]")
ELEMENT = re.compile(r"((?:'(?:[^']|'')*'|[^',(]|\([^()']*\))+)(?:, )?")


def settled(value: Any) -> Any:
    """A value of a snapshot in the form that stays when it is dumped and restored."""
    if isinstance(value, str):
        return CAST.sub(each, value) if "::" in value else value
    if isinstance(value, list | tuple):
        return [settled(one) for one in value]
    if isinstance(value, dict):
        return {name: settled(one) for name, one in value.items()}
    return value


def each(found: re.Match[str]) -> str:
    """The cast of an array as casts of its elements."""
    elements = [one.rstrip() for one in ELEMENT.findall(found[1])]
    return "ARRAY[" + ", ".join(f"({one})::{found[2]}" for one in elements) + "]"
