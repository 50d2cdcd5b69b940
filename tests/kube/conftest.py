"""What tests of manifests share."""

from __future__ import annotations

import shutil

import pytest


@pytest.fixture(scope="session")
def kubectl() -> str:
    """The program; without it the test is skipped by name."""
    found = shutil.which("kubectl")
    if found is None:
        pytest.skip("kubectl is not on the PATH")
    return found
