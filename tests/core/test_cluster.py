"""What reaches beyond a database is seen in the text, whatever it stands in."""

from __future__ import annotations

import pytest

from tidelock.core.cluster import beyond, made_roles
from tidelock.core.script import read


def statements(text: str):
    return read("001_a.sql", text).statements


@pytest.mark.parametrize(
    "text",
    [
        "DROP DATABASE IF EXISTS victim;",
        "CREATE DATABASE new;",
        "ALTER DATABASE farm SET work_mem = '1MB';",
        "ALTER SYSTEM SET work_mem = '1MB';",
        "DROP ROLE IF EXISTS victim;",
        "DO $$BEGIN EXECUTE 'drop role victim'; END$$;",
        "ALTER USER victim PASSWORD NULL;",
        "GRANT pg_read_all_data TO victim;",
        "REVOKE admin FROM victim;",
        "DROP OWNED BY victim;",
        "CREATE ROLE mine; DROP ROLE mine, victim;",
        'ALTER ROLE "Victim" NOLOGIN;',
    ],
)
def test_beyond(text: str):
    assert beyond(statements(text), made_roles(statements(text)))


@pytest.mark.parametrize(
    "text",
    [
        "CREATE ROLE mine; ALTER ROLE mine LOGIN; GRANT pg_read_all_data TO mine; DROP ROLE mine;",
        "GRANT SELECT ON t TO victim;",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC;",
        "ALTER TABLE t OWNER TO app;",
        "CREATE USER MAPPING FOR app SERVER s;",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO app;",
        "CREATE TABLE database_roles (drop_role text);",
    ],
)
def test_within(text: str):
    assert beyond(statements(text), made_roles(statements(text))) == ""
