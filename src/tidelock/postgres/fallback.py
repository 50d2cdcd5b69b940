"""Critical tables: are they there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.critical import Seen
from tidelock.postgres.ledger import literal, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.core.critical import Critical
    from tidelock.postgres.ledger import Ask, Ledger

# For each table: is it there, which columns does it have, was it made by a fallback.
LOOK = """
SELECT json_agg(json_build_array(to_regclass(path) IS NOT NULL,
         coalesce((SELECT json_agg(attname) FROM pg_attribute
                    WHERE attrelid = to_regclass(path) AND attnum > 0 AND NOT attisdropped), '[]'),
         {fell_back}) ORDER BY number)
  FROM (VALUES {tables}) wanted (number, name, path)"""
FELL_BACK = """EXISTS (SELECT FROM {journal} WHERE event = 'fallback' AND detail -> 'tables' ? name)"""


def seen(ask: Ask, ledger: Ledger, wanted: Sequence[Critical]) -> list[Seen]:
    """How each is found."""
    tables = ", ".join(
        f"({number}, {literal(each.table)}, {literal(path_of(each.table))})" for number, each in enumerate(wanted)
    )
    fell_back = ledger.fill(FELL_BACK) if ledger.format else "false"
    return [
        Seen(
            there=there,
            missing_columns=tuple(name for name in each.columns if name not in columns) if there else (),
            fell_back=fallen,
        )
        for each, (there, columns, fallen) in zip(
            wanted, ask(LOOK.format(fell_back=fell_back, tables=tables)), strict=True
        )
    ]


def path_of(table: str) -> str:
    """`schema.name` quoted part by part."""
    return ".".join(map(quoted, table.split(".")))
