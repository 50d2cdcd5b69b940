"""`tidelock demo`, as `make demo` runs it: with its output in a pipe, and in a file."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def test_the_demonstration_shows_what_it_promises(tmp_path: Path) -> None:
    said = tmp_path / "said"
    with said.open("w") as into:
        done = subprocess.run([sys.executable, "-m", "tidelock", "demo"], stdout=into, stderr=into, check=False)
    text = said.read_text()
    assert done.returncode == 0, text
    assert "Applied 11 in" in text
    assert "Nothing to do" in text
    assert "L002 migrations/001_tenants.sql changed after it was applied" in text
    assert text.count("(exit 0)") == 4
    assert text.count("(exit 4)") == 1
