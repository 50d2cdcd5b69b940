from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.rig.project import Project

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path, postgres_dsn: str) -> Project:
    """An empty directory of migrations and an empty database."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    return Project(folder, postgres_dsn)
