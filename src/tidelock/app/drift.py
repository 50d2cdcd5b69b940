"""Drift: what does the live database have that its applied migrations do not produce, and the other way round?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tidelock.core.ddl.document import text
from tidelock.core.drift import Drift, compared, without_versions
from tidelock.core.source import SourceFile, migrations
from tidelock.errors import LedgerFault

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from tidelock.app.apply import Run
    from tidelock.core.model import LedgerEntry, Migration, Observed
    from tidelock.core.snapshot import Snapshot


class TextUnknown(LedgerFault):
    """A migration was applied, and nobody has its text any more."""

    code = "L040"

    def __init__(self, entries: Sequence[LedgerEntry]) -> None:
        named = ", ".join(f"{each.version} {each.description}".strip() for each in entries)
        super().__init__(
            f"the text of what was applied is not known: {named}",
            hint="put the files back into the directory (git log shows where they went); the ledger keeps only the "
            "text of what Tidelock itself has applied or adopted",
        )


class Workshop(Protocol):
    """A server for shadow databases."""

    @property
    def major(self) -> int:
        """18, for PostgreSQL 18."""

    @property
    def server(self) -> str:
        """`PostgreSQL 18.6`, for people."""

    def check(self, extensions: Collection[str]) -> None:
        """Raise when one of these extensions cannot be created there."""

    def produced(self, run: Run, files: Sequence[Migration], script: str) -> Snapshot:
        """The schema that a script and then migrations make of an empty database."""


def drift(run: Run, workshop: Workshop, ignore: Sequence[str]) -> Drift:
    """Run what is applied in a shadow database, and compare. The live database is only read."""
    observed, _ = run.known_anew(run.database.observe())
    run.reader.target(observed)
    run.reader.named = observed.database
    workshop.check(observed.extensions)
    baseline = run.database.baseline()
    versions = observed.applied.keys() if baseline is None else observed.applied.keys() & baseline.since
    files = applied(run, observed, versions)
    wanted = workshop.produced(run, files, text(baseline.snapshot) if baseline else "")
    found = run.database.snapshot()
    if workshop.major != observed.server_version // 10000:
        wanted, found = without_versions(wanted), without_versions(found)
    items, ignored = compared(wanted, found, ignore)
    return Drift(
        target=run.database.target,
        shadow=workshop.server,
        applied=len(observed.applied),
        adopted_at=baseline.at if baseline else None,
        items=items,
        ignored=ignored,
        notes=tuple(notes(run, observed, adopted=baseline is not None)),
    )


def notes(run: Run, observed: Observed, *, adopted: bool) -> Iterator[str]:
    """What makes the comparison less than it looks."""
    if observed.unfinished:
        numbers = ", ".join(map(str, sorted(observed.unfinished)))
        yield f"version {numbers} is unfinished: what is there of it looks like drift"
    if not adopted and run.database.journaled("adopted"):
        yield (
            "it was adopted without a snapshot (by an earlier Tidelock): its adopted files are run as if they had made "
            "it; `tidelock snapshot --live` shows what it has"
        )


def applied(run: Run, observed: Observed, versions: Collection[int]) -> list[Migration]:
    """The applied migrations with the texts that were applied: the file's, or what the ledger kept."""
    files = {each.version: each for each in run.files}
    found: list[Migration] = []
    unknown = []
    for version in sorted(versions):
        entry = observed.applied[version]
        file = files.get(version)
        if file is not None and entry.checksum in (None, file.checksum):
            found.append(file)
        elif (stored := run.database.stored_text(version)) is not None:
            name = file.path if file else f"{version}_{entry.description.replace(' ', '_') or 'applied'}.sql"
            found += migrations([SourceFile(name, stored.encode())])
        elif file is not None:
            found.append(file)
        else:
            unknown.append(entry)
    if unknown:
        raise TextUnknown(unknown)
    return found
