"""Adopt: take a live database in as it is, up to a version. Nothing of the files is executed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tidelock.core.report import Report
from tidelock.errors import LedgerFault, TidelockError, UsageFault

if TYPE_CHECKING:
    from tidelock.app.apply import Run
    from tidelock.core.model import Migration


class NoSuchVersion(UsageFault):
    """--up-to names a version that no file has."""

    code = "U005"

    def __init__(self, version: int, known: list[int]) -> None:
        near = ", ".join(map(str, sorted(known, key=lambda each: abs(each - version))[:3]))
        super().__init__(
            f"no file has version {version}",
            hint=f"name one that is there, such as {near}" if near else "write the files first",
        )


class NothingToAdopt(LedgerFault):
    """Every version up to there is in the ledger already."""

    code = "L014"

    def __init__(self, version: int) -> None:
        super().__init__(
            f"the ledger has every file up to {version} already",
            hint="`tidelock status` shows it; `tidelock apply` runs the rest",
        )


def adopt(run: Run, up_to: int) -> tuple[Report, tuple[Migration, ...]]:
    """Record every file up to a version as applied. The report carries a failure; the migrations are those recorded."""
    started = time.monotonic()
    failure: TidelockError | None = None
    taken: tuple[Migration, ...] = ()
    try:
        taken = record(run, up_to)
    except TidelockError as error:
        failure = error
    return Report(
        command="adopt",
        target=run.database.target,
        applied_before=run.before,
        failure=failure,
        duration_s=time.monotonic() - started,
    ), taken


def candidates(run: Run, up_to: int) -> tuple[Migration, ...]:
    """The files up to a version that are not in the ledger. Raises when there are none."""
    if up_to not in {file.version for file in run.files}:
        raise NoSuchVersion(up_to, [file.version for file in run.files])
    observed = run.database.observe()
    run.before = len(observed.applied)
    run.reader.target(observed)
    missing = tuple(
        file for file in run.files if file.version <= up_to and not known(observed.applied.get(file.version))
    )
    if not missing:
        raise NothingToAdopt(up_to)
    return missing


def record(run: Run, up_to: int) -> tuple[Migration, ...]:
    """Write ledger rows for the candidates."""
    missing = candidates(run, up_to)
    if run.database.promoted():
        missing = candidates(run, up_to)
    read = [(file, run.reader.script(file)) for file in missing]
    with run.database.lease([script for _, script in read], max(file.version for file in run.files), {"adopt": up_to}):
        run.database.record_adopted(read)
    return missing


def known(entry: object) -> bool:
    """True for a ledger row with a checksum; a row that another hand wrote is completed."""
    return entry is not None and getattr(entry, "checksum", None) is not None
