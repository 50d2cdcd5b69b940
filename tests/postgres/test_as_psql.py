"""What a real psql makes of the same files under its autocommit: the same rows, or the same error."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from tests.rig.project import Project

from tidelock.core.report import Happening

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.rig.installation import Installation

SCHEMAS = "SELECT table_schema, table_name FROM information_schema.tables WHERE table_name IN ('t', 'u') ORDER BY 1, 2"
BASE = "CREATE TYPE e AS ENUM ('a'); CREATE TABLE t (x e); CREATE TABLE s (x text); INSERT INTO s VALUES ('b');\n"
TWO = "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (p int REFERENCES p DEFERRABLE INITIALLY DEFERRED);\n"
INS = "INSERT INTO p VALUES (1); CREATE FUNCTION ins() RETURNS void LANGUAGE sql AS 'INSERT INTO c VALUES (1)';\n"
MANY = (
    "CREATE TABLE p (id int PRIMARY KEY); INSERT INTO p VALUES (1);"
    "CREATE TABLE m (p int REFERENCES p DEFERRABLE INITIALLY DEFERRED) PARTITION BY LIST (p);"
    "CREATE TABLE c PARTITION OF m FOR VALUES IN (1);\n"
)
ONE = "INSERT INTO p VALUES (1);\n"
COMMITS = "CREATE TABLE t (x int); CREATE PROCEDURE q() LANGUAGE plpgsql AS $$BEGIN INSERT INTO t VALUES (1); COMMIT; END$$;\n"
FILLS = (
    "CREATE FUNCTION fill() RETURNS void LANGUAGE plpgsql AS $$BEGIN INSERT INTO t SELECT x::e FROM s; END$$;"
    "CREATE FUNCTION add(v text) RETURNS void LANGUAGE plpgsql AS "
    "$$BEGIN EXECUTE format('ALTER TYPE e ADD VALUE %L', v); END$$;\n"
)
COLUMNS = "SELECT table_name, column_name FROM information_schema.columns WHERE column_name = 'z' ORDER BY 1"
RO = "ERROR:  25006"


class Psql:
    """A database of its own that only psql sees."""

    def __init__(self, program: str, dsn: str) -> None:
        self.program, self.dsn = program, dsn

    def run(self, *files: Path) -> str:
        """One psql for each file, as people run them: the SQLSTATE or the message of the first error, or nothing."""
        for each in files:
            command = [self.program, "-XAtq", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=sqlstate", "-f", str(each)]
            done = subprocess.run([*command, "-d", self.dsn], capture_output=True, text=True, check=False)
            if done.returncode:
                return re.sub(r"^psql:\S+: (?:error: )?", "", done.stderr.strip().splitlines()[-1])
        return ""


@pytest.fixture
def psql(programs: Installation, project: Project) -> Iterator[Psql]:
    name = f"{conninfo_to_dict(project.dsn)['dbname']}_psql"
    project.query(f"CREATE DATABASE {name}")
    yield Psql(programs.program("psql"), make_conninfo(project.dsn, dbname=name))
    project.query(f"DROP DATABASE {name} WITH (FORCE)")


CASES = {
    "SET LOCAL": (["CREATE SCHEMA s; SET LOCAL search_path = s; CREATE TABLE t (a int);"], SCHEMAS),
    "SET LOCAL in pieces": (
        ["CREATE SCHEMA s; SELECT 's' AS x \\gset\nSET LOCAL search_path = :x; CREATE TABLE t (a int);"],
        SCHEMAS,
    ),
    "SET LOCAL for one query of several statements": (
        ["CREATE SCHEMA s; SET LOCAL search_path = s\\; CREATE TABLE t (a int);"],
        SCHEMAS,
    ),
    "SET LOCAL without transactions": (
        ["-- tidelock: no-transaction\nCREATE SCHEMA s; SET LOCAL search_path = s; CREATE TABLE t (a int);"],
        SCHEMAS,
    ),
    "SET LOCAL in the file's own transaction": (
        ["CREATE SCHEMA s; BEGIN; SET LOCAL search_path = s; CREATE TABLE t (a int); COMMIT; CREATE TABLE u (a int);"],
        SCHEMAS,
    ),
    "set_config, local": (
        ["CREATE SCHEMA s; SELECT set_config('search_path', 's', true); CREATE TABLE t (a int);"],
        SCHEMAS,
    ),
    "SET LOCAL in a DO": (
        ["CREATE SCHEMA s; DO $$BEGIN SET LOCAL search_path = s; END$$; CREATE TABLE t (a int);"],
        SCHEMAS,
    ),
    "SET CONSTRAINTS": (
        [
            (
                "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE c (p int REFERENCES a DEFERRABLE);"
                "SET CONSTRAINTS ALL DEFERRED; INSERT INTO a VALUES (1); INSERT INTO c VALUES (1); ALTER TABLE c ADD z int;"
            )
        ],
        COLUMNS,
    ),
    "SET TRANSACTION": (
        ["SET TRANSACTION READ ONLY; CREATE TABLE t AS SELECT current_setting('transaction_isolation') AS x;"],
        "SELECT x FROM t",
    ),
    "SET TRANSACTION too late for one": (
        [
            (
                "CREATE TABLE t (x text); SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;"
                "INSERT INTO t SELECT current_setting('transaction_isolation');"
            )
        ],
        "SELECT x FROM t",
    ),
    "SESSION CHARACTERISTICS": (
        ["SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY; CREATE TABLE t ();"],
        SCHEMAS,
    ),
    "SESSION CHARACTERISTICS, isolation": (
        [
            (
                "CREATE TABLE t (x text); SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE;"
                "INSERT INTO t SELECT current_setting('transaction_isolation');"
            )
        ],
        "SELECT x FROM t",
    ),
    "read only by default, and nothing written": (
        ["CREATE TABLE t (x int); SET default_transaction_read_only = on; SELECT 1;", "CREATE TABLE u ();"],
        SCHEMAS,
    ),
    "read only by default, and a transaction that writes": (
        ["SET default_transaction_read_only = on; BEGIN READ WRITE; CREATE TABLE t (); COMMIT;"],
        SCHEMAS,
    ),
    "read only by default, and a transaction that becomes one that writes": (
        ["SET default_transaction_read_only = on; BEGIN; SET TRANSACTION READ WRITE; CREATE TABLE t (); COMMIT;"],
        SCHEMAS,
    ),
    "read only by default, and a transaction that does not": (
        ["CREATE TABLE t (); SET default_transaction_read_only = on; BEGIN; SELECT 1; COMMIT;"],
        SCHEMAS,
    ),
    "read only by set_config": (
        ["SELECT set_config('default_transaction_read_only', 'on', false); CREATE TABLE t ();"],
        SCHEMAS,
    ),
    "read only until RESET": (
        ["SET default_transaction_read_only = on; SELECT 1; RESET ALL; CREATE TABLE t ();"],
        SCHEMAS,
    ),
    "read only, and a statement that stands alone": (
        ["CREATE TABLE t (x int); SET default_transaction_read_only = on; CREATE INDEX CONCURRENTLY ON t (x);"],
        "SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass",
    ),
    "a new value that COPY loads": ([BASE, "ALTER TYPE e ADD VALUE 'b'; COPY t FROM stdin;\nb\n\\.\n"], "TABLE t"),
    "a new value that is cast": ([BASE, "ALTER TYPE e ADD VALUE 'b'; INSERT INTO t SELECT x::e FROM s;"], "TABLE t"),
    "a new value of a new type": (
        [BASE, "ALTER TYPE e ADD VALUE 'b'; ALTER TABLE s ALTER x TYPE e USING x::e;"],
        "TABLE s",
    ),
    "a new value out of JSON": (
        [
            BASE,
            (
                "CREATE TABLE j (j jsonb); INSERT INTO j VALUES ('{\"k\": \"b\"}'); ALTER TYPE e ADD VALUE 'b';"
                "INSERT INTO t SELECT (j->>'k')::e FROM j;"
            ),
        ],
        "TABLE t",
    ),
    "a new value that a trigger sets": (
        [
            BASE + "CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN INSERT INTO t SELECT x::e FROM s; RETURN NULL; END$$;"
            "CREATE TABLE n (i int); CREATE TRIGGER g AFTER INSERT ON n EXECUTE FUNCTION g();",
            "ALTER TYPE e ADD VALUE 'b'; INSERT INTO n VALUES (1);",
        ],
        "TABLE t",
    ),
    "all values": ([BASE, "ALTER TYPE e ADD VALUE 'b'; SELECT enum_range(NULL::e);"], "TABLE t"),
    "deferred checks of the table referenced": (
        [TWO + "INSERT INTO p VALUES (1);", "DELETE FROM p; ALTER TABLE p ADD z int;"],
        COLUMNS,
    ),
    "deferred checks after a function": ([TWO + INS, "SELECT ins(); ALTER TABLE c ADD z int;"], COLUMNS),
    "deferred checks after a cascade": (
        [
            (
                "CREATE TABLE p (id int PRIMARY KEY); INSERT INTO p VALUES (1);"
                "CREATE TABLE c (p int REFERENCES p ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED);"
                "INSERT INTO c VALUES (1);"
            ),
            "UPDATE p SET id = 2; ALTER TABLE c ADD z int;",
        ],
        COLUMNS,
    ),
    "deferred checks of a table that has another name now": (
        [TWO + ONE, "ALTER TABLE c RENAME TO d; INSERT INTO d VALUES (1); ALTER TABLE d ADD z int;"],
        COLUMNS,
    ),
    "deferred checks of a table that an earlier file renamed": (
        [
            TWO + ONE,
            "ALTER TABLE p RENAME TO q;",
            "INSERT INTO c VALUES (1); DELETE FROM c; DELETE FROM q; ALTER TABLE q ADD z int;",
        ],
        COLUMNS,
    ),
    "deferred checks of a partition": ([MANY, "INSERT INTO m VALUES (1); DROP TABLE c;"], "TABLE m"),
    "deferred checks of a partition that is attached": (
        [
            MANY + "CREATE TABLE d (p int);",
            "ALTER TABLE m ATTACH PARTITION d FOR VALUES IN (2); INSERT INTO p VALUES (2); INSERT INTO m VALUES (2); TRUNCATE d;",
        ],
        "TABLE m",
    ),
    "deferred checks of a partition, and its parent": (
        [MANY, "INSERT INTO c VALUES (1); ALTER TABLE m ADD z int;"],
        COLUMNS,
    ),
    "deferred checks of a child, and its parent": (
        [
            TWO + ONE + "CREATE TABLE m (p int); ALTER TABLE c INHERIT m;",
            "INSERT INTO c VALUES (1); ALTER TABLE m ADD z int;",
        ],
        COLUMNS,
    ),
    "deferred checks before a function that alters": (
        [
            TWO + ONE + "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$BEGIN ALTER TABLE c ADD z int; END$$;",
            "INSERT INTO c VALUES (1); SELECT f();",
        ],
        COLUMNS,
    ),
    "deferred checks before \\gexec": (
        [
            TWO + ONE,
            "INSERT INTO c VALUES (1); SELECT 'ALTER TABLE c ADD z int' \\gexec\n",
            (
                "DELETE FROM c; INSERT INTO c VALUES (1);"
                "SELECT format('ALTER TABLE %I DROP z', relname) FROM pg_class WHERE relname = 'c' \\gexec\n"
            ),
        ],
        COLUMNS,
    ),
    "deferred checks before a table of a variable": (
        [TWO + ONE, "SELECT 'c' AS x \\gset\nINSERT INTO c VALUES (1); ALTER TABLE :x ADD z int;"],
        COLUMNS,
    ),
    "a procedure that commits, renamed": ([COMMITS + "ALTER PROCEDURE q() RENAME TO r; CALL r();"], "TABLE t"),
    "a procedure that commits, renamed by an earlier file": (
        [COMMITS, "ALTER ROUTINE q() RENAME TO r;", "SELECT 1; CALL r();"],
        "TABLE t",
    ),
    "a procedure that commits, in another schema": (
        [COMMITS + "CREATE SCHEMA s; ALTER PROCEDURE q() SET SCHEMA s; ALTER SCHEMA s RENAME TO r; CALL r.q();"],
        "TABLE t",
    ),
    "a procedure that commits, called by one that was there before": (
        [f"CREATE PROCEDURE r() LANGUAGE plpgsql AS $$BEGIN CALL q(); END$$; {COMMITS} CALL r();"],
        "TABLE t",
    ),
    "a procedure that commits, by \\gexec": ([COMMITS, "SELECT 'CALL q()' \\gexec\n"], "TABLE t"),
    "a new value that a function uses": ([BASE + FILLS, "ALTER TYPE e ADD VALUE 'b'; SELECT fill();"], "TABLE t"),
    "a new value that \\gexec uses": (
        [BASE, "ALTER TYPE e ADD VALUE 'b'; SELECT 'INSERT INTO t VALUES (''b'')' \\gexec\n"],
        "TABLE t",
    ),
    "a new value of a type that has another name now": (
        [BASE, "ALTER TYPE e ADD VALUE 'b'; ALTER TYPE e RENAME TO f; INSERT INTO t VALUES ('b'); SELECT 'b'::f;"],
        "TABLE t",
    ),
    "a new value that a function adds": ([BASE + FILLS, "SELECT add('b'); SELECT fill();"], "TABLE t"),
    "a new value that \\gexec adds": (
        [BASE, "SELECT format('ALTER TYPE e ADD VALUE %L', x) FROM s \\gexec\nINSERT INTO t VALUES ('b');"],
        "TABLE t",
    ),
    "strings by set_config": (
        [
            (
                "SELECT set_config('standard_conforming_strings', 'off', false);\n"
                "CREATE TABLE t (a text);INSERT INTO t VALUES ('a\\\\b');\nINSERT INTO t VALUES ('a\\'b;');\n"
            )
        ],
        "TABLE t",
    ),
    "a column that is no name": (["BEGIN; DECLARE c CURSOR FOR SELECT 1; FETCH c \\gset\nCOMMIT;"], SCHEMAS),
    "a column whose name is none": (['SELECT 1 AS "a-b" \\gset\n'], SCHEMAS),
    "the database's settings, by \\gexec": (
        [
            "CREATE SCHEMA s; SELECT format('ALTER DATABASE %I SET search_path = s', current_database()) \\gexec\n",
            "CREATE TABLE t (a int);",
            "SELECT format('ALTER DATABASE %I RESET ALL', current_database()) \\gexec\n",
            "CREATE TABLE u (a int);",
        ],
        SCHEMAS,
    ),
    "the role's settings in the database, in a DO": (
        [
            (
                "CREATE SCHEMA s; DO $$BEGIN EXECUTE format('ALTER ROLE %I IN DATABASE %I SET search_path = s',"
                " current_user, current_database()); END$$;"
            ),
            "CREATE TABLE t (a int);",
            "DO $$BEGIN EXECUTE format('ALTER ROLE %I IN DATABASE %I RESET ALL', current_user, current_database()); END$$;",
            "CREATE TABLE u (a int);",
        ],
        SCHEMAS,
    ),
    "the database's settings, by a function": (
        [
            (
                "CREATE SCHEMA s; CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$BEGIN"
                " EXECUTE format('ALTER DATABASE %I SET search_path = s', current_database()); END$$;"
            ),
            "SELECT f();",
            "CREATE TABLE t (a int);",
            "SELECT format('ALTER DATABASE %I RESET ALL', current_database()) \\gexec\n",
            "CREATE TABLE u (a int);",
        ],
        SCHEMAS,
    ),
}


@pytest.mark.every_server
@pytest.mark.parametrize(("texts", "query"), CASES.values(), ids=CASES)
def test_a_file_does_what_it_does_under_psql(project: Project, psql: Psql, texts: list[str], query: str):
    files = [project.write(f"{number}_x.sql", text) for number, text in enumerate(texts, start=1)]
    error = psql.run(*files)
    failure = project.apply().failure
    if not error:
        assert failure is None, f"{failure.code} {failure.message}\n{failure.detail}"
        assert project.versions() == list(range(1, len(files) + 1))
        assert project.apply().failure is None
    else:
        assert failure is not None, f"psql: {error}"
        assert error.removeprefix("ERROR:  ") in f"{failure.message}\n{failure.detail}"
    assert project.query(query) == Project(project.folder, psql.dsn).query(query)


@pytest.mark.every_server
@pytest.mark.parametrize(
    ("texts", "query", "rows"),
    [
        (
            [
                TWO + ONE + "CREATE TABLE m (p int); ALTER TABLE c INHERIT m;",
                "ALTER TABLE m RENAME TO n;",
                "INSERT INTO c VALUES (1); ALTER TABLE n ADD z int;",
            ],
            COLUMNS,
            [("c", "z"), ("n", "z")],
        ),
        ([COMMITS, "ALTER PROCEDURE q RENAME TO r; CALL r();"], "TABLE t", [(1,)]),
    ],
    ids=["a child with deferred checks, and its parent", "a procedure that commits"],
)
def test_what_earlier_runs_left_is_known(project: Project, texts: list[str], query: str, rows: list[object]):
    for number, text in enumerate(texts, start=1):
        project.write(f"{number}_x.sql", text)
        failure = project.apply().failure
        assert failure is None, failure
    assert project.query(query) == rows


def test_what_has_no_effect_is_told_with_its_line(project: Project):
    project.write("1_a.sql", "CREATE TABLE t (a int);\nSET LOCAL work_mem = '8MB';\nSET TRANSACTION READ ONLY;\n")
    assert project.apply().failure is None
    told = [each for each in project.heard.events if each.what is Happening.NOTICE]
    assert [(str(each.place).rpartition("/")[2], each.severity) for each in told] == [
        ("1_a.sql:2:1", "WARNING"),
        ("1_a.sql:3:1", "WARNING"),
    ]
    assert "SET LOCAL can only be used in transaction blocks" in told[0].text


def test_a_read_only_session_fails_as_under_psql_and_goes_on_after_the_file_is_mended(project: Project):
    project.write("1_a.sql", "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY; CREATE TABLE t ();")
    failure = project.apply().failure
    assert failure is not None
    assert "25006" in failure.detail
    project.write("1_a.sql", "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY; SELECT 1;")
    assert project.apply().failure is None
    assert project.versions() == [1]


def test_what_a_file_sets_for_new_sessions_holds_from_the_next_file_on(project: Project):
    name = conninfo_to_dict(project.dsn)["dbname"]
    texts = [
        "CREATE SCHEMA s;",
        "CREATE TABLE before (a int);",
        (
            f"alter database {name} set search_path = s, public; ALTER DATABASE {name} SET lock_timeout = '7s';\n"
            f"ALTER DATABASE {name} SET statement_timeout = '1ms';\nCREATE TABLE same (a int);"
        ),
        "CREATE TABLE after (a int); SELECT pg_sleep(0.01); CREATE TABLE timeout AS SELECT current_setting('lock_timeout');",
        f"ALTER DATABASE {name} RESET search_path; ALTER DATABASE {name} RESET statement_timeout;",
        "CREATE TABLE again (a int);",
        "CREATE TABLE last (a int);",
    ]
    for number, text in enumerate(texts, start=1):
        project.write(f"{number}_x.sql", text)
    done = project.tidelock("apply")
    assert done.returncode == 0, done.stderr
    made = dict(project.query("SELECT tablename, schemaname FROM pg_tables WHERE schemaname IN ('s', 'public')"))
    wanted = {"before": "public", "same": "public", "after": "s", "again": "public", "last": "public"}
    assert {table: made[table] for table in wanted} == wanted
    assert project.query("SELECT current_setting FROM s.timeout") == [("2s",)]
    assert project.one("SELECT run_id IS NULL FROM public.schema_migrations_lease WHERE part = 'holder'")


def test_a_role_of_one_connection_gets_its_new_session_too(project: Project):
    name = conninfo_to_dict(project.dsn)["dbname"]
    project.query(f"DROP ROLE IF EXISTS {name}_one")
    project.query(f"CREATE ROLE {name}_one LOGIN CONNECTION LIMIT 1")
    project.query(f"ALTER DATABASE {name} OWNER TO {name}_one")
    project.query(f"GRANT CREATE ON SCHEMA public TO {name}_one")
    project.write("1_x.sql", f"CREATE SCHEMA s; ALTER DATABASE {name} SET search_path = s, public;")
    project.write("2_x.sql", "CREATE TABLE t (a int);")
    done = project.tidelock("apply", "--username", f"{name}_one")
    assert done.returncode == 0, done.stderr
    assert project.query(SCHEMAS) == [("s", "t")]
    project.query(f"REASSIGN OWNED BY {name}_one TO postgres; DROP OWNED BY {name}_one; DROP ROLE {name}_one")
