"""A directory of migrations and a database: what a user has."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from tidelock.app.apply import apply
from tidelock.cli import wiring
from tidelock.cli.wiring import Asked

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tidelock.app.apply import Run
    from tidelock.core.report import Event, Happening, Report


@dataclass
class Listener:
    """Keeps every event."""

    events: list[Event] = field(default_factory=list)

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def close(self) -> None:
        pass

    def texts(self, what: Happening) -> list[str]:
        return [event.text for event in self.events if event.what is what]


@dataclass
class Project:
    """Files in a folder, and the database they are for."""

    folder: Path
    dsn: str
    heard: Listener = field(default_factory=Listener)

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def run(self, **asked: Any) -> Run:
        self.heard = Listener()
        wanted = Asked(**{"database": [self.dsn], "directory": self.folder, **asked})
        [target] = wiring.targets(wanted)
        return wiring.run_of(target, wanted, self.heard)

    def apply(self, **asked: Any) -> Report:
        """`tidelock apply`, in this process."""
        run = self.run(**asked)
        with closing(run.database):
            return apply(run)

    def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            cursor = conn.execute(sql.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def one(self, sql: str, *parameters: Any) -> Any:
        return self.query(sql, *parameters)[0][0]

    def versions(self, table: str = "schema_migrations") -> list[int]:
        return [version for (version,) in self.query(f"SELECT version FROM {table} ORDER BY version")]

    def tidelock(
        self, *arguments: str, env: Mapping[str, str] | None = None, timeout: float = 60, where: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """The real command, as a user runs it."""
        place = ["--dir", str(self.folder), "--database", self.dsn] if where else []
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("PG", "DATABASE_URL", "TIDELOCK"))
        }
        return subprocess.run(
            [sys.executable, "-m", "tidelock", *arguments, *place],
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**clean, **(env or {})},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def start(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """The real command, going on beside the test."""
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("PG", "DATABASE_URL", "TIDELOCK"))
        }
        return subprocess.Popen(
            [sys.executable, "-m", "tidelock", *arguments, "--dir", str(self.folder), "--database", self.dsn],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**clean, **(env or {})},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
        )
