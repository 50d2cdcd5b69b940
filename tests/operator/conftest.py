"""A fleet and an operator for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.operator.fleet import Fleet, Process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.rig.kube.cluster import Cluster
    from tests.rig.kube.namespace import Namespace
    from tests.rig.postgres import Server


@pytest.fixture
def fleet(rig: Cluster, namespace: Namespace, cluster: Server) -> Iterator[Fleet]:
    """Databases on the shared server."""
    found = Fleet(rig, namespace, cluster.dsn)
    yield found
    found.close()


@pytest.fixture
def operator(fleet: Fleet, tmp_path: Path) -> Iterator[Process]:
    """A running operator."""
    process = Process(fleet, tmp_path).start()
    yield process
    process.kill()
    print(process.log.read_text())
