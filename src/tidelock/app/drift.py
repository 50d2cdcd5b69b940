"""Drift: what does the live database have that its applied migrations do not produce, and the other way round?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from tidelock.core.comparison import What
from tidelock.core.ddl.document import text
from tidelock.core.drift import Drift, Made, compared, without_versions
from tidelock.core.origin import Origins
from tidelock.core.source import SourceFile, migrations
from tidelock.errors import LedgerFault

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from tidelock.app.apply import Run
    from tidelock.core.comparison import Difference
    from tidelock.core.drift import Item
    from tidelock.core.model import LedgerEntry, Migration, Observed
    from tidelock.core.snapshot import Key, Snapshot


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
    items, kept = since(run, observed, files, items)
    return Drift(
        target=run.database.target,
        shadow=workshop.server,
        applied=len(observed.applied),
        adopted_at=baseline.at if baseline else None,
        items=items,
        ignored=ignored,
        notes=(*notes(run, observed, adopted=baseline is not None), *([] if kept else [NOT_KEPT])),
    )


NOT_KEPT = (
    "when it was done the server does not note; from `track_commit_timestamp = on` (and a restart) on, drift says when "
    "the catalog's entry of each object was last written"
)


def since(
    run: Run, observed: Observed, files: Sequence[Migration], items: tuple[Item, ...]
) -> tuple[tuple[Item, ...], bool]:
    """The items with what is known of when; and whether the server notes it."""
    if not items:
        return items, True
    origins = Origins()
    for file in files:
        for statement in run.reader.script(file).statements:
            origins.learn(file.version, statement.facts)
    there = [each.difference for each in items if each.difference.what is not What.REMOVED]
    written = run.database.written({now(each) for each in there})
    return tuple(
        replace(
            each,
            made=made(origins, observed, each.difference),
            written=(written or {}).get(now(each.difference)),
        )
        for each in items
    ), written is not None


def now(difference: Difference) -> Key:
    """The key of what is there, which may have been renamed."""
    renamed = difference.attributes.get("name")
    return (difference.kind, str(renamed[1])) if renamed else difference.key


def made(origins: Origins, observed: Observed, difference: Difference) -> Made | None:
    """What the ledger says of the migration; of what was added by hand there is none."""
    version = origins.of(difference.key) if difference.what is not What.ADDED else None
    entry = observed.applied.get(version) if version is not None else None
    if version is None or entry is None:
        return None
    return Made(version=version, description=entry.description, at=entry.applied_at)


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
