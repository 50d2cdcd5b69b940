"""Critical tables: are they there, and the script that makes one when its migration could not be applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.critical import Seen
from tidelock.core.statement import Kind
from tidelock.errors import SourceFault
from tidelock.postgres.ledger import literal, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.core.critical import Critical
    from tidelock.core.statement import Script, Statement
    from tidelock.postgres.ledger import Ask, Ledger

# For each table: is it there, which columns does it have, was it made by a fallback.
LOOK = """
SELECT json_agg(json_build_array(to_regclass(path) IS NOT NULL,
         coalesce((SELECT json_agg(attname) FROM pg_attribute
                    WHERE attrelid = to_regclass(path) AND attnum > 0 AND NOT attisdropped), '[]'),
         {fell_back}) ORDER BY number)
  FROM (VALUES {tables}) wanted (number, name, path)"""
FELL_BACK = """EXISTS (SELECT FROM {journal} WHERE event = 'fallback' AND detail -> 'tables' ? name)"""


class FallbackUnfit(SourceFault):
    """A fallback script that cannot run in one transaction as it stands."""

    code = "S014"

    def __init__(self, statement: Statement, why: str) -> None:
        super().__init__(
            f"{statement.place}: a fallback runs as one transaction, and {why}",
            hint="write plain CREATE … IF NOT EXISTS statements into it; `tidelock new --critical TABLE` makes one",
        )


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


def check(script: Script) -> None:
    """Refuse what cannot stand in one plain transaction."""
    for item in script.items:
        statement = next((each for each in script.statements if each is item), None)
        if statement is None:
            continue
        if statement.facts.alone:
            raise FallbackUnfit(statement, statement.facts.alone)
        if statement.facts.kind in (Kind.BEGIN, Kind.COMMIT, Kind.ROLLBACK, Kind.TWO_PHASE):
            raise FallbackUnfit(statement, "it controls the transaction by itself")
        if statement.runtime or statement.copy_data is not None:
            raise FallbackUnfit(statement, "this is decided at run time, or brings data")
