"""A directory like the farm platform's, in databases that are half-way in different ways."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.postgres.test_apply import ok
from tests.rig.postgres import Server
from tests.rig.project import Project
from tests.rig.requirement import missing

# Duplicates, gaps, both separators, one file without a number, and few guards. Each file notes in `ran` who ran it.
RAN = "INSERT INTO ran VALUES ('{name}', current_setting('application_name'));\n"
FILES = {
    "001_base.sql": "CREATE TABLE IF NOT EXISTS ran (file text, by text);\nCREATE TABLE farms (code text PRIMARY KEY);\n",
    "002_users.sql": "CREATE TABLE users (id int PRIMARY KEY);\n",
    "002-roles.sql": "CREATE TABLE roles (id int PRIMARY KEY);\n",
    "002_audit.sql": "CREATE TABLE audit (id int, at timestamptz);\nCREATE TABLE legacy (id int);\n",
    "002_modules.sql": "CREATE TYPE state AS ENUM ('on');\nCREATE TABLE modules (id int PRIMARY KEY, state state);\n",
    "005_user_mail.sql": "ALTER TABLE users ADD COLUMN mail text;\n",
    "007-index.sql": "CREATE INDEX users_mail ON users (mail);\n",
    "007_view.sql": "CREATE VIEW mails AS SELECT mail FROM users;\n",
    "010_function.sql": "CREATE FUNCTION touch() RETURNS int LANGUAGE sql AS 'SELECT 1';\n",
    # Two that only work in this order, which is not that of their names.
    "012_rename.sql": "ALTER TABLE farms RENAME COLUMN code TO slug;\nALTER TABLE farms ADD COLUMN area float;\n",
    "012-slugs.sql": "CREATE VIEW slugs AS SELECT slug FROM farms;\n",
    "013_drop_legacy.sql": "DROP TABLE legacy;\n",
    "014-state.sql": "ALTER TYPE state ADD VALUE 'off';\n",
    # Three that can never succeed.
    "015_syntax.sql": "CREATE TABLE tasks (id int,, name text);\n",
    "016_types.sql": "CREATE TABLE plots (id int PRIMARY KEY, farm int REFERENCES farms (slug));\n",
    "017-halves.sql": "CREATE TABLE jobs (id int PRIMARY KEY);\nCREATE INDEX jobs_at ON jobs (at);\n",
    "020_trigger.sql": "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;\n"
    "CREATE TRIGGER stamp BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION stamp();\n",
    "zz_policy.sql": "ALTER TABLE users ENABLE ROW LEVEL SECURITY;\nCREATE POLICY own ON users USING (true);\n",
}  # fmt: skip
ORDER = list(FILES)
"""Neither `sort` nor `sort -V` gives it: the owner states it."""
MENDED = {
    "015_syntax.sql": "CREATE TABLE tasks (id int, name text);\n",
    "016_types.sql": "CREATE TABLE plots (id int PRIMARY KEY, farm text REFERENCES farms (slug));\n",
    "017-halves.sql": "CREATE TABLE IF NOT EXISTS jobs (id int PRIMARY KEY);\n"
    "ALTER TABLE jobs ADD COLUMN at timestamptz;\nCREATE INDEX jobs_at ON jobs (at);\n",
}
DEPLOYS: dict[str, list[list[str]]] = {
    "nothing": [],
    "some of the duplicates": [["001_base.sql", "002-roles.sql"]],
    "an old state with a hole, and the halves": [
        [name for name in ORDER[:8] if name != "005_user_mail.sql"] + ["017-halves.sql"]
    ],
    "one deploy of everything, in the order of sort": [sorted(FILES)],
    "two deploys, which heal what came too early, and the last files not yet": [sorted(FILES)[:-2]] * 2,
}


@pytest.fixture
def farm(tmp_path: Path, server: Server) -> Project:
    project = Project(tmp_path / "farm", server.database(server.create_database()))
    for name, text in FILES.items():
        project.write(f"migrations/{name}", text + RAN.format(name=name))
    project.write("kustomization.yaml", "files:\n- migrations/002-roles.sql\n- migrations/zz_policy.sql\n")
    project.write("order.txt", "\n".join(ORDER) + "\n")
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.email=a@b", "-c", "user.name=a", "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=project.folder, check=True)
    return project


def run(farm: Project, *arguments: str, exits: int = 0) -> str:
    done = farm.tidelock(*arguments, "--dir", "migrations", "--database", farm.dsn, where=False)
    assert done.returncode == exits, done.stdout + done.stderr
    return done.stdout + done.stderr


def deploy(farm: Project, names: list[str]) -> set[str]:
    """As the Job does: psql, file by file, going on after errors. Returns those that had one."""
    psql = shutil.which("psql") or missing("psql", "apt-get install postgresql-client")
    failed = set()
    for name in names:
        done = subprocess.run(
            [psql, "-X", "-q", "-d", farm.dsn, "-f", str(farm.folder / "migrations" / name)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        failed |= {name} if "ERROR" in done.stderr else set()
    return failed


def mend(farm: Project) -> None:
    """What a user does with files that can never succeed."""
    for name, text in MENDED.items():
        [path] = (farm.folder / "migrations").glob(f"*_{name[4:]}")
        old = path.read_text()
        path.write_text(old.replace(FILES[name], text))
        assert path.read_text() != old


@pytest.mark.parametrize("state", DEPLOYS)
def test_nothing_runs_twice_and_what_is_pending_runs(farm: Project, state: str):
    worked: set[str] = set()
    for names in DEPLOYS[state]:
        worked |= set(names) - deploy(farm, names)
    run(farm, "renumber", "--order", "order.txt", "--yes")
    numbers = sorted(path.name[:4] for path in (farm.folder / "migrations").iterdir())
    assert numbers == [f"{n:03}_" for n in range(1, len(FILES) + 1)]
    halves = ORDER.index("017-halves.sql") + 1
    mend(farm)
    run(farm, "adopt", "--observe", "--settle", f"{halves}=pending", "--yes")
    run(farm, "apply")
    ours = [name for (name,) in farm.query("SELECT file FROM ran WHERE by LIKE 'tidelock%'")]
    assert sorted(ours) == sorted(set(FILES) - worked)
    assert not worked & set(MENDED)
    assert "Nothing to do" in run(farm, "apply")
    assert run(farm, "verify").endswith("All well.\n")


def test_what_can_never_succeed_is_asked_about_or_pending_and_nothing_is_recorded(farm: Project):
    deploy(farm, sorted(FILES))
    run(farm, "renumber", "--order", "order.txt", "--yes")
    shown = run(farm, "adopt", "--observe", "--yes", exits=4)
    marks = {line.split()[2]: line[0] for line in shown.splitlines() if line[:1] and line[0] in "✓·?"}
    assert {name for name, mark in marks.items() if mark != "✓"} == {"slugs", "syntax", "types", "halves"}
    assert (marks["halves"], marks["types"], marks["slugs"]) == ("?", "·", "·")
    assert "partly there: table jobs; missing: index jobs_at of jobs" in shown
    assert farm.one("SELECT to_regclass('schema_migrations') IS NULL")


def test_names_are_changed_with_git_and_wherever_they_stand(farm: Project):
    shown = run(farm, "renumber", "--order", "order.txt", "--yes")
    assert ["002-roles.sql", "→", "003_roles.sql"] in [line.split() for line in shown.splitlines()]
    assert (farm.folder / "kustomization.yaml").read_text() == (
        "files:\n- migrations/003_roles.sql\n- migrations/018_zz_policy.sql\n"
    )
    listed = subprocess.run(["git", "ls-files"], cwd=farm.folder, capture_output=True, text=True, check=True).stdout
    assert "migrations/018_zz_policy.sql" in listed
    assert "/zz_policy" not in listed
    assert (
        (farm.folder / "migrations" / "018_zz_policy.sql")
        .read_text()
        .startswith("-- tidelock: was file zz_policy.sql\n")
    )


@pytest.mark.parametrize(("order", "third"), [("sort", "002_audit.sql"), ("version-sort", "002_audit.sql")])
def test_the_usual_orders(farm: Project, order: str, third: str):
    shown = run(farm, "renumber", "--order", order, "--yes")
    assert f"{third}" in shown.splitlines()[2]


def test_a_list_that_lacks_a_file_is_refused(farm: Project):
    farm.write("order.txt", "\n".join(ORDER[1:]))
    assert "it lacks 001_base.sql" in run(farm, "renumber", "--order", "order.txt", "--yes", exits=2)


def test_a_ledger_that_knows_the_old_numbers_gets_the_new_ones(project: Project):
    for number in (1, 5, 9):
        project.write(f"{number}-make.sql", f"CREATE TABLE t{number} (id int);")
    ok(project.apply())
    project.write("12-make.sql", "CREATE TABLE t12 (id int);")
    assert project.tidelock("renumber", "--order", "version-sort", "--yes").returncode == 0
    assert "3 applied, 1 pending" in project.tidelock("status").stdout
    assert [each.version for each in ok(project.apply()).applied] == [4]
    assert project.versions() == [1, 2, 3, 4]
    assert project.one("SELECT count(*) FROM schema_migrations_journal WHERE event = 'renumbered'") == 2
    assert ok(project.apply()).applied == ()
    assert project.heard.events == []


def test_two_that_change_places_keep_their_rows(project: Project):
    project.write("1_a.sql", "CREATE TABLE a (id int);")
    project.write("2_b.sql", "CREATE TABLE b (id int);")
    ok(project.apply())
    (project.folder / "order").write_text("2_b.sql\n1_a.sql\n")
    done = project.tidelock("renumber", "--order", str(project.folder / "order"), "--yes")
    assert done.returncode == 0, done.stderr
    project.write("003_c.sql", "CREATE TABLE c (id int);")
    assert [each.version for each in ok(project.apply()).applied] == [3]
    assert project.query("SELECT version, path ~ 'b.sql' FROM schema_migrations WHERE version < 3 ORDER BY 1") == [
        (1, True), (2, False),
    ]  # fmt: skip


def test_one_that_was_cut_off_is_not_taken_for_a_directory_without_those_files(project: Project):
    project.write("1_a.sql", "SELECT 1;")
    project.write(".renumbering-002_b.sql", "SELECT 2;")
    done = project.tidelock("renumber", "--order", "sort", "--yes")
    assert (done.returncode, "S016" in done.stderr) == (3, True)
    assert (project.folder / "1_a.sql").exists()


def test_apply_stops_where_a_renumber_was_cut_off(project: Project):
    project.write("001_a.sql", "SELECT 1;")
    project.write(".renumbering-002_b.sql", "SELECT 2;")
    assert "S016" in project.tidelock("apply").stderr


def test_every_former_number_is_known(project: Project):
    project.write("2_a.sql", "CREATE TABLE a (id int);")
    project.write("7_b.sql", "CREATE TABLE b (id int);")
    ok(project.apply())
    assert project.tidelock("renumber", "--order", "sort", "--yes").returncode == 0
    project.write("000_first.sql", "CREATE TABLE first (id int);")
    assert project.tidelock("renumber", "--order", "sort", "--yes").returncode == 0
    done = project.tidelock("apply")
    assert done.returncode == 4  # the new first one lies below what is applied: that is for a person
    assert "L005" in done.stderr
    project.write("001_first.sql", "-- tidelock: out-of-order\nCREATE TABLE first (id int);")
    assert [each.version for each in ok(project.apply()).applied] == [1]
    assert project.versions() == [1, 2, 3]


def test_compressed_files_a_bom_and_ones_own_name_in_a_literal(project: Project):
    import gzip

    project.write("3_a.sql.gz", gzip.compress(b"CREATE TABLE a (id int);"))
    project.write("5_b.sql", "\ufeffCREATE TABLE b (id int);")
    project.write("9_c.sql", "CREATE TABLE c (name text);\nINSERT INTO c VALUES ('9_c.sql');")
    ok(project.apply())
    assert project.tidelock("renumber", "--order", "version-sort", "--yes").returncode == 0
    assert ok(project.apply()).applied == ()
    assert project.versions() == [1, 2, 3]


def test_another_directorys_own_file_keeps_its_name_there(project: Project, tmp_path: Path):
    project.write("7_init.sql", "SELECT 1;")
    root = project.folder.parent
    (root / "other").mkdir()
    (root / "other" / "7_init.sql").write_text("SELECT 2;")
    (root / "other" / "list.yaml").write_text("- 7_init.sql\r\n", newline="")
    (root / "list.yaml").write_text("- migrations/7_init.sql\r\n", newline="")
    for command in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    assert project.tidelock("renumber", "--order", "sort", "--yes").returncode == 0
    assert (root / "other" / "list.yaml").read_bytes() == b"- 7_init.sql\r\n"
    assert (root / "list.yaml").read_bytes() == b"- migrations/001_init.sql\r\n"


def test_critical_tables_follow_their_migration_and_what_is_not_clear_is_said(project: Project):
    for name in ("1-a.sql", "4_b.sql", "7_c.sql", "7-d.sql"):
        project.write(name, "CREATE TABLE IF NOT EXISTS x (i int);")
    project.write("b_fallback.sql.txt", "CREATE TABLE IF NOT EXISTS b (i int);")
    settings = project.write(
        "tidelock.toml",
        '[migrations]\ndir = "."\n[[critical]]\ntable = "b"\nmigration = 4  # the one\nfallback = "b_fallback.sql.txt"\n'
        '[[critical]]\ntable = "c"\nmigration = 7\n',
    )
    done = project.tidelock("renumber", "--order", "version-sort", "--yes", "--config", str(settings), where=False)
    assert done.returncode == 0, done.stderr
    text = settings.read_text()
    assert "migration = 2  # the one" in text
    assert "migration = 7\n" in text
    assert "which file `migration = 7`" in done.stdout
