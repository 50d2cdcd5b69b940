"""A cluster as an administrator reaches it: through kubectl, or a client."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lightkube import Client
WAIT_S = 120.0


@dataclass
class Access:
    """The administrator's kubeconfig and a kubectl for it."""

    kubectl_program: Path
    kubeconfig: Path

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """What kubectl prints. Raises RuntimeError with what it complained of."""
        done = self.run(*arguments, stdin=stdin)
        if done.returncode:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """kubectl with its exit code."""
        return subprocess.run(
            [self.kubectl_program, "--kubeconfig", self.kubeconfig, *arguments],
            input=stdin, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    def get(self, *arguments: str) -> Any:
        """The object, or the list of objects."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def there(self, *arguments: str) -> bool:
        """Whether the object exists."""
        return self.run("get", *arguments, "-o", "name").returncode == 0

    @cached_property
    def client(self) -> Client:
        """lightkube's client."""
        from lightkube import Client, KubeConfig

        return Client(config=KubeConfig.from_file(str(self.kubeconfig)).get(), trust_env=False)


def until(condition: Callable[[], object], wait_s: float = WAIT_S, *, what: str = "") -> None:
    """Return when the condition is met; a test fails after `wait_s`."""
    ends = time.monotonic() + wait_s
    while not condition():
        assert time.monotonic() < ends, f"not in {wait_s:.0f} s{': ' if what else ''}{what}"
        time.sleep(0.1)
