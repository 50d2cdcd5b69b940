"""The backup that must precede a dangerous run: taken, found, or asked of the user's own system."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING

from tidelock.config import BadSetting
from tidelock.core.backups import AFFECTED, WHOLE, BackupFault, newest_first, of_server
from tidelock.core.report import Event, Happening

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tidelock.app.apply import Run
    from tidelock.app.ports import BackupProvider, Server, Sink
    from tidelock.backup.store import Store
    from tidelock.cli.wiring import Asked
    from tidelock.config import Target
    from tidelock.core.backups import Manifest
    from tidelock.core.danger import Danger
    from tidelock.core.model import Observed, Plan


class CommandFailed(BackupFault):
    """The user's own backup command failed."""

    code = "B010"

    def __init__(self, command: str, code: int, said: str) -> None:
        super().__init__(
            f"[backup] command ended with {code}, so nothing was run: {command}",
            hint="mend the command; `tidelock apply` starts again from here",
            detail="\n".join(said.strip().splitlines()[-20:]),
        )


def secure(run: Run, target: Target, asked: Asked) -> Callable[[Plan, Observed], str]:
    """What `apply` calls before it runs a plan: it returns the id of the backup that precedes it, or nothing."""

    def before(plan: Plan, observed: Observed) -> str:
        found = needed(target, plan)
        if found is None:
            return ""
        why = f"{found[0].place} {found[0].why}" if found else "always"
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        run.sink.emit(Event(what=Happening.WAITING, text=f"a backup comes first: {why}{more}"))
        if target.backup_command:
            return asked_for(target.backup_command, plan)
        if target.backup_provider:
            return provider_of(target).make(
                plan.id, lambda text: run.sink.emit(Event(what=Happening.PROGRESS, label="backup", text=text))
            )
        from tidelock.postgres.translation import translated

        with translated(run.database.target):
            backup = taken(run, target, asked, plan, observed, found)
        restore_point(run, target, asked, plan)
        return backup

    return before


def warn(run: Run, target: Target) -> Callable[[Plan, Observed], str]:
    """What `apply` calls when nobody says where backups go: it says that none is made."""

    def before(plan: Plan, observed: Observed) -> str:
        del observed
        if target.backup_before == "always":
            raise BadSetting(
                "[backup] before", "it is always, and nobody says where to", 'write url = "…" below [backup]'
            )
        if found := needed(target, plan):
            from tidelock.render.plan import unsecured

            run.sink.emit(Event(what=Happening.NOTE, text=unsecured(found)))
        return ""

    return before


def needed(target: Target, plan: Plan) -> Sequence[Danger] | None:
    """Why a backup must come first; None when none need."""
    if target.backup_before == "never":
        return None
    if target.backup_before == "always":
        return ()
    from tidelock.core.danger import dangers

    return dangers(plan) or None


def provider_of(target: Target) -> BackupProvider:
    """The system that makes the user's backups. Raises BadSetting, NoContext or NoKubernetesClient."""
    from tidelock.cli.deploying import Where, connect

    if not target.backup_cluster:
        raise BadSetting(
            "[backup] provider", "nobody says which cluster is to be backed up", 'write cluster = "NAME" below [backup]'
        )
    kubernetes = connect(Where(namespace=target.backup_namespace or None), "[backup] provider")
    from tidelock.kube.cloudnative import CloudNativePG

    return CloudNativePG(
        kubernetes=kubernetes,
        cluster=target.backup_cluster,
        method=target.backup_method,
        plugin=target.backup_plugin,
        wait_s=target.backup_timeout_s,
    )


def restore_point(run: Run, target: Target, asked: Asked, plan: Plan) -> None:
    """Name this moment in the WAL after the plan's first version, for point-in-time systems, where the role may."""
    from tidelock.cli.backups import server_of

    name = f"tidelock before {plan.pending[0].migration.version}"
    if server_of(target, asked).restore_point(name):
        run.sink.emit(Event(what=Happening.NOTE, text=f"restore point “{name}”"))


def affected(target: Target, asked: Asked, plan: Plan, found: Sequence[Danger]) -> tuple[str, ...]:
    """The tables that a backup is limited to; none for the whole: it is not wanted, or what it takes is not known."""
    from tidelock.cli.backups import server_of

    if target.backup_scope != AFFECTED or not found or not all(each.tables for each in found) or wanders(plan):
        return ()
    return server_of(target, asked).tables(sorted({name for each in found for name in each.tables}))


REACHES_FURTHER = ("trigger", "rule")


def wanders(plan: Plan) -> bool:
    """Whether a name may mean another table in the plan than now, or a statement reach further than the catalog says.

    So it is with search_path or a role that is set, a rename, CASCADE, and a new trigger, rule or reference."""
    for statement in (each for planned in plan.pending for step in planned.steps for each in step.statements):
        facts, text = statement.facts, statement.text.lower()
        if facts.cascade or facts.renames or facts.sets in ("search_path", "role", "session_authorization"):
            return True
        if "search_path" in text or "on delete" in text or "on update" in text:
            return True
        if any(each.kind in REACHES_FURTHER for each in facts.creates):
            return True
    return False


def taken(run: Run, target: Target, asked: Asked, plan: Plan, observed: Observed, found: Sequence[Danger]) -> str:
    """A new backup, or a recent one that was verified. Raises a BackupFault."""
    from tidelock.backup.using import note
    from tidelock.cli.backups import server_of, store_of
    from tidelock.cli.backups import taken as made
    from tidelock.core.danger import dangers

    store, destructive = store_of(target, None), bool(found or dangers(plan))
    if recent := verified_since(store, server_of(target, asked), target.backup_max_age_s, run.sink):
        note(store, recent, plan.id, destructive=destructive)
        run.sink.emit(Event(what=Happening.NOTE, text=f"backup {recent.id} is verified and recent enough"))
        return recent.id
    only = affected(target, asked, plan, found)
    manifest = made(run, target, asked, store, precedes=plan.id, destructive=destructive, observed=observed, only=only)
    run.sink.emit(Event(what=Happening.NOTE, text=f"backup {manifest.id} in {manifest.took_s:.1f} s"))
    return manifest.id


def verified_since(store: Store, server: Server, age_s: float, sink: Sink) -> Manifest | None:
    """A verified backup of the whole, of this server, that is not older and still in the store with all its objects."""
    from tidelock.backup.check import lost, noted
    from tidelock.backup.source import system_of

    if not age_s:
        return None
    now = datetime.now(tz=UTC)
    found, _ = store.catalog(server.database)
    for each in newest_first(of_server(found, system_of(server))):
        if (now - each.moment).total_seconds() > age_s:
            break
        if each.scope != WHOLE or not noted(store, each):
            continue
        if gone := lost(store, each):
            text = f"backup {each.id} is verified, but {gone[0]} is not in {store} as it was written: it does not count"
            sink.emit(Event(what=Happening.NOTE, text=text))
            continue
        return each
    return None


def asked_for(command: str, plan: Plan) -> str:
    """Run the user's command and wait for it: the last line that it prints is the backup's id. Raises CommandFailed."""
    import os
    import tempfile

    with (
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):  # a pipe would wait for what it leaves behind
        done = subprocess.run(  # noqa: S602 - it is the user's own line, as in a Makefile
            command, shell=True, stdout=out, stderr=err, check=False, env={**os.environ, "TIDELOCK_PLAN": plan.id}
        )
        said, wrong = ending(out), ending(err)
    if done.returncode:
        raise CommandFailed(command, done.returncode, wrong or said)
    lines = said.splitlines()
    return lines[-1][:200] if lines else command.split()[0]


def ending(file: IO[bytes]) -> str:
    """The end of what a program wrote, without what a terminal would obey."""
    file.seek(max(0, file.seek(0, 2) - (1 << 16)))
    text = file.read().decode(errors="replace")
    return "".join(each for each in text if each.isprintable() or each == "\n").strip()
