"""The values that flow: Migration, Step, Plan, LedgerEntry, Observed. What a script says is in `statement`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from tidelock.core.values import record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from tidelock.core.statement import Script
    from tidelock.core.step import Step


@record(frozen=True, slots=True, order=True)
class Place:
    """A position in a file. `line` and `column` count from 1, columns in characters."""

    path: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


@record(frozen=True, slots=True)
class Directive:
    """A `-- tidelock: …` or `-- BREAKING: …` line."""

    name: str
    value: str
    reason: str
    place: Place


@record(frozen=True, slots=True, kw_only=True)
class Migration:
    """One numbered file, read but not yet parsed: `script` is made only for files that are pending or changed."""

    version: int
    description: str
    path: str
    """As shown to people: relative to where they stand, when it lies below."""
    text: str
    """Its content as text, decompressed, without a byte order mark."""
    checksum: str
    """SHA-256 of the bytes (of the content, when compressed), hex."""
    directives: tuple[Directive, ...] = ()

    @property
    def label(self) -> str:
        """`008 add_humidity`: as written in the file's name."""
        name = self.path.rpartition("/")[2]
        number = name[: len(name) - len(name.lstrip("0123456789"))]
        return f"{number} {self.description}".rstrip()

    def directive(self, name: str) -> Directive | None:
        """The first directive of that name."""
        return next((each for each in self.directives if each.name == name), None)

    @property
    def transactional(self) -> bool:
        """False when the file asks for each statement to run on its own."""
        return self.directive("no-transaction") is None


@record(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One row of the ledger."""

    version: int
    description: str
    applied_at: datetime | None
    checksum: str | None = None
    """None for rows that another hand wrote."""
    tokens: str | None = None
    tokens_version: int | None = None
    commit: str | None = None
    applied_by: str | None = None
    backup: str | None = None
    """The backup that preceded its run."""


class Outcome(StrEnum):
    """What the journal says of a step."""

    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    RETRY = "retry"
    """A person, or the catalog, decided that it is to be run again."""


@record(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """The last word of the journal on one step of a version that is not in the ledger."""

    version: int
    step: int
    outcome: Outcome
    digest: str
    at: datetime | None = None
    run_id: str = ""
    statement: str = ""
    evidence: Mapping[str, object]
    """What was known before it started: which objects were there (see `postgres/recovery.py`)."""
    variables: Mapping[str, str]
    """psql variables that \\gset had set when the step was done."""


@record(frozen=True, slots=True, kw_only=True)
class Observed:
    """What one look at the database found; only what the files name is asked for."""

    database: str
    user: str
    host: str = ""
    port: str = ""
    server_version: int = 0
    """As `server_version_num`: 150020."""
    pooled: bool = False
    """A pooler stands between: the session belongs to others as well."""
    writable: bool = True
    ledger: str | None = None
    """`schema.table`, or None when there is none yet."""
    applied: Mapping[int, LedgerEntry]
    unfinished: Mapping[int, tuple[StepRecord, ...]]
    clean: bool = True
    """No run holds the lease and the last one released it: what is visible is durable."""
    overridden: Mapping[str, str]
    """Timeouts that the role or the database sets and that a migration must not inherit."""
    extensions: Mapping[str, str]


@record(frozen=True, slots=True, kw_only=True)
class PlannedMigration:
    """A pending file with its steps. `done` of them were committed by an earlier run."""

    migration: Migration
    script: Script
    steps: tuple[Step, ...]
    done: int = 0
    interrupted: StepRecord | None = None
    """The step after those that are done was started, and nobody recorded how it ended."""
    variables: Mapping[str, str]
    """psql variables that the steps that are done had set."""


@record(frozen=True, slots=True, kw_only=True)
class Plan:
    """The steps for one database now. `id` is a digest: what was reviewed is what runs."""

    id: str
    pending: tuple[PlannedMigration, ...]
    applied: int = 0
    cosmetic: tuple[str, ...] = ()
    """Applied files in which only comments, white space, line ends or the case of names changed."""
    ahead: tuple[int, ...] = ()
    """Versions that the database has and the files do not, tolerated by --allow-ahead."""
    missing: tuple[int, ...] = ()
