"""Who has set which field of an object: `metadata.managedFields`, as server-side apply keeps it."""

from __future__ import annotations

from typing import Any

SPEC = "f:spec"

Object = dict[str, Any]


def sole(fields: list[Object], manager: str) -> list[Object] | None:
    """managedFields in which `manager` has applied all of the spec; None where nobody else has set any of it.

    Server-side apply takes out what its manager set before and no longer wants, and leaves what others have set: the
    command of a container that `kubectl apply` made would stay beside our arguments. kubectl hands fields over in the
    same way when it comes from its client-side apply.
    """
    ours = next((each for each in fields if _applied(each, manager)), None)
    others = [each for each in fields if not each.get("subresource") and each is not ours and _fields(each).get(SPEC)]
    if ours is None or not others:
        return None
    spec: Object = _fields(ours).get(SPEC, {})
    for each in others:
        spec = united(spec, _fields(each)[SPEC])
    rest = [_without_spec(each) if each in others else each for each in fields if each is not ours]
    return [{**ours, "fieldsV1": {**_fields(ours), SPEC: spec}}, *(each for each in rest if _fields(each))]


def united(one: Object, other: Object) -> Object:
    """The fields of both: names nested as deep as they go."""
    shared = {name: united(held, other[name]) for name, held in one.items() if name in other}
    return {**one, **other, **shared}


def _applied(entry: Object, manager: str) -> bool:
    return (entry.get("manager"), entry.get("operation"), entry.get("subresource") or "") == (manager, "Apply", "")


def _fields(entry: Object) -> Object:
    return entry.get("fieldsV1") or {}


def _without_spec(entry: Object) -> Object:
    return {**entry, "fieldsV1": {name: held for name, held in _fields(entry).items() if name != SPEC}}
