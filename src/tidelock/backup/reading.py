"""Stored pieces read again: decrypted, decompressed, and checked against their digests."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import zstandard

from tidelock.backup.faults import Damaged
from tidelock.backup.seal import BadKey, open_seal
from tidelock.backup.store import StoreFailed, folder_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.backup.create import Progress
    from tidelock.backup.store import Store
    from tidelock.core.backups import Manifest, Piece


class Stored:
    """A piece as it is stored, while it is read."""

    def __init__(self, store: Store, manifest: Manifest, piece: Piece, progress: Progress) -> None:
        self.store, self.piece, self.progress = store, piece, progress
        self.path = f"{folder_of(manifest.database, manifest.id)}/{piece.name}"
        self._digest, self._size = hashlib.sha256(), 0
        self.fault: StoreFailed | None = None
        """Why it could not be read to its end; decryption would hide it."""

    def chunks(self) -> Iterator[bytes]:
        """Its bytes."""
        try:
            for chunk in self.store.chunks(self.path):
                self._digest.update(chunk)
                self._size += len(chunk)
                self.progress.add(len(chunk))
                yield chunk
        except StoreFailed as fault:
            self.fault = fault
            raise

    def check(self, damage: str = "") -> None:
        """Raise Damaged when what was read is not what was written, or when something else is wrong with it."""
        if self._size != self.piece.size_bytes or self._digest.hexdigest() != self.piece.sha256:
            damage = f"{self._size} bytes with another digest than the {self.piece.size_bytes} that were written"
        if damage:
            raise Damaged(f"{self.store}/{self.path}", damage)


def checked(store: Store, manifest: Manifest, piece: Piece, progress: Progress) -> None:
    """Read a stored piece to its end. Raises Damaged."""
    stored = Stored(store, manifest, piece, progress)
    for _ in stored.chunks():
        pass
    stored.check()


def unsealed(store: Store, manifest: Manifest, piece: Piece, to: Any, progress: Progress) -> None:
    """Write the content of a stored piece to a stream. Raises Damaged, or BadKey when the key is another one."""
    stored = Stored(store, manifest, piece, progress)
    damage, chunks = "", stored.chunks()
    try:
        open_seal(chunks, to, encrypted=manifest.encrypted)
    except zstandard.ZstdError as error:
        damage = f"it cannot be decompressed ({error})"
    except BrokenPipeError:
        raise
    except (BadKey, OSError) as error:  # age says the same of a wrong key and of a wrong byte
        if stored.fault:
            raise stored.fault from None
        for _ in chunks:
            pass
        stored.check()
        if isinstance(error, BadKey):
            raise
        damage = f"it cannot be decrypted ({error})"
    stored.check(damage)
