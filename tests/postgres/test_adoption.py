"""Taking over what another tool has recorded: tables as each tool makes them, on a real server.

The DDL and rows are those that the tools wrote in real runs (docs/adopting); `test_real_tools.py` runs all of them but
Rails, whose table is the documented one.
"""

from __future__ import annotations

import json
import re
import subprocess

import pytest
from tests.postgres.test_apply import ok
from tests.rig.project import Project

# tool → (its table with two applied migrations, its files with three, the third pending)
TABLES: dict[str, tuple[str, dict[str, str]]] = {
    "golang-migrate": (
        ("CREATE TABLE schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL);"
        "INSERT INTO schema_migrations VALUES (2, false)"),
        {f"{n}_m{n}.up.sql": f"CREATE TABLE m{n} (id int);" for n in (1, 2, 3)},
    ),
    "dbmate": (
        "CREATE TABLE schema_migrations (version varchar PRIMARY KEY); INSERT INTO schema_migrations VALUES ('1'), ('2')",
        {f"{n}_m{n}.sql": f"-- migrate:up\nCREATE TABLE m{n} (id int);\n-- migrate:down\nDROP TABLE m{n};" for n in (1, 2, 3)},
    ),
    "rails": (
        ("CREATE TABLE schema_migrations (version varchar PRIMARY KEY); CREATE TABLE ar_internal_metadata (key varchar);"
        "INSERT INTO schema_migrations VALUES ('1'), ('2')"),
        {f"db/migrate/{n}_m{n}.rb": "class M; end" for n in (1, 2, 3)},
    ),
    "flyway": (
        ("CREATE TABLE flyway_schema_history (installed_rank int PRIMARY KEY, version varchar(50), description varchar(200),"
        " type varchar(20), script varchar(1000), checksum int, installed_by varchar(100), installed_on timestamp,"
        " execution_time int, success boolean);"
        "INSERT INTO flyway_schema_history VALUES (0, NULL, '<< Flyway Schema Creation >>', 'SCHEMA', 'x', NULL, 'p', now(), 0, true),"
        " (1, '1', 'm1', 'SQL', 'V1__m1.sql', NULL, 'p', now(), 1, true),"
        " (2, '2', 'm2', 'SQL', 'V2__m2.sql', NULL, 'p', now(), 1, true)"),
        {f"sql/V{n}__m{n}.sql": f"CREATE TABLE m{n} (id int);" for n in (1, 2, 3)},
    ),
    "goose": (
        ("CREATE TABLE goose_db_version (id int PRIMARY KEY, version_id bigint, is_applied boolean, tstamp timestamp);"
        "INSERT INTO goose_db_version VALUES (1, 0, true), (2, 1, true), (3, 2, true), (4, 3, true), (5, 3, false)"),
        {f"{n}_m{n}.sql": f"-- +goose Up\nCREATE TABLE m{n} (id int);\n-- +goose Down\nDROP TABLE m{n};" for n in (1, 2, 3)},
    ),
    "alembic": (
        "CREATE TABLE alembic_version (version_num varchar(32) NOT NULL PRIMARY KEY); INSERT INTO alembic_version VALUES ('r2')",
        {
            f"versions/r{n}_m{n}.py": f"revision = 'r{n}'\ndown_revision = {f'r{n - 1}' if n > 1 else None!r}\n"
            for n in (1, 2, 3)
        },
    ),
    "liquibase": (
        ("CREATE TABLE databasechangelog (id varchar(255), author varchar(255), filename varchar(255), dateexecuted timestamp,"
        " orderexecuted int, exectype varchar(10), md5sum varchar(35));"
        "INSERT INTO databasechangelog VALUES ('1', 'ada', 'all.sql', now(), 1, 'EXECUTED', NULL),"
        " ('2', 'ada', 'all.sql', now(), 2, 'RERAN', NULL)"),
        {
            "all.sql": "--liquibase formatted sql\n"
            + "".join(f"--changeset ada:{n}\nCREATE TABLE m{n} (id int);\n--rollback DROP TABLE m{n};\n" for n in (1, 2, 3))
        },
    ),
    "sqlx": (
        ("CREATE TABLE _sqlx_migrations (version bigint PRIMARY KEY, description text, installed_on timestamptz, success boolean,"
        " checksum bytea, execution_time bigint);"
        "INSERT INTO _sqlx_migrations SELECT n, 'm', now(), true, sha384(convert_to(format('CREATE TABLE m%s (id int);', n), 'UTF8')), 5"
        " FROM generate_series(1, 2) n"),
        {f"{n}_m{n}.sql": f"CREATE TABLE m{n} (id int);" for n in (1, 2, 3)},
    ),
    "diesel": (
        ("CREATE TABLE __diesel_schema_migrations (version varchar(50) PRIMARY KEY, run_on timestamp);"
        "INSERT INTO __diesel_schema_migrations VALUES ('20240101'), ('20240102')"),
        {f"migrations/2024-01-0{n}_m{n}/up.sql": f"CREATE TABLE m{n} (id int);" for n in (1, 2, 3)},
    ),
    "yoyo": (
        ("CREATE TABLE _yoyo_migration (migration_hash varchar(64) PRIMARY KEY, migration_id varchar(255), applied_at_utc timestamp);"
        "INSERT INTO _yoyo_migration VALUES ('a', '1.m1'), ('b', '2.m2')"),
        {f"{n}.m{n}.sql": f"CREATE TABLE m{n} (id int);" for n in (1, 2, 3)},
    ),
    "tern": (
        "CREATE TABLE schema_version (version int4 NOT NULL); INSERT INTO schema_version VALUES (2)",
        {f"00{n}_m{n}.sql": f"CREATE TABLE m{n} (id int);\n---- create above / drop below ----\nDROP TABLE m{n};" for n in (1, 2, 3)},
    ),
    "atlas": (
        ("CREATE SCHEMA atlas_schema_revisions; CREATE TABLE atlas_schema_revisions.atlas_schema_revisions (version varchar PRIMARY KEY,"
        " description varchar, type bigint, applied bigint, total bigint, hash varchar);"
        "INSERT INTO atlas_schema_revisions.atlas_schema_revisions VALUES ('1', 'm1', 2, 1, 1, ''), ('2', 'm2', 2, 1, 1, ''),"
        " ('.atlas_cloud_identifier', '', 2, 0, 0, '')"),
        {f"{n}_m{n}.sql": f"CREATE TABLE m{n} (id int);" for n in (1, 2, 3)},
    ),
    "django": (
        ("CREATE TABLE django_migrations (id bigint PRIMARY KEY, app varchar(255), name varchar(255), applied timestamptz);"
        "INSERT INTO django_migrations VALUES (1, 'auth', '0001_initial'), (2, 'shop', '0001_m1'), (3, 'shop', '0002_m2')"),
        {
            f"shop/migrations/000{n}_m{n}.py": f"class Migration:\n    dependencies = {[('shop', f'000{n - 1}_m{n - 1}')] if n > 1 else []}\n"
            for n in (1, 2, 3)
        },
    ),
    "sqitch": (
        ("CREATE SCHEMA sqitch; CREATE TABLE sqitch.changes (change_id text PRIMARY KEY, script_hash text, change text,"
        " project text, planned_at timestamptz); INSERT INTO sqitch.changes VALUES"
        " ('d739d1f035d08c6364ed48743420950d1804e239', NULL, 'create_customers', 'shop', now()),"
        " ('0e413426e9c271e054d49d2b7c98178367ccd5ec', NULL, 'create_orders', 'shop', now())"),
        {
            "sqitch.plan": "%project=shop\n%uri=https://example.org/shop/\n\n"
            "create_customers 2026-11-01T10:00:00Z Ada Größe <ada@example.org> # create customers\n"
            "create_orders [create_customers] 2026-11-02T10:00:00Z Ada Größe <ada@example.org> # create orders\n"
            "m3 2026-11-03T10:00:00Z Ada Größe <ada@example.org> # m3\n",
            "deploy/create_customers.sql": "CREATE TABLE m1 (id int);",
            "deploy/create_orders.sql": "CREATE TABLE m2 (id int);",
            "deploy/m3.sql": "BEGIN;\nCREATE TABLE m3 (id int);\nCOMMIT;",
        },
    ),
}  # fmt: skip


PRINTED = ("alembic", "django")


NOT_RUN = "rails: documented table, not run"
"""Its gems are in no registry that can be had here; all others are run by test_real_tools.py as well."""


@pytest.mark.parametrize(
    "tool",
    [pytest.param(tool, id=NOT_RUN if tool == "rails" else tool) for tool in TABLES if tool not in PRINTED],
)
def test_two_are_taken_over_one_is_pending_and_the_tools_table_stays(project: Project, tool: str):
    ddl, files = TABLES[tool]
    project.query(ddl)
    for name, text in files.items():
        project.write(f"theirs/{name}", text)
    before = rows(project, tool)
    done = project.tidelock(
        "adopt", "--from", "--dir", str(project.folder / "theirs"), "--write", str(project.folder / "ours"), "--yes",
        "--database", project.dsn, where=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 adopted" in done.stdout
    assert rows(project, tool) == before
    ours = Project(project.folder / "ours", project.dsn)
    observed = ours.run().database.observe()
    assert len(observed.applied) == 2
    if tool != "rails":
        assert [each.version for each in ok(ours.apply()).applied] == [max(file.version for file in ours.run().files)]
        assert project.query("SELECT to_regclass('m2'), to_regclass('m3') IS NOT NULL") == [(None, True)]
    again = ours.tidelock("adopt", "--from", tool, "--yes")
    assert "0 adopted" in again.stdout, again.stdout + again.stderr


@pytest.mark.parametrize("tool", PRINTED)
def test_without_the_tool_that_prints_its_migrations_nothing_is_recorded(project: Project, tool: str):
    ddl, files = TABLES[tool]
    project.query(ddl)
    for name, text in files.items():
        project.write(f"theirs/{name}", text)
    where = [
        "--dir",
        str(project.folder / "theirs"),
        "--write",
        str(project.folder / "ours"),
        "--database",
        project.dsn,
    ]
    done = project.tidelock("adopt", "--from", "--yes", *where, where=False)
    assert (done.returncode, "S018" in done.stderr) == (3, True), done.stderr
    assert not (project.folder / "ours").exists()
    assert project.one("SELECT to_regclass('schema_migrations') IS NULL")


def test_apply_refuses_what_another_tool_has_applied(project: Project):
    project.write("001_m1.sql", "-- tidelock: was dbmate 1\nINSERT INTO seed VALUES (1);")
    project.query(TABLES["dbmate"][0])
    project.query("CREATE TABLE seed (id int)")
    done = project.tidelock("apply")
    assert (done.returncode, "L033" in done.stderr) == (4, True), done.stderr
    assert project.one("SELECT count(*) FROM seed") == 0
    assert project.tidelock("adopt", "--from", "--settle", "1=pending", "--yes").returncode == 0
    assert [each.version for each in ok(project.apply()).applied] == [1]


@pytest.mark.parametrize(
    "text",
    [
        "-- migrate:up\nA;\n-- migrate:down\nB;",
        "-- +goose Up\nA;\n-- +goose Down\nB;",
        "A;\n---- create above / drop below ----\nB;",
    ],
)
def test_another_tools_own_file_is_never_applied(project: Project, text: str):
    project.write("001_m1.sql", text)
    done = project.tidelock("apply")
    assert (done.returncode, "S017" in done.stderr) == (3, True)


@pytest.mark.parametrize(
    "ddl",
    [
        "CREATE TABLE schema_version (version int4); INSERT INTO schema_version VALUES (1), (2)",
        "CREATE TABLE schema_migrations (version text, dirty bool); INSERT INTO schema_migrations VALUES ('v2', false)",
        "CREATE TABLE schema_migrations (version varchar); INSERT INTO schema_migrations VALUES (NULL)",
        (
            "CREATE TABLE _sqlx_migrations (version int, description text, success text, checksum bytea, execution_time int);"
            "INSERT INTO _sqlx_migrations VALUES (1, '', 'maybe', '', 1)"
        ),
    ],
)
def test_a_table_that_holds_something_else_is_refused(project: Project, ddl: str):
    project.query(ddl)
    project.write("001_m1.sql", "-- tidelock: was tern 1\nSELECT 1;")
    done = project.tidelock("adopt", "--from", "--yes")
    assert (done.returncode, "L034" in done.stderr) == (4, True), done.stderr


def rows(project: Project, tool: str) -> list[tuple[object, ...]]:
    table = TABLES[tool][0].split("INSERT INTO ")[1].split()[0]
    return project.query(f"SELECT * FROM {table} t ORDER BY t::text")


@pytest.mark.parametrize("name", ["V2__b.sql", "V02__b.sql", "V2.0__b.sql", "more/V2__m2.sql"])
def test_two_files_of_one_version_are_refused_before_anything_is_written(project: Project, name: str):
    ddl, files = TABLES["flyway"]
    project.query(ddl)
    for path, text in {**files, f"sql/{name}": "CREATE TABLE b (id int);"}.items():
        project.write(f"theirs/{path}", text)
    where = [
        "--dir",
        str(project.folder / "theirs"),
        "--write",
        str(project.folder / "ours"),
        "--database",
        project.dsn,
    ]
    done = project.tidelock("adopt", "--from", "--yes", *where, where=False)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "S019" in done.stderr
    assert f"sql/{name}" in done.stderr
    assert "sql/V2__m2.sql" in done.stderr
    assert not (project.folder / "ours").exists()
    assert (project.folder / "theirs/sql/V2__m2.sql").exists()
    assert project.one("SELECT to_regclass('schema_migrations') IS NULL")


def test_another_environment_needs_the_written_files_alone(project: Project):
    project.write("001_m1.sql", "-- tidelock: was dbmate 1\nCREATE TABLE m1 (id int);")
    project.write("002_m2.sql", "-- tidelock: was dbmate 2\nCREATE TABLE m2 (id int);")
    project.query(TABLES["dbmate"][0].replace(", ('2')", ""))
    done = project.tidelock("adopt", "--from", "--yes", "--json")
    found = json.loads(done.stdout)
    assert [(each["version"], each["verdict"]) for each in found["files"]] == [(1, "applied"), (2, "pending")]
    assert found["recorded"] == [1]


def test_a_dirty_version_is_refused_until_a_person_settles_it(project: Project):
    project.query("CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL)")
    project.query("INSERT INTO schema_migrations VALUES (2, true)")
    project.write("001_m1.sql", "-- tidelock: was golang-migrate 1\nCREATE TABLE m1 (id int);")
    project.write("002_m2.sql", "-- tidelock: was golang-migrate 2\nCREATE TABLE m2 (id int);")
    refused = project.tidelock("adopt", "--from", "--yes")
    assert refused.returncode == 4
    assert "L032" in refused.stderr
    assert "002 m2" in refused.stderr
    assert project.one("SELECT to_regclass('tidelock.schema_migrations') IS NULL")
    assert project.tidelock("adopt", "--from", "--settle", "2=pending", "--yes").returncode == 0
    assert [each.version for each in ok(project.apply()).applied] == [2]


def test_without_yes_and_a_terminal_nothing_is_recorded(project: Project):
    project.query(TABLES["dbmate"][0])
    project.write("001_m1.sql", "-- tidelock: was dbmate 1\nCREATE TABLE m1 (id int);")
    done = project.tidelock("adopt", "--from")
    assert done.returncode == 2
    assert "U008" in done.stderr
    assert project.one("SELECT to_regclass('tidelock.schema_migrations') IS NULL")


def test_when_no_row_is_of_any_file_nothing_is_taken_for_pending(project: Project):
    project.query(TABLES["liquibase"][0].replace("'all.sql'", "'db/all.sql'"))
    project.write("theirs/all.sql", TABLES["liquibase"][1]["all.sql"])
    where = ["--write", str(project.folder / "ours"), "--database", project.dsn]
    refused = project.tidelock("adopt", "--from", "--yes", "--dir", "theirs", *where, where=False)
    assert (refused.returncode, "L035" in refused.stderr) == (4, True), refused.stderr
    assert "db/all.sql::1::ada" in refused.stderr
    assert not (project.folder / "ours").exists()
    done = project.tidelock("adopt", "--from", "--yes", "--dir", "theirs", *where, "--settle", "1=pending", where=False)
    assert "0 adopted" in done.stdout, done.stderr


def test_no_history_and_several_are_said(project: Project):
    project.write("001_m1.sql", "CREATE TABLE m1 (id int);")
    none = project.tidelock("adopt", "--from", "--yes")
    assert (none.returncode, "L030" in none.stderr) == (4, True)
    project.query(TABLES["dbmate"][0])
    project.query(TABLES["tern"][0])
    several = project.tidelock("adopt", "--from", "--yes")
    assert (several.returncode, "L031" in several.stderr) == (4, True)


FILES = {
    "001_tables.sql": "CREATE TABLE a (id int PRIMARY KEY); CREATE INDEX a_i ON a (id);",
    "002_column.sql": "ALTER TABLE a ADD COLUMN x int;",
    "003_view.sql": "CREATE VIEW v AS SELECT id FROM a;",
    "004_function.sql": "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';",
    "005_policy.sql": "CREATE POLICY p ON a USING (true);",
    "006_trigger.sql": "CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;\n"
    "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION g();",
    "007_type.sql": "CREATE TYPE e AS ENUM ('x');",
    "008_gone.sql": "CREATE TABLE gone (id int);",
    "009_drop.sql": "DROP TABLE gone;",
    "010_rows.sql": "INSERT INTO a VALUES (1);",
}  # fmt: skip


def verdicts(project: Project, *arguments: str) -> dict[int, str]:
    done = project.tidelock("adopt", "--observe", "--yes", "--json", *arguments)
    if done.returncode:
        return {}
    return {each["version"]: each["verdict"] for each in json.loads(done.stdout)["files"]}


def test_the_catalog_tells_what_is_there_absent_or_partly_there(project: Project):
    for name, text in FILES.items():
        project.write(name, text)
    for name in ("001", "003", "004", "006", "008", "009"):
        [path] = project.folder.glob(f"{name}*")
        project.query(path.read_text())
    shown = project.tidelock("adopt", "--observe", "--yes")
    assert shown.returncode == 4
    lines = {line.split()[1]: line for line in shown.stdout.splitlines() if line[:1] and line[0] in "✓·?"}
    assert {number: line[0] for number, line in lines.items()} == {
        "001": "✓", "002": "·", "003": "✓", "004": "✓", "005": "·", "006": "✓", "007": "·", "008": "?", "009": "?", "010": "?",
    }  # fmt: skip
    settle = [word for number in (8, 9, 10) for word in ("--settle", f"{number}=applied")]
    assert verdicts(project, *settle)[6] == "applied"
    assert [each.version for each in ok(project.apply()).applied] == [2, 5, 7]


def test_what_is_partly_there_is_told_with_what_is_missing(project: Project):
    project.write("001_two.sql", "CREATE TABLE one (id int); CREATE TABLE two (id int);")
    project.query("CREATE TABLE one (id int)")
    shown = project.tidelock("adopt", "--observe", "--yes")
    assert "partly there: table one; missing: table two" in shown.stdout
    assert "L032" in shown.stderr


def test_what_was_renamed_later_is_not_taken_for_absent(project: Project):
    project.write("001_a.sql", "CREATE TABLE old (id int, x int);")
    project.write("002_b.sql", "ALTER TABLE old RENAME TO new;")
    project.write("003_c.sql", "CREATE TABLE c (id int, x int);")
    project.write(
        "004_d.sql",
        "ALTER TABLE c RENAME COLUMN x TO y;\nINSERT INTO c VALUES (1, 2);\nCREATE VIEW v AS SELECT y FROM c;",
    )
    for number in (1, 2, 3, 4):
        [path] = project.folder.glob(f"00{number}*")
        project.query(path.read_text())
    shown = project.tidelock("adopt", "--observe", "--yes").stdout
    marks = {line.split()[1]: line[0] for line in shown.splitlines() if line[:1] and line[0] in "✓·?"}
    assert marks == {"001": "?", "002": "✓", "003": "✓", "004": "✓"}
    assert "present: column y of c, view v; not seen: INSERT" in shown


MAKES = "CREATE TABLE a (id int, x int, y int); CREATE TABLE b (id int); CREATE TYPE e AS ENUM ('one');"
CHANGES = {
    "002_drop.sql": "DROP TABLE b;",
    "003_drop_column.sql": "ALTER TABLE a DROP COLUMN x;",
    "004_rename.sql": "ALTER TABLE a RENAME COLUMN y TO z;",
    "005_value.sql": "ALTER TYPE e ADD VALUE 'two';",
    "006_value.sql": "ALTER TYPE e RENAME VALUE 'one' TO 'eins';",
    "007_policy.sql": "CREATE POLICY p ON a USING (true); ALTER POLICY p ON a RENAME TO q;",
}


def marks(project: Project) -> dict[str, str]:
    shown = project.tidelock("adopt", "--observe").stdout
    return {line.split()[1]: line[0] for line in shown.splitlines() if line[:1] and line[0] in "✓·?="}


@pytest.mark.every_server
@pytest.mark.parametrize("run", range(len(CHANGES) + 1))
def test_drops_renames_and_enum_values_tell_what_has_run(project: Project, run: int):
    project.write("001_makes.sql", MAKES)
    for name, text in CHANGES.items():
        project.write(name, text)
    project.query(MAKES)
    for text in list(CHANGES.values())[:run]:
        project.query(text)
    assert marks(project) == {
        "001": "✓", **{name[:3]: "✓" if at < run else "·" for at, name in enumerate(CHANGES)}
    }  # fmt: skip


@pytest.mark.every_server
def test_an_index_is_followed_through_its_names_and_a_table_into_another_schema(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int); CREATE TABLE b (id int);")
    project.write("002_b.sql", "CREATE INDEX i ON a (id);")
    project.write("003_c.sql", "ALTER INDEX i RENAME TO j;")
    project.write("004_d.sql", "DROP INDEX j;")
    project.write("005_e.sql", "CREATE SCHEMA s;\nALTER TABLE b SET SCHEMA s;")
    project.query("CREATE TABLE a (id int); CREATE TABLE b (id int); CREATE INDEX i ON a (id)")
    assert marks(project) == {"001": "✓", "002": "✓", "003": "·", "004": "·", "005": "·"}
    project.query("ALTER INDEX i RENAME TO j; CREATE SCHEMA s; ALTER TABLE b SET SCHEMA s")
    assert marks(project) == {"001": "✓", "002": "?", "003": "✓", "004": "·", "005": "✓"}


def test_what_was_dropped_is_believed_only_where_it_had_been_made(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int); CREATE TABLE old (id int);")
    project.write("002_b.sql", "DROP TABLE old;")
    project.write("003_c.sql", "DROP TABLE IF EXISTS never;")
    assert marks(project) == {"001": "·", "002": "·", "003": "?"}
    project.query("CREATE TABLE a (id int)")
    assert marks(project) == {"001": "✓", "002": "✓", "003": "?"}
    project.query("CREATE TABLE old (id int)")
    assert marks(project) == {"001": "✓", "002": "·", "003": "?"}


def test_what_is_dropped_and_made_again_says_nothing_by_being_there(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    project.write("002_b.sql", "DROP TABLE IF EXISTS a; CREATE TABLE a (id bigint); CREATE TABLE b (id int);")
    project.write("003_c.sql", "DROP TABLE b;")
    project.write("004_d.sql", "CREATE VIEW b AS SELECT 1;")
    project.query("CREATE TABLE a (id bigint); CREATE TABLE b (id int); DROP TABLE b; CREATE VIEW b AS SELECT 1")
    assert marks(project) == {"001": "?", "002": "✓", "003": "?", "004": "✓"}


def git(project: Project, *words: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.email=a@b", "-c", "user.name=a", *words], cwd=project.folder, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_an_adopted_placeholder_that_is_filled_in_later_gets_a_hint_that_holds(project: Project):
    project.write("000_first.sql", "SELECT 1;")
    git(project, "init", "-q")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "first")
    project.write("001_stub.sql", "DO $$BEGIN RAISE EXCEPTION 'write here what it does'; END$$;\n")
    assert project.tidelock("adopt", "--up-to", "1", "--yes").returncode == 0
    filled = "CREATE TABLE a (id int);\n"
    project.write("001_stub.sql", filled)
    for committed in (False, True):
        if committed:
            git(project, "add", "-A")
            git(project, "commit", "-qm", "filled in")
        for command in ("apply", "status"):
            done = project.tidelock(command)
            told = done.stdout + done.stderr
            assert "L002" in told
            assert "Git has no version of it as it was applied" in told
            assert "git checkout" not in told
            assert "git log" not in told
    project.query("CREATE TABLE a (id int)")
    project.query("UPDATE schema_migrations SET sha256 = NULL WHERE version = 1")
    assert project.tidelock("adopt", "--up-to", "1", "--yes").returncode == 0
    assert "Nothing to do" in project.tidelock("apply").stdout


def test_the_commit_in_the_hint_has_the_file_as_it_was(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);\n")
    git(project, "init", "-q")
    git(project, "commit", "-qm", "empty", "--allow-empty")
    assert project.tidelock("apply").returncode == 0  # recorded with a commit that does not have it
    git(project, "add", "-A")
    git(project, "commit", "-qm", "a")
    project.write("001_a.sql", "CREATE TABLE a (id bigint);\n")
    git(project, "commit", "-qam", "edited")
    told = project.tidelock("apply").stderr
    [command] = re.findall(r"`(git checkout [^`]+)`", told)
    git(project, *command.split()[1:])
    assert "Nothing to do" in project.tidelock("apply").stdout


def test_without_git_the_recorded_commit_is_named(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);\n")
    assert project.tidelock("apply", env={"TIDELOCK_COMMIT": "0123456789abcdef"}).returncode == 0
    project.write("001_a.sql", "CREATE TABLE a (id bigint);\n")
    assert "git checkout 0123456789 -- " in project.tidelock("apply").stderr


FLYWAY = """
CREATE TABLE flyway_schema_history (installed_rank int PRIMARY KEY, version varchar(50), description varchar(200) NOT NULL,
  type varchar(20) NOT NULL, script varchar(1000) NOT NULL, checksum int, installed_by varchar(100) NOT NULL,
  installed_on timestamp NOT NULL DEFAULT now(), execution_time int NOT NULL, success boolean NOT NULL);
INSERT INTO flyway_schema_history VALUES (1, '1', 'a', 'SQL', 'V1__a.sql', 1, 'x', now(), 1, true),
  (2, '2', 'b', 'SQL', 'V2__b.sql', 2, 'x', now(), 1, true);
CREATE TABLE plans (name text); INSERT INTO plans VALUES ('one')"""


def test_plain_files_are_not_run_where_another_tool_has_their_numbers(project: Project):
    """Nothing in the files says that they were Flyway's: the commit of the adoption was not whole."""
    project.query(FLYWAY)
    project.write("001_plans.sql", "CREATE TABLE IF NOT EXISTS plans (name text);")
    project.write("002_seed.sql", "INSERT INTO plans VALUES ('one');")
    report = project.apply()
    assert report.failure is not None
    assert report.failure.code == "L033"
    assert "adopt --from flyway" in report.failure.hint
    assert project.one("SELECT count(*) FROM plans") == 1


def test_files_of_other_numbers_go_beside_another_tool(project: Project):
    project.query(FLYWAY)
    project.write("101_more.sql", "INSERT INTO plans VALUES ('two');")
    assert project.apply().failure is None


def test_a_name_of_flyway_is_not_to_be_renumbered(project: Project):
    project.write("V1__plans.sql", "CREATE TABLE plans (name text);")
    done = project.tidelock("status")
    assert "adopt --from flyway" in done.stderr
