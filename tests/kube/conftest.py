"""What tests of manifests share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.kube.project import FILES, write


@pytest.fixture(scope="session")
def kubectl() -> str:
    """The program; without it the test is skipped by name."""
    found = shutil.which("kubectl")
    if found is None:
        pytest.skip("kubectl is not on the PATH")
    return found


@pytest.fixture
def farm(tmp_path: Path) -> Path:
    """A small project of its own."""
    write(tmp_path, FILES)
    return tmp_path
