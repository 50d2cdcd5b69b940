"""Which variables a query's result may set."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

READABLE = frozenset({"select", "with", "show", "values", "insert", "update", "delete", "merge", "("})
CASTS = frozenset(
    [
        "int2",
        "int4",
        "int8",
        "float4",
        "float8",
        "bool",
        "varchar",
        "bpchar",
        "numeric",
        "timestamptz",
        "timetz",
        "timestamp",
        "interval",
        "time",
        "case",
        "coalesce",
        "greatest",
        "least",
        "nullif",
        "array",
        "row",
        "xmlelement",
        "column1",
        "column2",
        "column3",
        "column4",
        "column5",
        "?column?",
    ]
)
"""Names that PostgreSQL gives to columns and that need not stand in the query."""


def columns_of(tokens: Sequence[str]) -> set[str] | None:
    """Names that may be columns of the result: more than there are, never fewer. None when that cannot be told.

    Every identifier of the query may be one. `*` hides names, unless it is that of `count(*)`.
    """
    if not tokens or tokens[0] not in READABLE:
        return None
    names = set(CASTS)
    for index, word in enumerate(tokens):
        if word == "table" or word.startswith(('u&"', 'U&"')) or (word == "*" and tokens[index - 1] != "("):
            return None
        if word[0] == '"':
            names.add(word[1:-1].replace('""', '"'))
        elif word[0].isalpha() or word[0] == "_":
            names.add(word)
        elif word[0] == ":" and word not in (":", "::", ":="):
            return None  # a variable that run time fills
    return names
