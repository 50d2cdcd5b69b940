"""The command as a process of its own, started by the hundred.

A `Nursery` is a process that has Tidelock's modules imported and forks for each command: the same code in a process
of its own, with connections of its own, and without 0.4 s of imports. Everything that is killed here is that child.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

PREFIXES = ("PG", "DATABASE_URL", "TIDELOCK_", "CI")


class Nursery:
    """Forks commands one after another. Use it as a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._count = 0
        self.last: Command | None = None
        clean = {name: value for name, value in os.environ.items() if not name.startswith(PREFIXES)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.proof.client"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=clean, cwd=Path(__file__).parents[2],
        )  # fmt: skip

    def start(self, *arguments: str) -> Command:
        """Start `tidelock` with these arguments."""
        self._count += 1
        log = self.folder / f"{self._count}.log"
        self._tell({"arguments": arguments, "log": str(log)})
        self.last = Command(self, self.answer()["pid"], log)
        return self.last

    def _tell(self, request: dict[str, object]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """The next line of the nursery: a child's pid, and later its end."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ChildProcessError("the nursery has died")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def settle(self) -> None:
        """After a round that failed: end what is still running."""
        if self.last is not None and not self.last.wait(0):
            self.last.signal(signal.SIGKILL)
            self.last.wait(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()


class Command:
    """One run of the command."""

    def __init__(self, nursery: Nursery, pid: int, log: Path) -> None:
        self.pid = pid
        self.log = log
        self.code: int | None = None
        """Its exit code, or minus the signal that ended it."""
        self._ended = threading.Event()
        threading.Thread(target=self._listen, args=(nursery,), daemon=True).start()

    def _listen(self, nursery: Nursery) -> None:
        with contextlib.suppress(ChildProcessError, ValueError):
            self.code = nursery.answer()["code"]
        self._ended.set()

    def wait(self, wait_s: float) -> bool:
        """Wait for its end; False when it has not come by then."""
        return self._ended.wait(wait_s)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if not self._ended.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def end(self, wait_s: float) -> int:
        """Its exit code; raises TimeoutError, and kills it, when it does not come."""
        if not self.wait(wait_s):
            self.signal(signal.SIGKILL)
            self.wait(5)
            raise TimeoutError(f"tidelock did not end within {wait_s:.0f} s:\n{self.said}")
        assert self.code is not None
        return self.code

    @property
    def said(self) -> str:
        """What it wrote, to stdout and stderr."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def serve() -> None:
    """The nursery: a request a line on stdin, two answers a line on stdout."""
    import_everything()
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            become(request["arguments"], request["log"])
        print(json.dumps({"pid": pid}), flush=True)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


def import_everything() -> None:
    """What `tidelock apply` imports, so that the children need not."""
    from tidelock.core.facts import facts_of
    from tidelock.core.script import read

    read("001_x.sql", "SELECT 1;", variables={}, load=str, database=None)
    facts_of("SELECT 1")


def become(arguments: Sequence[str], log: str) -> None:
    """Run the command in this process, as `python -m tidelock` does, and end."""
    code = 70
    try:
        nothing = os.open(os.devnull, os.O_RDONLY)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for number, target in ((nothing, 0), (out, 1), (out, 2)):
            os.dup2(number, target)
        sys.argv = ["tidelock", *arguments]
        from tidelock.cli.main import main

        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1 if end.code else 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
