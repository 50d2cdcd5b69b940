"""What a name means in the database as it is before the plan runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tidelock.core.facts import facts_of
from tidelock.core.formerly import brought_into, formerly, search_path
from tidelock.core.model import Place
from tidelock.core.statement import Object, Statement

if TYPE_CHECKING:
    from tidelock.core.formerly import Path


def of(*statements: str) -> list[tuple[Object, Object]]:
    return [pair for each in statements for pair in facts_of(each).renames]


@pytest.mark.parametrize(
    ("statements", "drop", "found"),
    [
        (["ALTER TABLE raw RENAME TO old"], "DROP TABLE old", ["raw"]),
        (["ALTER TABLE raw RENAME TO old"], "DROP TABLE raw", []),
        (["ALTER TABLE raw RENAME TO old"], "DROP TABLE other", ["other"]),
        (["ALTER TABLE a RENAME TO b", "ALTER TABLE b RENAME TO c"], "DROP TABLE c", ["a"]),
        (["ALTER TABLE ten.raw RENAME TO old"], "DROP TABLE old", ["old", "ten.raw"]),
        (["ALTER TABLE raw SET SCHEMA x"], "DROP TABLE x.raw", ["raw"]),
        (["ALTER SCHEMA ten RENAME TO t2"], "DROP TABLE t2.raw", ["ten.raw"]),
        (["ALTER SCHEMA ten RENAME TO t2"], "DROP SCHEMA t2", ["ten"]),
        (["ALTER FUNCTION f(int) RENAME TO g"], "DROP FUNCTION g", ["f"]),
        (["ALTER FUNCTION f(int) RENAME TO g"], "DROP TABLE g", ["g"]),
        (["ALTER TABLE raw RENAME COLUMN v TO w"], "ALTER TABLE raw DROP COLUMN w", ["v"]),
        (["ALTER TABLE raw RENAME COLUMN v TO w"], "ALTER TABLE other DROP COLUMN w", ["w"]),
    ],
)
def test_a_name_is_followed_back_through_renames(statements: list[str], drop: str, found: list[str]):
    [what] = facts_of(drop).drops
    assert [each.qualified for each in formerly(what, of(*statements))] == found


def test_a_column_keeps_its_name_when_its_table_gets_another():
    [what] = facts_of("ALTER TABLE x.old DROP COLUMN v").drops
    [found] = formerly(what, of("ALTER TABLE raw RENAME TO old", "ALTER TABLE old SET SCHEMA x"))
    assert (found.name, found.parent) == ("v", "raw")


def test_what_was_brought_into_a_schema():
    renames = of("ALTER TABLE raw RENAME TO old", "ALTER TABLE old SET SCHEMA x", "ALTER SCHEMA x RENAME TO y")
    assert [each.qualified for each in brought_into(Object("schema", "y"), renames)] == ["raw"]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("SET search_path = b, public", ("b", "public")),
        ("SET search_path = ''", ()),
        ('SET search_path = "$user", public', ()),
        ("SET LOCAL search_path = b", ()),
        ("RESET search_path", ()),
        ("SELECT set_config('search_path', 'b', false)", ()),
        ("DO $$ BEGIN SET search_path = b; END $$", ()),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path = b AS 'SELECT 1'", None),
        ("SELECT 1", None),
    ],
)
def test_the_search_path_after_a_statement(text: str, path: Path):
    statement = Statement(text=text, place=Place("a.sql", 1), facts=facts_of(text))
    assert search_path(statement, None) == path
