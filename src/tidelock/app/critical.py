"""After a run, also one that failed: the tables that the application cannot start without are there, or are made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.critical import standing
from tidelock.core.report import Event, Happening
from tidelock.core.source import SourceFile, decoded
from tidelock.errors import PassingFault, TidelockError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.app.apply import Run
    from tidelock.core.critical import Critical, Seen, Standing


def look_after(run: Run, failure: TidelockError | None) -> tuple[Standing, ...]:
    """How the critical tables stand; what is missing is made from its fallback first.

    Not after a passing fault: that run is tried again. Never raises a TidelockError: a fallback that fails is told.
    """
    if not run.critical or isinstance(failure, PassingFault):
        return ()
    try:
        if run.failure:  # nothing has been looked at: the files were wrong
            run.versions = run.database.observe().applied.keys()
        seen = run.database.critical(run.critical)
    except TidelockError:
        return ()  # the database cannot be asked; the run's own failure says why
    lacking = [each for each, found in zip(run.critical, seen, strict=True) if not found.whole and each.fallback]
    reasons: dict[str, str] = {}
    for path in dict.fromkeys(each.fallback for each in lacking):  # in the order of tidelock.toml
        reasons |= fall_back(run, path, [each for each in lacking if each.fallback == path])
    after = run.database.critical(run.critical) if lacking else seen
    return tuple(
        result(run, each, found, reasons, each in lacking) for each, found in zip(run.critical, after, strict=True)
    )


def result(run: Run, critical: Critical, seen: Seen, reasons: dict[str, str], tried: bool) -> Standing:
    """One table at the end."""
    applied = {*run.versions, *(each.version for each in run.applied)}
    return standing(critical, seen, applied, why=reasons.get(critical.table, ""), tried=tried, made_now=tried)


def fall_back(run: Run, path: str, tables: Sequence[Critical]) -> dict[str, str]:
    """Run one fallback script; returns table → why it could not be made."""
    names = [each.table for each in tables]
    try:
        text = decoded(SourceFile(path, run.fallback(path)))
        script = run.reader.beside(path, text)
        with run.database.lease([], max((file.version for file in run.files), default=0), {"fallback": names}):
            run.database.fall_back(path, text, script, names)
    except TidelockError as error:
        return dict.fromkeys(names, f"{path} failed: {error.code} {error.message}\n{error.detail}".rstrip())
    run.sink.emit(Event(what=Happening.RECOVERED, text=f"{', '.join(names)} made from {path}"))
    return {}
