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
def fleet(rig: Cluster, namespace: Namespace, server: Server) -> Iterator[Fleet]:
    """Databases on a server of the test's own."""
    found = Fleet(rig, namespace, server.dsn)
    yield found
    found.client.close()


@pytest.fixture
def operator(fleet: Fleet, tmp_path: Path) -> Iterator[Process]:
    """A running operator."""
    process = Process(fleet, tmp_path).start()
    yield process
    process.kill()
    print(process.log.read_text())
