"""Indexes that a text builds which only the run knows: what is cut off is found, dropped and built again."""

from __future__ import annotations

import psycopg
import pytest
from tests.postgres.test_apply import failed, ok
from tests.postgres.test_interruption import running, until
from tests.rig.project import Project

INDEXES = "SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indrelid = 'a'::regclass ORDER BY 1"
EACH = "SELECT format('create index concurrently {0}i_%s ON a (%I)', n, n) FROM unnest(ARRAY['x', 'y']) n \\gexec\n"


@pytest.fixture
def filled(project: Project) -> Project:
    project.write("001_a.sql", "CREATE TABLE a (x int, y int);\nINSERT INTO a VALUES (1, 1), (1, 1);")
    ok(project.apply())
    return project


def cut_off(project: Project) -> None:
    """Kill the run, and end its session, while the index that it builds waits for an old snapshot."""
    with psycopg.connect(project.dsn) as conn:
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        conn.execute("SELECT * FROM a")
        process = project.start("apply")
        until(lambda: running(project, "index concurrently"))
        until(lambda: bool(project.query("SELECT 1 FROM pg_index WHERE NOT indisvalid")))
        process.kill()
        process.communicate(timeout=10)
        project.query(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE query ~ '^/. tidelock run .*index concurr'"
            " AND pid <> pg_backend_pid()"
        )
    assert (False,) in project.query("SELECT indisvalid FROM pg_index WHERE indrelid = 'a'::regclass")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'i' AS nm \\gset\ncreate index concurrently if not exists :nm ON a (x);\n",
        "SELECT 'i' AS nm \\gset\ncreate index concurrently :\"nm\" ON a (x);\n",
        "SELECT 'x' AS col \\gset\ncreate index concurrently if not exists i ON a (:col);\n",
        "SELECT 'x' AS col \\gset\ncreate index concurrently ON a (:col);\n",
    ],
)
def test_an_index_whose_name_or_column_only_the_run_knows_is_built_again(filled: Project, text: str):
    filled.write("002_b.sql", text)
    cut_off(filled)
    shown = filled.tidelock("recover")
    assert shown.returncode == 0, shown.stdout
    assert ":" not in shown.stdout.split("index concurrently")[1].splitlines()[0]
    ok(filled.apply())
    assert [valid for _, valid in filled.query(INDEXES)] == [True]


@pytest.mark.every_server
@pytest.mark.parametrize("guard", ["", "if not exists "])
def test_indexes_that_gexec_builds_are_built_again(filled: Project, guard: str):
    filled.write("002_b.sql", EACH.format(guard))
    cut_off(filled)
    assert "i_x ON a (x)" in filled.tidelock("recover").stdout
    ok(filled.apply())
    assert filled.query(INDEXES) == [("i_x", True), ("i_y", True)]


def test_an_invalid_index_that_gexec_would_pass_over_is_built_again(filled: Project):
    with psycopg.connect(filled.dsn, autocommit=True) as conn, pytest.raises(psycopg.errors.UniqueViolation):
        conn.execute("CREATE UNIQUE INDEX CONCURRENTLY i_y ON a (y)")
    filled.write("002_b.sql", EACH.format("if not exists "))
    ok(filled.apply())
    assert filled.query(INDEXES) == [("i_x", True), ("i_y", True)]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'i' AS nm \\gset\ncreate unique index concurrently if not exists :nm ON a (x);\n",
        "SELECT 'create unique index concurrently if not exists i ON a (x)' \\gexec\n",
        "SELECT 'create unique index concurrently i ON a (x)' \\gexec\n",
    ],
)
def test_what_a_failed_build_left_is_not_passed_over(filled: Project, text: str):
    filled.write("002_b.sql", text)
    failed(filled.apply(), "D010", 5)
    filled.query("DELETE FROM a")
    ok(filled.apply())
    assert filled.query(INDEXES) == [("i", True)]


def test_gexec_that_has_sent_what_may_not_run_twice_waits_for_a_person_without_an_invalid_index(filled: Project):
    filled.write(
        "002_b.sql",
        "SELECT unnest(ARRAY['insert into a values (2, 2)', 'create index concurrently i on a (x)']) \\gexec\n",
    )
    cut_off(filled)
    failed(filled.apply(), "L020", 4)
    assert filled.query(INDEXES) == []
    assert filled.tidelock("recover", "--retry").returncode == 0
    ok(filled.apply())
    assert filled.query(INDEXES) == [("i", True)]
