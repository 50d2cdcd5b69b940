"""What tests of manifests share."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.kube.project import FILES, write
from tests.kube.site import SECRET, Site

if TYPE_CHECKING:
    from pathlib import Path

    from tests.rig.kube.namespace import Namespace


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


@pytest.fixture
def site(tmp_path: Path, namespace: Namespace, postgres_dsn: str) -> Site:
    """A repository with one migration, and a namespace with the Secret for its database."""
    found = Site(tmp_path, namespace, postgres_dsn)
    namespace.secret(SECRET, {"password": "geheim"})
    found.configure()
    found.write("001_parcels.sql", "CREATE TABLE parcels (id int PRIMARY KEY);\n")
    return found
