"""Databases of an operator: a bundle, a MigrationTarget and a witness for each, and the operator as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
from lightkube import Client, KubeConfig
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import ConfigMap
from lightkube.types import PatchType

from tests.rig.kube.access import until
from tests.rig.loopback import HOST, free_port
from tidelock.core.bundle import Bundle
from tidelock.core.workload import Workload
from tidelock.kube.delivery import Delivery
from tidelock.operator import manifests, resource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.rig.kube.cluster import Cluster
    from tests.rig.kube.namespace import Namespace

FIRST = {"001_witness.sql": "CREATE TABLE witness (number int);\n"}
LEASE_S = 3


class Fleet:
    """A namespace with the operator's definition and rights, and databases on one server."""

    def __init__(self, cluster: Cluster, namespace: Namespace, dsn: str) -> None:
        self.cluster, self.namespace, self.dsn = cluster, namespace, dsn
        delivery = Delivery(workload=Workload(namespace=namespace.name, image="tidelock").named(""), bundle=Bundle({}))
        cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(resource.definition()))
        cluster.kubectl(
            "wait", "--for=condition=Established", "--timeout=30s", f"crd/{resource.PLURAL}.{resource.GROUP}"
        )
        namespace.apply(*(each for each in manifests.installation(delivery) if each["kind"] != "Deployment"))
        self.user = f"operator-{namespace.name[-6:]}"
        self.kubeconfig = cluster.user(self.user)
        namespace.kubectl("create", "rolebinding", self.user, f"--role={manifests.NAME}", f"--user={self.user}")
        self.client = Client(config=KubeConfig.from_file(str(cluster.kubeconfig)).get(), trust_env=False)
        self.files: dict[str, dict[str, str]] = {}

    # Databases

    def add(self, name: str, **spec: Any) -> None:
        """A database with a bundle and a target of its own."""
        at = urlsplit(self.dsn)
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {self.database(name)}")
        self.change(name, FIRST)
        self.namespace.apply(
            {
                "apiVersion": f"{resource.GROUP}/{resource.VERSION}",
                "kind": resource.KIND,
                "metadata": {"name": name},
                "spec": {
                    "bundle": name,
                    "image": "tidelock",
                    "database": {
                        "host": at.hostname,
                        "port": at.port,
                        "user": at.username,
                        "name": self.database(name),
                    },
                    **spec,
                    "policy": {"wait": "20s", "firstRetry": "1s", **spec.get("policy", {})},
                },
            }
        )

    def change(self, name: str, files: dict[str, str]) -> str:
        """Put files into the bundle of a database, as another hand than Tidelock would; returns the new digest."""
        self.files.setdefault(name, {}).update(files)
        metadata = ObjectMeta(name=name, labels={"tidelock.dev/bundle": name})
        found = ConfigMap(apiVersion="v1", kind="ConfigMap", metadata=metadata, data=self.files[name])
        self.client.patch(
            ConfigMap,
            name,
            found,
            namespace=self.namespace.name,
            patch_type=PatchType.APPLY,
            field_manager="test",
            force=True,
        )
        return Bundle({path: text.encode() for path, text in self.files[name].items()}).digest

    def add_witness(self, name: str) -> str:
        """One more migration for a database, without a guard: run twice it leaves two rows."""
        number = len(self.files[name]) + 1
        return self.change(name, {f"{number:03}_more.sql": f"INSERT INTO witness VALUES ({number});\n"})

    def witnesses(self, name: str) -> list[int]:
        with self.connect(name) as connection:
            return [number for (number,) in connection.execute("SELECT number FROM witness ORDER BY number")]

    def database(self, name: str) -> str:
        """Its name on the server, which other tests use as well."""
        return f"{name}_{self.namespace.name[-6:]}"

    def connect(self, name: str) -> psycopg.Connection:
        return psycopg.connect(f"{self.dsn.rpartition('/')[0]}/{self.database(name)}", autocommit=True)

    def close(self) -> None:
        """Stop what runs, and drop the databases."""
        self.namespace.kubectl("delete", "migrationtargets", "--all", "--cascade=foreground", "--timeout=60s")
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for name in self.files:
                connection.execute(f"DROP DATABASE IF EXISTS {self.database(name)} WITH (FORCE)")
        self.client.close()

    # What the operator says

    def status(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.namespace.get("migrationtarget", name).get("status", {})
        return found

    def condition(self, name: str, kind: str = "Ready") -> dict[str, Any]:
        found: dict[str, dict[str, Any]] = {each["type"]: each for each in self.status(name).get("conditions", [])}
        return found.get(kind, {})

    def applied(self, name: str, digest: str, wait_s: float = 60.0) -> None:
        """Return when that bundle is the one that is applied."""

        def there() -> bool:
            status = self.status(name)
            return status.get("applied", {}).get("digest") == digest and bool(status["applied"].get("mark"))

        until(there, wait_s, what=f"{name} is {json.dumps(self.status(name), indent=1)}")

    def stands(self, name: str, reason: str, wait_s: float = 60.0) -> dict[str, Any]:
        """The Ready condition, when it has that reason."""
        found: dict[str, Any] = {}

        def there() -> bool:
            found.update(self.condition(name))
            return found.get("reason") == reason

        until(there, wait_s, what=f"{name} is {self.status(name)}")
        return found

    def jobs(self, name: str) -> list[dict[str, Any]]:
        found = self.namespace.get("jobs", "-l", f"tidelock.dev/target={name}")["items"]
        return sorted(found, key=lambda each: int(each["metadata"]["annotations"]["tidelock.dev/serial"]))


def reason(namespace: Namespace, name: str) -> str:
    """Why a target's Ready condition is as it is."""
    conditions = namespace.get("migrationtarget", name).get("status", {}).get("conditions", [])
    return str(next((each["reason"] for each in conditions if each["type"] == "Ready"), ""))


class Process:
    """An operator as a process of its own."""

    def __init__(self, fleet: Fleet, folder: Path, number: int = 1) -> None:
        self.fleet, self.port = fleet, free_port()
        self.log = folder / f"operator-{number}.log"
        self.name = f"operator-{number}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Process:
        known = {
            name: value for name, value in os.environ.items() if not name.startswith(("PG", "TIDELOCK_", "KUBECONFIG"))
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "tidelock", "operator", "run", "--kubeconfig", self.fleet.kubeconfig,
                    "--namespace", self.fleet.namespace.name, "--listen", f"{HOST}:{self.port}", "--lease", f"{LEASE_S}s",
                ],
                env={**known, "POD_NAME": self.name}, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        return self

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def kill(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)

    def ask(self, path: str) -> tuple[int, str]:
        """What its server answers."""
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""
        except OSError:
            return 0, ""


@contextmanager
def witnessed(fleet: Fleet) -> Iterator[list[str]]:
    """Watch Jobs all the while; yields what was seen that must not be: two that go on for one database."""
    seen: list[str] = []
    going: dict[str, set[str]] = {}
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            try:
                going.clear()
                found = fleet.client.list(Job, namespace=fleet.namespace.name)
                for each in found:
                    note("ADDED", each.to_dict())
                for what, each in fleet.client.watch(
                    Job, namespace=fleet.namespace.name, resource_version=found.resourceVersion, server_timeout=60
                ):
                    note(what, each.to_dict())
                    if stop.is_set():
                        return
            except Exception as error:
                if not stop.is_set():
                    print("watching:", error)
                stop.wait(0.2)

    def note(what: str, job: dict[str, Any]) -> None:
        target = job["metadata"]["labels"]["tidelock.dev/target"]
        ended = any(each["type"] in ("Complete", "Failed") for each in job.get("status", {}).get("conditions") or [])
        mine = going.setdefault(target, set())
        if what == "DELETED" or ended:
            mine.discard(job["metadata"]["name"])
        else:
            mine.add(job["metadata"]["name"])
        if len(mine) > 1:
            seen.append(f"{target}: {sorted(mine)}")

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    yield seen
    stop.set()
