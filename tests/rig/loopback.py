"""Free ports on 127.0.0.1, and where pods of another cluster reach us."""

from __future__ import annotations

import os
import socket
import time

HOST = "127.0.0.1"
POD_HOST = os.environ.get("TIDELOCK_TEST_POD_HOST", "")
"""Where the pods of an existing cluster (TIDELOCK_TEST_KUBECONFIG) reach this machine; empty for our own cluster."""


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def wait_until_open(port: int, wait_s: float = 20.0) -> None:
    """Return as soon as somebody accepts connections on `port`."""
    ends = time.monotonic() + wait_s
    while True:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.02)
        else:
            return
