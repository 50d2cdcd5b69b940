"""What is sealed comes back, packed in the way that its first bytes ask for."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tidelock.backup.scratch import PREFIX, scratch
from tidelock.backup.seal import CHUNK, NEAR, SETTINGS, Seal, open_seal

ROWS = b"".join(b"%d\t%d\t%.17g\n" % (i, i % 232, random.Random(i).random()) for i in range(60_000))
PROSE = random.Random(1).randbytes(30_000) * 60


def sealed(content: bytes) -> bytes:
    to = io.BytesIO()
    Seal().close(io.BytesIO(content), to)
    return to.getvalue()


@pytest.mark.parametrize("content", [b"", b"x", ROWS, PROSE, ROWS[:CHUNK], PROSE + ROWS])
def test_everything_comes_back(content: bytes) -> None:
    back = io.BytesIO()
    open_seal([sealed(content)], back, encrypted=False)
    assert back.getvalue() == content


@pytest.mark.parametrize(("content", "fits"), [(ROWS, NEAR), (PROSE, {})], ids=["rows", "prose"])
def test_what_makes_least_of_the_first_bytes_is_taken(
    content: bytes, fits: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    best = sealed(content)
    sizes = []
    for each in SETTINGS:
        monkeypatch.setattr("tidelock.backup.seal.SETTINGS", (each,))
        sizes.append(len(sealed(content)))
    assert len(best) == min(sizes) == sizes[SETTINGS.index(fits)]


def test_the_scratch_of_a_killed_restore_is_removed_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left, other, foreign = (
        tmp_path / name for name in (f"{PREFIX}{dead.pid}-a", f"{PREFIX}{os.getppid()}-b", "tmpxyz")
    )
    for each in (left, other, foreign):
        each.mkdir()
        (each / "schema").write_text("secret")
    with scratch() as folder:
        assert folder.parent == tmp_path
    assert sorted(tmp_path.iterdir()) == sorted([other, foreign])
