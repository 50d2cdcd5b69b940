"""What of an archive can be made as soon as one table has its rows."""

from __future__ import annotations

from tidelock.backup.listing import Order, entries, ordered

LISTING = """;
; Archive created at 2026-11-30 15:46:46 UTC
;     dbname: orchard
;
215; 1259 16386 TABLE public trees owner
216; 1259 16387 TABLE public trees old owner
;	depends on: 215
217; 1259 16388 TABLE public crops owner
218; 1259 16389 TABLE public crops_1 owner
;	depends on: 217
219; 1255 16390 FUNCTION public ripe(integer) owner
3217; 0 0 TABLE ATTACH public crops_1 owner
;	depends on: 217 218
3219; 2606 16391 CONSTRAINT public trees trees_pkey owner
;	depends on: 215
3220; 1259 16392 INDEX public trees_sort_idx owner
;	depends on: 215 215
3221; 1259 16393 INDEX public trees_old_idx owner
;	depends on: 216 216
3222; 1259 16394 INDEX public crops_idx owner
;	depends on: 217
3223; 1259 16395 INDEX public crops_1_idx owner
;	depends on: 3222 218 218
3224; 1259 16396 INDEX public crops_1_ripe_idx owner
;	depends on: 219 218
3225; 0 0 INDEX ATTACH public crops_1_idx owner
;	depends on: 217 3222 3223
3226; 3381 16397 STATISTICS public both owner
;	depends on: 218
3227; 2606 16398 FK CONSTRAINT public crops crops_tree_fkey owner
;	depends on: 215 217 3219
"""
FOLLOWING = range(3219, 3228)


def sorted_by(tables: dict[str, str]) -> Order:
    return ordered(entries(LISTING), FOLLOWING, tables)


def numbers(order: Order) -> tuple[list[int], dict[str, list[int]], list[int]]:
    return (
        [each.number for each in order.first],
        {table: [each.number for each in found] for table, found in order.after.items()},
        [each.number for each in order.last],
    )


def test_indexes_follow_their_table_and_references_come_last() -> None:
    first, after, last = numbers(sorted_by({"C1": "public crops_1"}))
    assert first == [3219, 3220, 3221, 3222]
    assert after == {"C1": [3223, 3226]}
    assert last == [3224, 3225, 3227], "a function may read other tables; ATTACH and references need two"


def test_a_partitions_index_waits_for_its_parents_own() -> None:
    first, after, _ = numbers(sorted_by({"C": "public crops", "C1": "public crops_1"}))
    assert 3222 not in first
    assert 3223 not in after.get("C1", []), "its parent has rows of its own to wait for"


def test_names_that_begin_alike_are_not_guessed() -> None:
    _, after, last = numbers(sorted_by({"T": "public trees"}))
    assert "T" not in after
    assert {3219, 3220, 3221} <= set(last)


def test_nothing_is_lost_and_nothing_is_made_twice() -> None:
    for tables in ({}, {"T": "public trees", "O": "public trees old"}, {"C1": "public crops_1"}):
        first, after, last = numbers(sorted_by(tables))
        assert sorted([*first, *last, *(each for found in after.values() for each in found)]) == list(FOLLOWING)
