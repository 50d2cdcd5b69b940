"""The proof of `durability.py` with a small count."""

from __future__ import annotations

from tests.proof import durability
from tests.proof.page import text


def test_nothing_is_missing_when_the_server_is_killed_right_after_exit_0() -> None:
    result = durability.prove(rounds=10, shows=1)
    print(text(result))
    assert not result.failures, "\n".join(result.failures)
    lost = next(value for name, value in result.counts.items() if name.endswith("lost"))
    assert lost == str(durability.LOST_ROWS), "the rig would not notice a commit that nobody waited for"
