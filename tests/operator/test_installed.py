"""The operator as `kube render --for operator` installs it, in a namespace that enforces `restricted`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from tests.kube.project import tidelock, write
from tests.kube.site import Site
from tests.operator.fleet import reason
from tests.rig.kube.access import until
from tests.rig.loopback import HOST, free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.rig.kube.cluster import Cluster
    from tests.rig.kube.namespace import Namespace


def test_what_is_rendered_runs_with_its_own_account_and_applies(
    rig: Cluster, namespace: Namespace, tmp_path: Path, postgres_dsn: str
) -> None:
    levels = [f"pod-security.kubernetes.io/{each}=restricted" for each in ("enforce", "warn")]
    rig.kubectl("label", "namespace", namespace.name, *levels)
    site = Site(tmp_path, namespace, postgres_dsn)
    namespace.secret("postgres-secret", {"password": "geheim"})
    site.configure(out='"k8s"', **{"for": '"operator"'})
    write(tmp_path, {"migrations/001_a.sql": "CREATE TABLE a (i int);\n"})
    assert tidelock(tmp_path, "kube", "render").returncode == 0
    folder = tmp_path / "k8s"
    rig.kubectl("apply", "--server-side", "-f", str(folder / "operator-crd.yaml"))
    rig.kubectl("wait", "--for=condition=Established", "crd/migrationtargets.tidelock.dev")
    for path in sorted(folder.glob("*.yaml")):
        objects = [each for each in yaml.safe_load_all(path.read_text()) if each["kind"] != "CustomResourceDefinition"]
        for each in objects:
            if each["kind"] == "Deployment":  # pods of this node share the host's ports
                each["spec"]["replicas"] = 1
                each["spec"]["template"]["spec"]["containers"][0]["args"][-1] = f"{HOST}:{free_port()}"
        if objects:
            namespace.apply(*objects)
    until(lambda: reason(namespace, "db-migration") == "Applied", what=namespace.kubectl("get", "pods,jobs"))
    assert site.versions() == [1]
    write(tmp_path, {"migrations/002_b.sql": "INSERT INTO a VALUES (2);\n"})
    assert tidelock(tmp_path, "kube", "render").returncode == 0
    namespace.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(folder / "migrations.yaml"))
    until(lambda: site.versions() == [1, 2])
    assert site.query("SELECT i FROM a") == [(2,)]
