"""What --json and --log-format json print is as docs/schema says."""

from __future__ import annotations

import json
import time
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from tests.docs.texts import DOCS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.rig.postgres import Server
    from tests.rig.project import Project


def validator(name: str) -> Draft202012Validator:
    """A schema of docs/schema; here, unlike for readers, a field that it does not name is a mistake."""
    schema = json.loads((DOCS / "schema" / f"{name}.schema.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(closed(schema))


def closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(value) for name, value in schema.items()}
    return {**inner, "additionalProperties": False} if "properties" in inner and "type" in inner else inner


def check(name: str, text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    validator(name).validate(found)
    return found


SLOW = "-- tidelock: no-transaction\nCREATE TABLE w (i int);\nDO $$ BEGIN PERFORM pg_sleep(60); END $$;\n"


def test_json_of_runs_that_go_well_is_as_documented(project: Project) -> None:
    project.write("001_a.sql", "CREATE TABLE a (i int);\nINSERT INTO a VALUES (1);\nSELECT * FROM a;\n")
    project.write("002_b.sql", "CREATE INDEX CONCURRENTLY ON a (i);\n")
    planned = check("plan", project.tidelock("plan", "--json").stdout)
    assert [step["mode"] for each in planned["pending"] for step in each["steps"]] == ["transaction", "alone"]
    assert len(check("report", project.tidelock("apply", "--json").stdout)["applied"]) == 2
    broken = project.write("003_c.sql", "CREATE TABEL c (i int);\n")
    (step,) = check("plan", project.tidelock("plan", "--json").stdout)["pending"][0]["steps"]
    assert "TABLE for “TABEL”" in step["statements"][0]["unreadable"]["hint"]
    broken.unlink()
    project.write("001_a.sql", "CREATE  TABLE a (i int);\nINSERT INTO a VALUES (1);\nSELECT * FROM a;\n")
    assert check("report", project.tidelock("apply", "--json").stdout)["findings"][0]["code"] == "N001"
    assert check("plan", project.tidelock("plan", "--json").stdout)["cosmetic"]
    assert check("status", project.tidelock("status", "--json", "--history").stdout)["history"]
    assert check("recover", project.tidelock("recover", "--json").stdout)["interrupted"] is None
    project.write("003_c.sql", "CREATE TABLE c (i int);\n")
    assert check("report", project.tidelock("adopt", "--up-to", "3", "--yes", "--json").stdout)["adopted"] == [3]


def test_json_of_adoption_and_its_sisters_is_as_documented(project: Project) -> None:
    project.write("1-a.sql", "CREATE TABLE a (i int PRIMARY KEY);\n")
    project.write("7-b.sql", "CREATE TABLE b (i int);\n")
    assert check("renumber", project.tidelock("renumber", "--order", "sort", "--yes", "--json").stdout)["files"]
    project.query("CREATE TABLE a (i int PRIMARY KEY)")
    found = check("adoption", project.tidelock("adopt", "--observe", "--yes", "--json").stdout)
    assert [each["verdict"] for each in found["files"]] == ["applied", "pending"]
    assert check("lint", project.tidelock("lint", "--json").stdout)["findings"]
    assert check("wait", project.tidelock("wait", "--version", "1", "--json").stdout)["came"]
    project.query("ALTER TABLE a DROP CONSTRAINT a_pkey")
    assert not check("verify", project.tidelock("verify", "--json").stdout)["ok"]
    begun = project.tidelock("init", "--json", "--database", project.dsn, where=False)
    assert check("init", begun.stdout)["next"]
    project.write("tidelock.toml", '[[critical]]\ntable = "nobody"\n')
    ended = project.tidelock("apply", "--json", "--config", str(project.folder / "tidelock.toml"))
    assert check("report", ended.stdout)["critical"][0]["footing"] == "missing"
    stands = project.tidelock("status", "--json", "--config", str(project.folder / "tidelock.toml"))
    assert check("status", stands.stdout)["critical"][0]["footing"] == "missing"


def test_json_of_drift_and_snapshots_is_as_documented(project: Project) -> None:
    project.write("001_a.sql", "CREATE TABLE a (i int);\n")
    project.tidelock("apply")
    project.query("ALTER TABLE a ALTER COLUMN i SET NOT NULL")
    [found] = check("drift", project.tidelock("drift", "--json").stdout)["differences"]
    assert found["attributes"] == {"not_null": {"wanted": None, "found": True}}
    assert check("snapshot", project.tidelock("snapshot", "--json").stdout)["changed"]
    project.write("002_b.sql", "CREATE TABLE b (i int);\n")
    assert check("snapshot", project.tidelock("snapshot", "--check", "--json").stdout)["stale"]


def test_json_of_runs_that_fail_is_as_documented(project: Project) -> None:
    project.write("001_a.sql", "CREATE TABLE a (i int);\n")
    project.write("002_b.sql", "SELECT 1;\nSELECT no_such_thing;\n")
    failed = check("report", project.tidelock("apply", "--json").stdout)
    assert (failed["failure"]["code"], failed["pending"], failed["exit_code"]) == ("D010", 1, 5)
    project.write("001_a.sql", "CREATE TABLE a (i bigint);\n")
    assert check("status", project.tidelock("status", "--json", "--history").stdout)["trouble"][0]["code"] == "L002"
    assert check("report", project.tidelock("plan", "--json").stdout)["failure"]["code"] == "L002"
    assert check("recover", project.tidelock("recover", "--json").stdout)["interrupted"] is None
    assert (
        check("report", project.tidelock("adopt", "--up-to", "9", "--yes", "--json").stdout)["failure"]["code"]
        == "U005"
    )


def test_json_of_a_run_that_was_killed_is_as_documented(project: Project) -> None:
    project.write("001_w.sql", SLOW)
    with project.start("apply") as running:
        wait_for(
            project, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND state = 'active'", 2
        )
        running.kill()
    project.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '/* tidelock run%pg_sleep(60)%'"
    )
    found = check("recover", project.tidelock("recover", "--json").stdout)["interrupted"]
    assert (found["version"], found["step"], found["outcome"]) == (1, 2, "started")
    assert check("status", project.tidelock("status", "--json", "--history").stdout)["unfinished"] == [1]
    assert check("plan", project.tidelock("plan", "--json").stdout)["pending"][0]["interrupted"] == 2
    assert check("recover", project.tidelock("recover", "--mark-done", "--json").stdout)["decision"]


def test_json_of_backups_is_as_documented(project: Project, tmp_path: Path) -> None:
    project.write("tidelock.toml", f'[backup]\nurl = "{tmp_path / "store"}"\n')
    project.write("001_a.sql", "CREATE TABLE a (i int, j int);\n")
    check("report", project.tidelock("apply", "--json").stdout)
    project.write("002_b.sql", "ALTER TABLE a DROP COLUMN j;\n")
    assert check("plan", project.tidelock("plan", "--json").stdout)["backup"][0]["tables"] == ["a"]
    check("report", project.tidelock("apply", "--json").stdout)
    made = check("backup", project.tidelock("backup", "create", "--json").stdout)["backups"][0]["id"]
    applied = check("status", project.tidelock("status", "--json").stdout)["applied"]
    assert [each["backup"] is None for each in applied] == [True, False]
    for words in (["verify", made], ["show"], ["list"], ["prune", "--dry-run"]):
        check("backup", project.tidelock("backup", *words, "--json").stdout)
    done = check("restore", project.tidelock("rollback", "--yes", "--drop-old", "--json").stdout)
    assert done["old"] == ""
    assert check("report", project.tidelock("restore", "nothing", "--json").stdout)["failure"]["code"] == "B009"


def test_json_of_proofs_is_as_documented(project: Project, cluster: Server, tmp_path: Path) -> None:
    project.write("001_a.sql", "CREATE TABLE a (i int);\n")
    project.write("002_b.sql", "CREATE EXTENSION postgis;\n")
    env = {"TIDELOCK_CACHE_DIR": str(tmp_path / "cache")}
    found = check("prove", project.tidelock("prove", "--shadow", cluster.dsn, "--json", env=env).stdout)
    assert {each["outcome"] for each in found["results"]} == {"proved", "refuted", "open"}
    assert found["exit_code"] == 1


def wait_for(project: Project, query: str, least: int) -> None:
    """`least` counts this query itself, whose text holds what it looks for."""
    for _ in range(200):
        if project.one(query) >= least:
            return
        time.sleep(0.05)
    pytest.fail(f"never {least}: {query}")


def test_json_of_commands_without_a_database_is_as_documented(project: Project) -> None:
    check("explain", project.tidelock("explain", "l002", "--json", where=False).stdout)
    check("report", project.tidelock("explain", "L999", "--json", where=False).stdout)
    path = check("new", project.tidelock("new", "first", "--json", where=False).stdout)["path"]
    assert path == "migrations/001_first.sql"
    project.write("migrations/001_first.sql", "CREATE TABLE a (b int REFERENCES c);")
    found = check("new", project.tidelock("new", "--critical", "a", "--json", where=False).stdout)
    assert len(found["warnings"]) == 1
    assert tomllib.loads(found["setting"])["critical"][0]["fallback"] == "fallback/001_a.sql"


def test_the_log_is_as_documented(project: Project) -> None:
    project.write(
        "001_a.sql", "CREATE TABLE a (i int);\n\\echo hello\nCREATE TABLE IF NOT EXISTS a (i int);\nSELECT 1;\n"
    )
    lines = project.tidelock("apply", "--log-format", "json").stderr.splitlines()
    assert {check("event", line)["event"] for line in lines} >= {
        "target",
        "migration",
        "notice",
        "rows",
        "echo",
        "applied",
    }


def test_the_summary_for_kubernetes_is_as_documented(project: Project, tmp_path: Path) -> None:
    project.write("001_a.sql", "SELECT no_such_thing;\n")
    log = tmp_path / "termination-log"
    project.tidelock("apply", env={"KUBERNETES_SERVICE_HOST": "1", "TIDELOCK_TERMINATION_LOG": str(log)})
    assert check("report", log.read_text("utf-8"))["failure"]["code"] == "D010"


def test_json_of_a_wait_and_a_renumber_that_fail_is_as_documented(project: Project) -> None:
    project.write("5_c.sql", "SELECT 1;\n")
    for words, code in (
        (["wait", "--version", "9", "--wait", "1s"], "T031"),
        (["renumber", "--order", "sort"], "U008"),
    ):
        assert check("report", project.tidelock(*words, "--json").stdout)["failure"]["code"] == code
