"""Kubernetes as fixtures: `kubernetes` is the cluster, shared by all tests; `namespace` is a test's own place in it.

With TIDELOCK_TEST_KUBECONFIG it is an existing cluster (its current context, as administrator). `rig` is the same as
`kubernetes`, for tests that need our own: they kill nodes, restart the API server or read the audit log.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from tests.rig.requirement import missing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rig.kube.access import Access
    from tests.rig.kube.cluster import Cluster
    from tests.rig.kube.namespace import Namespace
    from tests.rig.postgres import Garage

EXISTING = "TIDELOCK_TEST_KUBECONFIG"
REQUIRED = "TIDELOCK_REQUIRE_KUBE"


def kube_missing(what: str, remedy: str) -> NoReturn:
    """Skip, or fail where Kubernetes is required."""
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{what} is not there: {remedy} ({REQUIRED}=1, so this counts as a failure)", pytrace=False)
    missing(what, remedy, package=False)


@pytest.fixture(scope="session")
def kubernetes(garage: Garage) -> Iterator[Access]:
    """A real Kubernetes: started here in some 8 s, or the one that TIDELOCK_TEST_KUBECONFIG names."""
    if existing := os.environ.get(EXISTING):
        from tests.rig.kube.access import Access

        program = shutil.which("kubectl") or kube_missing("kubectl", f"it is needed with {EXISTING}")
        yield Access(Path(program), Path(existing))
        return
    from tests.rig.kube import binaries, container
    from tests.rig.kube.cluster import Cluster

    if not container.possible():
        kube_missing("A mount namespace for the node's containers", "run as root, or allow user namespaces")
    try:
        programs = binaries.binaries()
    except binaries.Unavailable as error:
        kube_missing("A Kubernetes control plane", str(error))
    cluster = Cluster(programs, garage.folder / "kubernetes")
    try:
        yield cluster.start()
    finally:
        cluster.remove()


@pytest.fixture
def rig(kubernetes: Access) -> Cluster:
    """The cluster, when it is our own."""
    from tests.rig.kube.cluster import Cluster

    if not isinstance(kubernetes, Cluster):
        pytest.skip(f"needs a cluster of our own, and {EXISTING} names another")
    return kubernetes


@pytest.fixture
def namespace(kubernetes: Access, request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """An empty namespace of the test's own."""
    from tests.rig.kube.access import until
    from tests.rig.kube.namespace import Namespace

    slug = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:40].strip("-")
    own = Namespace(kubernetes, f"{slug}-{uuid.uuid4().hex[:6]}")
    kubernetes.kubectl("create", "namespace", own.name)
    until(lambda: own.there("serviceaccount", "default"))
    yield own
    kubernetes.kubectl("delete", "namespace", own.name, "--wait=false")
