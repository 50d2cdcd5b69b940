"""What a user of Kubernetes has: a repository with migrations and tidelock.toml, a namespace, and a database."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg

from tests.docs.test_json import check
from tests.rig.loopback import POD_HOST

if TYPE_CHECKING:
    from pathlib import Path

    from tests.rig.kube.namespace import Namespace

JOB = "db-migration"
MAP = "postgresql-migrations"
SECRET = "postgres-secret"
IMAGE = os.environ.get("TIDELOCK_TEST_IMAGE", "tidelock")
"""On an existing cluster one that was built from the Dockerfile; on our own each `tidelock` is the source tree."""

HELD = "DO $$ BEGIN WHILE EXISTS (SELECT FROM held) LOOP PERFORM pg_sleep(0.05); END LOOP; END $$;"
AT_WORK = """
SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%FROM held)%' AND pid <> pg_backend_pid()"""


@dataclass
class Site:
    """A repository in `folder`, and where its migrations go."""

    folder: Path
    namespace: Namespace
    dsn: str
    settings: dict[str, str] = field(default_factory=dict)
    """Further lines of [kube]: key → value as TOML writes it."""

    def application(self, pod: dict[str, Any]) -> None:
        """A Deployment of these pods, scaled to 0."""
        labels = {"app": "farm"}
        self.namespace.apply(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "farm"},
                "spec": {
                    "replicas": 0,
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": pod},
                },
            }
        )

    def configure(self, **settings: str) -> None:
        """Write tidelock.toml, with further lines of [kube]."""
        self.settings |= settings
        at = urlsplit(self.dsn)
        lines = {
            "namespace": f'"{self.namespace.name}"', "image": f'"{IMAGE}"', "host": f'"{POD_HOST or at.hostname}"', "port": str(at.port),
            "database": f'"{at.path[1:]}"', "user": f'"{at.username}"', "secret": f'"{SECRET}"', "wait": '"5s"', **self.settings,
        }  # fmt: skip
        (self.folder / "migrations").mkdir(exist_ok=True)
        text = "\n".join(["[kube]", *(f"{key} = {value}" for key, value in lines.items())])
        (self.folder / "tidelock.toml").write_text(text + "\n")

    def write(self, name: str, text: str) -> None:
        """Write a migration."""
        (self.folder / "migrations" / name).write_text(text)

    def write_held(self, name: str, text: str) -> None:
        """Write a migration that goes on until `release`."""
        self.query("CREATE TABLE IF NOT EXISTS held AS SELECT 1")
        self.write(name, f"{HELD}\n{text}")

    def holding(self) -> bool:
        """Whether such a migration is at work."""
        return bool(self.query(AT_WORK))

    def release(self) -> None:
        """Let it go on."""
        self.query("DELETE FROM held")

    def command(self, *arguments: str) -> list[str]:
        """A command line as the user types it."""
        return [sys.executable, "-m", "tidelock", *arguments]

    def environment(self, kubeconfig: Path | None = None) -> dict[str, str]:
        """Without anything that says where the database is."""
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("PG", "DATABASE_URL", "TIDELOCK"))
        }
        return {**clean, "KUBECONFIG": str(kubeconfig or self.namespace.cluster.kubeconfig)}

    def tidelock(
        self, *arguments: str, kubeconfig: Path | None = None, wait_s: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self.command(*arguments), cwd=self.folder, env=self.environment(kubeconfig), capture_output=True, text=True,
            timeout=wait_s, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command that goes on beside the test."""
        return subprocess.Popen(
            self.command(*arguments), cwd=self.folder, env=self.environment(), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def deploy(self, *arguments: str, exit_code: int = 0, kubeconfig: Path | None = None) -> str:
        """`tidelock kube deploy`, which has to end with that code; what it printed."""
        done = self.tidelock("kube", "deploy", *arguments, kubeconfig=kubeconfig)
        said = done.stdout + done.stderr
        assert done.returncode == exit_code, f"exit {done.returncode}\n{said}"
        return said

    def report(self, *arguments: str) -> dict[str, Any]:
        """The result of a `kube` command as data, which has to be as docs/schema says."""
        done = self.tidelock(*arguments, "--json")
        assert done.stdout, done.stderr
        return check(f"kube-{arguments[1]}", done.stdout)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            cursor = conn.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def versions(self) -> list[int]:
        """What the ledger has."""
        return [version for (version,) in self.query("SELECT version FROM schema_migrations ORDER BY version")]
