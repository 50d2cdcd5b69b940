"""Whether a stored backup is what was written: byte by byte, or by restoring it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tidelock.backup.able import restorer
from tidelock.backup.compare import look_over
from tidelock.backup.leftovers import new_name
from tidelock.backup.reading import checked
from tidelock.backup.store import VERIFIED, folder_of

if TYPE_CHECKING:
    from tidelock.app.ports import Server
    from tidelock.backup.create import Progress
    from tidelock.backup.store import Store
    from tidelock.core.backups import Manifest


def digests(store: Store, manifest: Manifest, progress: Progress) -> None:
    """Download every object and check its digest. Raises Damaged."""
    progress.total_bytes = manifest.size_bytes
    for piece in manifest.pieces:
        checked(store, manifest, piece, progress)


def by_restoring(server: Server, store: Store, manifest: Manifest, jobs: int, progress: Progress) -> list[str]:
    """Restore it into a database of its own on this server, compare, and drop that again. Raises a BackupFault.

    Returns the materialized views that could not be filled, and why.
    """
    name = new_name("verify", manifest.id)
    maker = restorer(server, store, manifest, name, jobs, progress)
    maker.run()
    try:
        look_over(server, store, manifest, name, progress)
    except BaseException as error:
        maker.drop(error)
        raise
    maker.drop()
    return maker.unfilled


def lost(store: Store, manifest: Manifest) -> list[str]:
    """Its objects that are not in the store any more, or have another length."""
    folder = folder_of(manifest.database, manifest.id)
    there = store.sizes(f"{folder}/")
    return [each.name for each in manifest.pieces if there.get(f"{folder}/{each.name}") != each.size_bytes]


def note(store: Store, manifest: Manifest, how: str) -> None:
    """Keep beside it that it was verified: `digests`, or `restore`."""
    content = json.dumps({"at": datetime.now(tz=UTC).isoformat(timespec="seconds"), "how": how})
    store.put(f"{folder_of(manifest.database, manifest.id)}/{VERIFIED}", content.encode())


def noted(store: Store, manifest: Manifest) -> dict[str, Any]:
    """When and how it was verified last; empty when never."""
    try:
        found = json.loads(store.get(f"{folder_of(manifest.database, manifest.id)}/{VERIFIED}"))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
