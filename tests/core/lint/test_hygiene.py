"""Where hygiene begins and ends."""

from __future__ import annotations

import pytest
from tests.core.lint import examples

SECRET = "hunter2-or-3"

SECRETS = [
    f"CREATE ROLE a LOGIN PASSWORD '{SECRET}';",
    f"alter user a with encrypted password '{SECRET}';",
    f"DO $$ BEGIN EXECUTE 'CREATE ROLE a PASSWORD ''{SECRET}'''; END $$;",
    f"CREATE USER MAPPING FOR a SERVER s OPTIONS (user 'a', password '{SECRET}');",
    f"CREATE SUBSCRIPTION s CONNECTION 'host=h user=a password={SECRET} dbname=d' PUBLICATION p;",
    f"SELECT * FROM dblink('dbname=d password={SECRET}', 'SELECT 1') AS t (a int);",
    f"SELECT dblink_connect('password={SECRET} host=h');",
    f"-- psql postgresql://a:{SECRET}@host/d\nSELECT 1;",
    f"INSERT INTO settings VALUES ('broker', 'mqtt://a:{SECRET}@host:1883') ON CONFLICT DO NOTHING;",
    "SELECT aws_s3.query_export_to_s3('SELECT 1', 'AKIAIOSFODNN7EXAMPLE');",
    "SELECT '-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----';",
]
NONE = [
    "ALTER ROLE a PASSWORD NULL;",
    "ALTER ROLE a PASSWORD 'SCRAM-SHA-256$4096:c2FsdA==$abc=:def=';",
    "ALTER ROLE a PASSWORD '${PASSWORD}';",
    "-- psql postgresql://a:$PASSWORD@host/d, or postgres://a@host/d, or https://host:8080/a@b\nSELECT 1;",
    "-- dblink('host=h password=<password>')\nSELECT 1;",
    "COMMENT ON TABLE farms IS 'reached at postgres://user:password@host/farm, or user:your_password@';",
    "COMMENT ON TABLE farms IS 'https://user:changeme@example.com';",
    "UPDATE users SET password = crypt(password, gen_salt('bf')) WHERE user = 'a' AND password = 'x';",
    "CREATE TABLE IF NOT EXISTS users (id bigint PRIMARY KEY, password text NOT NULL);",
    "COMMENT ON COLUMN users.password IS 'a hash';",
]


@pytest.mark.parametrize("text", SECRETS)
def test_a_secret_is_found_and_not_said_again(text: str):
    (found,) = examples.found(examples.parted(text), select=("HY007",))
    everything = f"{found.message} {found.hint} {found.rewrite} {found.title}"
    assert SECRET not in everything
    assert "AKIA" not in everything


@pytest.mark.parametrize("text", SECRETS)
def test_no_other_rule_says_a_secret(text: str):
    for each in examples.found(examples.parted(text)):
        assert SECRET not in f"{each.message} {each.hint} {each.rewrite}"


@pytest.mark.parametrize("text", NONE)
def test_what_only_looks_like_a_secret_is_fine(text: str):
    assert examples.found(examples.parted(text), select=("HY007",)) == []


def test_a_secret_has_its_line_and_column():
    (found,) = examples.found(examples.parted("SELECT 1;\nALTER ROLE a PASSWORD 'x1';"), select=("HY007",))
    assert found.place is not None
    assert (found.place.line, found.place.column) == (2, 24)


@pytest.mark.parametrize(
    "text",
    [
        "GRANT SELECT ON t TO PUBLIC, postgres, pg_monitor, CURRENT_USER;",
        "CREATE ROLE bob; GRANT SELECT ON t TO bob; ALTER TABLE t OWNER TO bob;",
        "DO $$ BEGIN EXECUTE 'CREATE ROLE bob'; END $$; GRANT SELECT ON t TO bob;",
        "SELECT format('CREATE ROLE %I', 'bob') WHERE true \\gexec\nGRANT SELECT ON t TO bob;",
        "DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'bob') THEN GRANT SELECT ON t TO bob; END IF; END $$;",
    ],
)
def test_a_role_that_is_there_or_asked_for_is_fine(text: str):
    assert examples.found(examples.parted(text), select=("HY008",)) == []


@pytest.mark.parametrize(
    "text",
    [
        "GRANT SELECT ON t TO bob; GRANT SELECT ON u TO bob;",
        "ALTER SCHEMA s OWNER TO bob;",
        "GRANT bob TO postgres;",
        "CREATE POLICY p ON t TO bob USING (true);",
    ],
)
def test_a_role_that_nobody_creates_is_found_once(text: str):
    (found,) = examples.found(examples.parted(text), select=("HY008",))
    assert found.message == "no file creates the role bob"


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE t (a int); ALTER TABLE t ADD PRIMARY KEY (a);",
        "CREATE TABLE t (a int);\n-- file: 002_key.sql\nCREATE UNIQUE INDEX t_a ON t (a);",
        "CREATE TABLE t (a int) PARTITION BY RANGE (a); CREATE TABLE u PARTITION OF t DEFAULT;",
        "CREATE TABLE t (LIKE u INCLUDING ALL); CREATE TEMP TABLE v (a int);",
        "CREATE TABLE t (a int); DROP TABLE t;",
    ],
)
def test_a_table_that_gets_its_key_elsewhere_is_fine(text: str):
    assert examples.found(examples.parted(text), select=("HY021",)) == []


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        (("001", "002", "003"), []),
        (("20240101120000", "20240301120000"), []),
        (("0998", "0999", "1000"), []),
        (("001", "003", "007"), ["no file has the numbers 2 and 4 to 6"]),
        (("001", "003"), ["no file has the number 2"]),
        (("9", "10"), ["by name 10_x.sql comes before 9_x.sql"]),
    ],
)
def test_numbers_follow_one_another(numbers: tuple[str, ...], said: list[str]):
    from tidelock.core.source import SourceFile

    sources = tuple(SourceFile(f"{each}_x.sql", b"SELECT 1;") for each in numbers)
    found = examples.found(sources, select=("HY004",))
    assert [message in each.message for message, each in zip(said, found, strict=True)] == [True] * len(said)


def test_a_ledger_row_may_be_of_the_file_alone():
    text = "-- file: 007_x.sql\nINSERT INTO schema_migrations (version, description) VALUES (7, 'x'), (8, 'y');"
    (found,) = examples.found(examples.parted(text), select=("HY005",))
    assert found.message == "the file is version 7, and says that 8 is applied"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN IF true THEN NULL; END $$;", ["HY032"]),
        ("DO $$ BEGIN SELEC 1; END $$;", ["HY032"]),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELEC 1';", ["HY032"]),
        ("CREATE FUNCTION f(a s.t, b u.v[]) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN a.x; END $$;", []),
        ("DO $$ DECLARE r other.kind; x t.c%TYPE; BEGIN SELECT 1 INTO STRICT x; CALL p(x); END $$;", []),
        ("DO $$ DECLARE q text; BEGIN EXECUTE format('GRANT SELECT ON %I TO postgres', q); END $$;", ["HY031"]),
        ("DO $$ BEGIN EXECUTE 'GRANT SELECT ON t TO postgres'; END $$;", []),
        ("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO ghost;", ["HY008"]),
        ("ALTER DEFAULT PRIVILEGES FOR ROLE ghost GRANT SELECT ON TABLES TO postgres;", ["HY008"]),
        ("ALTER FUNCTION f(int) SECURITY DEFINER;", ["HY010"]),
        ("ALTER FUNCTION f(int) SECURITY DEFINER SET search_path = pg_catalog;", []),
        ("ALTER FUNCTION f(int) SECURITY INVOKER;", []),
        (
            (
                "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql SET search_path = pg_catalog AS 'SELECT 1'; "
                "ALTER FUNCTION f(int) SECURITY DEFINER;"
            ),
            [],
        ),
    ],
)
def test_bodies_and_rights(text: str, found: list[str]):
    asked = ("HY008", "HY010", "HY031", "HY032")
    assert [each.code for each in examples.found(examples.parted(text), select=asked)] == found
