"""Work shared out among processes gives what one process gives."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import pytest

from tidelock.app import sharing, together
from tidelock.app.reading import Reader
from tidelock.app.sharing import Link
from tidelock.core.lint.engine import Engine
from tidelock.core.model import Migration
from tidelock.core.report import Finding
from tidelock.core.source import SourceFile, migrations
from tidelock.core.statement import Script

ROW = [slice(0, 30), slice(30, 60), slice(60, 100)]


def told(link: Link, *values: Any) -> list[Any]:
    """Tell values, and hear those of the processes before."""
    for each in values:
        link.tell(each)
    return list(link.heard())


def test_each_part_hears_what_those_before_it_tell_and_results_come_in_order() -> None:
    def work(part: slice, link: Link) -> tuple[int, list[int]]:
        return part.start, told(link, part.stop, -part.stop)

    assert sharing.in_a_row(work, ROW, {}) == [(0, []), (30, [30, -30]), (60, [30, -30, 60, -60])]


def test_more_than_a_pipe_holds_is_told() -> None:
    def work(part: slice, link: Link) -> int:
        return sum(map(len, told(link, "x" * 1_000_000)))

    assert sharing.in_a_row(work, ROW, {}) == [0, 1_000_000, 2_000_000]


@pytest.mark.parametrize("wrong", [30, 60])
def test_a_process_that_raises_or_dies_gives_nothing_at_all(wrong: int) -> None:
    def dying(part: slice, link: Link) -> list[int]:
        if part.start == wrong:
            os._exit(9)
        return told(link, part.start)

    def raising(part: slice, link: Link) -> list[int]:
        if part.start == wrong:
            raise ValueError
        return told(link, part.start)

    assert sharing.in_a_row(dying, ROW, {}) is None
    assert sharing.in_a_row(raising, ROW, {}) is None


def test_parts_are_of_one_size_and_together_everything() -> None:
    sizes = [10_000, 500_000, 20, 300_000, 100_000, 7] * 10
    row = sharing.parts(sizes)
    assert [each for part in row for each in range(len(sizes))[part]] == list(range(len(sizes)))
    assert all(sum(sizes[part]) < 2 * sum(sizes) / len(row) for part in row)


def test_a_little_work_stays_in_one_process() -> None:
    assert sharing.parts([100] * 20) == [slice(0, 20)]
    assert sharing.parts([]) == [slice(0, 0)]


def files() -> tuple[Migration, ...]:
    """Each says something of what the ones before it have made; some cannot be read."""
    text = (
        "CREATE TABLE t_{n} (id int, a text DEFAULT 'x', b int REFERENCES t_{before} (id));\n"
        "SELECT 1 AS a \\gset y_\nALTER TABLE t_{before} DROP COLUMN a;\nCREATE INDEX ON t_{before} (b);\n"
        "CREATE PROCEDURE p_{n}() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$;\nCALL p_{before}();\n"
        "GRANT SELECT ON t_{n} TO app;\nINSERT INTO t_{before} VALUES (:y_a);\n"
    )
    made = [text.format(n=number, before=number - 1) for number in range(1, 101)]
    made[20], made[80] = "\\i gone.sql\n", "SELECT 'open;\n"
    return migrations([SourceFile(f"{number:03}_x.sql", each.encode()) for number, each in enumerate(made, start=1)])


def test_findings_are_those_of_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[list[Finding]] = []
    for row in ([slice(0, 100)], ROW):
        monkeypatch.setattr(sharing, "parts", lambda _, row=row: row)
        reader = Reader(files(), load=lambda path: "", detailed=True, digests=False)
        made = together.run(partial(Engine, reader.script), files(), lambda each: each.version != 50)
        found.append(sorted(made, key=lambda each: (each.place, each.code, each.message)))
    assert found[0] == found[1]
    assert len(found[0]) > 300


def test_a_process_that_dies_costs_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    parent = os.getpid()
    reader = Reader(files(), load=lambda path: "", detailed=True, digests=False)

    def read(migration: Migration) -> Script:
        if os.getpid() != parent:
            os._exit(9)
        return reader.script(migration)

    monkeypatch.setattr(sharing, "parts", lambda _: ROW)
    assert len(together.run(lambda: Engine(read), files(), lambda _: True)) > 300
