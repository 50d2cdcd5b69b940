"""What a rule is, and the register of all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tidelock.core.values import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tidelock.core.lint.edit import Edit
    from tidelock.core.lint.look import Directory, File, Look
    from tidelock.core.model import Place
    from tidelock.core.report import Severity
    from tidelock.core.statement import Kind

    Remarks = Iterable["Remark | str"]


@record(frozen=True, slots=True, kw_only=True)
class Remark:
    """What a rule says of one place."""

    message: str
    """What happens, with names and values, without a full stop."""
    hint: str = ""
    """What to do, in the imperative; empty when the rule's own `fix` says it all."""
    rewrite: str = ""
    """The statement, or statements, that do the same without harm."""
    edit: Edit | None = None
    """A change of the statement that cannot hurt: `--fix` makes it."""
    place: Place | None = None
    """Where, when that is not the statement itself."""


@record(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule; its text is data, for findings and for its page."""

    code: str
    title: str
    """In a few words: `an index build blocks writes`."""
    severity: Severity
    why: str
    """What happens to the user's system, and when; for the page."""
    fix: str
    """What to write instead, in the imperative; the hint of a finding that has none of its own."""
    optional: bool = False
    """Only when it is selected: a matter of taste, or of a project's conventions."""
    on: frozenset[str] = frozenset()
    """What a statement must do for the rule to be asked of it, as `Action.what` has it, or the beginning of that with
    a blank at its end (`drop `); …"""
    kinds: frozenset[Kind] = frozenset()
    """… or what it must be. Empty both: any statement."""
    refused: tuple[str, ...] = ()
    """The SQLSTATEs with which TimescaleDB refuses what the rule finds. `apply` and `plan` ask such rules too."""
    statement: Callable[[Look], Remarks] | None = None
    """Asked once for each statement …"""
    file: Callable[[File], Remarks] | None = None
    """… or once for each file …"""
    directory: Callable[[Directory], Remarks] | None = None
    """… or once for all of them."""

    def about(self, does: frozenset[str], kind: Kind) -> bool:
        """Whether it is asked of a statement that does this, and is of that kind."""
        if not self.on and not self.kinds:
            return True
        begun = {f"{each.partition(' ')[0]} " for each in does}
        return kind in self.kinds or bool(self.on & (does | begun))


RULES: dict[str, Rule] = {}
"""code → rule, in the order of registration."""


def rule(
    code: str,
    title: str,
    severity: Severity,
    *,
    why: str,
    fix: str,
    optional: bool = False,
    on: tuple[str, ...] = (),
    kinds: tuple[Kind, ...] = (),
    refused: tuple[str, ...] = (),
) -> Callable[[Callable[[Look], Remarks]], Callable[[Look], Remarks]]:
    """Register a function that is asked once for each statement; only for those that do one of `on` or are of `kinds`,
    where these are given."""

    def register(check: Callable[[Look], Remarks]) -> Callable[[Look], Remarks]:
        text = Rule(code=code, title=title, severity=severity, why=why, fix=fix, optional=optional)
        _add(replace(text, on=frozenset(on), kinds=frozenset(kinds), refused=refused, statement=check))
        return check

    return register


def file_rule(
    code: str, title: str, severity: Severity, *, why: str, fix: str, optional: bool = False
) -> Callable[[Callable[[File], Remarks]], Callable[[File], Remarks]]:
    """Register a function that is asked once for each file."""

    def register(check: Callable[[File], Remarks]) -> Callable[[File], Remarks]:
        _add(Rule(code=code, title=title, severity=severity, why=why, fix=fix, optional=optional, file=check))
        return check

    return register


def directory_rule(
    code: str, title: str, severity: Severity, *, why: str, fix: str, optional: bool = False
) -> Callable[[Callable[[Directory], Remarks]], Callable[[Directory], Remarks]]:
    """Register a function that is asked once for all files together; its remarks carry their places."""

    def register(check: Callable[[Directory], Remarks]) -> Callable[[Directory], Remarks]:
        _add(Rule(code=code, title=title, severity=severity, why=why, fix=fix, optional=optional, directory=check))
        return check

    return register


def _add(new: Rule) -> None:
    assert new.code not in RULES, f"{new.code} is registered twice"
    RULES[new.code] = new
