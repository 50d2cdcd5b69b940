"""The proof of `runners.py` with a small count."""

from __future__ import annotations

from tests.proof import runners
from tests.proof.page import text
from tests.rig import bouncer
from tests.rig.requirement import missing


def test_of_sixteen_runners_one_works_and_each_migration_runs_once() -> None:
    if bouncer.program() is None:
        missing("pgbouncer", "apt-get install pgbouncer")
    result = runners.prove(rounds=4, deaths=1)
    print(text(result))
    assert not result.failures, "\n\n".join(result.failures)
