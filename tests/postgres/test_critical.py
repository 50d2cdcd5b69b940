"""Critical tables, and the commands that look at a live database: verify, wait, init, new --critical."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest
from tests.rig.project import Project

from tidelock.config import load

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = """
[[critical]]
table = "jobs"
columns = ["id", "status"]
migration = 2
fallback = "fallback/jobs.sql"

[[critical]]
table = "modules"
migration = 3
"""
WRONG = "CREATE TABLE jobs (id int, status nosuch);"
RIGHT = "CREATE TABLE IF NOT EXISTS jobs (id int, status text);"


@pytest.fixture
def shop(tmp_path: Path, postgres_dsn: str) -> Project:
    project = Project(tmp_path / "shop", postgres_dsn)
    project.write("tidelock.toml", SETTINGS)
    project.write("migrations/001_a.sql", "CREATE TABLE a (id int);")
    project.write("migrations/002_jobs.sql", WRONG)
    project.write("migrations/003_modules.sql", "CREATE TABLE IF NOT EXISTS modules (id int PRIMARY KEY);")
    project.write("fallback/jobs.sql", RIGHT)
    return project


def run(shop: Project, *arguments: str, **more: float) -> subprocess.CompletedProcess[str]:
    return shop.tidelock(*arguments, "--database", shop.dsn, where=False, **more)  # type: ignore[arg-type]


def made(shop: Project) -> bool:
    return bool(shop.one("SELECT to_regclass('jobs') IS NOT NULL"))


def test_what_is_missing_is_made_from_its_fallback_and_the_run_ends_with_8(shop: Project):
    shop.query("CREATE TABLE modules (id int PRIMARY KEY)")
    done = run(shop, "apply")
    assert done.returncode == 8
    assert "D010 002 jobs failed" in done.stderr
    assert "on its fallback, made now: jobs" in done.stderr
    assert "The application can start. Version 2 is not applied" in done.stderr
    assert made(shop)
    assert shop.query("SELECT detail -> 'tables' FROM schema_migrations_journal WHERE event = 'fallback'") == [
        (["jobs"],)
    ]
    assert "made by an earlier run" in run(shop, "apply").stderr


def test_a_table_without_a_fallback_is_said_to_be_missing(shop: Project):
    done = run(shop, "apply")
    assert done.returncode == 8
    assert "The application cannot start" in done.stderr
    assert "modules: not there; it has no fallback" in done.stderr


@pytest.mark.parametrize("command", ["apply", "plan", "verify"])
@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        (('"fallback/jobs.sql"', '"fallback/job.sql"'), "its fallback fallback/job.sql is not there"),
        (('"fallback/jobs.sql"', '"fallback"'), "its fallback fallback is not a file"),
        (('"fallback/jobs.sql"', '"../outside.sql"'), "its fallback ../outside.sql lies outside of"),
        (('"fallback/jobs.sql"', '"/etc/hostname"'), "etc/hostname lies outside of"),
        (('"fallback/jobs.sql"', '"link.sql"'), "outside.sql, which lies outside of"),
        (("migration = 2", "migration = 9"), "no file has its migration 9"),
    ],
)
def test_an_entry_that_cannot_be_used_is_refused_before_the_database_is_touched(
    shop: Project, command: str, mistake: tuple[str, str], told: str
):
    shop.write("../outside.sql", RIGHT)
    (shop.folder / "link.sql").symlink_to("../outside.sql")
    shop.write("tidelock.toml", SETTINGS.replace(*mistake))
    done = run(shop, command)
    assert done.returncode == 2, done.stderr
    assert "U021 tidelock.toml: critical[1] (jobs): " in done.stderr
    assert told in done.stderr
    assert shop.one("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == 0


def test_all_entries_that_cannot_be_used_are_told(shop: Project):
    shop.write("tidelock.toml", SETTINGS.replace("fallback/jobs.sql", "a.sql") + 'fallback = "b.sql"\n')
    assert "critical[2] (modules): its fallback b.sql is not there" in run(shop, "apply").stderr


def test_a_wrong_version_does_not_keep_the_fallback_from_its_work_when_the_files_cannot_be_read(shop: Project):
    shop.write("tidelock.toml", SETTINGS.replace("migration = 2", "migration = 9"))
    shop.write("migrations/bad.sql", "SELECT 1;")
    assert run(shop, "apply").returncode == 8
    assert made(shop)


def test_a_mounted_configmap_is_no_way_out_of_the_project(shop: Project):
    shop.write("..data/jobs.sql", RIGHT)
    (shop.folder / "jobs.sql").symlink_to("..data/jobs.sql")
    shop.write("tidelock.toml", SETTINGS.replace("fallback/jobs.sql", "jobs.sql"))
    run(shop, "apply")
    assert made(shop)


def test_wait_needs_neither_scripts_nor_migrations(shop: Project):
    shop.query("CREATE TABLE modules (id int); CREATE TABLE jobs (id int, status text)")
    shop.write("tidelock.toml", SETTINGS.replace("fallback/jobs.sql", "not/here.sql").replace("= 2", "= 9"))
    assert run(shop, "wait").returncode == 0


@pytest.mark.parametrize("broken", ["bad.sql", "002_twice.sql"])
def test_files_that_cannot_be_read_do_not_keep_the_fallback_from_its_work(shop: Project, broken: str):
    shop.query("CREATE TABLE modules (id int PRIMARY KEY)")
    shop.write(f"migrations/{broken}", "SELECT 1;")
    done = run(shop, "apply")
    assert done.returncode == 8, done.stderr
    assert made(shop)
    assert "✗ S00" in done.stderr


def test_a_mended_migration_meets_its_table_and_all_is_well(shop: Project):
    run(shop, "apply")
    shop.write("migrations/002_jobs.sql", RIGHT)
    done = run(shop, "apply")
    assert done.returncode == 0, done.stderr
    assert "Verified: 2 critical tables." in done.stdout
    assert run(shop, "verify").returncode == 0


def test_a_migration_that_cannot_meet_it_is_told_why(shop: Project):
    run(shop, "apply")
    shop.write("migrations/002_jobs.sql", RIGHT.replace("IF NOT EXISTS ", ""))
    done = run(shop, "apply")
    assert done.returncode == 8
    assert "The fallback fallback/jobs.sql may have made jobs" in done.stderr


def test_a_column_that_is_missing_counts(shop: Project):
    shop.query("CREATE TABLE jobs (id int); CREATE TABLE modules (id int PRIMARY KEY)")
    shop.write("fallback/jobs.sql", "ALTER TABLE jobs ADD COLUMN IF NOT EXISTS status text;")
    assert run(shop, "apply").returncode == 8
    assert shop.one("SELECT count(*) FROM pg_attribute WHERE attrelid = 'jobs'::regclass AND attname = 'status'") == 1


def test_a_fallback_that_fails_is_told_with_its_place_and_leaves_nothing(shop: Project):
    shop.write("fallback/jobs.sql", f"CREATE TABLE half (id int);\n{WRONG}")
    done = run(shop, "apply")
    assert "fallback/jobs.sql failed: D010" in done.stderr
    assert "fallback/jobs.sql:2:" in done.stderr
    assert shop.one("SELECT to_regclass('half') IS NULL")


def test_a_fallback_that_no_transaction_may_hold_is_refused(shop: Project):
    shop.write("fallback/jobs.sql", "CREATE INDEX CONCURRENTLY i ON a (id);")
    assert "S014" in run(shop, "apply").stderr


@pytest.mark.parametrize(
    "taking",
    [
        "DROP TABLE IF EXISTS kept;",
        "DROP TABLE IF EXISTS jobs; CREATE TABLE jobs (id int);",
        "TRUNCATE kept;",
        "DELETE FROM kept;",
        "UPDATE kept SET id = 2;",
        "DROP FUNCTION IF EXISTS f() CASCADE;",
        "DO $$ BEGIN EXECUTE 'DROP TABLE kept'; END $$;",
        "CREATE TABLE IF NOT EXISTS kept (id int); DROP TABLE kept;",
    ],
)
def test_a_fallback_that_takes_something_away_is_refused(shop: Project, taking: str):
    shop.query("CREATE TABLE kept AS SELECT 1 AS id")
    shop.write("fallback/jobs.sql", f"CREATE TABLE IF NOT EXISTS jobs (id int PRIMARY KEY);\n{taking}\n")
    done = run(shop, "apply")
    assert (done.returncode, "S014" in done.stderr, "fallback/jobs.sql:2:" in done.stderr) == (8, True, True), (
        done.stderr
    )
    assert shop.query("SELECT id FROM kept") == [(1,)]
    assert shop.one("SELECT to_regclass('jobs') IS NULL")


def test_a_fallback_may_take_away_what_it_made_itself(shop: Project):
    made = "CREATE TABLE work (id int);\nDO $$ BEGIN CREATE TYPE mood AS ENUM ('a'); EXCEPTION WHEN duplicate_object THEN END $$;"
    shop.write(
        "fallback/jobs.sql", f"{made}\nCREATE TABLE IF NOT EXISTS jobs (id int, status text);\nDROP TABLE work;\n"
    )
    run(shop, "apply")
    assert shop.one("SELECT to_regclass('jobs') IS NOT NULL AND to_regclass('work') IS NULL")


def test_after_a_passing_fault_there_is_no_fallback(shop: Project):
    shop.write("migrations/002_jobs.sql", "ALTER TABLE a ADD COLUMN x int;")
    import psycopg

    run(shop, "apply", "--wait", "1s")
    shop.query("DROP TABLE IF EXISTS jobs")
    shop.write("migrations/004_more.sql", "ALTER TABLE a ADD COLUMN y int;")
    with psycopg.connect(shop.dsn) as conn:
        conn.execute("SELECT * FROM a")
        done = run(shop, "apply", "--wait", "1s")
    assert done.returncode == 75
    assert not made(shop)


def test_json_tells_how_they_stand(shop: Project):
    found = json.loads(run(shop, "apply", "--json").stdout)
    assert found["exit_code"] == 8
    assert {each["table"]: each["footing"] for each in found["critical"]} == {"jobs": "fallback", "modules": "missing"}


def test_status_says_what_stands_on_its_fallback(shop: Project):
    assert "not there" not in run(shop, "status").stdout  # its turn is yet to come
    shop.query("CREATE TABLE modules (id int PRIMARY KEY)")
    assert "fallback" not in run(shop, "status").stdout
    assert run(shop, "apply").returncode == 8
    assert "! jobs stands on its fallback; version 2 is not applied\n" in run(shop, "status").stdout
    told = json.loads(run(shop, "status", "--json").stdout)["critical"]
    assert [(each["table"], each["footing"]) for each in told] == [("jobs", "fallback"), ("modules", "migration")]
    shop.write("migrations/002_jobs.sql", RIGHT)
    assert run(shop, "apply").returncode == 0
    assert "fallback" not in run(shop, "status").stdout
    shop.query("DROP TABLE jobs")
    assert "✗ jobs: not there; `tidelock apply` makes it from fallback/jobs.sql" in run(shop, "status").stdout


def test_wait_ends_when_the_tables_come_and_with_75_when_they_do_not(shop: Project):
    late = run(shop, "wait", "--wait", "1s")
    assert (late.returncode, "T031" in late.stderr) == (75, True)

    def later() -> None:
        time.sleep(1)
        shop.query("CREATE TABLE modules (id int); CREATE TABLE jobs (id int, status text)")

    thread = threading.Thread(target=later)
    thread.start()
    came = run(shop, "wait", "--wait", "20s")
    thread.join()
    assert came.returncode == 0
    assert "there: jobs, modules" in came.stdout
    assert run(shop, "wait", "--version", "9", "--wait", "1s").returncode == 75


def test_nothing_to_wait_for_is_said(project: Project):
    done = project.tidelock("wait")
    assert (done.returncode, "U012" in done.stderr) == (2, True)


def test_verify_finds_each_flaw_and_says_what_mends_it(project: Project):
    project.write(
        "001_a.sql", "CREATE TABLE a (id serial PRIMARY KEY, n int, r int);\nCREATE TABLE b (id int PRIMARY KEY);"
    )
    assert project.tidelock("apply").returncode == 0
    assert project.tidelock("verify").returncode == 0
    project.query("INSERT INTO a (n) VALUES (1), (1)")
    with pytest.raises(Exception, match="could not create unique index"):
        project.query("CREATE UNIQUE INDEX CONCURRENTLY bad ON a (n)")
    project.query("ALTER TABLE a ADD CONSTRAINT positive CHECK (n > 0) NOT VALID")
    project.query("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$")
    project.query("CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION f()")
    project.query("ALTER TABLE a DISABLE TRIGGER t")
    project.query("SELECT setval('a_id_seq', 2147483000)")
    project.query("ALTER TABLE b DROP CONSTRAINT b_pkey")
    project.write(
        "001_a.sql", "CREATE TABLE a (id serial PRIMARY KEY, n int, r text);\nCREATE TABLE b (id int PRIMARY KEY);"
    )
    done = project.tidelock("verify", "--json")
    assert done.returncode == 8
    found = {each["name"]: each["flaws"] for each in json.loads(done.stdout)["checks"] if not each["ok"]}
    assert {name: len(flaws) for name, flaws in found.items()} == {
        "ledger and files": 1, "invalid indexes": 1, "unvalidated constraints": 1, "disabled triggers": 1,
        "sequences near their end": 1, "tables without their primary key": 1,
    }  # fmt: skip
    for name in ("unvalidated constraints", "disabled triggers"):
        project.query(found[name][0]["mend"])
    project.query("DROP INDEX CONCURRENTLY bad")
    left = json.loads(project.tidelock("verify", "--json").stdout)
    assert [each["name"] for each in left["checks"] if not each["ok"]] == [
        "ledger and files", "sequences near their end", "tables without their primary key",
    ]  # fmt: skip


def test_init_says_what_is_there_and_writes_a_file_that_can_be_read(tmp_path: Path, postgres_dsn: str):
    project = Project(tmp_path / "repo", postgres_dsn)
    project.write("db/migrations/20240101_a.sql", "-- migrate:up\nCREATE TABLE a (id int);\n-- migrate:down\n")
    project.write("deploy/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\n")
    project.query(
        "CREATE TABLE schema_migrations (version varchar PRIMARY KEY); INSERT INTO schema_migrations VALUES ('20240101')"
    )
    done = run(project, "init")
    assert done.returncode == 0, done.stderr
    assert "files: 1 in db/migrations, of dbmate" in done.stdout
    assert "GitOps: Kustomize" in done.stdout
    assert "history: dbmate in public.schema_migrations, 1 rows" in done.stdout
    next_ = [line.strip() for line in done.stdout.splitlines()][-2]
    assert next_ == "tidelock adopt --from dbmate --dir db/migrations --write tidelock-migrations"
    assert run(project, *next_.split()[1:], "--yes").returncode == 0
    again = run(project, "init")
    assert (again.returncode, "U014" in again.stderr) == (2, True)


def test_init_without_a_database_says_that_it_was_not_asked(tmp_path: Path):
    project = Project(tmp_path / "repo", "postgresql://x@127.0.0.1:1/x")
    project.write("migrations/001_a.sql", "SELECT 1;")
    done = run(project, "init", "--wait", "0s")
    assert done.returncode == 0
    assert "database: not asked" in done.stdout
    assert (project.folder / "tidelock.toml").exists()


def test_new_critical_takes_the_table_and_its_indexes_and_guards_them(project: Project):
    project.write(
        "001_a.sql",
        "CREATE TABLE jobs (id int PRIMARY KEY);\nCREATE INDEX jobs_i ON jobs (id);\nCREATE TABLE other (id int);\n",
    )
    done = project.tidelock("new", "--critical", "jobs", "--dir", str(project.folder), where=False)
    assert done.returncode == 0, done.stderr
    text = (project.folder.parent / "fallback" / "001_jobs.sql").read_text()
    assert "CREATE TABLE IF NOT EXISTS jobs (id int PRIMARY KEY);" in text
    assert "CREATE INDEX IF NOT EXISTS jobs_i ON jobs (id);" in text
    assert "other" not in text
    assert 'table = "jobs"\nmigration = 1' in done.stdout
    missing = project.tidelock("new", "--critical", "job", "--dir", str(project.folder), where=False)
    assert "did you mean jobs?" in missing.stderr.lower()


def test_verify_tells_of_wrong_names_and_checks_the_rest(shop: Project):
    shop.write("migrations/002_jobs.sql", RIGHT)
    assert run(shop, "apply").returncode == 0
    shop.write("migrations/002-twice.sql", "SELECT 1;")
    shop.write("migrations/late.sql", "SELECT 1;")
    shop.write("migrations/001_a.sql", "CREATE TABLE a (id bigint);")
    shop.query("DROP TABLE modules; ALTER TABLE jobs ADD CONSTRAINT c CHECK (id > 0) NOT VALID")
    done = run(shop, "verify", "--json")
    assert done.returncode == 8, done.stderr
    flaws = {each["name"]: each["flaws"] for each in json.loads(done.stdout)["checks"] if not each["ok"]}
    assert {name: len(found) for name, found in flaws.items()} == {
        "critical tables": 1, "files": 2, "ledger and files": 1, "unvalidated constraints": 1,
    }  # fmt: skip
    assert [each["what"][:4] for each in flaws["files"]] == ["S001", "S002"]
    assert all("tidelock renumber" in each["mend"] for each in flaws["files"])
    assert flaws["ledger and files"][0]["what"].startswith("L002 migrations/001_a.sql")


def test_verify_goes_on_where_a_renumber_was_cut_off(shop: Project):
    shop.write("migrations/.renumbering-004_b.sql", "SELECT 1;")
    done = run(shop, "verify")
    assert done.returncode == 8
    assert "S016" in done.stdout
    assert "✓ interrupted runs" in done.stdout


def test_new_critical_warns_of_what_may_be_missing_and_of_what_cannot_run_twice(project: Project):
    project.write("db/migrations/001_base.sql", "CREATE TABLE users (id int PRIMARY KEY);")
    project.write(
        "db/migrations/002_jobs.sql",
        "CREATE TABLE jobs (id int PRIMARY KEY, owner int REFERENCES users, parent int REFERENCES jobs);\n"
        "CREATE /* new */ INDEX jobs_owner ON jobs (owner);\n",
    )
    project.write("tidelock.toml", '[migrations]\ndir = "db/migrations"\n')
    done = project.tidelock("new", "--critical", "jobs", where=False)
    assert done.returncode == 0, done.stderr
    first, second = done.stderr.splitlines()
    assert first.startswith("! db/fallback/002_jobs.sql: it refers to users (of 001 base): when that is not there, ")
    assert "CREATE /* new */ INDEX jobs_owner ON jobs (owner)… is without IF NOT EXISTS" in second
    assert 'fallback = "db/fallback/002_jobs.sql"' in done.stdout  # counts from tidelock.toml
    clean = project.tidelock("new", "--critical", "users", where=False)
    assert clean.stderr == ""


def test_a_fallback_of_migrations_elsewhere_is_written_beside_tidelock_toml(project: Project):
    project.write("../elsewhere/001_a.sql", "CREATE TABLE a (id int);")
    project.write(
        "tidelock.toml", '[databases.one]\ndir = "../elsewhere"\nurl = "one"\n\n[databases.two]\nurl = "two"\n'
    )
    done = project.tidelock("new", "--critical", "a", "--database", "one", where=False)
    assert 'fallback = "fallback/001_a.sql"\ndatabase = "one"' in done.stdout, done.stderr
    assert (project.folder / "fallback" / "001_a.sql").exists()


@pytest.mark.parametrize(
    ("mark", "content"),
    [("Cargo.toml", '[dependencies]\nsqlx = { version = "0.8" }\n'), (".sqlx/query-1.json", "{}"), (None, "")],
)
def test_init_tells_sqlx_from_golang_migrate(project: Project, mark: str | None, content: str):
    project.write("migrations/20240101120000_a.up.sql", "CREATE TABLE a (id int);")
    project.write("migrations/20240101120000_a.down.sql", "DROP TABLE a;")
    if mark:
        project.write(mark, content)
    else:
        project.query(
            "CREATE TABLE _sqlx_migrations (version bigint PRIMARY KEY, description text, installed_on timestamptz,"
            " success boolean, checksum bytea, execution_time bigint);"
            "INSERT INTO _sqlx_migrations VALUES (20240101120000, 'a', now(), true, '', 5)"
        )
    shown = run(project, "init").stdout
    assert "files: 2 in migrations, of sqlx" in shown
    assert "tidelock adopt --from sqlx --dir migrations --write tidelock-migrations" in shown


def test_init_still_knows_golang_migrate(project: Project):
    project.write("migrations/1_a.up.sql", "CREATE TABLE a (id int);")
    assert "of golang-migrate" in run(project, "init").stdout


def test_init_finds_the_migrations_of_two_databases(project: Project):
    for folder, count in (("a/migrations", 2), ("b/migrations", 1)):
        for number in range(count):
            project.write(f"{folder}/00{number}_x.sql", "SELECT 1;")
    shown = run(project, "init").stdout
    assert "files: 2 in a/migrations\n" in shown
    assert "files: also 1 in b/migrations\n" in shown
    text = (project.folder / "tidelock.toml").read_text()
    blocks = text[text.index("# [databases.a]") :].replace("# ", "").replace("#\n", "\n")
    project.write("two.toml", blocks)
    targets, _ = load(project.folder / "two.toml")
    assert [(each.name, each.directory.relative_to(project.folder).as_posix()) for each in targets] == [
        ("a", "a/migrations"), ("b", "b/migrations"),
    ]  # fmt: skip
