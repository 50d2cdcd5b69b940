"""Which of the stored backups is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core import backups
from tidelock.core.backups import AFFECTED, WHOLE, BackupFault, Manifest
from tidelock.errors import TidelockError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.app.ports import Server
    from tidelock.backup.store import Store

LIST = "`tidelock backup list` shows what is there"


class NoSuchBackup(BackupFault):
    """The store has no such backup, or none at all; it may have one that is named for this."""

    code = "B009"

    def __init__(self, store: str, wanted: str, hint: str = LIST) -> None:
        super().__init__(f"{store} has no {wanted}", hint=hint)


def chosen(
    store: Store, database: str, system: str | None, wanted: str = "", before: int | None = None, *, any_database: bool
) -> Manifest:
    """The backup that is meant: an id or its beginning; the newest of this server, or its newest without a version.

    Only an id leads to a backup of another server, and with `any_database` to one of another database. `system` is
    None when the server cannot be asked: then every backup may be its own. Raises NoSuchBackup or BadManifest.
    """
    named = wanted if before is None and wanted != "latest" else ""
    found, damaged = store.catalog("" if named and any_database else database)
    ours = backups.of_server(found, system)
    if named:
        fitting = [each for each in ours if each.id.startswith(named)] or [
            each for each in found if each.id.startswith(named)
        ]
    else:
        fitting = [each for each in ours if each.scope == WHOLE and (before is None or before not in each.applied)]
    one = next(iter(backups.newest_first(fitting)), None)
    for each, fault in damaged.items():
        if each.startswith(named) and (one is None or (not named and each > one.id)):
            raise fault  # perhaps it is the one that is meant: an older one in its place would be a wrong answer
    if one is None:
        without = "" if before is None else f" from before version {before}"
        words = f"backup {named}" if named else f"backup of {database}{without}"
        raise missing(str(store), words, found, ours, before, named=bool(named))
    return one


def missing(
    store: str, words: str, found: Sequence[Manifest], ours: Sequence[Manifest], before: int | None, *, named: bool
) -> NoSuchBackup:
    """Why there is none, and what comes nearest."""
    if named:
        return NoSuchBackup(store, words)
    if part := backups.before(ours, before, AFFECTED) if before is not None else None:
        return NoSuchBackup(store, f"whole {words}", beside(part))
    others = [each for each in backups.newest_first(found) if each not in ours and each.scope == WHOLE]
    if others:
        return NoSuchBackup(
            store,
            f"{words} on this server; {len(others)} are of another one (system identifier {others[0].system or '?'})",
            f"was the server moved or made anew? The newest of those: `tidelock restore {others[0].id}`; "
            "`tidelock backup list` shows all",
        )
    return NoSuchBackup(store, words)


def beside(part: Manifest) -> str:
    """What can be done with a backup of some tables."""
    return (
        f"backup {part.id} holds {len(part.rows)} tables as they were then: "
        f"`tidelock restore {part.id} --into NAME` brings them back beside the live database"
    )


def newer_part(store: Store, whole: Manifest, version: int) -> Manifest | None:
    """The backup of some tables that was made between a whole one and a version, when there is one."""
    found, _ = store.catalog(whole.database)
    part = backups.before(backups.of_server(found, whole.system), version, AFFECTED)
    return part if part and part.at > whole.at else None


def system_if_up(server: Server) -> str | None:
    """The system identifier; None when the server cannot be asked."""
    from tidelock.backup.source import system_of

    try:
        return system_of(server)
    except TidelockError:
        return None
