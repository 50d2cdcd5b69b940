"""What a rule sees: one statement and what came before it, one file, or all of them."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from tidelock.core.statement import Kind
from tidelock.core.step import Mode
from tidelock.core.values import record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tidelock.core.action import Action
    from tidelock.core.lint.known import Known
    from tidelock.core.model import Migration, Place
    from tidelock.core.statement import Facts, Script, Statement
    from tidelock.core.step import Step


@record(frozen=True, slots=True)
class File:
    """One migration, read; `script` is None when it cannot be."""

    migration: Migration
    script: Script | None
    steps: tuple[Step, ...] = ()
    """As `apply` would cut it; empty when it cannot be cut, which is a finding of its own."""
    known: Known = field(kw_only=True)
    """The schema before this file; for file rules after all of its statements too, so do not ask it what is new."""
    statements: tuple[Statement, ...] = field(init=False, compare=False, repr=False)
    """Its statements in order."""
    acts: dict[str, list[tuple[int, Action]]] = field(init=False, compare=False, repr=False)
    """What its statements do, by kind: (number of the statement, action) in their order."""
    controlled: bool = field(init=False, compare=False, repr=False)
    """It has a transaction of its own."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "statements", self.script.statements if self.script else ())
        object.__setattr__(self, "controlled", any(each.mode is Mode.OWN for each in self.steps))
        acts: dict[str, list[tuple[int, Action]]] = {}
        for number, statement in enumerate(self.statements):
            for each in statement.facts.actions:
                acts.setdefault(each.what, []).append((number, each))
        object.__setattr__(self, "acts", acts)

    places: dict[int, tuple[Step, int]] = field(default_factory=dict, init=False, compare=False, repr=False)
    """id() of a statement → its step, and its number there; filled when first asked for."""

    @property
    def breaking(self) -> bool:
        """`-- BREAKING: why` stands in it."""
        return any(each.name == "BREAKING" and each.reason for each in self.migration.directives)


@record(frozen=True, slots=True)
class Look:
    """One statement, in its file, with what is known before it runs."""

    file: File
    statement: Statement
    number: int
    """From 0 within the file."""
    known: Known
    doing: Facts | None = None
    """What code does that the statement calls, or whose text it makes; the look is about that, then."""

    @property
    def path(self) -> str:
        """Of the file."""
        return self.file.migration.path

    @property
    def facts(self) -> Facts:
        """Of the statement."""
        return self.doing or self.statement.facts

    @property
    def text(self) -> str:
        """Of the statement."""
        return self.statement.text

    @property
    def earlier(self) -> Sequence[Statement]:
        """The statements of this file before this one."""
        return self.file.statements[: self.number]

    @property
    def step(self) -> Step | None:
        """The step that runs it; None for BEGIN and COMMIT, and where the file cannot be cut."""
        return self._place[0]

    @property
    def together(self) -> Sequence[Statement]:
        """The statements that `apply` has run in the same transaction before this one."""
        step, at = self._place
        return step.statements[:at] if step else ()

    @property
    def _place(self) -> tuple[Step | None, int]:
        """The step, and how many of its statements run before this one."""
        if not self.file.places:
            for step in self.file.steps:
                self.file.places.update((id(each), (step, at)) for at, each in enumerate(step.statements))
        return self.file.places.get(id(self.statement), (None, 0))

    def actions(self, *what: str) -> list[Action]:
        """What the statement does, of these kinds."""
        return [each for each in (self.doing or self.statement.facts).actions if each.what in what]

    def calls(self, *names: str) -> Iterator[Action]:
        """The calls of these functions, without their schema; of functions of TimescaleDB only."""
        return (each for each in self.actions("call") if each.name.rpartition(".")[2] in names)

    def done_before(self, *what: str) -> Iterator[Action]:
        """What this file does before this statement, of these kinds; within a DO block all of it."""
        upto = self.number + (self.facts.kind is Kind.CODE)
        return (act for each in what for number, act in self.file.acts.get(each, ()) if number < upto)

    def done_after(self, *what: str) -> Iterator[Action]:
        """What this file does after this statement, of these kinds; within a DO block all of it."""
        above = self.number - (self.facts.kind is Kind.CODE)
        return (act for each in what for number, act in self.file.acts.get(each, ()) if number > above)

    def is_new(self, table: str) -> bool:
        """This file has created the table: nobody else can see it, so its locks bother nobody."""
        return self.known.made_in(table, self.path)

    @property
    def breaking(self) -> bool:
        """`-- BREAKING: why` stands in the file."""
        return self.file.breaking


@record(frozen=True, slots=True)
class Directory:
    """All files together, with the schema after the last one."""

    files: Sequence[File]
    known: Known
    main_branch: Mapping[str, str]
    """path → SHA-256 (hex) of its bytes on the main branch; empty when git does not tell."""
    critical: Mapping[Place, str] = field(default_factory=dict)
    """Where tidelock.toml says so → a table that the application cannot start without."""
