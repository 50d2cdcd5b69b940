"""A backup by CloudNativePG before a run. The API server is real; its operator is a thread that says what a real one
would say. Of its resource definition there is here what Tidelock uses."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.rig.kube.access import until

if TYPE_CHECKING:
    import subprocess

    from tests.rig.kube.access import Access
    from tests.rig.kube.namespace import Namespace
    from tests.rig.project import Project

BACKUPS = "backups.postgresql.cnpg.io"
TEXT = {"type": "string"}
SPEC = {
    "type": "object",
    "required": ["cluster"],
    "properties": {
        "cluster": {"type": "object", "required": ["name"], "properties": {"name": TEXT}},
        "method": {
            "type": "string",
            "enum": ["barmanObjectStore", "volumeSnapshot", "plugin"],
            "default": "barmanObjectStore",
        },
        "pluginConfiguration": {"type": "object", "required": ["name"], "properties": {"name": TEXT}},
    },
}
DEFINITION: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": BACKUPS},
    "spec": {
        "group": "postgresql.cnpg.io",
        "scope": "Namespaced",
        "names": {"kind": "Backup", "listKind": "BackupList", "plural": "backups", "singular": "backup"},
        "versions": [
            {
                "name": "v1", "served": True, "storage": True, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": SPEC,
                    "status": {"type": "object", "properties": {"phase": TEXT, "error": TEXT}},
                }}},
            }
        ],
    },
}  # fmt: skip


@pytest.fixture
def databases(kubernetes: Access, namespace: Namespace) -> Namespace:
    """A namespace where Backups can be made."""
    if not kubernetes.there("crd", BACKUPS):
        namespace.apply(DEFINITION)
    until(lambda: kubernetes.run("get", BACKUPS, "-n", namespace.name).returncode == 0)
    return namespace


class Operator:
    """Takes each new Backup through phases, and ends with the last."""

    def __init__(self, namespace: Namespace, phases: tuple[str, ...], error: str = "") -> None:
        self.namespace, self.phases, self.error = namespace, phases, error
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Operator:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._over.wait(0.2):
            for each in self.namespace.get(BACKUPS)["items"]:
                if not each.get("status"):
                    for phase in self.phases:
                        self._say(each["metadata"]["name"], phase)

    def _say(self, name: str, phase: str) -> None:
        status = {"phase": phase, **({"error": self.error} if self.error else {})}
        self.namespace.kubectl(
            "patch", BACKUPS, name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status})
        )


class Farm:
    """A project whose next run drops a column."""

    def __init__(self, project: Project, kubernetes: Access, namespace: Namespace) -> None:
        self.project, self.namespace = project, namespace
        self.env = {"KUBECONFIG": str(kubernetes.kubeconfig)}
        project.write("001_a.sql", "CREATE TABLE a (i int, note text);\n")
        assert project.tidelock("apply").returncode == 0
        project.write("002_drop.sql", "ALTER TABLE a DROP COLUMN note;\n")

    def configure(self, more: str = "") -> None:
        place = f'cluster = "farm"\nnamespace = "{self.namespace.name}"\n'
        self.project.write("tidelock.toml", f'[backup]\nprovider = "cloudnative-pg"\n{place}{more}')

    def apply(self) -> subprocess.CompletedProcess[str]:
        return self.project.tidelock("apply", env=self.env)

    def backup(self) -> str | None:
        return self.project.query("SELECT backup FROM schema_migrations WHERE version = 2")[0][0]  # type: ignore[no-any-return]


@pytest.fixture
def farm(project: Project, kubernetes: Access, databases: Namespace) -> Farm:
    found = Farm(project, kubernetes, databases)
    found.configure()
    return found


def test_a_run_waits_until_the_operator_has_completed_a_backup(farm: Farm) -> None:
    with Operator(farm.namespace, ("started", "running", "finalizing", "completed")):
        done = farm.apply()
    assert done.returncode == 0, done.stderr
    [made] = farm.namespace.get(BACKUPS)["items"]
    assert farm.backup() == f"{farm.namespace.name}/{made['metadata']['name']}"
    assert made["spec"] == {"cluster": {"name": "farm"}, "method": "barmanObjectStore"}
    assert made["metadata"]["annotations"]["tidelock.dev/plan"] in made["metadata"]["name"]
    assert made["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "tidelock"


def test_a_plugin_is_named(farm: Farm) -> None:
    farm.configure('method = "plugin"\n')
    with Operator(farm.namespace, ("completed",)):
        assert farm.apply().returncode == 0
    [made] = farm.namespace.get(BACKUPS)["items"]
    assert made["spec"]["method"] == "plugin"
    assert made["spec"]["pluginConfiguration"] == {"name": "barman-cloud.cloudnative-pg.io"}


@pytest.mark.parametrize("phase", ["failed", "invalid backup definition"])
def test_a_backup_that_fails_stops_the_run(farm: Farm, phase: str) -> None:
    with Operator(farm.namespace, ("started", phase), error="no barman object store is configured"):
        refused = farm.apply()
    assert refused.returncode == 6, refused.stderr
    assert "B012" in refused.stderr
    assert "no barman object store is configured" in refused.stderr
    assert farm.project.versions() == [1]


def test_a_backup_that_nobody_begins_is_not_waited_for_forever(farm: Farm) -> None:
    farm.configure('timeout = "3s"\n')
    refused = farm.apply()
    assert (refused.returncode, "not begun after 3 s" in refused.stderr) == (6, True), refused.stderr
    assert farm.project.versions() == [1]


def test_a_backup_that_is_deleted_meanwhile_is_none(farm: Farm) -> None:
    def delete() -> None:
        until(lambda: farm.namespace.get(BACKUPS)["items"])
        farm.namespace.kubectl("delete", BACKUPS, "--all")

    other = threading.Thread(target=delete)
    other.start()
    refused = farm.apply()
    other.join()
    assert (refused.returncode, "somebody has deleted it" in refused.stderr) == (6, True), refused.stderr


@pytest.fixture
def powerless(farm: Farm, kubernetes: Access) -> Farm:
    """As a ServiceAccount that may do nothing."""
    token = farm.namespace.kubectl("create", "token", "default").strip()
    known = json.loads(kubernetes.kubectl("config", "view", "--raw", "-o", "json"))
    [context] = [each["context"] for each in known["contexts"] if each["name"] == known["current-context"]]
    known["users"] = [{"name": context["user"], "user": {"token": token}}]
    farm.env["KUBECONFIG"] = str(farm.project.write("kubeconfig.json", json.dumps(known)))
    return farm


def test_rights_that_are_missing_are_said(powerless: Farm) -> None:
    refused = powerless.apply()
    assert (refused.returncode, "B012" in refused.stderr, "cannot create resource" in refused.stderr) == (6, True, True)
    assert powerless.project.versions() == [1]


def test_a_cluster_that_nobody_names_is_a_wrong_setting(project: Project) -> None:
    project.write("tidelock.toml", '[backup]\nprovider = "cloudnative-pg"\nbefore = "always"\n')
    project.write("001_a.sql", "CREATE TABLE a (i int);\n")
    refused = project.tidelock("apply")
    assert (refused.returncode, 'cluster = "NAME"' in refused.stderr) == (2, True), refused.stderr
    assert not project.one("SELECT to_regclass('a') IS NOT NULL")
