"""Dataclasses that cost little to define and to make. For classes that every run defines or makes thousands of.

`dataclass(frozen=True)` compiles six methods for each class, a third of the time of all imports, and sets each field
through `object.__setattr__`, six times as slow as an assignment. mypy forbids to change a value, here as there; the
running program does not look. Everything else is as with dataclass: fields(), replace(), ==, hash(), pattern matching.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import attrgetter, eq, ge, gt, le, lt
from typing import TYPE_CHECKING, Any

__all__ = ["record"]

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass as record
else:

    def record(
        *, frozen: bool, slots: bool = False, kw_only: bool = False, order: bool = False
    ) -> Callable[[type[Any]], type[Any]]:
        """A decorator with the arguments of dataclass; `frozen` must be said, for who reads and for mypy."""

        def make(cls: type[Any]) -> type[Any]:
            made = dataclass(eq=False, repr=False, slots=slots, kw_only=kw_only)(cls)
            compared = [each for each in fields(made) if each.compare]
            values = attrgetter(*(each.name for each in compared))
            for compare in (eq, lt, le, gt, ge) if order else (eq,):
                setattr(made, f"__{compare.__name__}__", _comparison(compare, values))
            hashed = attrgetter(*(each.name for each in compared if each.hash is not False))
            made.__hash__ = _hash(hashed) if frozen else None
            made.__repr__ = _shown
            return made

        return make


def _comparison(compare: Callable[[Any, Any], bool], of: Callable[[Any], Any]) -> Callable[[Any, Any], bool]:
    def compared(self: Any, other: Any) -> bool:
        return compare(of(self), of(other)) if other.__class__ is self.__class__ else NotImplemented

    return compared


def _hash(of: Callable[[Any], Any]) -> Callable[[Any], int]:
    return lambda self: hash(of(self))


def _shown(self: Any) -> str:
    given = ", ".join(f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr)
    return f"{self.__class__.__qualname__}({given})"
