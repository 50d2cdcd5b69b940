"""The same statements as psql, over files that nobody here wrote. Prints the count.

TIDELOCK_TEST_SQL_CORPUS names folders with more of them (colons between), for example those of PostgreSQL's and
TimescaleDB's regression tests. Without it the extension scripts of the machine are compared.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tests.core.psql_comparison import corpus
from tests.core.psql_comparison.compare import Outcome, compare
from tests.core.psql_comparison.recorder import Recorder
from tests.rig.installation import KINDS
from tests.rig.requirement import missing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.rig.installation import Installation
    from tests.rig.postgres import Garage

BUDGET_S = 20.0
"""How long each psql compares where no corpus is named; files that are not reached are counted."""


@pytest.mark.parametrize("kind", KINDS)
def test_the_reader_reads_what_psql_sends(
    kind: str, find_programs: Callable[[str], Installation], garage: Garage, tmp_path: Path
) -> None:
    programs = find_programs(kind)
    named = corpus.named_files()
    files = named + corpus.extension_scripts()
    if not files:
        missing("SQL that nobody here wrote", f"set {corpus.WHERE} to folders with .sql files", package=False)
    outcomes = compare_all(programs, find_programs("embedded"), garage, files, tmp_path, patient=bool(named))
    report(programs, files, outcomes)
    assert [each.difference for each in outcomes if each.difference] == []
    if named:
        assert len(outcomes) >= 300
        assert sum(each.same for each in outcomes) >= 20_000


def compare_all(
    programs: Installation, server: Installation, garage: Garage, files: list[Path], folder: Path, *, patient: bool
) -> list[Outcome]:
    """Two at a time. The server is the embedded one: it has no extension that would end the connection."""
    ends = time.monotonic() + (1e9 if patient else BUDGET_S)

    def one(source: Path) -> Outcome | None:
        if time.monotonic() > ends:
            return None
        own = folder / f"{abs(hash(source))}"
        own.mkdir()
        with Recorder(running.port) as recorder:
            return compare(programs, recorder, source, own)

    with garage.server(server) as running, ThreadPoolExecutor(os.cpu_count()) as pool:
        return [outcome for outcome in pool.map(one, files) if outcome]


def report(programs: Installation, files: list[Path], outcomes: list[Outcome]) -> None:
    """What was compared, what differs, and what was left out and why."""
    differences = [each for each in outcomes if each.difference]
    distinct = len(set().union(*(each.texts for each in outcomes)))
    print(
        f"\npsql {programs.major}: {len(outcomes)} files, {sum(each.same for each in outcomes):,} statements the same "
        f"({distinct:,} different ones), "
        f"{sum(each.copies for each in outcomes)} of them COPY with data; {len(differences)} differences"
    )
    for reason, count in Counter(each.left_out for each in outcomes if each.left_out).most_common():
        print(f"  not compared: {count} files {reason}")
    if len(outcomes) < len(files):
        print(f"  not compared: {len(files) - len(outcomes)} files, for lack of time (name a corpus to compare all)")
    for code, count in Counter(code for each in outcomes for code in each.removed).most_common():
        print(f"  taken out before comparing: {count} lines, {code}")
    for each in differences:
        print(f"{each.path}: {each.difference}")
