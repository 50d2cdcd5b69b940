"""Settings and comment of a database: they may hold secrets, so an encrypted backup has them in a piece of its own."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

from tidelock.backup.faults import Damaged
from tidelock.backup.reading import unsealed
from tidelock.backup.store import folder_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidelock.backup.create import Progress
    from tidelock.backup.source import Source
    from tidelock.backup.store import Store
    from tidelock.core.backups import Manifest

# Who may write to the store may write what he likes there; this at least is not run.
OURS = re.compile(
    r"ALTER DATABASE \{database\} (OWNER TO|CONNECTION LIMIT|IS_TEMPLATE|SET) "
    r'|ALTER ROLE ([^\s";]+|"([^"]|"")+") IN DATABASE \{database\} SET '
    r"|REVOKE ALL ON DATABASE \{database\} FROM PUBLIC$"
    r"|GRANT [A-Z]+ ON DATABASE \{database\} TO "
)
NAME, WHAT = "00-settings.json", "settings"


def content_of(source: Source) -> bytes:
    """What the piece holds."""
    return json.dumps({"settings": source.settings, "comment": source.comment}).encode()


def complete(store: Store, manifest: Manifest, progress: Progress) -> Manifest:
    """A manifest with what its backup keeps encrypted. Raises BadKey or Damaged."""
    if piece := manifest.piece(WHAT):
        content = BytesIO()
        unsealed(store, manifest, piece, content, progress)
        found = json.loads(content.getvalue())
        manifest = replace(manifest, settings=tuple(found["settings"]), comment=found["comment"])
    for each in manifest.settings:
        if not OURS.match(each):
            place = f"{store}/{folder_of(manifest.database, manifest.id)}"
            raise Damaged(place, f"its settings have a statement that no backup has: {each[:60]}")
    return manifest


SET = re.compile(r"\{database\} SET (.+?) TO ")
# Since version 15 a superuser may let others make some.
FORBIDDEN = """
SELECT s.name FROM pg_settings s, pg_roles r
 WHERE s.name = ANY (%s) AND s.context LIKE 'superuser%%' AND r.rolname = current_user AND NOT r.rolsuper"""
GRANTED = " AND NOT has_parameter_privilege(s.name, 'SET')"


def forbidden(conn: Any, settings: Iterable[str], version: int) -> list[str]:
    """Names of the settings that the role may not make."""
    names = [found[1].strip('"') for each in settings if (found := SET.search(each))]
    query = FORBIDDEN + (GRANTED if version >= 150000 else "")
    return sorted(name for (name,) in conn.execute(query, (names,)))
