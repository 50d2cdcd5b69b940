"""What lint offers instead can be read by PostgreSQL, and is silent itself."""

from __future__ import annotations

import pytest
from tests.core.lint import examples

from tidelock.core import parser
from tidelock.core.lint.edit import add_argument, applied, rewritten
from tidelock.core.lint.guards import in_do


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
