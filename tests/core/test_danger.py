"""What asks for a backup: facts, not words."""

from __future__ import annotations

import pytest

from tidelock.core.danger import danger, made_by
from tidelock.core.facts import facts_of
from tidelock.core.model import Place
from tidelock.core.statement import Statement


def whys(text: str, made: set[str] | None = None) -> list[str]:
    found = danger(Statement(text=text, place=Place("a.sql", 1, 1), facts=facts_of(text)), made or set())
    return [each.why for each in found]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("DROP TABLE a", "drops table a"),
        ("DROP SCHEMA s CASCADE", "drops schema s"),
        ("ALTER TABLE a DROP COLUMN b", "drops column b"),
        ("TRUNCATE a, b", "empties a, b"),
        ("DELETE FROM a WHERE i > 3", "deletes from a"),
        ("UPDATE a SET i = 1", "updates a"),
        ("MERGE INTO a USING b ON a.i = b.i WHEN MATCHED THEN DELETE", "changes a"),
        ("ALTER TABLE a ALTER COLUMN i TYPE smallint", "rewrites a"),
        ("WITH gone AS (DELETE FROM a RETURNING *) SELECT count(*) FROM gone", "may change rows of a"),
        ("WITH gone AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM gone", "may change rows of a, b"),
        ("DO $$ BEGIN DELETE FROM a; END $$", "may change rows of a"),
        ("DO $$ BEGIN EXECUTE 'DROP TABLE ' || quote_ident('a'); END $$", "nobody knows what it does"),
        ("CALL tidy()", "nobody knows what it does"),
    ],
)
def test_what_takes_something_away_is_a_danger(text: str, why: str) -> None:
    assert why in whys(text)


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE a (i int)",
        "ALTER TABLE a ADD COLUMN b int",
        "INSERT INTO a VALUES (1)",
        "CREATE INDEX ON a (i)",
        "SELECT 1",
        "DROP VIEW v",
        "DROP INDEX i",
        "COMMENT ON TABLE a IS 'DROP TABLE a; DELETE FROM a'",
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_class) THEN CREATE TABLE a (i int); END IF; END $$",
    ],
)
def test_what_adds_is_none(text: str) -> None:
    assert whys(text) == []


def test_what_the_plan_itself_made_is_nobodys_loss() -> None:
    assert whys("DROP TABLE a", {"a"}) == []
    assert whys("DELETE FROM a", {"a"}) == []


def test_what_if_not_exists_names_may_have_been_there() -> None:
    assert list(made_by(facts_of("CREATE TABLE a (i int)"))) == ["a"]
    assert list(made_by(facts_of("CREATE TABLE IF NOT EXISTS a (i int)"))) == []
