"""Wait: an application's patient look before it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.app.patience import backoff
from tidelock.errors import ConnectionLost, DatabaseFault, PassingFault, UsageFault

if TYPE_CHECKING:
    from tidelock.app.apply import Run
    from tidelock.app.patience import Patience


DATABASE_MISSING = "D002"
"""Somebody may still make it."""


class NotYet(PassingFault):
    """What was waited for did not come in time."""

    code = "T031"

    def __init__(self, target: str, what: str, waited_s: float) -> None:
        super().__init__(
            f"{target}: {what}; waited {waited_s:.0f} s",
            hint="see why the migration did not come (`tidelock status`, the Job's log), or wait longer: `--wait 10m`",
        )


class NothingToWaitFor(UsageFault):
    """No version was named and no table is critical."""

    code = "U012"

    def __init__(self) -> None:
        super().__init__(
            "there is nothing to wait for: no --version, and no [[critical]] in tidelock.toml",
            hint="name a version (`tidelock wait --version 42`), or the application's tables as [[critical]]",
        )


def wait(run: Run, version: int | None, patience: Patience) -> str:
    """Until a version is applied, or the critical tables are there; says what is there. Raises NotYet."""
    if version is None and not run.critical:
        raise NothingToWaitFor
    attempt = 0
    while True:
        lacking = missing(run, version)
        if not lacking:
            tables = f"there: {', '.join(each.table for each in run.critical)}"
            return tables if version is None else f"version {version} is applied"
        if not patience.pause(backoff(attempt, first_s=0.5, most_s=2.0)):
            raise NotYet(run.database.target, lacking, patience.spent_s)
        attempt += 1


def missing(run: Run, version: int | None) -> str:
    """What is not there; empty when all is."""
    try:
        if version is not None:
            return "" if version in run.database.observe().applied else f"version {version} is not applied"
        seen = run.database.critical(run.critical)
    except (ConnectionLost, DatabaseFault) as fault:
        run.database.reconnect()
        if isinstance(fault, DatabaseFault) and fault.code != DATABASE_MISSING:
            raise
        return fault.message
    lacking = [each.table for each, found in zip(run.critical, seen, strict=True) if not found.whole]
    return f"not there: {', '.join(lacking)}" if lacking else ""
