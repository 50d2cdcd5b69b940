"""Status: where files and database stand to each other. Tells everything, refuses nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidelock.core import critical
from tidelock.core.edited import compare_applied
from tidelock.core.planner import check_order, compare_versions, pending_of
from tidelock.errors import TidelockError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.app.apply import Run
    from tidelock.core.model import LedgerEntry, Migration, Observed


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where one database stands."""

    target: str
    observed: Observed
    files: tuple[Migration, ...]
    pending: tuple[Migration, ...]
    orphans: tuple[LedgerEntry, ...]
    """Applied, and without a file."""
    cosmetic: tuple[str, ...]
    trouble: tuple[TidelockError, ...]
    """Why `apply` would refuse."""
    holder: str = ""
    """Who holds the lease; empty when nobody does."""
    critical: tuple[critical.Standing, ...] = ()
    """How the tables stand that the application cannot start without."""


def versions_trouble(run: Run, observed: Observed) -> Iterator[TidelockError]:
    """What is missing, ahead or out of order. It takes all files to say so."""
    for check in (
        lambda: compare_versions(run.files, observed, run.policy),
        lambda: check_order(
            pending_of(run.files, observed), observed, run.policy, lambda: run.database.journaled("adopted")
        ),
    ):
        try:
            check()
        except TidelockError as error:
            yield error


def look(run: Run) -> Standing:
    """Observe, compare, and collect what `apply` would stumble over."""
    observed, _ = run.known_anew(run.database.observe())
    run.reader.target(observed)
    versions = {file.version for file in run.files}
    trouble: list[TidelockError] = []
    cosmetic: list[str] = []
    for file in run.files:
        try:
            cosmetic += compare_applied(
                [file],
                observed,
                run.reader.script,
                run.reader.changed_beside,
                run.database.stored_text,
                run.database.beside,
                run.restoring,
            )
        except TidelockError as error:
            trouble.append(error)

    if not run.left_out:
        trouble += versions_trouble(run, observed)
    return Standing(
        target=run.database.target,
        observed=observed,
        files=tuple(run.files),
        pending=tuple(pending_of(run.files, observed)),
        orphans=tuple(observed.applied[version] for version in sorted(observed.applied) if version not in versions),
        cosmetic=tuple(cosmetic),
        trouble=tuple(trouble),
        holder="" if observed.clean else run.database.holder(),
        critical=critical_tables(run, observed),
    )


def critical_tables(run: Run, observed: Observed) -> tuple[critical.Standing, ...]:
    """How the critical tables stand now."""
    if not run.critical:
        return ()
    seen = run.database.critical(run.critical)
    return tuple(
        critical.standing(each, found, observed.applied) for each, found in zip(run.critical, seen, strict=True)
    )
