"""Check: one question that `verify` asks, its answer, and what mends it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """One thing that is not as it should be."""

    what: str
    mend: str = ""
    """SQL or a command that mends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question and its answer."""

    name: str
    about: str
    """What was looked at: `74 files`, `12 sequences`."""
    flaws: tuple[Flaw, ...] = ()
    asked: bool = True
    """Whether it could be looked at; `about` says why not."""

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.flaws
