"""What a rollback takes back: the last run, when it changed something; or from a version on, when that is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidelock.core.backups import BackupFault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidelock.app.apply import Run
    from tidelock.core.model import Observed

CHANGES = ("applied", "failed", "started", "done")
"""Events after which something is otherwise in the database, perhaps; a refused step was rolled back."""
ROLLED_BACK = "rolled back"


class NothingToTakeBack(BackupFault):
    """No run that changed something, or no such version."""

    code = "B021"

    def __init__(self, target: str, why: str, hint: str) -> None:
        super().__init__(f"{target}: {why}", hint=hint)


def first_version(run: Run, observed: Observed) -> int:
    """The first version of the last run. Raises NothingToTakeBack."""
    history = run.database.history(500)
    told = [each for each in history if each["version"] and each["event"] in (*CHANGES, "refused")]
    last = next((each for each in history if each in told or each["event"] == ROLLED_BACK), None)
    target, earlier = run.database.target, "`tidelock rollback --to VERSION` takes back from an earlier version on"
    if last is None and observed.applied and not history:
        return max(observed.applied)  # a ledger that another hand wrote
    if last is None:
        raise NothingToTakeBack(
            target, "there was no run yet, so there is none to take back", "look at `tidelock status`"
        )
    if last["event"] == ROLLED_BACK:
        backup = (last["detail"] or {}).get("backup", "?")
        why = f"backup {backup} was rolled back to {at(last)}, and nothing was run since"
        raise NothingToTakeBack(target, why, earlier)
    same = [each for each in told if each["run_id"] == last["run_id"]]
    if not any(each["event"] in CHANGES for each in same):
        why = f"the last run, {at(last)}, was refused at version {last['version']} and changed nothing"
        raise NothingToTakeBack(target, why, earlier)
    return int(min(each["version"] for each in same))


def at(line: Mapping[str, Any]) -> str:
    """When."""
    return f"{line['at']:%Y-%m-%d %H:%M:%S}"


def known(run: Run, observed: Observed, version: int) -> int:
    """A version that was applied, or begun. Raises NothingToTakeBack for another one."""
    if version in observed.applied or version in observed.unfinished or version in begun(run.database.history(500)):
        return version
    newest = f"the newest that is applied is {max(observed.applied)}" if observed.applied else "none is applied"
    raise NothingToTakeBack(
        run.database.target,
        f"version {version} was never begun here; {newest}",
        "`tidelock status` shows what is applied, `tidelock restore ID` puts any backup in the live database's place",
    )


def begun(history: Sequence[Mapping[str, Any]]) -> set[int]:
    """Versions of which something may have been done."""
    return {int(each["version"]) for each in history if each["version"] and each["event"] in CHANGES}
