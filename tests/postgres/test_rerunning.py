"""What the ID rules say of a second run is what a real server does, and their advice can be run twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from tests.core.lint import examples

from tidelock.app.reading import Reader
from tidelock.core.source import SourceFile, migrations

if TYPE_CHECKING:
    from collections.abc import Iterable

Conn = psycopg.Connection[Any]

WITHOUT = {
    "ID010": "it is about what a first run leaves out",
    "ID011": "it needs a build that is stopped half-way: tests/postgres/test_interruption.py",
    "ID014": "optional: it is about tables that are not there",
    "ID021": "TimescaleDB",
    "ID022": "TimescaleDB",
    "ID023": "TimescaleDB",
}
CODES = [code for code in examples.codes() if code.startswith("ID") and code not in WITHOUT]

PARCELS = """
CREATE TABLE parcels (id bigint PRIMARY KEY, name text, crop text, area numeric CONSTRAINT parcels_area_check CHECK (area > 0),
                      visits int, settings jsonb);
INSERT INTO parcels VALUES (1, 'Home field', 'oat', 5, 1, '{}');
"""
TOUCH = """
CREATE FUNCTION touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
"""
BEFORE = {
    "ID005": TOUCH,
    "ID013": PARCELS
    + TOUCH
    + """
CREATE VIEW large_parcels AS SELECT id FROM parcels;
CREATE INDEX parcels_area ON parcels (area);
CREATE TRIGGER parcels_touch BEFORE UPDATE ON parcels FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
""",
    "ID016": "CREATE TYPE parcel_status AS ENUM ('planned', 'sown');",
    "ID017": PARCELS,
    "ID019": "CREATE TABLE old_crops (code text, name text); INSERT INTO old_crops VALUES ('rye', 'Rye');",
    "ID020": PARCELS,
}
ELSEWHERE = ("DROP ROLE IF EXISTS dashboard",)
"""What an example leaves in the whole cluster."""

COUNTS = "SELECT (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_constraint), (SELECT count(*) FROM pg_proc)"
TABLES = "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"


def state(conn: Conn) -> list[Any]:
    """How much there is of everything, and all rows."""
    tables = sorted(name for (name,) in conn.execute(TABLES))
    rows = [conn.execute(f"SELECT t::text FROM {name} t ORDER BY 1").fetchall() for name in tables]
    return [conn.execute(COUNTS).fetchone(), tables, rows]


def test_every_rule_is_tried_or_says_why_not():
    from tidelock.core.lint.rule import RULES

    assert {code for code in RULES if code.startswith("ID")} == {*CODES, *WITHOUT}


def run(conn: Conn, sources: Iterable[SourceFile]) -> str:
    """Run all files as psql does, and say with which SQLSTATE one stopped."""
    read = migrations(tuple(sources))
    texts = {each.path: each.data.decode() for each in sources}
    reader = Reader(read, load=lambda path: texts[path], detailed=True)
    try:
        for each in read:
            for statement in reader.script(each).statements:
                conn.execute(statement.text)
    except psycopg.Error as error:
        return error.sqlstate or "?"
    return ""


def prepared(dsn: str, code: str) -> Conn:
    conn = psycopg.connect(dsn, autocommit=True)
    for each in ELSEWHERE:
        conn.execute(each)
    conn.execute(BEFORE.get(code, ""))
    return conn


@pytest.mark.every_server
@pytest.mark.parametrize("code", CODES)
def test_a_bad_example_stops_or_adds_something_when_it_is_run_again(code: str, postgres_dsn: str):
    with prepared(postgres_dsn, code) as conn:
        assert run(conn, examples.files(code, "bad")) == ""
        before = state(conn)
        assert run(conn, examples.files(code, "bad")) or state(conn) != before


@pytest.mark.every_server
@pytest.mark.parametrize("code", CODES)
def test_a_good_example_can_be_run_again_and_changes_nothing(code: str, postgres_dsn: str):
    with prepared(postgres_dsn, code) as conn:
        assert run(conn, examples.files(code, "good")) == ""
        before = state(conn)
        assert run(conn, examples.files(code, "good")) == ""
        assert state(conn) == before


@pytest.mark.every_server
@pytest.mark.parametrize("code", CODES)
def test_what_is_offered_instead_can_be_run_twice(code: str, postgres_dsn: str):
    """Each statement that has a rewrite is run as rewritten, in its place among the others."""
    sources = examples.files(code, "bad")
    offered = {
        (each.place.path, each.place.line): each.rewrite
        for each in examples.found(sources, select=(code,))
        if each.place and each.rewrite
    }
    if not offered:
        pytest.skip(f"{code} offers nothing")
    read = migrations(sources)
    texts = {each.path: each.data.decode() for each in sources}
    reader = Reader(read, load=lambda path: texts[path], detailed=True)
    with prepared(postgres_dsn, code) as conn:
        for turn in range(2):
            for file in read:
                for statement in reader.script(file).statements:
                    rewrite = offered.get((file.path, statement.place.line))
                    if rewrite or turn == 0:
                        conn.execute(rewrite or statement.text)
