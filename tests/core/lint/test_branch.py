"""What lint says of files that git knows otherwise, and of what tidelock.toml says of them."""

from __future__ import annotations

from dataclasses import replace

from tests.core.lint import examples

from tidelock.app.reading import Reader
from tidelock.core.lint.engine import Engine, Selection
from tidelock.core.model import Place
from tidelock.core.renumbering import marked
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
    assert [str(each.place) for each in engine.run(read)] == ["db/002_crops.sql:1:1"]


def renumbered(file: SourceFile, path: str) -> SourceFile:
    """As `tidelock renumber` leaves it."""
    return SourceFile(path, marked(file.data.decode(), file.path.partition("/")[2]).encode())


def test_a_file_that_renumber_renamed_is_fine_also_twice():
    once = renumbered(CROPS, "db/003_crops.sql")
    twice = renumbered(once, "db/004_crops.sql")
    assert found((PARCELS, twice), on_main(PARCELS, CROPS)) == []
    assert found((PARCELS, twice), on_main(PARCELS, once)) == []


def test_a_renumbered_file_with_another_content_is_a_changed_one():
    new = renumbered(CROPS, "db/003_crops.sql")
    edited = replace(new, data=new.data.replace(b"bigint", b"uuid"))
    assert found((PARCELS, edited), on_main(PARCELS, CROPS)) == [("HY026", "db/003_crops.sql")]


# tidelock.toml


def critical(table: str, *files: SourceFile) -> list[str]:
    read = migrations(files)
    engine = Engine(
        Reader(read, load=str, detailed=True).script,
        Selection(select=("HY030",)),
        critical={Place("tidelock.toml", 7): table},
    )
    return [f"{each.place}: {each.message}; {each.hint}" for each in engine.run(read) if each.code == "HY030"]


def test_a_critical_table_that_no_migration_creates_is_named_with_the_nearest_one():
    (said,) = critical("parcles", PARCELS, CROPS)
    assert said == "tidelock.toml:7:1: no migration creates parcles; did you mean parcels?"
    assert critical("parcels", PARCELS) == critical("public.parcels", PARCELS) == []


def test_a_critical_table_that_may_be_made_by_built_sql_is_none_of_lints_business():
    built = SourceFile("db/002_built.sql", b"DO $$ BEGIN EXECUTE format('CREATE TABLE %I (id int)', 'jobs'); END $$;\n")
    assert critical("jobs", PARCELS, built) == []
    broken = SourceFile("db/002_broken.sql", b"CREATE TABEL jobs (id int);\n")
    assert critical("jobs", PARCELS, broken) == []


def test_examples_know_nothing_of_git():
    assert examples.found((PARCELS,), select=("HY026", "HY027", "HY028")) == []
