"""Files → findings: every rule on every statement, allowances, and what does not parse."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tidelock.core.facts import facts_sent_on
from tidelock.core.lint import (
    destruction,
    destruction_access,
    destruction_rows,
    hygiene,
    hygiene_project,
    hygiene_rights,
    hygiene_schema,
    hygiene_secrets,
    idempotence,
    idempotence_changes,
    idempotence_rows,
    locking,
    timescale,
    transactions,
)
from tidelock.core.lint.findings import allowance, finding
from tidelock.core.lint.known import Known, key
from tidelock.core.lint.look import Directory, File, Look
from tidelock.core.lint.reading import of_fault
from tidelock.core.lint.rule import RULES, Remark, Rule
from tidelock.core.lint.syntax import unreadable
from tidelock.core.model import Place
from tidelock.core.patterns import regex
from tidelock.core.report import Finding
from tidelock.core.statement import Ending, Facts, Kind
from tidelock.core.steps import steps_of
from tidelock.core.surroundings import Surroundings
from tidelock.core.values import record
from tidelock.errors import SourceFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from tidelock.core.lint.rule import Remarks
    from tidelock.core.model import Migration
    from tidelock.core.statement import Script, Statement
    from tidelock.core.step import Step

    Asked = tuple[Rule, Callable[[Look], Remarks]]

FAMILIES = (
    idempotence,
    idempotence_changes,
    idempotence_rows,
    locking,
    transactions,
    destruction,
    destruction_rows,
    destruction_access,
    timescale,
    hygiene,
    hygiene_secrets,
    hygiene_rights,
    hygiene_schema,
    hygiene_project,
)
"""Imported, and so registered."""
SYNTAX = "HY000"
UNUSED = "HY001"
BEHIND = regex(r"^(?![ \t]*--)(?=[ \t]*\S)(?:[^\n']|'[^\n']*')*?--[ \t]*tidelock: allow\b", re.MULTILINE)
"""An allowance at the end of a line."""
OF_PROVE = regex(r"P\d+")
"""What `prove` finds, and what may be allowed of that; nothing that lint knows of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which rules are asked. A code, or the letters that a family of codes begins with."""

    select: tuple[str, ...] = ()
    """Only these, when any are named; optional ones as well."""
    extend: tuple[str, ...] = ()
    """Optional ones that are asked too."""
    ignore: tuple[str, ...] = ()

    def takes(self, rule: Rule) -> bool:
        """Whether a rule is asked."""
        if matches(rule.code, self.ignore):
            return False
        if self.select:
            return matches(rule.code, self.select)
        return not rule.optional or matches(rule.code, self.extend)


def matches(code: str, wanted: Iterable[str]) -> bool:
    """Whether a code is one of these, or of one of these families."""
    return any(code == each or code.rstrip("0123456789") == each for each in wanted)


@record(frozen=False, slots=True)
class Engine:
    """One run over the files of a directory."""

    read: Callable[[Migration], Script]
    """Raises a SourceFault for a file that is no script."""
    selection: Selection = Selection()
    main_branch: Mapping[str, str] = field(default_factory=dict)
    critical: Mapping[Place, str] = field(default_factory=dict)
    known: Known = field(default_factory=Known)
    """The schema so far; what a live database has may be given."""
    surroundings: Surroundings = field(default_factory=Surroundings)
    """What the files so far leave to the cutting of the next one into steps."""
    on_recreate: str = "refuse"
    """`[timescale] on_recreate`."""
    bodies: dict[str, Facts] = field(default_factory=dict)
    """What the functions would do that the files have made; those of triggers are called by nobody."""
    files: list[File] = field(default_factory=list)
    found: list[Finding] = field(default_factory=list)
    _rules: list[Rule] = field(init=False)
    """Those that are selected."""
    _of_files: list[tuple[Rule, Callable[[File], Remarks]]] = field(init=False)
    _asked: dict[tuple[frozenset[str], Kind], tuple[Asked, ...]] = field(default_factory=dict, init=False)
    """What statements do, and are → the rules for it, with what each asks."""

    def __post_init__(self) -> None:
        self._rules = [each for each in RULES.values() if self.selection.takes(each)]
        self._of_files = [(each, each.file) for each in self._rules if each.file]

    def run(
        self, migrations: Sequence[Migration], only: Callable[[Migration], bool] = lambda _: True, *, last: bool = True
    ) -> list[Finding]:
        """Findings in the order of place and code. All files are read; those of `only` are spoken of.

        Unless they are the `last` ones, the rules about all files together wait.
        """
        for migration in migrations:
            first = len(self.found)
            file = self.file(migration)
            self.files.append(file)
            before = len(self.found)
            self.statements(file)
            self.ask_file(file)
            self.found[before:] = self.allowed(file, self.found[before:])
            if not only(migration):
                del self.found[first:]
        if last:
            self.ask_directory(only)
        return sorted(self.found, key=lambda each: (each.place or Place("", 0), each.code))

    def learn(self, past: Iterable[tuple[Migration, Script | None]], surroundings: Surroundings) -> None:
        """Take in files that others ask about, and what they leave to those after them."""
        for migration, script in past:
            self.files.append(file := File(migration, script, known=self.known))
            for statement in file.statements:
                self.take_in(statement)
        self.surroundings = self.surroundings.and_those(surroundings)

    def file(self, migration: Migration) -> File:
        """Read one; what is wrong with it as a script is a finding, and the others go on."""
        try:
            script = self.read(migration)
        except SourceFault as fault:
            self.found.append(of_fault(fault, migration.path))
            return File(migration, None, known=self.known)
        try:
            steps = self.steps(migration, script)
        except SourceFault as fault:
            self.found.append(of_fault(fault, migration.path))
            steps = ()
        self.surroundings = self.surroundings.after(script)
        return File(migration, script, steps, known=self.known)

    def steps(self, migration: Migration, script: Script) -> tuple[Step, ...]:
        """As `apply` would cut it. Raises a SourceFault."""
        if migration.directive("rebuild") or (self.on_recreate == "preserve" and "continuous" in migration.text):
            from tidelock.core.rebuilding import steps_as_run  # rare

            return steps_as_run(migration, script, self, self.surroundings)
        return steps_of(migration, script, self.surroundings)

    def statements(self, file: File) -> None:
        """Ask every statement rule of every statement, and learn from it what it does."""
        for number, statement in enumerate(file.statements):
            facts = statement.facts
            if facts.kind is Kind.UNKNOWN and (slip := unreadable(statement)):
                said = Remark(message=slip.message, hint=slip.hint, place=slip.place)
                self.found.append(finding(RULES[SYNTAX], said, place=statement.place))
            look = Look(file, statement, number, self.known)
            for each, check in self.asked(facts):
                for remark in check(look):
                    made = finding(each, remark, statement=statement, text=file.migration.text)
                    size = sized(look) if each.code.startswith(SIZE_MATTERS) else ""
                    self.found.append(replace(made, message=f"{made.message}{size}") if size else made)
            if statement.ending is Ending.GEXEC or (self.bodies and facts.calls and facts.kind in CALLING):
                self.follow(look)
            self.take_in(statement)

    def take_in(self, statement: Statement) -> None:
        """Learn what a statement does, and what a function would do that it makes."""
        facts = statement.facts
        for action in facts.actions:
            self.known.learn(action, statement.place)
        if facts.body is not None:
            self.bodies |= {
                key(each.name): facts.body
                for each in facts.actions
                if each.what in ("create function", "create procedure") and "trigger" not in each.flags
            }

    def follow(self, look: Look) -> None:
        """Ask of the code that a statement runs, too: functions that the files have made, what \\gexec sends."""
        statement = look.statement
        runs = [("", facts_sent_on(statement.text))] if statement.ending is Ending.GEXEC else []
        runs += called(look.facts.calls, self.bodies)
        for name, does in runs:
            by = f" (by {name})" if name else ""
            inner = replace(look, doing=Facts(kind=Kind.CODE, command="DO", actions=does.actions))
            for action in does.actions:
                look.file.acts.setdefault(action.what, []).append((look.number, action))
            for each, check in self.asked(inner.facts):
                if each.code.startswith(OF_CODE):
                    for remark in check(inner):
                        made = finding(each, remark, statement=statement)
                        self.found.append(replace(made, message=f"{made.message}{by}", rewrite="", edit=None))
            for action in does.actions:
                self.known.learn(action, statement.place)

    def asked(self, facts: Facts) -> tuple[Asked, ...]:
        """The statement rules for what it does; most of a hundred are about something else."""
        does = (frozenset([each.what for each in facts.actions]), facts.kind)
        found = self._asked.get(does)
        if found is None:
            rules = (each for each in self._rules if each.about(*does))
            found = self._asked[does] = tuple((each, each.statement) for each in rules if each.statement)
        return found

    def ask_file(self, file: File) -> None:
        """Ask every file rule."""
        place = Place(file.migration.path, 1)
        for each, check in self._of_files:
            for remark in check(file):
                self.found.append(finding(each, remark, place=place))

    def ask_directory(self, only: Callable[[Migration], bool]) -> None:
        """Ask the rules about all files together."""
        files = {file.migration.path: file for file in self.files}
        directory = Directory(self.files, self.known, self.main_branch, self.critical)
        for each in self._rules:
            if each.directory:
                for remark in each.directory(directory):
                    made = finding(each, remark, place=Place("", 0))
                    file = files.get(made.place.path) if made.place else None
                    if file is None or (only(file.migration) and not allowance(file, made)):
                        self.found.append(made)

    def allowed(self, file: File, found: list[Finding]) -> list[Finding]:
        """Without what the file allows; an allowance that nothing needs is a finding."""
        left, used = [], set[Place]()
        for each in found:
            by = allowance(file, each)
            if by is None:
                left.append(each)
            else:
                used.add(by.place)
        return [*left, *self.unused(file, used)]

    def unused(self, file: File, used: set[Place]) -> Iterator[Finding]:
        """Allowances that allowed nothing, and those that nobody reads."""
        if file.script is None or not self.selection.takes(RULES[UNUSED]):
            return
        text = file.migration.text
        for found in BEHIND.finditer(text) if "tidelock: allow" in text else ():
            place = Place(file.migration.path, text.count("\n", 0, found.start()) + 1)
            said = Remark(message="behind a statement it is not read", hint="put it on a line above", place=place)
            yield finding(RULES[UNUSED], said, place=place)
        for each in file.migration.directives:
            rule = RULES.get(each.value)
            if (
                each.name != "allow"
                or each.place in used
                or OF_PROVE.fullmatch(each.value)
                or (rule and (rule.directory or not self.selection.takes(rule)))
            ):
                continue
            what = f"nothing here is found by {each.value}" if rule else f"there is no rule {each.value}"
            yield finding(RULES[UNUSED], Remark(message=what, place=each.place), place=each.place)


CALLING = (Kind.QUERY, Kind.DML, Kind.CODE)
"""Statements that run the functions that they name."""
OF_CODE = ("DE", "LK", "TS", "TX012", "HY031")
"""Rules that are asked of what called code does: about whether it is harmless twice, its text alone could tell."""


def called(calls: Iterable[str], bodies: Mapping[str, Facts]) -> list[tuple[str, Facts]]:
    """The functions that are called and known, with those that they call, each once."""
    names = list(dict.fromkeys(map(key, sorted(calls))))
    for each in names:
        if each in bodies:
            names += sorted({*map(key, bodies[each].calls)} - {*names})
    return [(f"{each}()", bodies[each]) for each in names if each in bodies and bodies[each].actions]


SIZE_MATTERS = ("LK", "TS002")
"""Rules of which the size of a table says how much they matter."""


def sized(look: Look) -> str:
    """`; parcels has about 41 million rows`, for a table of a live database that the statement is about."""
    for action in look.facts.actions:
        table = look.known.table(action.table) if action.table else None
        if table is not None and table.rows is not None:
            return f"; {table.name} has about {counted(table.rows)} rows there"
    return ""


def counted(rows: int) -> str:
    """`41 million`, `3,200`."""
    return f"{rows / 1_000_000:.0f} million" if rows >= 2_000_000 else f"{rows:,}"
