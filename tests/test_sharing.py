"""Work shared out among processes gives what one process gives."""

from __future__ import annotations

import os

import pytest

from tidelock.app import lint, sharing
from tidelock.app.reading import Reader
from tidelock.core.source import SourceFile, migrations


def test_results_come_in_the_order_of_the_items() -> None:
    assert sharing.shared_out(str, range(100), least=10) == [str(each) for each in range(100)]


def test_an_item_that_raises_and_a_process_that_dies_give_none() -> None:
    parent = os.getpid()

    def work(item: int) -> int:
        if item == 7:
            raise ValueError
        if item == 31 and os.getpid() != parent:
            os._exit(9)
        return item

    found = sharing.shared_out(work, range(100), least=10)
    assert found[7] is None
    assert {each for each in found if each is not None} <= set(range(100))
    assert sharing.shared_out(work, range(5), least=10) == [0, 1, 2, 3, 4]


def test_scripts_travel_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "\\set x 1\nCREATE TABLE t (id int PRIMARY KEY, a text DEFAULT 'x');\nSELECT :x \\gset y_\nSELECT :y_a;\n\\echo :y_a\n"
    files = migrations([SourceFile(f"{number:03}_x.sql", text.encode()) for number in range(1, 101)])
    reader = Reader(files, load=lambda path: "")
    read = lint.read_ahead(reader.script, files)
    monkeypatch.setattr(reader, "_scripts", {})
    assert [read(each) for each in files] == [reader.script(each) for each in files]


def test_every_file_comes_back_from_its_process() -> None:
    text = "CREATE TABLE t (id int PRIMARY KEY);\nINSERT INTO t VALUES (1);\n"
    files = migrations([SourceFile(f"{number:03}_x.sql", text.encode()) for number in range(1, 101)])
    reader = Reader(files, load=lambda path: "")
    sharing.travels(lint.TRAVELLING)
    assert None not in sharing.shared_out(reader.script, files, least=10)
