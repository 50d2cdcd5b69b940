"""The two files of a snapshot in the repository: JSON for machines, SQL for people."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tidelock.core.comparison import difference
from tidelock.core.ddl.document import text
from tidelock.core.snapshot import from_json

if TYPE_CHECKING:
    from tidelock.core.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Files:
    """`FOLDER/NAME.json` and `FOLDER/NAME.sql`."""

    folder: Path
    name: str

    @property
    def json(self) -> Path:
        """The canonical form."""
        return self.folder / f"{self.name}.json"

    @property
    def sql(self) -> Path:
        """The readable one."""
        return self.folder / f"{self.name}.sql"

    @property
    def paths(self) -> tuple[str, str]:
        """Both, as people see them."""
        start = f"{Path.cwd()}/"
        return str(self.json).removeprefix(start), str(self.sql).removeprefix(start)

    def write(self, taken: Snapshot) -> bool:
        """Write both; True when one of them changed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        changed = False
        for path, content in ((self.json, taken.to_json()), (self.sql, text(taken).encode())):
            if not path.exists() or path.read_bytes() != content:
                path.write_bytes(content)
                changed = True
        return changed

    def stale(self, taken: Snapshot) -> list[str]:
        """In what they differ from a snapshot; how another version of PostgreSQL says the same does not count."""
        json_path, sql_path = self.paths
        missing = [
            f"{shown} is not there"
            for shown, path in zip(self.paths, (self.json, self.sql), strict=True)
            if not path.exists()
        ]
        if missing:
            return missing
        stored = from_json(self.json.read_bytes(), json_path)
        found = [str(each) for each in difference(stored, taken)]
        if not found and self.sql.read_bytes() != text(stored).encode():
            found.append(f"{sql_path} is not what {json_path} says")
        return found
