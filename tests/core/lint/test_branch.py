"""What lint says of files that git knows otherwise."""

from __future__ import annotations

from dataclasses import replace

from tests.core.lint import examples

from tidelock.app.reading import Reader
from tidelock.core.lint.engine import Engine, Selection
from tidelock.core.source import SourceFile, migrations

PARCELS = SourceFile("db/001_parcels.sql", b"CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY);\n")
CROPS = SourceFile("db/002_crops.sql", b"CREATE TABLE IF NOT EXISTS crops (id bigint PRIMARY KEY);\n")
VISITS = SourceFile("db/003_visits.sql", b"CREATE TABLE IF NOT EXISTS visits (id bigint PRIMARY KEY);\n")


def on_main(*files: SourceFile) -> dict[str, str]:
    return {each.path: each.checksum for each in migrations(files)}


def found(files: tuple[SourceFile, ...], main: dict[str, str]) -> list[tuple[str, str]]:
    read = migrations(files)
    texts = {each.path: each.data.decode() for each in files}
    engine = Engine(
        Reader(read, load=lambda path: texts[path], detailed=True).script,
        Selection(select=("HY026", "HY027", "HY028")),
        main_branch=main,
    )
    return [(each.code, each.place.path if each.place else "") for each in engine.run(read)]


def test_a_file_as_it_is_on_the_main_branch_and_a_new_one_behind_it_are_fine():
    assert found((PARCELS, CROPS, VISITS), on_main(PARCELS, CROPS)) == []


def test_nothing_is_said_where_git_does_not_tell():
    assert found((PARCELS, CROPS), {}) == []


def test_an_edited_file_is_an_error():
    edited = replace(PARCELS, data=PARCELS.data.replace(b"bigint", b"uuid"))
    assert found((edited, CROPS), on_main(PARCELS)) == [("HY026", "db/001_parcels.sql")]


def test_a_new_file_below_the_last_of_the_main_branch_is_an_error():
    assert found((PARCELS, CROPS, VISITS), on_main(PARCELS, VISITS)) == [("HY027", "db/002_crops.sql")]


def test_a_second_file_with_the_last_number_is_below_as_well():
    other = replace(CROPS, path="db/003_crops.sql")
    said = found((PARCELS, other), on_main(PARCELS, VISITS))
    assert ("HY027", "db/003_crops.sql") in said


def test_out_of_order_may_be_meant():
    meant = replace(CROPS, data=b"-- tidelock: out-of-order\n" + CROPS.data)
    assert found((PARCELS, meant, VISITS), on_main(PARCELS, VISITS)) == []


def test_a_renamed_file_is_shown_under_its_new_name():
    renamed = replace(PARCELS, path="db/004_parcels.sql")
    assert found((CROPS, VISITS, renamed), on_main(PARCELS, CROPS, VISITS)) == [("HY028", "db/004_parcels.sql")]


def test_a_deleted_file_is_named():
    read = migrations((PARCELS,))
    engine = Engine(
        Reader(read, load=str, detailed=True).script, Selection(select=("HY028",)), main_branch=on_main(PARCELS, CROPS)
    )
    assert [each.message for each in engine.run(read)] == ["the main branch has db/002_crops.sql"]


def test_examples_know_nothing_of_git():
    assert examples.found((PARCELS,), select=("HY026", "HY027", "HY028")) == []
