"""What is sealed comes back, packed in the way that its first bytes ask for."""

from __future__ import annotations

import io
import random

import pytest

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
