"""What lint offers instead can be read by PostgreSQL, and is silent itself."""

from __future__ import annotations

import pytest
from tests.core.lint import examples

from tidelock.core import parser
from tidelock.core.lint.edit import add_argument, applied, rewritten
from tidelock.core.lint.guards import in_do
from tidelock.core.report import Severity
from tidelock.core.source import SourceFile


@pytest.mark.parametrize("code", examples.codes())
def test_what_is_offered_can_be_read(code: str):
    for each in examples.found(examples.files(code, "bad"), select=(code,)):
        if each.rewrite:
            assert parser.parse(each.rewrite)


@pytest.mark.parametrize("code", examples.codes())
def test_a_file_can_be_read_with_its_changes(code: str):
    sources = examples.files(code, "bad")
    found = examples.found(sources, select=(code,))
    for file in sources:
        edits = [each.edit for each in found if each.edit and each.place and each.place.path == file.path]
        if edits:
            assert parser.parse(applied(file.data.decode(), edits))


MORE = {"DE015": {"ID004"}, "TS003": {"TS002"}, "TS070": {"DE014"}, "TX009": {"TX010"}}
"""What is left to say of what is offered, by other rules: there is no way without."""


@pytest.mark.parametrize("code", examples.codes())
def test_what_is_offered_is_no_finding_of_another_rule(code: str):
    mended = examples.mended(code) or ()
    before, after = (worse(files) for files in (examples.files(code, "bad"), mended))
    assert after - before <= MORE.get(code, set())


def worse(files: tuple[SourceFile, ...]) -> set[str]:
    """The rules that find more than a note."""
    return {each.code for each in examples.found(files) if each.severity is not Severity.NOTE}


@pytest.mark.parametrize("code", examples.REPEATABLE)
def test_what_is_offered_may_run_twice(code: str):
    assert {each for each in worse(examples.mended(code) or ()) if each.startswith("ID")} == set()


def test_a_foreign_keys_index_may_be_built_twice():
    (found,) = examples.found(examples.files("LK015", "bad"), select=("LK015",))
    assert found.rewrite == "CREATE INDEX CONCURRENTLY IF NOT EXISTS parcels_crop_idx ON parcels (crop);"


def test_an_index_without_a_name_gets_the_one_that_the_server_gives():
    files = (SourceFile("001_a.sql", b"CREATE TABLE a (i int);"), SourceFile("002_i.sql", b"CREATE INDEX ON a (i);"))
    (found,) = examples.found(files, select=("LK001",))
    assert found.rewrite == "CREATE INDEX CONCURRENTLY IF NOT EXISTS a_i_idx ON a (i)"


def test_a_partition_is_detached_a_second_time_only_where_it_is_attached():
    detach = "ALTER TABLE readings DETACH PARTITION readings_0 CONCURRENTLY;\n"
    (found,) = examples.found((SourceFile("001_x.sql", detach.encode()),), select=("ID018",))
    assert "no block may hold it" in found.hint
    first = found.hint.partition(": ")[2].partition(", and")[0]
    guarded = f"{first}\n\\if :attached\n{detach}\\endif\n"
    assert examples.found((SourceFile("001_x.sql", guarded.encode()),), ignore=("TX001",)) == []


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("SELECT f('a')", "SELECT f('a', x => TRUE)"),
        ("SELECT f()", "SELECT f(x => TRUE)"),
        ("SELECT f('a)', g(')'))", "SELECT f('a)', g(')'), x => TRUE)"),
        ("SELECT s.f(\n  'a'\n)", "SELECT s.f(\n  'a', x => TRUE\n)"),
        ("SELECT f('a' -- why (\n)", None),
        ("SELECT g('a')", None),
    ],
)
def test_an_argument_is_put_behind_the_others(text: str, changed: str | None):
    edit = add_argument(text, "f", "x => TRUE")
    assert (rewritten(text, edit) if edit else None) == changed


def test_a_do_block_takes_statements_that_are_quoted_with_dollars():
    assert parser.parse(in_do("true", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$SELECT 1$$"))
