"""The proof of `crash.py` with a small count."""

from __future__ import annotations

from tests.proof import crash
from tests.proof.page import text
from tests.proof.wire import FIVE


def test_after_a_kill_anywhere_the_next_apply_ends_as_if_nothing_had_happened() -> None:
    result = crash.prove(messages=100, moments=40)
    print(text(result))
    assert not result.failures, "\n\n".join(result.failures)
    counts = crash.hit_counts(result)
    assert all(counts[state] for state in FIVE), counts
