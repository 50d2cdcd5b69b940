"""What hangs on a rebuilt aggregate is as it was: rights to the column, whatever the DROP says, whatever its name."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql
from tests.postgres.test_apply import ok
from tests.timescale.test_holes import RAW
from tests.timescale.test_refresh import CALL, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rig.project import Project

MADE = """CREATE MATERIALIZED VIEW {} WITH (timescaledb.continuous) AS
SELECT time_bucket('1 day', at) AS bucket, sum(v) AS v{} FROM r GROUP BY 1 WITH NO DATA"""
ABOVE = """CREATE MATERIALIZED VIEW {} WITH (timescaledb.continuous) AS
SELECT time_bucket('{}', bucket) AS bucket, sum(v) AS v FROM {} GROUP BY 1 WITH NO DATA"""
ACL = """
SELECT c.relname, coalesce(a.attname, ''), coalesce(a.attacl, c.relacl)::text FROM pg_class c
  LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attacl IS NOT NULL
 WHERE c.relname IN ('a', 'above', 'seen', 'kept') ORDER BY 1, 2"""


@pytest.fixture
def reader(project: Project) -> Iterator[str]:
    """A role that may be granted something."""
    name = f"reader_{psycopg.conninfo.conninfo_to_dict(project.dsn)['dbname']}"[:60]
    project.query(f"CREATE ROLE {name}")
    yield name
    with closing(psycopg.connect(project.dsn, autocommit=True)) as conn:
        for each in ("DROP OWNED BY {}", "DROP ROLE {}"):
            conn.execute(sql.SQL(each).format(sql.Identifier(name)))


def rebuilt(project: Project, name: str = "a", *, more: str = "", cascade: str = "") -> Any:
    made = MADE.format(name, ", max(v) AS most")
    text = f"-- tidelock: rebuild {name}\nDROP MATERIALIZED VIEW {name}{cascade};\n{made};\n{more}"
    project.write("001_a.sql", text)
    return ok(project.apply())


def tree(project: Project) -> None:
    run(
        project,
        RAW,
        MADE.format("a", ""),
        ABOVE.format("above", "7 days", "a"),
        "CREATE VIEW seen AS SELECT bucket, v FROM a",
    )


def test_rights_on_columns_come_back(project: Project, reader: str):
    tree(project)
    run(
        project,
        f"GRANT SELECT (bucket) ON a TO {reader} WITH GRANT OPTION",
        f"GRANT SELECT (v) ON above TO {reader}",
        f"GRANT SELECT (v), UPDATE (bucket) ON seen TO {reader}",
    )
    before = project.query(ACL)
    rebuilt(project)
    assert project.query(ACL) == before


def test_what_default_privileges_add_to_the_new_one_is_taken_away_again(project: Project, reader: str):
    tree(project)
    run(
        project,
        f"GRANT INSERT ON above TO {reader}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {reader}",
    )
    before = [each for each in project.query(ACL) if each[2]]
    rebuilt(project)
    assert not project.one(f"SELECT has_table_privilege('{reader}', 'a', 'SELECT')")
    assert not project.one(f"SELECT has_table_privilege('{reader}', 'above', 'SELECT')")
    assert not project.one(f"SELECT has_table_privilege('{reader}', 'seen', 'SELECT')")
    assert [each for each in project.query(ACL) if each[0] == "above"] == before


def test_what_the_file_grants_itself_stays(project: Project, reader: str):
    tree(project)
    rebuilt(project, more=f"GRANT SELECT ON a TO {reader};\n")
    assert project.one(f"SELECT has_table_privilege('{reader}', 'a', 'SELECT')")


@pytest.mark.parametrize("cascade", ["", " CASCADE"])
def test_three_levels_come_back_whatever_the_drop_says(project: Project, cascade: str):
    tree(project)
    run(project, ABOVE.format("higher", "28 days", "above"), "CREATE MATERIALIZED VIEW kept AS SELECT * FROM above")
    run(project, *map(CALL.format, ("a", "above", "higher")))
    before = project.query("SELECT * FROM higher ORDER BY 1")
    rebuilt(project, cascade=cascade)
    assert project.query("SELECT * FROM higher ORDER BY 1") == before
    assert project.one("SELECT to_regclass('kept') IS NOT NULL")


@pytest.mark.parametrize(
    "name",
    ['"Öl Werk"."Tag ""x"".y"', '"Öl Werk"."a: b"', '"Öl Werk".x', '"Stunde %"'],
    ids=["quotes", "a colon", "a blank", "a sign"],
)
@pytest.mark.parametrize("word", ["rebuild", "accept-loss"])
def test_a_name_may_be_anything_in_quotes(project: Project, name: str, word: str):
    run(project, RAW, 'CREATE SCHEMA "Öl Werk"', MADE.format(name, ""), CALL.format(name))
    run(project, "SELECT drop_chunks('r', older_than => '2026-02-25'::timestamptz)")
    number = project.one(f"SELECT count(*) FROM {name}")
    project.write("001_a.sql", f"DROP MATERIALIZED VIEW {name};\n{MADE.format(name, ', max(v) AS most')};\n")
    failure = project.apply().failure
    assert failure is not None
    line = f"-- tidelock: {word} {name}{': a test' if word == 'accept-loss' else ''}"
    assert line.removesuffix(": a test") in failure.hint
    project.write("001_a.sql", f"{line}\n{(project.folder / '001_a.sql').read_text()}")
    ok(project.apply())
    assert (project.one(f"SELECT count(*) FROM {name}") == number) is (word == "rebuild")
