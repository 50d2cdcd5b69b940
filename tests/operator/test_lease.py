"""One leader at a time: the Lease is taken, kept, lost and given back."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import msgspec
import pytest
from lightkube import Client, KubeConfig

from tidelock.operator.lease import Leadership

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.rig.kube.access import Access
    from tests.rig.kube.namespace import Namespace

DURATION_S = 3.0


@pytest.fixture
def claim(kubernetes: Access, namespace: Namespace) -> Iterator[Callable[..., Leadership]]:
    clients = []

    def make(identity: str, server: str = "") -> Leadership:
        config = KubeConfig.from_file(str(kubernetes.kubeconfig)).get()
        assert config is not None
        cluster = msgspec.structs.replace(config.cluster, server=server or config.cluster.server)
        clients.append(Client(config=config._replace(cluster=cluster), trust_env=False))
        return Leadership(clients[-1], namespace.name, "operator", identity, DURATION_S)

    yield make
    for each in clients:
        each.close()


def test_of_two_one_leads_and_the_other_takes_over_when_it_is_silent(claim: Callable[..., Leadership]) -> None:
    one, two = claim("one"), claim("two")
    assert one.attempt()
    assert not two.attempt()
    assert (one.held, two.held) == (True, False)
    began = time.monotonic()
    assert two.acquire(threading.Event())
    assert time.monotonic() - began >= DURATION_S * 0.9
    assert not one.held, "it stopped before another could begin"
    assert not one.attempt(), "and finds out that it was replaced"


def test_who_renews_keeps_it(claim: Callable[..., Leadership]) -> None:
    one, two = claim("one"), claim("two")
    one.attempt()
    stop = threading.Event()
    keeping = threading.Thread(target=one.keep, args=(stop,))
    keeping.start()
    ends = time.monotonic() + DURATION_S * 2
    while time.monotonic() < ends:
        assert one.held
        assert not two.attempt()
        time.sleep(0.3)
    stop.set()
    keeping.join()


def test_a_leader_that_ends_well_gives_it_back_at_once(claim: Callable[..., Leadership]) -> None:
    one, two = claim("one"), claim("two")
    one.attempt()
    one.release()
    assert two.attempt()


def test_who_comes_back_under_its_name_leads_at_once(claim: Callable[..., Leadership]) -> None:
    claim("pod-1").attempt()
    assert claim("pod-1").attempt(), "the container was started again in its pod"


def test_without_an_api_server_nobody_leads(claim: Callable[..., Leadership]) -> None:
    one = claim("one", "https://127.0.0.1:1")
    assert not one.attempt()
    assert not one.held
