"""Values that cost little are dataclasses like others."""

from __future__ import annotations

import pickle
from dataclasses import field, fields, replace

import pytest

from tidelock.core.values import record


@record(frozen=True, slots=True, kw_only=True)
class Parcel:
    name: str
    area: int = 1
    notes: dict[str, str] = field(default_factory=dict, hash=False)
    seen: list[int] = field(default_factory=list, compare=False, repr=False)


@record(frozen=True, slots=True)
class Other:
    name: str


@record(frozen=True, slots=True, order=True)
class Line:
    path: str
    number: int


def test_equal_are_those_of_one_class_whose_compared_fields_are():
    assert Parcel(name="a", seen=[1]) == Parcel(name="a")
    assert Parcel(name="a") != Parcel(name="a", area=2)
    assert Parcel(name="a") != Parcel(name="a", notes={"x": "y"})
    assert Other("a") != Parcel(name="a")  # type: ignore[comparison-overlap]  # that is the point


def test_what_is_equal_has_one_hash_and_what_cannot_be_hashed_may_be_left_out():
    assert hash(Parcel(name="a")) == hash(Parcel(name="a", notes={"x": "y"}, seen=[1]))
    assert len({Other("a"), Other("a"), Other("b")}) == 2


def test_it_is_shown_replaced_ordered_and_pickled_as_a_dataclass():
    one = Parcel(name="a", seen=[1])
    assert repr(one) == "Parcel(name='a', area=1, notes={})"
    assert replace(one, area=3) == Parcel(name="a", area=3)
    assert [each.name for each in fields(one)] == ["name", "area", "notes", "seen"]
    assert sorted([Line("b", 1), Line("a", 2), Line("a", 1)]) == [Line("a", 1), Line("a", 2), Line("b", 1)]
    assert pickle.loads(pickle.dumps(one)) == one


def test_it_has_slots_and_its_fields_alone():
    with pytest.raises(AttributeError):
        Other("a").more = 1  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        Other()  # type: ignore[call-arg]
