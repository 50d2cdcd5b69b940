"""Which backups destructive runs stand on: said by manifests, by notes beside the backups, and by the ledger."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tidelock.backup.store import USED, folder_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tidelock.backup.store import Store
    from tidelock.core.backups import Manifest
    from tidelock.core.model import LedgerEntry


def note(store: Store, manifest: Manifest, plan: str, *, destructive: bool) -> None:
    """Keep beside a backup that was there already that a run goes ahead on it."""
    now = datetime.now(tz=UTC).isoformat(timespec="seconds")
    runs = [*noted(store, manifest), {"plan": plan, "at": now, "destructive": destructive}]
    store.put(path(manifest), json.dumps({"runs": runs}).encode())


def noted(store: Store, manifest: Manifest) -> list[dict[str, Any]]:
    """Those runs, oldest first."""
    try:
        return list(json.loads(store.get(path(manifest)))["runs"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return []


def path(manifest: Manifest) -> str:
    """Where the note is."""
    return f"{folder_of(manifest.database, manifest.id)}/{USED}"


def last_uses(store: Store, found: Sequence[Manifest], applied: Iterable[LedgerEntry]) -> dict[str, datetime]:
    """Backup → when a destructive run began on it last. One that only the ledger knows of counts as destructive."""
    by_ledger = {each.backup: each.applied_at for each in applied if each.backup}
    uses: dict[str, datetime] = {}
    for each in found:
        runs = noted(store, each)
        moments = [datetime.fromisoformat(run["at"]) for run in runs if run["destructive"]]
        if each.run and each.destructive:
            moments.append(each.moment)
        if each.id in by_ledger and not each.run and not runs:
            moments.append((by_ledger[each.id] or each.moment).astimezone(UTC))
        if moments:
            uses[each.id] = max(moments)
    return uses
