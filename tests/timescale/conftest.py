from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.rig.project import Project

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path, timescale_dsn: str) -> Project:
    """An empty directory of migrations and an empty database with TimescaleDB."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    return Project(folder, timescale_dsn)
