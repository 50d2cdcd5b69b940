"""A process that runs until it is stopped, and never longer than the tests do."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

START_S = 240.0
STOP_S = 20.0
GUARD = 'read -r _; kill -KILL "$1" 2>/dev/null'


class StartError(RuntimeError):
    """It ended, or was not ready in time. The message holds the end of its log."""


class Daemon:
    """One program with its arguments and its log. It can be started again after it was stopped or killed."""

    def __init__(
        self, name: str, command: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.command = [str(each) for each in command]
        self.log = log
        self.env = env
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether it is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running")
        return self._process.pid

    def start(self) -> None:
        """Start it; a guard kills it when the test process is gone, however that happens."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env, start_new_session=True
            )
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "guard", str(self.pid)], stdin=subprocess.PIPE, start_new_session=True
        )

    def wait_until(self, ready: Callable[[], bool], wait_s: float = START_S) -> None:
        """Return when `ready` says so. Raises StartError with the end of the log."""
        ends = time.monotonic() + wait_s
        while not ready():
            if not self.running or time.monotonic() > ends:
                raise StartError(f"{self.name}:\n{self.tail()}")
            time.sleep(0.03)

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when that does not help."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()
        self._forget()

    def kill(self) -> None:
        """SIGKILL it and all that it started: nothing of it gets a word out."""
        if self._process is None:
            return
        family = _family(self.pid)
        for each in family:
            _quietly(each.suspend)
        for each in (*family, *_family(self.pid)):
            _quietly(each.kill)
        self._process.wait(STOP_S)
        self._forget()

    def _forget(self) -> None:
        if self._guard is not None:
            self._guard.kill()
            self._guard.wait()
            if self._guard.stdin is not None:
                self._guard.stdin.close()
        self._process = self._guard = None


def _family(pid: int) -> list[psutil.Process]:
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _quietly(act: Callable[[], object]) -> None:
    try:
        act()
    except psutil.NoSuchProcess:
        return
