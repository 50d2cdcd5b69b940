"""Settings and comment of a database: they may hold secrets, so an encrypted backup has them in a piece of its own."""

from __future__ import annotations

import json
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING

from tidelock.backup.reading import unsealed

if TYPE_CHECKING:
    from tidelock.backup.create import Progress
    from tidelock.backup.source import Source
    from tidelock.backup.store import Store
    from tidelock.core.backups import Manifest

NAME, WHAT = "00-settings.json", "settings"


def content_of(source: Source) -> bytes:
    """What the piece holds."""
    return json.dumps({"settings": source.settings, "comment": source.comment}).encode()


def complete(store: Store, manifest: Manifest, progress: Progress) -> Manifest:
    """A manifest with what its backup keeps encrypted. Raises BadKey or Damaged."""
    piece = manifest.piece(WHAT)
    if piece is None:
        return manifest
    content = BytesIO()
    unsealed(store, manifest, piece, content, progress)
    found = json.loads(content.getvalue())
    return replace(manifest, settings=tuple(found["settings"]), comment=found["comment"])
