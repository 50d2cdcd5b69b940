"""A project as its authors have it: migrations, tidelock.toml, git; and the command line in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SETTINGS = """\
[kube]
image = "registry.example/tidelock"
host = "postgresql"
user = "postgres"
secret = "postgres-secret"
password_key = "POSTGRES_PASSWORD"
namespace = "nekazari"
out = "k8s"

[backup]
url = "s3://backups/farm"

[[critical]]
table = "ndvi_jobs"
migration = 1
fallback = "fallback/001_ndvi_jobs.sql"
"""
FILES = {
    "tidelock.toml": SETTINGS,
    "migrations/001_ndvi_jobs.sql": "CREATE TABLE ndvi_jobs (id int PRIMARY KEY, status text);\n",
    "migrations/002_seed.sql": "-- {{ not a template }}\nINSERT INTO ndvi_jobs VALUES (1, '${x}');\n",
    "migrations/README.md": "Numbered files, one after the other.\n",
    "fallback/001_ndvi_jobs.sql": "CREATE TABLE IF NOT EXISTS ndvi_jobs (id int PRIMARY KEY, status text);\n",
}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")


def tidelock(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    known = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "TIDELOCK_"))}
    return subprocess.run(
        [sys.executable, "-m", "tidelock", *arguments], cwd=folder, capture_output=True, text=True, env=known
    )


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, check=True)


def commit(folder: Path, message: str) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)
