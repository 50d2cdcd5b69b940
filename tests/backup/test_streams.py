"""How tables are divided into objects: none so large that its parts would fill the memory."""

from __future__ import annotations

from tidelock.backup.source import OBJECT_BYTES, STREAM_BYTES, Table, streams
from tidelock.backup.store import PART_BYTES, PARTS

GIGA = 10**9


def table(name: str, giga: float, *, cut: bool = True) -> Table:
    size = int(giga * GIGA)
    return Table("public", name, size, ("a",) if cut else (), size // 8192 if cut else 0)


def test_a_table_larger_than_an_object_is_cut_also_where_it_does_not_help() -> None:
    found = streams((table("a", 900), *(table(f"b{i}", 60) for i in range(40))), 2)
    parts = [each for each in found if each.tables[0].name == "a"]
    assert len(parts) == -(-900 * GIGA // OBJECT_BYTES)
    assert len({each.where for each in parts}) == len(parts)
    assert OBJECT_BYTES <= PART_BYTES * PARTS


def test_what_cannot_be_cut_stays_whole() -> None:
    [one] = streams((table("a", 900, cut=False),), 2)
    assert one.where == ""


def test_small_tables_of_a_large_database_are_not_left_to_one_dump() -> None:
    found = streams(tuple(table(f"t{i}", 1) for i in range(5000)), 2)
    assert sum(len(each.tables) for each in found) == 5000
    assert max(each.size_bytes for each in found) <= STREAM_BYTES
