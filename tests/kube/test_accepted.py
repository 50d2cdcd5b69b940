"""A real API server accepts what is rendered, in a namespace that enforces the Pod Security Standard `restricted`."""

from __future__ import annotations

import os
import shutil
import subprocess
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.kube.project import tidelock, write
from tests.rig.kube.access import until
from tests.rig.kube.cluster import Cluster

if TYPE_CHECKING:
    from pathlib import Path

    from tests.rig.kube.namespace import Namespace


@pytest.fixture
def restricted(namespace: Namespace) -> Namespace:
    """A namespace that takes no other pods, and warns of Jobs that would make them."""
    levels = [f"pod-security.kubernetes.io/{each}=restricted" for each in ("enforce", "warn")]
    namespace.cluster.kubectl("label", "namespace", namespace.name, *levels)
    namespace.secret("postgres-secret", {"POSTGRES_PASSWORD": "geheim"})
    return namespace


@pytest.fixture
def helm(namespace: Namespace) -> str:
    cluster = namespace.cluster
    found = str(cluster.binaries.program("helm")) if isinstance(cluster, Cluster) else shutil.which("helm")
    return found or pytest.skip("helm is not on the PATH")


def rendered(farm: Path, namespace: Namespace, flavour: str, *arguments: str) -> Path:
    done = tidelock(farm, "kube", "render", "--for", flavour, "--namespace", namespace.name, *arguments)
    assert done.returncode == 0, done.stderr
    return farm / "k8s"


def applied(namespace: Namespace, *arguments: str) -> str:
    done = namespace.cluster.run("-n", namespace.name, "apply", "--server-side", *arguments)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    return done.stdout


def jobs(namespace: Namespace) -> dict[str, Any]:
    return {each["metadata"]["name"]: each for each in namespace.get("jobs")["items"]}


def has_a_pod(namespace: Namespace, job: str) -> None:
    """Admission let it in; what it then does without a database is another matter."""
    until(lambda: namespace.pods(job), what=f"no pod of {job}: {namespace.get('events')}")


def test_the_manifests_for_kubectl(farm: Path, restricted: Namespace) -> None:
    folder = rendered(farm, restricted, "kubectl")
    applied(restricted, "-f", str(folder))
    has_a_pod(restricted, "db-migration")
    uid = jobs(restricted)["db-migration"]["metadata"]["uid"]
    applied(restricted, "-f", str(folder))
    assert jobs(restricted)["db-migration"]["metadata"]["uid"] == uid, "an unchanged bundle runs never"
    restricted.kubectl("create", "job", "--from=cronjob/db-migration", "migration-manual")
    restricted.kubectl("create", "job", "--from=cronjob/db-backup", "backup-manual")
    has_a_pod(restricted, "migration-manual")
    has_a_pod(restricted, "backup-manual")


def test_the_deployer_may_do_what_deploying_needs_and_read_no_secret(farm: Path, restricted: Namespace) -> None:
    applied(restricted, "-f", str(rendered(farm, restricted, "kubectl") / "rights.yaml"))
    who = f"--as=system:serviceaccount:{restricted.name}:db-migration"
    may = {
        (account, verb, what): restricted.cluster.run(
            "-n", restricted.name, "auth", "can-i", verb, what, f"{who}{account}"
        ).stdout.strip()
        for account in ("", "-deploy")
        for verb, what in (
            ("create", "jobs"),
            ("patch", "configmaps"),
            ("get", "pods/log"),
            ("get", "secrets"),
            ("patch", "roles"),
        )
    }
    assert {each for each, answer in may.items() if answer == "yes"} == {
        ("-deploy", "create", "jobs"),
        ("-deploy", "patch", "configmaps"),
        ("-deploy", "get", "pods/log"),
    }


def test_the_manifests_for_kustomize_and_a_changed_bundle(farm: Path, restricted: Namespace) -> None:
    folder = rendered(farm, restricted, "kustomize")
    applied(restricted, "-k", str(folder))
    (first,) = jobs(restricted)
    has_a_pod(restricted, first)
    write(farm, {"migrations/003_c.sql": "SELECT 1;\n"})
    applied(restricted, "-k", str(rendered(farm, restricted, "kustomize")))
    assert len(jobs(restricted)) == 2


def test_the_manifests_for_argo_cd(farm: Path, restricted: Namespace) -> None:
    applied(restricted, "-f", str(rendered(farm, restricted, "argocd")))
    assert len(jobs(restricted)) == 2
    for name in jobs(restricted):
        has_a_pod(restricted, name)


def test_the_manifests_for_flux(farm: Path, restricted: Namespace) -> None:
    folder = rendered(farm, restricted, "flux")
    applied(restricted, "-k", str(folder / "migration"))
    applied(restricted, "-k", str(folder / "told"))
    assert set(jobs(restricted)) == {"db-migration", "db-migration-told"}


def test_the_chart_as_a_template(farm: Path, restricted: Namespace, helm: str) -> None:
    folder = rendered(farm, restricted, "helm")
    shown = subprocess.run([helm, "template", "farm", folder], capture_output=True, text=True, check=True)
    restricted.kubectl("apply", "--server-side", "-f", "-", stdin=shown.stdout)
    found = restricted.get("configmap", "postgresql-migrations")["data"]
    assert found["002_seed.sql"] == (farm / "migrations/002_seed.sql").read_text()
    has_a_pod(restricted, "db-migration")


def test_the_init_container_of_an_application(farm: Path, restricted: Namespace) -> None:
    part = farm / "part.yaml"
    part.write_text(tidelock(farm, "kube", "render", "--init-container").stdout)
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    pod = {
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "app", "image": "host", "command": ["sleep", "1"], "securityContext": security}],
    }
    labels = {"app": "farm"}
    restricted.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "farm"},
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
        }
    )
    restricted.kubectl("patch", "deployment", "farm", "--patch-file", str(part))
    until(lambda: any(each["spec"].get("initContainers") for each in restricted.get("pods")["items"]))


@pytest.mark.parametrize("flavour", ["kubectl", "kustomize"])
def test_five_mib_of_sql(farm: Path, restricted: Namespace, flavour: str) -> None:
    noise = zlib.compress(os.urandom(600_000)).hex()
    write(farm, {f"migrations/{number:03}_big.sql": f"SELECT '{noise[number:800_000]}';\n" for number in range(3, 10)})
    folder = rendered(farm, restricted, flavour)
    applied(restricted, "-k" if flavour == "kustomize" else "-f", str(folder))
    maps = restricted.get("configmaps", "-l", "tidelock.dev/bundle=postgresql-migrations")["items"]
    held = {name: text for each in maps for name, text in each["data"].items()}
    assert {name: len(text) for name, text in held.items()} == {
        path.name: path.stat().st_size for path in (farm / "migrations").glob("*.sql")
    }


@pytest.mark.parametrize("size_bytes", [20, 3000], ids=["small ones", "18 MiB"])
def test_six_thousand_files_in_a_folder(farm: Path, restricted: Namespace, size_bytes: int) -> None:
    names = [f"migrations/bausteine/größe {number:05}.sql" for number in range(6000)]
    write(farm, dict.fromkeys(names, f"SELECT 1; --{'-' * (size_bytes - 12)}\n"))
    write(farm, {"migrations/003_all.sql": "".join(f"\\ir '{each.partition('/')[2]}'\n" for each in names)})
    folder = rendered(farm, restricted, "kubectl")
    applied(restricted, "-f", str(folder / "migration-job.yaml"))
    maps = restricted.get("configmaps", "-l", "tidelock.dev/bundle=postgresql-migrations")["items"]
    assert sum(len(each["data"]) for each in maps) == 6003
    (volume, *_) = jobs(restricted)["db-migration"]["spec"]["template"]["spec"]["volumes"]
    sources = [each["configMap"] for each in volume["projected"]["sources"]]
    assert sum(len(each.get("items") or ()) for each in sources) >= 6000
