"""`tidelock drift` and `tidelock snapshot`, as a user runs them."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.rig.project import Project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rig.installation import Installation
    from tests.rig.postgres import Garage, Server

FARM = Path(__file__).parents[2] / "examples" / "farm" / "migrations"


def farm(project: Project) -> None:
    for path in FARM.glob("*.sql"):
        project.write(path.name, path.read_bytes())
    assert project.apply().failure is None


def test_a_database_that_was_only_migrated_has_not_drifted(project: Project):
    farm(project)
    done = project.tidelock("drift")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.rstrip().endswith("0 differences.")


def test_what_was_done_by_hand_is_told_with_the_sql_that_takes_it_back(project: Project):
    farm(project)
    project.query("ALTER TABLE parcels ADD COLUMN colour text")
    project.query("DROP INDEX ndvi_jobs_queue")
    project.query("ALTER TABLE tenants ALTER COLUMN name DROP NOT NULL")
    done = project.tidelock("drift")
    assert done.returncode == 1
    assert "+ column public.parcels.colour" in done.stdout
    assert "~ column public.tenants.name is another\n     not null: true → none" in done.stdout
    found = json.loads(project.tidelock("drift", "--json").stdout)["differences"]
    assert [(each["what"], each["name"]) for each in found] == [
        ("added", "public.parcels.colour"),
        ("changed", "public.tenants.name"),
        ("removed", "public.ndvi_jobs_queue"),
    ]
    for each in found:
        project.query(each["mend"])
    assert project.tidelock("drift").returncode == 0


def test_pending_files_are_not_drift(project: Project):
    farm(project)
    project.write("099_later.sql", "CREATE TABLE later (i int);")
    assert project.tidelock("drift").returncode == 0


def test_the_text_that_was_applied_counts_not_the_file_as_it_is_now(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (i int);")
    assert project.apply().failure is None
    project.write("001_a.sql", "CREATE TABLE a (i bigint);")
    assert project.tidelock("drift").returncode == 0
    (project.folder / "001_a.sql").unlink()
    project.write("002_b.sql", "CREATE TABLE b (i int);")
    assert project.tidelock("drift").returncode == 0


def test_an_adopted_database_is_compared_with_what_it_was_then_and_the_migrations_since(project: Project):
    project.query("CREATE TABLE old (i int PRIMARY KEY, by_hand text)")
    project.write("001_old.sql", "CREATE TABLE old (i int);")
    project.write("002_new.sql", "CREATE TABLE new (i int);")
    assert project.tidelock("adopt", "--up-to", "1", "--yes").returncode == 0
    assert project.apply().failure is None
    assert "snapshot" not in project.tidelock("status", "--history").stdout
    done = project.tidelock("drift")
    assert done.returncode == 0, done.stdout
    assert "its schema as adopted on" in done.stdout
    project.query("ALTER TABLE old DROP COLUMN by_hand")
    project.query("ALTER TABLE new ADD COLUMN j int")
    found = json.loads(project.tidelock("drift", "--json").stdout)["differences"]
    assert [each["name"] for each in found] == ["public.new.j", "public.old.by_hand"]


def test_what_other_tools_own_can_be_ignored(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (i int);")
    assert project.apply().failure is None
    project.query("CREATE SCHEMA audit")
    project.query("CREATE TABLE audit.log (i int)")
    project.write("tidelock.toml", '[drift]\nignore = ["schema:audit", "*:audit.*"]\n')
    done = project.tidelock("drift", "--config", str(project.folder / "tidelock.toml"))
    assert done.returncode == 0
    assert "0 differences, 2 ignored." in done.stdout


def test_roles_that_other_hands_made_are_made_in_the_shadow_and_dropped_again(project: Project):
    project.query("DO $$ BEGIN IF to_regrole('app_reader_d') IS NULL THEN CREATE ROLE app_reader_d; END IF; END $$")
    project.write("001_a.sql", "CREATE TABLE a (i int);\nGRANT SELECT ON a TO app_reader_d;")
    assert project.apply().failure is None
    assert project.tidelock("drift").returncode == 0
    project.query("GRANT INSERT ON a TO app_reader_d")
    done = project.tidelock("drift")
    assert "grant table public.a to app_reader_d" in done.stdout
    assert "REVOKE INSERT, SELECT ON TABLE public.a FROM app_reader_d" in done.stdout.replace(
        "SELECT, INSERT", "INSERT, SELECT"
    )
    project.query("DROP OWNED BY app_reader_d")
    project.query("DROP ROLE app_reader_d")


def test_a_shadow_server_that_is_not_there_is_said_in_clear_words(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (i int);")
    assert project.apply().failure is None
    done = project.tidelock("drift", "--shadow", "postgresql://nobody:hush@127.0.0.1:1/x")
    assert done.returncode == 75, done.stderr
    assert "T001" in done.stderr
    assert "hush" not in done.stdout + done.stderr


def test_a_snapshot_is_written_and_found_stale(project: Project):
    farm(project)
    config = project.write("tidelock.toml", '[migrations]\ndir = "."\n')
    done = project.tidelock("snapshot", "--config", str(config))
    assert done.returncode == 0, done.stderr
    folder = project.folder / "schema"
    assert "CREATE TABLE public.parcels (" in (folder / "schema.sql").read_text()
    assert project.tidelock("snapshot", "--check", "--config", str(config)).returncode == 0
    assert project.tidelock("snapshot", "--check", "--live", "--config", str(config)).returncode == 0
    assert "unchanged" in project.tidelock("snapshot", "--config", str(config)).stdout
    project.write("100_more.sql", "CREATE TABLE more (i int);")
    stale = project.tidelock("snapshot", "--check", "--config", str(config))
    assert stale.returncode == 1
    assert "✗ table public.more added" in stale.stdout
    assert project.tidelock("snapshot", "--check", "--live", "--config", str(config)).returncode == 0
    (folder / "schema.sql").write_text("-- by hand")
    assert "is not what" in project.tidelock("snapshot", "--check", "--live", "--config", str(config)).stdout


def test_one_pair_of_files_for_each_database(project: Project):
    project.write("a/001_a.sql", "CREATE TABLE a (i int);")
    project.write("b/001_b.sql", "CREATE TABLE b (i int);")
    config = project.write(
        "tidelock.toml", '[snapshot]\ndir = "db"\n[databases.a]\nurl = "a"\n[databases.b]\nurl = "b"\n'
    )
    done = project.tidelock("snapshot", "--config", str(config), where=False)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (project.folder / "db").iterdir()) == ["a.json", "a.sql", "b.json", "b.sql"]


# Since when


@pytest.fixture
def noting(tmp_path: Path, programs: Installation, garage: Garage) -> Iterator[Project]:
    """A project on a server that notes when transactions were committed."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    with garage.server(programs, settings={"track_commit_timestamp": "on"}) as server:
        yield Project(folder, server.database(server.create_database()))


def when(project: Project) -> dict[str, tuple[int | None, str | None]]:
    """Name → the version that made it, and since when it is so."""
    found = json.loads(project.tidelock("drift", "--json").stdout)["differences"]
    return {each["name"]: ((each["migration"] or {}).get("version"), each["so_since_at_the_latest"]) for each in found}


def test_where_the_server_notes_it_drift_says_since_when_it_is_so_at_the_latest(noting: Project):
    farm(noting)
    before = noting.one("SELECT clock_timestamp()")
    for each in (
        "ALTER TABLE parcels ADD COLUMN colour text",
        "ALTER TABLE tenants ALTER COLUMN name DROP NOT NULL",
        "ALTER TABLE parcels ALTER COLUMN area_ha SET DEFAULT 7",
        "COMMENT ON TABLE tenants IS 'by hand'",
        "GRANT SELECT ON tenants TO PUBLIC",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TYPE mood AS ENUM ('a')",
        "DROP INDEX ndvi_jobs_queue",
    ):
        noting.query(each)
    after = noting.one("SELECT clock_timestamp()")
    found = when(noting)
    gone = found.pop("public.ndvi_jobs_queue")
    assert gone[1] is None, "what is gone has no entry"
    assert len(found) == 7
    for name, (_, at) in found.items():
        assert at is not None, name
        assert before <= datetime.fromisoformat(at) <= after, name
    assert f"so since {after:%Y-%m-%d %H:%M} UTC at the latest" in noting.tidelock("drift").stdout


def test_what_is_older_than_the_setting_has_no_time_and_does_not_hurt(server: Server, tmp_path: Path):
    folder = tmp_path / "migrations"
    folder.mkdir()
    project = Project(folder, server.database(server.create_database()))
    project.write("001_a.sql", "CREATE TABLE a (i int);")
    assert project.apply().failure is None
    project.query("ALTER TABLE a ADD COLUMN early int")
    assert "the server does not note" in project.tidelock("drift").stdout
    server.settings["track_commit_timestamp"] = "on"
    server.restart()
    project = Project(folder, server.database(project.dsn.rpartition("/")[2].partition("?")[0]))
    project.query("ALTER TABLE a ADD COLUMN late int")
    found = when(project)
    assert found["public.a.early"] == (None, None)
    assert found["public.a.late"][1] is not None
    assert "the server does not note" not in project.tidelock("drift").stdout


def test_drift_names_the_migration_that_made_or_changed_it_last_and_when_it_was_applied(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (i int, j int); CREATE INDEX a_i ON a (i);")
    project.write("002_b.sql", "ALTER TABLE a ALTER COLUMN i TYPE bigint;")
    project.write("003_c.sql", "ALTER TABLE a ADD COLUMN k int;")
    assert project.apply().failure is None
    project.query("ALTER TABLE a ALTER COLUMN i TYPE numeric, DROP COLUMN j, ADD COLUMN by_hand int")
    project.query("DROP INDEX a_i")
    assert when(project) == {
        "public.a.i": (2, None),
        "public.a.j": (1, None),
        "public.a_i": (1, None),
        "public.a.by_hand": (None, None),
    }
    applied = project.one("SELECT applied_at FROM schema_migrations WHERE version = 2")
    shown = project.tidelock("drift").stdout
    assert f"last made or changed by migration 2 b, applied {applied:%Y-%m-%d %H:%M} UTC" in shown
    assert "the server does not note" in shown


def test_a_snapshot_of_the_live_database_needs_no_migrations(project: Project):
    project.query("CREATE TABLE a (i int)")
    project.folder.rmdir()
    project.folder = project.folder.parent
    done = project.tidelock(
        "snapshot", "--live", "--dir", str(project.folder / "nowhere"), "--database", project.dsn, where=False
    )
    assert done.returncode == 0, done.stderr
    assert "CREATE TABLE public.a" in (project.folder / "schema" / "schema.sql").read_text()
