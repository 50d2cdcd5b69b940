"""Expressions that the server writes in another form once they were read again: the same schema all the same."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.rig.requirement import missing
from tidelock.backup.wording import settled

if TYPE_CHECKING:
    from tests.backup.conftest import Farm

IN_EVERYTHING = """
CREATE TABLE o (s varchar(20) CHECK (s IN ('a', 'b, c', 'it''s', '(x)', '[y]')), n int, c char(3) CHECK (c IN ('x', 'yy')), d varchar);
CREATE VIEW v AS SELECT * FROM o WHERE s IN ('a', 'b') OR d = ANY (ARRAY['p', 'q']::varchar[]);
CREATE INDEX i ON o (n) WHERE s IN ('a', 'b') AND n IN (1, 2);
CREATE DOMAIN dom AS varchar(5) CHECK (VALUE IN ('q', 'r'));
CREATE TABLE g (s varchar, k bool GENERATED ALWAYS AS (s IN ('u', 'v')) STORED);
CREATE POLICY p ON o USING (s NOT IN ('a', 'b'));
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE TRIGGER t BEFORE INSERT ON o FOR EACH ROW WHEN (new.s IN ('a', 'z')) EXECUTE FUNCTION f();
CREATE MATERIALIZED VIEW mv AS SELECT s, CASE WHEN d IN ('m', 'n') THEN 1 END AS k FROM o;
CREATE TABLE num (x numeric CHECK (x IN (1, 2.5)), y smallint CHECK (y IN (1, 2)), tt text CHECK (tt IN ('a', 'b')));
"""


@pytest.mark.every_server
def test_a_database_that_says_in_everywhere_is_restored(local: Farm) -> None:
    local.project.query(IN_EVERYTHING)
    local.create()
    local.well("backup", "verify", "--restore")
    local.well("restore", "--yes", "--drop-old")
    local.create()
    local.well("backup", "verify", "--restore")


@pytest.mark.every_server
def test_an_index_whose_build_had_failed_is_not_missed(local: Farm) -> None:
    local.project.query("CREATE TABLE twice AS SELECT 1 AS i FROM generate_series(1, 2)")
    with psycopg.connect(local.project.dsn, autocommit=True) as conn, suppress(psycopg.errors.UniqueViolation):
        conn.execute("CREATE UNIQUE INDEX CONCURRENTLY bad ON twice (i)")
    assert local.project.one("SELECT indisvalid FROM pg_index WHERE indexrelid = 'bad'::regclass") is False
    local.create()
    local.well("restore", "--yes", "--drop-old")
    assert local.project.one("SELECT count(*) FROM twice") == 2


STALE = """
CREATE TABLE parts (i int, share int);
INSERT INTO parts VALUES (1, 2), (2, 4);
CREATE MATERIALIZED VIEW shares AS SELECT i, 100 / share AS percent FROM parts;
CREATE UNIQUE INDEX ON shares (i);
CREATE MATERIALIZED VIEW above AS SELECT count(*) AS n FROM shares;
CREATE MATERIALIZED VIEW fine AS SELECT count(*) AS n FROM parts;
INSERT INTO parts VALUES (3, 0);
"""


@pytest.mark.every_server
def test_a_view_whose_query_fails_by_now_keeps_nobody_from_the_rows(local: Farm) -> None:
    local.project.query(STALE)
    local.create()
    local.well("backup", "verify", "--restore")
    done = local.well("restore", "--yes", "--drop-old")
    assert [each.partition(":")[0].split()[1] for each in done["unfilled"]] == ["shares", "above"]
    assert "division by zero" in done["unfilled"][0]
    assert local.project.query("SELECT count(*), (SELECT n FROM fine) FROM parts") == [(3, 3)]
    assert local.project.one("SELECT indisvalid FROM pg_index WHERE indrelid = 'shares'::regclass")


OLDER = """
SELECT v.name, v.version FROM pg_available_extension_versions v JOIN pg_available_extensions e USING (name)
 WHERE v.version <> e.default_version AND v.name IN ('pg_trgm', 'hstore', 'citext') ORDER BY 1, 2 DESC LIMIT 20"""


@pytest.mark.every_server
def test_an_extension_that_was_not_at_the_server_s_own_version_does_not_hold_a_restore_up(local: Farm) -> None:
    for name, version in local.project.query(OLDER):
        with suppress(psycopg.Error):
            local.project.query(f"CREATE EXTENSION {name} VERSION '{version}'")
            break
    else:
        missing("contrib", "no extension of this server can be made in an older version", package=False)
    local.create()
    local.well("backup", "verify", "--restore")


FIRST = "CHECK (((s)::text = ANY ((ARRAY['a'::character varying, 'b, c'::character varying])::text[])))"
AGAIN = "CHECK (((s)::text = ANY (ARRAY[('a'::character varying)::text, ('b, c'::character varying)::text])))"


@pytest.mark.parametrize("other", [FIRST.replace("'a'", "'z'"), FIRST.replace("'a'::character varying, ", "")])
def test_only_the_form_is_another_one(other: str) -> None:
    assert settled(FIRST) == settled(AGAIN) == AGAIN
    assert settled({"x": [FIRST]}) == {"x": [AGAIN]}
    assert settled(other) != AGAIN
