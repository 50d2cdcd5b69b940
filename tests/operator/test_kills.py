"""Many changes of many bundles, with operators that are killed at random: each migration runs once, none is lost.

TIDELOCK_TEST_OPERATOR says how many: `20 200 30` (databases, changes, kills) is the proof, `4 16 5` the default.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.operator.fleet import FIRST, Fleet, Process, witnessed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATABASES, CHANGES, KILLS = map(int, os.environ.get("TIDELOCK_TEST_OPERATOR", "4 16 5").split())
WAIT_S = 120 + 4 * CHANGES
MOST_GROWTH = 12 << 20
"""Bytes that an operator may take more after all changes than after the first few: what Python's allocator keeps."""


@pytest.fixture
def pair(fleet: Fleet, tmp_path: Path) -> Iterator[list[Process]]:
    """Two operators, as the Deployment has them."""
    both = [Process(fleet, tmp_path, number).start() for number in (1, 2)]
    yield both
    for each in both:
        each.kill()


def test_every_migration_runs_once_however_often_operators_are_killed(fleet: Fleet, pair: list[Process]) -> None:
    chance = random.Random(7)
    names = [f"db{number:02}" for number in range(DATABASES)]
    for name in names:
        fleet.add(name)
    digests = {name: fleet.change(name, FIRST) for name in names}
    pause_s = 0.4 if CHANGES > 50 else 0.6
    ended = threading.Event()
    kills = 0

    def kill() -> None:
        nonlocal kills
        span_s = CHANGES * pause_s * 1.6
        for _ in range(KILLS):
            ended.wait(chance.uniform(0.3, 1.7) * span_s / KILLS)
            victim = pair[chance.randrange(2)]
            victim.kill()
            kills += 1
            victim.start()

    began = time.monotonic()
    with witnessed(fleet) as seen:
        killer = threading.Thread(target=kill)
        killer.start()
        for _ in range(CHANGES):
            name = chance.choice(names)
            digests[name] = fleet.add_witness(name)
            time.sleep(chance.uniform(0, 2 * pause_s))
        killer.join()
        for name in names:
            fleet.applied(name, digests[name], WAIT_S)
    took_s = time.monotonic() - began
    for name in names:
        assert fleet.witnesses(name) == list(range(2, len(fleet.files[name]) + 1))
    assert seen == [], "two Jobs for one database at a time"
    serials = sum(fleet.status(name)["serial"] for name in names)
    print(
        f"{CHANGES} changes of {DATABASES} databases, {kills} kills: {serials} Jobs in {took_s:.0f} s, each migration once"
    )


def test_memory_stays_flat_and_nothing_is_polled(fleet: Fleet, pair: list[Process]) -> None:
    names = ["one", "two"]
    for name in names:
        fleet.add(name)

    def rounds(count: int) -> None:
        for _ in range(count):
            for name in names:
                fleet.applied(name, fleet.add_witness(name))

    rounds(2)
    before = [psutil.Process(each.pid).memory_info().rss for each in pair]
    asked = len(list(fleet.cluster.requests(fleet.user)))
    count = max(3, CHANGES // 8)
    rounds(count)
    grown = [psutil.Process(each.pid).memory_info().rss - was for each, was in zip(pair, before, strict=True)]
    since = list(fleet.cluster.requests(fleet.user))[asked:]
    verbs = Counter((each["verb"], each["objectRef"]["resource"]) for each in since)
    print(f"{count * 2} changes: {', '.join(f'{each / 2**20:.1f} MiB' for each in grown)} more; {dict(verbs)}")
    assert max(grown) < MOST_GROWTH
    reads = {each: number for each, number in verbs.items() if each[0] in ("get", "list") and each[1] != "leases"}
    assert set(reads) <= {("list", "pods"), ("list", "events")}, "what is known is heard, not asked for"
    why = reads.get(("list", "events"), 0)
    looks = reads[("list", "pods")] - why
    assert count * 4 <= looks <= count * 4 + 2, "before each Job and after it, and where a pod or a Job was slow"
