"""Migrations + Observed → Plan, or the reason why not. Pure: the same files and ledger always give the same plan."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidelock.core.edited import compare_applied
from tidelock.core.model import Migration, Observed, Outcome, Plan, PlannedMigration
from tidelock.errors import DatabaseFault, LedgerFault, UsageFault

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from tidelock.core.model import LedgerEntry, StepRecord
    from tidelock.core.statement import Script
    from tidelock.core.step import Step
    from tidelock.core.surroundings import Surroundings


class NoMigrations(UsageFault):
    """A directory without a single migration: far more often a wrong path than an empty project."""

    code = "U003"

    def __init__(self, directory: str) -> None:
        super().__init__(
            f"{directory} has no migrations (NNN_description.sql)",
            hint="point --dir or `[migrations] dir` in tidelock.toml at them, or begin with `tidelock new`",
        )


class FileMissing(LedgerFault):
    """A version was applied, later ones are here, and its own file is gone."""

    code = "L003"

    def __init__(self, entries: Sequence[LedgerEntry]) -> None:
        names = ", ".join(f"{each.version} {each.description}".strip() for each in entries)
        super().__init__(
            f"applied, and without a file: {names}",
            hint="bring the files back (git log --diff-filter=D -- '*.sql'), "
            "or pass --allow-missing when they are gone on purpose",
        )


class DatabaseAhead(LedgerFault):
    """The database has versions above all of the files: an older image or commit is being deployed."""

    code = "L004"

    def __init__(self, entries: Sequence[LedgerEntry], highest: int) -> None:
        names = ", ".join(f"{each.version} {each.description}".strip() for each in entries)
        super().__init__(
            f"the database is ahead of the files: it has {names}, the files end at {highest}",
            hint="deploy the newer files, or pass --allow-ahead when the older application runs on the newer schema",
        )


class OutOfOrder(LedgerFault):
    """A pending version lies below the highest applied one: two branches met."""

    code = "L005"

    def __init__(self, pending: Sequence[Migration], highest: int) -> None:
        paths = ", ".join(each.path for each in pending)
        super().__init__(
            f"{paths}: not applied, and below {highest}, which is",
            hint="give it a number above; or, when the order makes no difference, allow it in the file with "
            "`-- tidelock: out-of-order`, or for the directory with out_of_order = true in tidelock.toml",
        )


class UnfinishedChanged(LedgerFault):
    """A file was edited in a part that an interrupted or failed run had already carried out."""

    code = "L006"

    def __init__(self, planned: Migration, record: StepRecord) -> None:
        super().__init__(
            f"{planned.path}: step {record.step} was edited, and a run had already "
            f"{'carried it out' if record.outcome is Outcome.DONE else 'started it'}",
            hint="restore that part of the file; put the change at its end or in a new file",
            detail=f"what ran: {record.statement}" if record.statement else "",
        )


class PlanChanged(LedgerFault):
    """`apply --plan ID`, and the plan is another one now."""

    code = "L007"

    def __init__(self, wanted: str, found: Plan) -> None:
        names = ", ".join(each.migration.label for each in found.pending) or "nothing pending"
        super().__init__(
            f"plan {wanted} was reviewed, and the plan now is {found.id} ({names})",
            hint="look at it again (`tidelock plan`) and pass its id",
        )


class RequirementMissing(DatabaseFault):
    """A file's `requires` is not met by the server."""

    code = "D005"

    def __init__(self, path: str, wanted: str, found: str) -> None:
        super().__init__(
            f"{path} requires {wanted}; the database has {found}",
            hint="upgrade the server or the extension, or create the extension in an earlier migration",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a person allowed."""

    out_of_order: bool = False
    allow_ahead: bool = False
    allow_missing: bool = False


def pending_of(files: Sequence[Migration], observed: Observed) -> list[Migration]:
    """The files that are not in the ledger, in numeric order."""
    return [file for file in files if file.version not in observed.applied]


def plan(
    files: Sequence[Migration],
    observed: Observed,
    *,
    read: Callable[[Migration], Script],
    policy: Policy = Policy(),
    changed: Callable[[Migration], bool] = lambda _: False,
    stored: Callable[[int], str | None] = lambda _: None,
    beside: Callable[[int], Mapping[str, str]] = lambda _: {},
    adopted: Callable[[], Container[int]] = frozenset,
    restoring: Callable[[Migration, LedgerEntry], str | None] = lambda *_: None,
    surroundings: Surroundings | None = None,
) -> Plan:
    """Decide what to run.

    `read` makes a file's Script and is called only for files that are pending or whose bytes changed; `changed` says
    whether something beside the bytes may have (an included file, a variable); `stored` gives the text that was
    applied, for the diff, `beside` the `Script.beside` of then, and `restoring` the command that brings a file back.
    """
    cosmetic = compare_applied(files, observed, read, changed, stored, beside, restoring)
    missing, ahead = compare_versions(files, observed, policy)
    pending = pending_of(files, observed)
    check_order(pending, observed, policy, adopted)
    planned = cut(pending, observed, read, surroundings)
    return Plan(
        id=plan_id(observed, planned),
        pending=tuple(planned),
        applied=len(observed.applied),
        cosmetic=cosmetic,
        ahead=ahead,
        missing=missing,
    )


def cut(
    pending: Sequence[Migration],
    observed: Observed,
    read: Callable[[Migration], Script],
    surroundings: Surroundings | None,
) -> list[PlannedMigration]:
    """The pending files in steps; each finds the surroundings that those before it leave."""
    if not pending:
        return []
    from tidelock.core.steps import steps_of
    from tidelock.core.surroundings import Surroundings

    around, planned = surroundings or Surroundings(), []
    extensions: dict[str, str | None] = dict(observed.extensions)
    for each in pending:
        script = read(each)
        check_requirements(each, observed.server_version, extensions)
        made = (item for statement in script.statements for item in statement.facts.creates)
        extensions.update(
            (item.name, None) for item in made if item.kind == "extension" and item.name not in extensions
        )
        planned.append(resume(each, script, steps_of(each, script, around), observed.unfinished.get(each.version, ())))
        around = around.after(script)
    return planned


def compare_versions(
    files: Sequence[Migration], observed: Observed, policy: Policy
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(missing, ahead): applied versions without a file. Raises unless the policy tolerates them."""
    versions = {file.version for file in files}
    highest = max(versions, default=0)
    orphans = [observed.applied[version] for version in sorted(observed.applied) if version not in versions]
    ahead = [each for each in orphans if each.version > highest]
    missing = [each for each in orphans if each.version < highest]
    if missing and not policy.allow_missing:
        raise FileMissing(missing)
    if ahead and not policy.allow_ahead:
        raise DatabaseAhead(ahead, highest)
    return tuple(each.version for each in missing), tuple(each.version for each in ahead)


def check_order(
    pending: Sequence[Migration],
    observed: Observed,
    policy: Policy,
    adopted: Callable[[], Container[int]] = frozenset,
) -> None:
    """Refuse pending versions below the highest applied one, unless file or directory allows them.

    Versions that were adopted do not count: in which order they came is not known, and what is missing between them
    was missing then. `adopted` is asked only when that would make a difference.
    """
    highest = max(observed.applied, default=-1)
    if policy.out_of_order or not below_of(pending, highest):
        return
    taken_over = adopted()
    highest = max((version for version in observed.applied if version not in taken_over), default=-1)
    if below := below_of(pending, highest):
        raise OutOfOrder(below, highest)


def below_of(pending: Sequence[Migration], highest: int) -> list[Migration]:
    """Those below, and not allowed to be."""
    return [each for each in pending if each.version < highest and each.directive("out-of-order") is None]


def check_requirements(migration: Migration, server_version: int, extensions: Mapping[str, str | None]) -> None:
    """Refuse a file whose `requires` is not met. An extension of version None is created by an earlier file."""
    for directive in migration.directives:
        if directive.name == "requires":
            require(migration.path, directive.value, server_version, extensions)


def require(path: str, wanted: str, server_version: int, extensions: Mapping[str, str | None]) -> None:
    """Check one requirement such as `timescaledb >= 2.18` or `postgresql >= 16`."""
    from tidelock.core.source import REQUIREMENT

    found = REQUIREMENT.fullmatch(wanted)
    assert found is not None
    name = found["name"].lower()
    known = {
        **extensions,
        **dict.fromkeys(("postgresql", "postgres"), f"{server_version // 10000}.{server_version % 10000}"),
    }
    if name not in known:
        raise RequirementMissing(path, wanted, f"no extension {name}")
    has = known[name]
    if has is not None and found["version"] and not meets(has, found["operator"], found["version"]):
        raise RequirementMissing(path, wanted, f"{name} {has}")


def meets(has: str, operator: str, wanted: str) -> bool:
    """Compare two versions number by number, only as far as the wanted one is written: 16.4 meets = 16."""
    width = wanted.count(".") + 1
    left = [int("".join(filter(str.isdigit, part)) or 0) for part in has.split("-")[0].split(".")]
    left = (left + [0] * width)[:width]
    right = [int(part) for part in wanted.split(".")]
    return {
        ">=": left >= right,
        "<=": left <= right,
        "=": left == right,
        ">": left > right,
        "<": left < right,
    }[operator]


def resume(
    migration: Migration, script: Script, steps: tuple[Step, ...], records: Sequence[StepRecord]
) -> PlannedMigration:
    """Find where an earlier run stopped. Raises UnfinishedChanged when what it did is not what the file says now."""
    by_step = {record.step: record for record in records}
    done = 0
    while (record := by_step.get(done + 1)) and record.outcome is Outcome.DONE:
        if done >= len(steps) or steps[done].digest != record.digest:
            raise UnfinishedChanged(migration, record)
        done += 1
    interrupted = by_step.get(done + 1)
    if interrupted is not None and interrupted.outcome is Outcome.RETRY:
        interrupted = None
    if (
        interrupted is not None
        and interrupted.outcome is Outcome.STARTED
        and (done >= len(steps) or steps[done].digest != interrupted.digest)
    ):
        raise UnfinishedChanged(migration, interrupted)
    return PlannedMigration(
        migration=migration,
        script=script,
        steps=steps,
        done=done,
        interrupted=interrupted,
        variables=by_step[done].variables if done else {},
    )


def plan_id(observed: Observed, pending: Sequence[PlannedMigration]) -> str:
    """Eight hex digits over the target, the ledger and every step: any difference gives another id."""
    digest = hashlib.sha256(f"{observed.database}\0".encode())
    for version in sorted(observed.applied):
        digest.update(f"{version} {observed.applied[version].checksum}\n".encode())
    for each in pending:
        digest.update(f"{each.migration.version} {each.migration.checksum} {each.script.tokens} {each.done}\n".encode())
        for step in each.steps:
            digest.update(f"{step.mode} {step.digest}\n".encode())
    return digest.hexdigest()[:8]
