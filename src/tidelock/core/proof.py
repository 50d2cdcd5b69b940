"""What is proved of migrations, and how it came out, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tidelock.core.comparison import difference
from tidelock.core.report import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tidelock.core.comparison import Difference
    from tidelock.core.model import Place
    from tidelock.core.report import Finding
    from tidelock.core.snapshot import Snapshot
    from tidelock.core.statement import Statement
    from tidelock.core.step import Step

    Column = tuple[str, str]
    """Table and column."""

SHOWN = 6
"""Differences that a finding lists."""


class Proof(StrEnum):
    """What is claimed, and shown on a real server."""

    FRESH = "fresh"
    """Everything applies to an empty database."""
    RERUN = "rerun"
    """A file that runs a second time changes nothing."""
    INTERRUPTED = "interrupted"
    """A run that is cut off anywhere and started again ends as one that was not."""
    UPGRADE = "upgrade"
    """What is pending applies to the schema of a live database."""
    FALLBACK = "fallback"
    """After a critical table's fallback all migrations apply, and end as without it."""
    LOCKS = "locks"
    """A statement locks and rewrites what Tidelock says it does."""
    PREVIOUS = "previous"
    """The code of before works until the file that takes something away."""


class Outcome(StrEnum):
    """How a proof of one file came out."""

    PROVED = "proved"
    REFUTED = "refuted"
    OPEN = "open"
    """It cannot be proved here, and the evidence says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One proof of one file, or of all of them (`label` is then what was proved)."""

    proof: Proof
    outcome: Outcome
    label: str = ""
    version: int | None = None
    evidence: str = ""
    """What was done and seen, in a few words; for OPEN, why it could not be."""
    count: int = 1
    """How many things were tried: cut points, statements."""
    findings: tuple[Finding, ...] = ()
    duration_s: float = 0.0
    cached: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """The end of a run of `prove`."""

    server: str
    target: str = ""
    """The major version that is meant, when it is known and another one: `16`."""
    results: tuple[Result, ...] = ()
    files: tuple[tuple[int, str], ...] = ()
    """Version and label of each file, in order."""
    strict: bool = False
    """What could not be proved counts as well."""
    duration_s: float = 0.0

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Those of all results."""
        return tuple(each for result in self.results for each in result.findings)

    @property
    def open(self) -> int:
        """How many proofs could not be made here."""
        return sum(each.outcome is Outcome.OPEN for each in self.results)

    @property
    def exit_code(self) -> int:
        """1 when something was refuted, or, when strict, not proved."""
        refuted = any(each.severity is Severity.ERROR for each in self.findings)
        return int(refuted or (self.strict and self.open > 0))


# --- what is in a database -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rows:
    """A table's content: its number of rows, and a digest of each column's values in no order."""

    count: int
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What a proof compares."""

    schema: Snapshot
    rows: Mapping[str, Rows]
    sequences: Mapping[str, int | None]
    """The last value; None before the first."""
    drawn: frozenset[Column] = frozenset()
    """Columns that sequences fill, and those that refer to them: a rolled-back run leaves gaps in them."""
    catalog: str = ""
    """A mark that stays the same while nothing is written to the catalog; empty where there is none."""


def schema_changes(before: State, after: State) -> list[str]:
    """Each difference of the schema, as a line (or several)."""
    return [described(each) for each in difference(before.schema, after.schema)]


def described(change: Difference) -> str:
    """`column public.t.a changed: type integer → bigint`."""
    if not change.attributes:
        return f"{change.kind} {change.name} {change.what}"
    parts = (f"{name} {short(old)} → {short(new)}" for name, (old, new) in sorted(change.attributes.items()))
    return f"{change.kind} {change.name} {change.what}: {', '.join(parts)}"


def short(value: Any) -> str:
    """A value on a line."""
    text = " ".join(str("absent" if value is None else value).split())
    return text if len(text) <= 80 else f"{text[:77]}…"


def row_changes(before: State, after: State, but: Iterable[Column] = ()) -> list[str]:
    """Each table whose rows differ, as a line."""
    return [line for line, _ in _row_changes(before, after, frozenset(but))]


def changed_columns(before: State, after: State) -> frozenset[Column]:
    """Columns whose values differ."""
    return frozenset(column for _, columns in _row_changes(before, after, frozenset()) for column in columns)


def _row_changes(before: State, after: State, but: frozenset[Column]) -> Iterator[tuple[str, list[Column]]]:
    for table in sorted(before.rows.keys() & after.rows.keys()):
        old, new = before.rows[table], after.rows[table]
        columns = [
            name
            for name in sorted(old.columns.keys() & new.columns.keys())
            if old.columns[name] != new.columns[name] and (table, name) not in but
        ]
        pairs = [(table, name) for name in columns]
        if old.count != new.count:
            yield f"table {table} has {new.count:,} rows, not {old.count:,}", pairs
        elif columns:
            yield f"table {table} has other values in {', '.join(columns)}", pairs


def sequence_changes(before: State, after: State) -> list[str]:
    """Each sequence that went on."""
    return [
        f"sequence {name} went from {before.sequences[name]} to {after.sequences[name]}"
        for name in sorted(before.sequences.keys() & after.sequences.keys())
        if before.sequences[name] != after.sequences[name]
    ]


# --- where a run can be cut off --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cut:
    """Where the client dies: after a statement of a step, or once the step is committed (`statement` None)."""

    step: int
    statement: int | None
    place: Place

    def __str__(self) -> str:
        return f"after the commit of step {self.step}" if self.statement is None else f"after {self.place}"


def cuts_of(steps: Sequence[Step]) -> list[Cut]:
    """Once inside each transaction, and after whatever leaves something committed."""
    found = []
    for step in steps:
        if not step.statements:
            continue
        last = len(step.statements) - 1
        place = step.statements[last].place
        found.append(Cut(step.number, last, place))
        if step.mode != "alone":
            found.append(Cut(step.number, None, place))
    return found


# --- what a statement locks ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A relation before or after a statement."""

    name: str
    """`schema.name`."""
    kind: str
    """relkind."""
    whole: str = ""
    """Of a partition or chunk: the table that it is part of."""
    file: int = 0
    """relfilenode: another one means that it was rewritten."""
    scans: int = 0
    """Sequential scans by this transaction."""
    mode: str = ""
    """The strongest lock that this session holds on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockLook:
    """One statement, with the relations as they were before and after it, by oid."""

    statement: Statement
    claimed: Mapping[str, int] = field(default_factory=dict)
    """Oid of each table that its facts say is locked, where there is one."""
    before: Mapping[int, Seen]
    after: Mapping[int, Seen]
