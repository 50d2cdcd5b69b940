"""The difference of two snapshots: one for each change that somebody made."""

from __future__ import annotations

from typing import Any

import pytest

from tidelock.core.comparison import What, difference
from tidelock.core.snapshot import Snapshot, SnapshotUnreadable, from_json
from tidelock.core.viewtext import unqualified

TABLE: dict[tuple[str, str], dict[str, Any]] = {
    ("table", "public.t"): {},
    ("column order", "public.t"): {"columns": ["a", "b"], "part_of": ["table:public.t"]},
    ("column", "public.t.a"): {"type": "integer", "part_of": ["table:public.t"]},
    ("column", "public.t.b"): {"type": "text", "part_of": ["table:public.t"]},
    ("index", "public.t_a"): {
        "definition": "CREATE INDEX t_a ON public.t USING btree (a)",
        "part_of": ["column:public.t.a"],
        "needs": ["column:public.t.a"],
    },
    ("constraint", "public.t.t_a"): {
        "definition": "CHECK ((a > 0))",
        "part_of": ["column:public.t.a", "table:public.t"],
        "needs": ["column:public.t.a"],
    },
}
WHOLE = Snapshot(TABLE)


def told(first: Snapshot, second: Snapshot) -> list[str]:
    return [str(each) for each in difference(first, second)]


def with_(changes: dict[tuple[str, str], dict[str, Any]]) -> Snapshot:
    return Snapshot({**TABLE, **changes})


def test_nothing_changed():
    assert difference(WHOLE, WHOLE) == ()


def test_a_dropped_table_is_one_item_whatever_was_part_of_it():
    assert told(WHOLE, Snapshot({})) == ["table public.t removed"]
    assert told(Snapshot({}), WHOLE) == ["table public.t added"]


def test_a_dropped_column_takes_its_index_and_constraint_along():
    left = WHOLE.without([("column", "public.t.a"), ("index", "public.t_a"), ("constraint", "public.t.t_a")])
    left = Snapshot({**left.objects, ("column order", "public.t"): {"columns": ["b"], "part_of": ["table:public.t"]}})
    assert told(WHOLE, left) == ["column public.t.a removed"]


def test_a_changed_attribute_has_both_values():
    retyped = with_({("column", "public.t.a"): {"type": "bigint", "part_of": ["table:public.t"]}})
    [found] = difference(WHOLE, retyped)
    assert (found.what, found.attributes) == (What.CHANGED, {"type": ("integer", "bigint")})


def test_the_casts_that_a_new_type_brings_are_not_told_of():
    check = {**TABLE["constraint", "public.t.t_a"], "definition": "CHECK ((a > (0)::numeric))"}
    retyped = with_({
        ("column", "public.t.a"): {"type": "numeric", "part_of": ["table:public.t"]},
        ("constraint", "public.t.t_a"): check,
    })  # fmt: skip
    assert told(WHOLE, retyped) == ["column public.t.a changed: type"]
    harder = with_({
        ("column", "public.t.a"): {"type": "numeric", "part_of": ["table:public.t"]},
        ("constraint", "public.t.t_a"): {**check, "definition": "CHECK ((a > (1)::numeric))"},
    })  # fmt: skip
    assert len(told(WHOLE, harder)) == 2


def test_the_order_of_columns_is_told_of_when_no_column_came_or_went():
    swapped = with_({("column order", "public.t"): {"columns": ["b", "a"], "part_of": ["table:public.t"]}})
    assert told(WHOLE, swapped) == ["column order public.t changed: columns"]


def test_a_text_that_is_no_snapshot_is_refused():
    for text in (b"{}", b"[]", b"<<<<<<< HEAD", b'{"format": 99, "objects": {}}'):
        with pytest.raises(SnapshotUnreadable, match="cannot be read"):
            from_json(text)


@pytest.mark.parametrize(
    ("printed", "canonical"),
    [
        ("SELECT t.a, t.b FROM public.t", "SELECT a, b FROM public.t"),
        ('SELECT "T".a FROM public."T"', 'SELECT a FROM public."T"'),
        ("SELECT x.a FROM public.t x WHERE x.a > 1", "SELECT a FROM public.t x WHERE a > 1"),
        ("SELECT t.a FROM public.t JOIN public.u ON t.a = u.a", "SELECT t.a FROM public.t JOIN public.u ON t.a = u.a"),
        (
            "SELECT a, (SELECT u.b FROM u WHERE u.a = t.a) FROM t",
            "SELECT a, (SELECT u.b FROM u WHERE u.a = t.a) FROM t",
        ),
        ("SELECT 'ü', t.a FROM t", "SELECT 'ü', a FROM t"),
        ("not a query", "not a query"),
    ],
)
def test_columns_of_the_only_relation_stand_without_its_name(printed: str, canonical: str):
    assert unqualified(printed) == canonical
