"""The object store: S3 and all that speaks S3, GCS, Azure, a local directory; credentials as its own clients find them.

A backup is a folder `DATABASE/ID/` with its pieces, and is there when its manifest is: that is written last.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, from_url

from tidelock.core.backups import ID, BackupFault, BadManifest, Manifest, read, written

if TYPE_CHECKING:
    from collections.abc import Iterator

PART_BYTES = 8 << 20
PARTS = 8000
"""A store takes 10,000 parts of an object."""
MANIFEST, STARTED, VERIFIED, USED = "manifest.json", "started.json", "verified.json", "used.json"


class StoreFailed(BackupFault):
    """The object store refused, or did not answer."""

    code = "B001"

    def __init__(self, url: str, doing: str, error: Exception) -> None:
        lines = [each.strip() for each in str(error).splitlines() if each.strip()]
        words = refusal(str(error)) or (lines[0] if lines else type(error).__name__)
        super().__init__(
            f"{shown(url)}: {doing} failed: {words[:300]}",
            hint="check bucket, region, credentials (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, GOOGLE_SERVICE_ACCOUNT, "
            "AZURE_STORAGE_ACCOUNT_NAME, … or the role of the pod) and the room that is left there",
        )


def refusal(said: str) -> str:
    """Why a store refused whoever asks, in words, with the code of its XML answer; empty when it did not."""
    status = re.search(r"\b(401|403)\b|Forbidden|Unauthorized", said)
    if status is None:
        return ""
    code = re.search(r"<Code>([^<]+)</Code>", said)
    return f"the credentials were refused, or have no right to that ({code[1] if code else status[0]})"


def shown(url: str) -> str:
    """A store's address without what may be a secret."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


class Store:
    """A place for backups."""

    def __init__(self, url: str) -> None:
        self.url = url if "://" in url else Path(url).absolute().as_uri()
        try:
            self._store = opened(self.url)
        except (BaseError, ValueError, OSError) as error:
            raise StoreFailed(self.url, "opening it", error) from None

    def __str__(self) -> str:
        return shown(self.url)

    # --- objects ---------------------------------------------------------------------------------------------------

    def put(self, path: str, content: bytes) -> None:
        """Write a small object at once."""
        try:
            obstore.put(self._store, path, content)
        except (BaseError, OSError) as error:
            raise StoreFailed(self.url, f"writing {path}", error) from None

    def get(self, path: str) -> bytes:
        """A small object. Raises FileNotFoundError, or StoreFailed."""
        try:
            return bytes(obstore.get(self._store, path).bytes())
        except (NotFoundError, FileNotFoundError):
            raise FileNotFoundError(path) from None
        except (BaseError, OSError) as error:
            raise StoreFailed(self.url, f"reading {path}", error) from None

    def writer(self, path: str, estimate_bytes: int = 0) -> Upload:
        """A large object, written while it is made; it is there when the writer is closed."""
        return Upload(self, self._store, path, max(PART_BYTES, estimate_bytes // PARTS))

    def chunks(self, path: str) -> Iterator[bytes]:
        """The content of a large object, piece by piece. Raises StoreFailed."""
        try:
            for chunk in obstore.get(self._store, path).stream(min_chunk_size=1 << 20):
                yield bytes(chunk)
        except (BaseError, OSError) as error:
            raise StoreFailed(self.url, f"reading {path}", error) from None

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Path → bytes of what is there."""
        try:
            batches = obstore.list(self._store, prefix=prefix or None)
            return {each["path"]: each["size"] for batch in batches for each in batch}
        except (BaseError, OSError) as error:
            raise StoreFailed(self.url, "listing it", error) from None

    def delete(self, paths: list[str]) -> None:
        """Delete objects."""
        try:
            if paths:
                obstore.delete(self._store, paths)
        except (BaseError, OSError) as error:
            raise StoreFailed(self.url, f"deleting {paths[0]}", error) from None

    # --- backups -----------------------------------------------------------------------------------------------------

    def backups(self, database: str = "") -> dict[str, list[str]]:
        """Folder → names of its objects, for whole backups and for what is not one (yet)."""
        folders: dict[str, list[str]] = {}
        for path in self.sizes(f"{quote(database, safe='')}/" if database else ""):
            folder, _, name = path.rpartition("/")
            folders.setdefault(folder, []).append(name)
        return folders

    def catalog(self, database: str = "") -> tuple[list[Manifest], dict[str, BadManifest]]:
        """Those that are whole, and by its id what is wrong with the manifest of each other one."""
        found: list[Manifest] = []
        damaged: dict[str, BadManifest] = {}
        for folder, names in sorted(self.backups(database).items()):
            if MANIFEST in names:
                try:
                    found.append(self.manifest(folder))
                except BadManifest as fault:
                    damaged[folder.rpartition("/")[2]] = fault
        return found, damaged

    def manifest(self, folder: str) -> Manifest:
        """The manifest of a backup, by its folder."""
        path = f"{folder}/{MANIFEST}"
        return read(self.get(path), f"{self}/{path}")

    def publish(self, manifest: Manifest) -> None:
        """From now on it is a backup."""
        self.put(f"{folder_of(manifest.database, manifest.id)}/{MANIFEST}", written(manifest))

    def remove(self, folder: str) -> None:
        """Take a backup away, its manifest first; also what a writer that was killed left in a local directory."""
        if not ID.fullmatch(folder.rpartition("/")[2]):
            raise ValueError(f"{folder} is no backup's folder")
        names = self.backups(unquote(folder.partition("/")[0])).get(folder, [])
        self.delete([f"{folder}/{name}" for name in names if name == MANIFEST])
        self.delete([f"{folder}/{name}" for name in names if name != MANIFEST])
        if isinstance(self._store, LocalStore):
            shutil.rmtree(Path(str(self._store.prefix)) / folder, ignore_errors=True)


def folder_of(database: str, backup: str) -> str:
    """Where a backup lies in its store."""
    return f"{quote(database, safe='')}/{backup}"


def opened(url: str) -> Any:
    """A store by its URL; the rest is taken from the environment as the store's own clients do."""
    if url.startswith("file://"):
        return LocalStore(unquote(urlsplit(url).path), mkdir=True, automatic_cleanup=False)
    options: dict[str, Any] = {"retry_config": {"max_retries": 5}}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    if url.startswith("s3://") and endpoint:
        options |= {"endpoint": endpoint, "virtual_hosted_style_request": False}
        options["client_options"] = {"allow_http": endpoint.startswith("http://")}
    return from_url(url, **options)


class Upload:
    """An object while it is written; knows its size and digest. Without `close` nothing of it is seen."""

    def __init__(self, place: Store, store: Any, path: str, part_bytes: int) -> None:
        self.place, self.path = place, path
        self.size_bytes, self._digest = 0, hashlib.sha256()
        self._writer = obstore.open_writer(store, path, buffer_size=part_bytes, max_concurrency=2)

    @property
    def sha256(self) -> str:
        """Of what was written, hex."""
        return self._digest.hexdigest()

    def write(self, content: bytes) -> int:
        """Write on. Raises StoreFailed."""
        try:
            self._writer.write(content)
        except (BaseError, OSError) as error:
            raise StoreFailed(self.place.url, f"writing {self.path}", error) from None
        self._digest.update(content)
        self.size_bytes += len(content)
        return len(content)

    def flush(self) -> None:
        """Parts go when they are full."""

    def close(self) -> None:
        """From now on it is there. Raises StoreFailed."""
        try:
            self._writer.close()
        except (BaseError, OSError) as error:
            raise StoreFailed(self.place.url, f"writing {self.path}", error) from None
