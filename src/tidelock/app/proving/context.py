"""What the proofs of one run share: files, shadow databases, results, and the states that they compare with."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tidelock import __version__
from tidelock.app.apply import Run, apply
from tidelock.app.sinks import Silent
from tidelock.core.model import Place
from tidelock.core.planner import Policy
from tidelock.core.proof import Outcome, Proof, Result
from tidelock.core.report import Event, Finding, Happening, Severity
from tidelock.core.script_faults import lines_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tidelock.app.ports import Cache, Database, Shadows, Sink
    from tidelock.app.reading import Reader
    from tidelock.core.critical import Critical
    from tidelock.core.model import Migration
    from tidelock.core.proof import Column, State
    from tidelock.core.report import Report
    from tidelock.core.step import Step
    from tidelock.errors import TidelockError

ROLES = re.compile(r"\b(?:CREATE|ALTER|DROP)\s+(?:ROLE|USER(?!\s+MAPPING)|GROUP)\b", re.IGNORECASE)
"""Anywhere in a file: roles belong to the cluster, so that proofs of such files take turns."""
WORD = re.compile(r"[A-Za-z_][\w$]*")
PER_FILE = (Proof.FRESH, Proof.RERUN, Proof.INTERRUPTED, Proof.LOCKS, Proof.PREVIOUS)


class Died(Exception):
    """The client of a proof died where it was told to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be proved, and how."""

    proofs: frozenset[Proof]
    jobs: int = 1
    source: str = ""
    """The live database (its DSN) whose schema the upgrade begins from."""
    stored: str = ""
    """The same as SQL, from a snapshot that was stored; `stored_at` is the last version that it has."""
    stored_at: int = 0
    smoke: Callable[[Mapping[str, str]], tuple[int, str]] | None = None
    """Runs the user's command with an environment: its exit code and the end of its output."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What a file made of the database, uninterrupted: what the other proofs compare with."""

    state: State
    steps: tuple[Step, ...]


@dataclass
class Proving:
    """One run of `prove`."""

    shadows: Shadows
    reader: Reader
    cache: Cache
    wanted: Wanted
    sink: Sink
    critical: Sequence[Critical] = ()
    fallback: Callable[[str], bytes] = lambda _: b""
    results: list[Result] = field(default_factory=list)
    passed_over: dict[int, str] = field(default_factory=dict)
    """Index of a file that cannot be applied here → why."""
    made: dict[int, Applied] = field(default_factory=dict)
    """Index → what it made, until the last proof that needs it has it."""
    last: State | None = None
    """After all files."""
    over: bool = False
    """No further state will come."""
    stopped: bool = False
    """Somebody wants it to end, or a thread of it failed."""
    noise: set[Column] = field(default_factory=set)
    """Columns that differ from run to run without any interruption: clocks, random numbers."""
    awaited: set[int] = field(default_factory=set)
    """Files before which the second pass wants to begin, with a copy of the first pass's database …"""
    lent: dict[int, str] = field(default_factory=dict)
    """… and the names of the copies."""
    changed: threading.Condition = field(default_factory=threading.Condition)
    keys: dict[int, str] = field(default_factory=dict)

    @property
    def files(self) -> Sequence[Migration]:
        """Every migration, in order."""
        return self.reader.files

    @property
    def with_roles(self) -> bool:
        """Some file makes or changes roles."""
        return any(ROLES.search(file.text) for file in self.files)

    # --- running -----------------------------------------------------------------------------------------------------

    def apply(self, database: Database, count: int) -> Report:
        """Apply what is pending of the first `count` files, those left out that cannot be applied. May raise Died."""
        files = self.applicable(count)
        with closing(database):
            return apply(
                Run(
                    database=database,
                    reader=self.reader.of(files),
                    sink=Silent(),
                    policy=Policy(out_of_order=True),
                    directory=self.reader.named or "",
                )
            )

    def applicable(self, count: int) -> list[Migration]:
        """Those of the first `count` files that can be applied here."""
        return [file for index, file in enumerate(self.files[:count]) if index not in self.passed_over]

    def note_roles(self) -> None:
        """Remember which roles the files have made, so that they go with their databases."""
        if self.with_roles:
            self.shadows.note_roles({word for file in self.files for word in WORD.findall(file.text)})

    # --- states that the proofs compare with -------------------------------------------------------------------------

    def publish(self, index: int, applied: Applied) -> None:
        """A file was applied uninterrupted."""
        with self.changed:
            if self.wants(Proof.INTERRUPTED, index):
                self.made[index] = applied
            self.last = applied.state
            self.changed.notify_all()

    def lend(self, index: int, name: str) -> None:
        """Give a copy of a database that stands before a file to who waits for one."""
        if index in self.awaited:
            copied = self.shadows.clone(name)
            with self.changed:
                self.lent[index] = copied
                self.changed.notify_all()

    def borrow(self, index: int) -> str:
        """The copy; empty when there will be none."""
        with self.changed:
            self.changed.wait_for(lambda: index in self.lent or index in self.passed_over or self.over)
            return self.lent.pop(index, "")

    def end(self) -> None:
        """No further state will come."""
        with self.changed:
            self.over = True
            self.changed.notify_all()

    def take(self, index: int) -> Applied | None:
        """Wait for what a file makes of the database; None when it does not apply. It is given once."""
        with self.changed:
            self.changed.wait_for(lambda: index in self.made or index in self.passed_over or self.over)
            return self.made.pop(index, None)

    # --- results -----------------------------------------------------------------------------------------------------

    def wants(self, proof: Proof, index: int) -> bool:
        """It was asked for, and no earlier run has proved it."""
        if proof not in self.wanted.proofs:
            return False
        file = self.files[index]
        with self.changed:
            return not any(each.proof is proof and each.version == file.version for each in self.results)

    def add(self, result: Result) -> None:
        """Keep a result; the cache gets it when it is proved and stands by its content alone."""
        with self.changed:
            self.results.append(result)
        if result.outcome is Outcome.PROVED and result.proof is not Proof.PREVIOUS and result.version is not None:
            index = next(number for number, file in enumerate(self.files) if file.version == result.version)
            self.cache.put(self.key(result.proof, index), result)

    def prove(
        self,
        proof: Proof,
        index: int,
        began: float,
        evidence: str = "",
        findings: Iterable[Finding] = (),
        count: int = 1,
    ) -> None:
        """A result for one file: refuted when a finding that nobody allowed is an error."""
        file = self.files[index]
        kept = tuple(allowed(each, file) for each in findings)
        bad = any(each.severity is Severity.ERROR for each in kept)
        self.add(
            Result(
                proof=proof,
                outcome=Outcome.REFUTED if bad else Outcome.PROVED,
                label=file.label,
                version=file.version,
                evidence=evidence,
                count=count,
                findings=kept,
                duration_s=time.monotonic() - began,
            )
        )

    def leave_open(self, proof: Proof, index: int, why: str) -> None:
        """It cannot be proved here."""
        file = self.files[index]
        self.add(
            Result(proof=proof, outcome=Outcome.OPEN, label=file.label, version=file.version, evidence=why, count=0)
        )

    def pass_over(self, index: int, why: str, *, but: Proof | None = None) -> None:
        """A file cannot be applied here: none of its proofs can be made."""
        for proof in PER_FILE:
            if proof is not but and proof is not Proof.PREVIOUS and self.wants(proof, index):
                self.leave_open(proof, index, why)
        with self.changed:
            self.passed_over[index] = why
            self.changed.notify_all()

    def recall(self) -> None:
        """Take from the cache what an earlier run has proved of the same content."""
        for index in range(len(self.files)):
            for proof in self.wanted.proofs - {Proof.PREVIOUS}:
                if proof in PER_FILE and (found := self.cache.get(self.key(proof, index))):
                    self.results.append(replace(found, cached=True))

    def key(self, proof: Proof, index: int) -> str:
        """Digest of everything that a proof of one file depends on: it and all before it, server, Tidelock."""
        if index not in self.keys:
            before = self.key(proof, index - 1).partition(":")[2] if index else f"{__version__} {self.shadows.server}"
            file = self.files[index]
            tokens = self.reader.script(file).tokens if self.reader.changed_beside(file) else ""
            text = f"{before} {file.version} {file.checksum} {tokens}"
            self.keys[index] = hashlib.sha256(text.encode()).hexdigest()
        return f"{proof}:{self.keys[index]}"

    def tell(self, text: str, index: int) -> None:
        """What is at work now."""
        fraction = len({each.version for each in self.results}) / max(len(self.files), 1)
        label = self.files[index].label if index < len(self.files) else ""
        self.sink.emit(Event(what=Happening.PROGRESS, text=f"{text} {label}".rstrip(), fraction=min(fraction, 1.0)))


def allowed(finding: Finding, file: Migration) -> Finding:
    """A finding that the file allows is a note, with the reason."""
    for each in file.directives:
        if each.name == "allow" and each.value == finding.code:
            return replace(
                finding, severity=Severity.NOTE, hint=f"allowed: {each.reason}", message=finding.message, detail=""
            )
    return finding


def place_of(failure: TidelockError, file: Migration) -> Place:
    """Where a failure happened, as far as it says."""
    place = getattr(failure, "place", None)
    return place if isinstance(place, Place) else Place(file.path, 1)


def excerpt(file: Migration, place: Place) -> str:
    """The line of a file, with its number."""
    lines = lines_of(file.text)
    if place.path != file.path or not 0 < place.line <= len(lines):
        return ""
    return f"{place.line:>4} │ {lines[place.line - 1]}"
