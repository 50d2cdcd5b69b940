"""What lies between a dump and the store: zstandard, and age when there are keys."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zstandard

from tidelock.core.backups import BackupFault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Many rows resemble the ones before and nothing else: what zstandard's default (the other setting) finds farther back
# are accidents, whose description costs more than they save.
NEAR = {"hash_log": 8, "chain_log": 8, "min_match": 7}
SETTINGS: tuple[Mapping[str, int], ...] = (NEAR, {})
CHUNK = 1 << 20


class BadKey(BackupFault):
    """A key that cannot be used, or none for a backup that is encrypted."""

    code = "B005"

    def __init__(self, why: str, hint: str) -> None:
        super().__init__(why, hint=hint)


@dataclass(frozen=True, slots=True)
class Seal:
    """Compresses, and encrypts for `recipients` (age public keys)."""

    recipients: tuple[str, ...] = ()

    @property
    def encrypts(self) -> bool:
        """Only who has a key reads it."""
        return bool(self.recipients)

    @property
    def suffix(self) -> str:
        """Of a piece's name."""
        return ".zst.age" if self.encrypts else ".zst"

    def close(self, source: Any, to: Any) -> None:
        """Everything from a stream, sealed, to another."""
        head = source.read(CHUNK)
        content: Any = Chunks(chain([head], iter(lambda: source.read(CHUNK), b"")))
        with fitting(head).stream_reader(content, read_size=CHUNK) as packed:
            if self.encrypts:
                import pyrage

                pyrage.encrypt_io(packed, to, [recipient(each) for each in self.recipients])
            else:
                shutil.copyfileobj(packed, to, CHUNK)


def fitting(head: bytes) -> zstandard.ZstdCompressor:
    """The compressor that makes least of the first bytes."""
    made = [
        zstandard.ZstdCompressor(
            compression_params=zstandard.ZstdCompressionParameters.from_level(3, write_checksum=True, **each)
        )
        for each in SETTINGS
    ]
    return min(made, key=lambda each: len(each.compress(head)))


def packed_bytes(content: bytes) -> int:
    """How much is left of it."""
    return len(fitting(content).compress(content))


def recipient(key: str) -> Any:
    """A public key. Raises BadKey."""
    import pyrage

    try:
        return pyrage.x25519.Recipient.from_str(key) if key.startswith("age1") else pyrage.ssh.Recipient.from_str(key)
    except Exception as error:  # pyrage has one class per kind of key, without a common one
        raise BadKey(f"“{key[:20]}…” is no age recipient: {error}", "write age1… or an ssh public key") from None


def identities() -> list[Any]:
    """The private keys: of TIDELOCK_AGE_KEY, or of the file that TIDELOCK_AGE_KEY_FILE names. Raises BadKey."""
    import pyrage

    text = os.environ.get("TIDELOCK_AGE_KEY", "")
    if file := os.environ.get("TIDELOCK_AGE_KEY_FILE", ""):
        try:
            text = Path(file).read_text(encoding="utf-8")
        except OSError as error:
            raise BadKey(f"{file}: {error.strerror}", "let TIDELOCK_AGE_KEY_FILE name the file with the key") from None
    keys = [line.strip() for line in text.splitlines() if line.strip().startswith("AGE-SECRET-KEY-")]
    if not keys:
        raise BadKey("the backup is encrypted, and there is no key", "set TIDELOCK_AGE_KEY_FILE (or TIDELOCK_AGE_KEY)")
    try:
        return [pyrage.x25519.Identity.from_str(each) for each in keys]
    except Exception as error:
        raise BadKey(f"the key cannot be read: {error}", "it is the line AGE-SECRET-KEY-… of age-keygen") from None


class Chunks:
    """Pieces of content as a stream to read from."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks: Iterator[bytes] = iter(chunks)
        self._left = b""

    def read(self, size: int = -1) -> bytes:
        """The next bytes, at most `size`; all that is left when it is negative."""
        if size < 0:
            content, self._left = self._left + b"".join(self._chunks), b""
            return content
        if not self._left:
            self._left = next(self._chunks, b"")
        content, self._left = self._left[:size], self._left[size:]
        return content


def open_seal(chunks: Iterable[bytes], to: Any, *, encrypted: bool) -> None:
    """Everything that was sealed, decrypted and decompressed, to a stream. Raises BadKey, or zstandard's errors."""
    with zstandard.ZstdDecompressor().stream_writer(to, write_size=CHUNK, closefd=False) as unpacked:
        if encrypted:
            import pyrage

            try:
                pyrage.decrypt_io(Chunks(chunks), unpacked, identities())
            except pyrage.DecryptError as error:
                raise BadKey(f"the backup cannot be decrypted: {error}", "use the key that it was made for") from None
        else:
            for chunk in chunks:
                unpacked.write(chunk)
