"""The chart with the real Helm: installed, upgraded, rolled back."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.kube.site import JOB, MAP, SECRET, Site
from tests.rig.kube.cluster import Cluster
from tests.rig.kube.namespace import outcome

if TYPE_CHECKING:
    from pathlib import Path

    from tests.rig.kube.namespace import Namespace


def test_the_manual_job_works_after_a_rollback(tmp_path: Path, namespace: Namespace, postgres_dsn: str) -> None:
    cluster = namespace.cluster
    helm = str(cluster.binaries.program("helm")) if isinstance(cluster, Cluster) else shutil.which("helm")
    if helm is None:
        pytest.skip("helm is not on the PATH")
    site = Site(tmp_path, namespace, postgres_dsn)
    namespace.secret(SECRET, {"password": "geheim"})
    site.configure(**{"for": '"helm"', "out": '"chart"'})

    def run(*arguments: str) -> None:
        command = [helm, "--kubeconfig", str(cluster.kubeconfig), "-n", namespace.name, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    for name in ("001_a.sql", "002_b.sql"):
        site.write(name, f"CREATE TABLE t{name[:3]} (id int);\n")
        assert site.tidelock("kube", "render").returncode == 0
        run("upgrade", "--install", "mig", str(tmp_path / "chart"), "--timeout", "2m")
    run("rollback", "mig", "1")
    assert list(namespace.get("configmap", MAP)["data"]) == ["001_a.sql"]
    namespace.kubectl("create", "job", f"--from=cronjob/{JOB}", "manual")
    assert outcome(namespace.finished("manual")) == "Failed", "002 is applied, and the release no longer has it"
    assert '"code": "L004"' in namespace.ended("manual")["message"]
