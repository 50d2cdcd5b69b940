"""Stored pieces read again: decrypted, decompressed, and checked against their digests."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import zstandard

from tidelock.backup.faults import Damaged
from tidelock.backup.seal import open_seal
from tidelock.backup.store import folder_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.backup.create import Progress
    from tidelock.backup.store import Store
    from tidelock.core.backups import Manifest, Piece


def unsealed(store: Store, manifest: Manifest, piece: Piece, to: Any, progress: Progress) -> None:
    """Write the content of a stored piece to a stream. Raises Damaged."""
    digest = hashlib.sha256()
    size = 0
    path = f"{folder_of(manifest.database, manifest.id)}/{piece.name}"

    def chunks() -> Iterator[bytes]:
        nonlocal size
        for chunk in store.chunks(path):
            digest.update(chunk)
            size += len(chunk)
            progress.add(len(chunk))
            yield chunk

    damage = ""
    try:
        open_seal(chunks(), to, encrypted=manifest.encrypted)
    except zstandard.ZstdError as error:
        damage = f"it cannot be decompressed ({error})"
    if size != piece.size_bytes or digest.hexdigest() != piece.sha256:
        damage = f"{size} bytes with another digest than the {piece.size_bytes} that were written"
    if damage:
        raise Damaged(f"{store}/{path}", damage)
