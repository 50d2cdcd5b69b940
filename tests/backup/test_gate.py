"""Before a run that destroys something there is a backup, or there is no run."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from tests.rig.s3 import S3

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backup.conftest import Farm

TABLES = """
CREATE TABLE sites (id int PRIMARY KEY, name text);
CREATE TABLE readings (id int PRIMARY KEY, site int REFERENCES sites, note text);
INSERT INTO sites SELECT i, 's' || i FROM generate_series(1, 10) i;
INSERT INTO readings SELECT i, 1 + i % 10, 'n' FROM generate_series(1, 500) i;
"""
DROPS = "ALTER TABLE readings DROP COLUMN note;\n"


@pytest.fixture
def grown(local: Farm) -> Farm:
    """Two tables, and a pending file that drops a column."""
    local.project.write("001_tables.sql", TABLES)
    assert local.run("apply").returncode == 0
    assert local.ids() == [], "what a plan makes itself is nobody's loss"
    local.project.write("002_drop.sql", DROPS)
    return local


def backup_of(farm: Farm, version: int) -> str | None:
    return farm.project.query("SELECT backup FROM schema_migrations WHERE version = %s", version)[0][0]  # type: ignore[no-any-return]


def test_a_wrong_drop_column_is_taken_back_with_two_commands(grown: Farm) -> None:
    done = grown.run("apply")
    assert done.returncode == 0, done.stderr
    assert "a backup comes first: ./002_drop.sql:1:1 drops column note" in done.stderr + done.stdout
    [made] = grown.ids()
    assert backup_of(grown, 2) == made
    grown.project.query("INSERT INTO readings VALUES (1000, 1)")
    back = grown.run("rollback", "--yes")
    assert back.returncode == 0, back.stderr
    assert "500 rows then, 501 now" in back.stdout
    assert grown.project.one("SELECT count(note) FROM readings") == 500
    assert grown.project.versions() == [1]
    assert "rolled back" in [each["event"] for each in grown.well("status", "--history")["history"]]


def test_the_plan_and_the_status_name_it(grown: Farm) -> None:
    planned = grown.well("plan")
    assert [(each["why"], each["tables"]) for each in planned["backup"]] == [("drops column note", ["readings"])]
    assert "backup first: drops column note" in grown.run("plan").stdout
    grown.well("apply")
    [_, second] = grown.well("status")["applied"]
    assert [second["backup"]] == grown.ids()
    assert "backup" not in grown.well("plan")


def test_the_manifest_says_where_the_ledger_stood(grown: Farm) -> None:
    grown.well("apply")
    [made] = grown.well("backup", "list")["backups"]
    assert (made["ledger"], made["applied"], made["scope"]) == ("public.schema_migrations", [1], "database")
    assert made["run"]


@pytest.mark.parametrize("url", ["s3://backups/farm", "/proc/no/such"])
def test_without_a_store_nothing_is_run(grown: Farm, url: str) -> None:
    grown.place.url = url
    grown.configure('before = "destructive"\n')
    refused = grown.run("apply", "--json", env={"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "a",
                                                "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"})  # fmt: skip
    assert refused.returncode == 6, refused.stderr
    assert json.loads(refused.stdout)["failure"]["code"] == "B001"
    assert grown.project.versions() == [1]
    assert grown.project.one("SELECT count(note) FROM readings") == 500


def test_wrong_credentials_are_no_store(grown: Farm, tmp_path: Path) -> None:
    with S3(tmp_path / "s3") as server:
        grown.place.url = server.url
        grown.configure('before = "destructive"\n')
        refused = grown.run("apply", env={**server.env, "AWS_SECRET_ACCESS_KEY": "wrong"})
        assert (refused.returncode, "B001" in refused.stderr) == (6, True), refused.stderr
        assert "wrong" not in refused.stderr
        assert grown.project.versions() == [1]


def test_never_asks_for_none_and_always_for_each(local: Farm) -> None:
    local.configure('before = "always"\n')
    local.project.write("001_a.sql", "CREATE TABLE a (i int);\n")
    local.well("apply")
    assert [backup_of(local, 1)] == local.ids()
    local.well("apply")
    assert len(local.ids()) == 1, "there was nothing to do"
    local.configure('before = "never"\n')
    local.project.write("002_b.sql", "DROP TABLE a;\n")
    local.well("apply")
    assert backup_of(local, 2) is None


def test_a_verified_backup_that_is_young_enough_will_do(grown: Farm) -> None:
    grown.configure('max_age = "1h"\n')
    first = grown.create()
    grown.well("apply")
    unproved = backup_of(grown, 2)
    assert unproved != first, "it was not verified"
    grown.well("backup", "verify", str(unproved))
    grown.project.write("003_drop.sql", "DROP TABLE readings;\n")
    grown.well("apply")
    assert backup_of(grown, 3) == unproved


def test_a_command_of_ones_own_is_waited_for(grown: Farm) -> None:
    grown.configure('command = "echo plan $TIDELOCK_PLAN > asked; echo snap-17"\n')
    plan = grown.well("plan")["plan"]
    grown.well("apply")
    assert backup_of(grown, 2) == "snap-17"
    assert (grown.project.folder / "asked").read_text() == f"plan {plan}\n"
    grown.configure('command = "echo no room >&2; exit 3"\n')
    grown.project.write("003_drop.sql", "DROP TABLE readings;\n")
    refused = grown.run("apply")
    assert (refused.returncode, "B010" in refused.stderr, "no room" in refused.stderr) == (6, True, True)
    assert grown.project.versions() == [1, 2]


def test_a_backup_of_the_affected_tables_alone(grown: Farm) -> None:
    grown.configure('scope = "affected"\n')
    grown.well("apply")
    [made] = grown.well("backup", "list")["backups"]
    assert (made["scope"], made["rows"]) == ("affected", {'"public"."readings"': 500})
    refused = grown.run("restore", made["id"], "--yes")
    assert (refused.returncode, "--into" in refused.stderr) == (6, True)
    name = f"{grown.project.dsn.rpartition('/')[2]}_part"
    grown.well("restore", made["id"], "--into", name)
    grown.project.dsn = grown.project.dsn.rpartition("/")[0] + f"/{name}"
    assert grown.project.one("SELECT count(note) FROM readings") == 500
    assert grown.project.one("SELECT count(*) FROM sites") == 0


REFERS = "CREATE TABLE c (id int, pid int REFERENCES sites{}); INSERT INTO c SELECT i, i FROM generate_series(1, 10) i;"
ELSEWHERE = "CREATE SCHEMA s; CREATE TABLE s.sites AS SELECT 1 AS a"
LOGS = """
CREATE TABLE log (i int);
CREATE FUNCTION empty() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM log; RETURN NULL; END';
"""
FIRES = "CREATE TRIGGER t AFTER DELETE ON readings EXECUTE FUNCTION empty();"


@pytest.mark.parametrize(("before", "runs"), [
    (REFERS.format(""), "TRUNCATE sites CASCADE;"), (ELSEWHERE, "SET search_path TO s, public; DROP TABLE sites;"),
    (ELSEWHERE, "SET search_path TO s, public; TRUNCATE sites; RESET search_path;"),
    (LOGS + FIRES, "DELETE FROM readings;"), (LOGS, FIRES + "DELETE FROM readings;"),
    ("CREATE RULE r AS ON DELETE TO readings DO ALSO DELETE FROM sites", "DELETE FROM readings;"),
    ("CREATE TABLE other AS SELECT 1 AS a", "ALTER TABLE readings RENAME TO old; ALTER TABLE other RENAME TO readings; DROP TABLE readings;"),
])  # fmt: skip
def test_what_may_reach_further_than_the_tables_it_names_is_backed_up_whole(
    grown: Farm, before: str, runs: str
) -> None:
    grown.configure('scope = "affected"\n')
    grown.project.query(before)
    grown.project.write("002_drop.sql", f"{runs}\n")
    grown.run("apply")
    [made] = grown.well("backup", "list")["backups"]
    assert made["scope"] == "database"


@pytest.mark.parametrize(
    ("drop", "rows"),
    [
        ('ALTER TABLE "Readings" DROP COLUMN v;', {'"public"."Readings"': 1}),
        ('ALTER TABLE "Öl ""x"" T" DROP COLUMN v;', {'"public"."Öl ""x"" T"': 1}),
        ('ALTER TABLE "s.t" DROP COLUMN v;', None),
    ],
)
def test_a_name_in_quotes_is_that_of_one_table(grown: Farm, drop: str, rows: dict[str, int] | None) -> None:
    grown.configure('scope = "affected"\n')
    grown.project.query("CREATE SCHEMA s")
    for name in ('"Readings"', '"Öl ""x"" T"', '"s.t"', "s.t"):
        grown.project.query(f"CREATE TABLE {name} AS SELECT 1 AS i, 2 AS v")
    grown.project.write("900_drop.sql", drop)
    grown.well("apply")
    made = grown.well("backup", "list")["backups"][0]
    assert made["scope"] == ("affected" if rows else "database")
    assert rows is None or rows.items() <= made["rows"].items()


@pytest.mark.parametrize("on", ["ON DELETE CASCADE", "ON DELETE SET NULL", "ON UPDATE CASCADE"])
def test_tables_whose_rows_a_foreign_key_takes_are_in_the_backup_of_the_affected(grown: Farm, on: str) -> None:
    grown.configure('scope = "affected"\n')
    grown.project.query("DROP TABLE readings; CREATE TABLE untouched AS SELECT 1 AS i")
    grown.project.query(REFERS.format(f" {on}"))
    grown.project.query(f"ALTER TABLE c ADD UNIQUE (id); CREATE TABLE d (cid int REFERENCES c (id) {on})")
    grown.project.write("002_drop.sql", "DELETE FROM sites WHERE id > 90;\n")
    grown.well("apply")
    [made] = grown.well("backup", "list")["backups"]
    rows = {'"public"."sites"': 10, '"public"."c"': 10, '"public"."d"': 0}
    assert (made["scope"], made["rows"]) == ("affected", rows)


def test_what_nobody_can_know_is_backed_up_whole(grown: Farm) -> None:
    grown.configure('scope = "affected"\n')
    grown.project.write("003_do.sql", "DO $$ BEGIN EXECUTE 'DELETE FROM ' || quote_ident('readings'); END $$;\n")
    grown.well("apply")
    assert [each["scope"] for each in grown.well("backup", "list")["backups"]] == ["database"]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT purge();",
        "ALTER TABLE sites ADD COLUMN z int DEFAULT purge();",
        "INSERT INTO sites VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name;",
        "ALTER TABLE readings ALTER note TYPE varchar USING NULL;",
        "ALTER TABLE readings ALTER note TYPE varchar(1);",
        "CREATE TABLE q (a int); DROP TABLE q; ALTER TABLE readings RENAME TO q; DROP TABLE q;",
        "CREATE SCHEMA g; ALTER TABLE readings SET SCHEMA g; DROP SCHEMA g CASCADE;",
    ],
)
def test_what_loses_rows_without_saying_so_asks(local: Farm, text: str) -> None:
    purge = "CREATE FUNCTION purge() RETURNS int LANGUAGE sql AS 'DELETE FROM readings; SELECT 1';"
    local.project.write("001_tables.sql", TABLES + purge)
    local.well("apply")
    local.project.write("002_quiet.sql", text)
    local.configure('command = "touch asked; exit 1"\n')
    assert local.run("apply").returncode == 6
    assert (local.project.folder / "asked").exists()
    assert local.project.one("SELECT count(note) FROM readings") == 500


def test_an_everyday_file_asks_for_none(local: Farm) -> None:
    local.project.write("001_tables.sql", TABLES)
    local.well("apply")
    local.project.write(
        "002_more.sql",
        "ALTER TABLE sites ADD COLUMN seen timestamptz DEFAULT now();\n"
        "CREATE INDEX ON readings (site);\n"
        "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.seen := now(); RETURN NEW; END $$;\n"
        "CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON sites FOR EACH ROW EXECUTE FUNCTION touch();\n"
        "INSERT INTO sites VALUES (11, format('s%s', 11)) ON CONFLICT DO NOTHING;\n"
        "CREATE TABLE crops (id serial PRIMARY KEY, name text UNIQUE);\n"
        "INSERT INTO crops VALUES (1, 'oat') ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name;\n"
        "SELECT setval(pg_get_serial_sequence('crops', 'id'), (SELECT max(id) FROM crops));\n"
        "ALTER TABLE readings ALTER note TYPE varchar;\n",
    )
    local.configure('command = "touch asked; exit 1"\n')
    local.well("apply")
    assert not (local.project.folder / "asked").exists()


def test_a_restore_point_has_the_versions_name(grown: Farm) -> None:
    assert "restore point “tidelock before 2”" in grown.run("apply").stderr


@pytest.mark.parametrize("name", ['"Readings"', '"Sch ä"."T""x"', '"Sch ä"."a.b"'])
def test_a_table_whose_name_wants_quotes_is_the_one_that_is_backed_up(local: Farm, name: str) -> None:
    local.configure('scope = "affected"\n')
    local.project.query('CREATE TABLE readings (id int); CREATE SCHEMA "Sch ä"')
    local.project.query(f"CREATE TABLE {name} AS SELECT 1 AS id, 'n' AS note")
    local.project.write("001_drop.sql", f"ALTER TABLE {name} DROP COLUMN note;\n")
    local.well("apply")
    [made] = local.well("backup", "list")["backups"]
    assert made["rows"] == {name if "." in name else f'"public".{name}': 1}


def test_a_name_that_may_mean_two_tables_is_backed_up_whole(local: Farm) -> None:
    local.configure('scope = "affected"\n')
    local.project.query(
        'CREATE SCHEMA s; CREATE TABLE s.t AS SELECT 1 AS id; CREATE TABLE "s.t" AS SELECT 2 AS id, 3 AS v'
    )
    local.project.write("001_drop.sql", 'ALTER TABLE "s.t" DROP COLUMN v;\n')
    local.well("apply")
    [made] = local.well("backup", "list")["backups"]
    assert made["scope"] == "database"


def test_without_a_place_for_backups_people_are_told_that_none_comes_first(local: Farm) -> None:
    local.project.query("CREATE TABLE a AS SELECT 1 AS i, 2 AS v")
    local.project.write("001_drop.sql", "ALTER TABLE a DROP COLUMN v;\n")
    told = "No backup comes first, as nobody says where to: ./001_drop.sql:1:1 drops column v."
    planned = local.project.tidelock("plan")
    assert told in planned.stdout
    assert "backup first" not in planned.stdout
    done = local.project.tidelock("apply")
    assert done.returncode == 0, done.stderr
    assert told in done.stdout + done.stderr
    (local.project.folder / "tidelock.toml").write_text('[backup]\nbefore = "never"\n')
    local.project.write("002_drop.sql", "DROP TABLE a;\n")
    done = local.project.tidelock("apply")
    assert "No backup comes first" not in done.stdout + done.stderr


def test_always_without_a_place_for_backups_is_refused(local: Farm) -> None:
    (local.project.folder / "tidelock.toml").write_text('[backup]\nbefore = "always"\n')
    local.project.write("001_a.sql", "CREATE TABLE a (i int);\n")
    refused = local.project.tidelock("apply")
    assert (refused.returncode, "[backup] before" in refused.stderr) == (2, True), refused.stderr
    assert local.project.query("SELECT FROM pg_tables WHERE tablename = 'a'") == []


@pytest.mark.parametrize(("command", "kept"), [
    (r"printf 'caf\351\n'", "caf\N{REPLACEMENT CHARACTER}"), (r"printf 'id\033[31mred\000\n'", "id[31mred"),
    ("sleep 60 & echo snap", "snap"),
])  # fmt: skip
def test_whatever_a_command_prints_it_is_waited_for_and_its_last_line_kept(
    grown: Farm, command: str, kept: str
) -> None:
    grown.configure(f"command = '''{command}'''\n")
    began = time.monotonic()
    grown.well("apply")
    assert time.monotonic() - began < 30
    assert backup_of(grown, 2) == kept
