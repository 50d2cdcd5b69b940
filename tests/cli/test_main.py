"""The entrance: passwords, mistakes, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.rig.project import Project

from tidelock.cli.main import without_secrets

if TYPE_CHECKING:
    from tests.rig.postgres import Server


@pytest.mark.parametrize(
    "secret",
    [
        "postgresql://u:p%40ss@h/d",
        "postgres://:pw@h",
        "postgresql://u@h/d?sslmode=require&password=pw",
        "host=h password='it\\'s it' dbname=d",
        "password=pw host=h",
    ],
)
def test_passwords_are_taken_out_of_connection_strings(secret: str):
    for given in (["apply", "-d", secret], ["apply", f"--database={secret}"], ["apply", "--direct", secret]):
        cleaned, hidden = without_secrets(given)
        assert secret not in " ".join(cleaned)
        assert list(hidden.values()) == [secret]


@pytest.mark.parametrize("given", [["--set", "password=abc"], ["--set=password=abc"], ["-vpassword=abc"]])
def test_a_variable_that_says_it_is_a_secret_is_hidden(given: list[str]):
    cleaned, hidden = without_secrets(["apply", *given])
    assert " ".join(cleaned).endswith("password=${TIDELOCK_HIDDEN_1}")
    assert hidden == {"TIDELOCK_HIDDEN_1": "abc"}
    assert without_secrets(cleaned) == (cleaned, {})


@pytest.mark.parametrize(
    "given",
    [
        ["-d", "postgresql://u@h/d"],
        ["--set", "schema=password"],
        ["-v", "c=host=h password=x"],
        ["--wait=5s"],
        ["-d", "farm"],
    ],
)
def test_other_arguments_stay_as_they_are(given: list[str]):
    assert without_secrets(given) == (given, {})


def test_the_password_of_a_key_and_an_attached_value_are_hidden_too():
    for given in (["-d", "host=h sslpassword=pw"], ["-dpostgresql://u@h/d?sslpassword=pw"], ["-dpostgresql://u:pw@h"]):
        cleaned, hidden = without_secrets(given)
        assert "pw" not in " ".join(cleaned)
        assert len(hidden) == 1


@pytest.mark.parametrize(
    "given",
    [
        ["apply", "postgresql://app:hunter2@h/db"],
        ["apply", "host=h password=hunter2"],
        ["apply", "password=hunter2"],
        ["apply", "--dir", "postgresql://app:hunter2@h/db"],
        ["apply", "--config=postgresql://app:hunter2@h/db"],
        ["status", "-h", "postgresql://app:hunter2@h/db"],
        ["status", "-hpostgresql://app:hunter2@h/db"],
        ["apply", "--databse", "postgres://app:hunter2@h/db"],
        ["aply", "postgresql://h/db?password=hunter2"],
        ["apply", "--set", "postgresql://app:hunter2@h/db"],
    ],
)
def test_a_connection_string_elsewhere_is_refused_and_not_repeated(tmp_path: Path, given: list[str]):
    for more in ([], ["--json"]):
        done = tidelock(*given, *more, cwd=tmp_path)
        assert done.returncode == 2
        assert "U024" in done.stdout + done.stderr
        assert "--database" in done.stdout + done.stderr
        assert "hunter2" not in done.stdout + done.stderr


def test_a_wrong_option_is_told_as_json_where_that_is_wanted(tmp_path: Path):
    done = tidelock("apply", "--json", "--wiat", "5s", cwd=tmp_path)
    assert done.returncode == 2
    assert json.loads(done.stdout)["failure"]["code"] == "U025"


@pytest.mark.parametrize("where", ["stdout", "stderr"])
@pytest.mark.parametrize("how", ["pipe", "full"])
def test_apply_goes_on_and_ends_as_the_database_does_when_nobody_reads(project: Project, where: str, how: str):
    for number in range(1, 61):
        project.write(f"{number:03}_a.sql", f"CREATE TABLE t{number} (id int); DO $$ BEGIN RAISE WARNING 'x'; END $$;")
    if how == "full":
        end = os.open("/dev/full", os.O_WRONLY)
    else:
        read, end = os.pipe()
        os.close(read)
    command = [sys.executable, "-m", "tidelock", "apply", "-d", project.dsn, "--dir", str(project.folder)]
    stdout, stderr = (end, subprocess.PIPE) if where == "stdout" else (subprocess.PIPE, end)
    done = subprocess.run(command, stdout=stdout, stderr=stderr, cwd=project.folder, check=False)
    os.close(end)
    assert done.returncode == 0, done
    assert len(project.versions()) == 60
    if (where, how) == ("stdout", "full"):
        assert b"T034" in done.stderr


def test_what_is_shown_to_nobody_is_no_success(tmp_path: Path):
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "tidelock", "explain", "L011"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 75
    assert "T034" in done.stderr


def test_two_connections_keep_their_own_passwords():
    cleaned, hidden = without_secrets(["-d", "postgresql://u:a@h/d", "--direct", "postgresql://u:b@h/d"])
    assert cleaned == ["-d", "${TIDELOCK_HIDDEN_1}", "--direct", "${TIDELOCK_HIDDEN_2}"]
    assert list(hidden.values()) == ["postgresql://u:a@h/d", "postgresql://u:b@h/d"]


def test_a_bare_name_is_another_database_on_the_same_server(project: Project):
    project.write("tidelock.toml", f'[database]\nurl = "{project.dsn}"\n[migrations]\ndir = "."\n')
    project.write("001_a.sql", "SELECT 1;")
    done = project.tidelock("status", "-d", "postgres", where=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("postgres@127.0.0.1:")


def tidelock(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tidelock", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize(
    "verb", ["apply", "plan", "status", "recover", "adopt", "new", "explain", "demo", "completion"]
)
def test_every_verb_explains_itself(tmp_path: Path, verb: str):
    done = tidelock(verb, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "Usage: tidelock" in done.stdout


@pytest.mark.parametrize(
    "arguments", [["--nonsense"], ["aply"], ["apply", "--wiat", "5s"], ["adopt"], ["apply", "--port", "x"]]
)
def test_a_wrong_word_is_exit_2(tmp_path: Path, arguments: list[str]):
    done = tidelock(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_wrong_password_is_told_and_not_shown(project: Project, server: Server):
    import psycopg

    with psycopg.connect(server.dsn, autocommit=True) as conn:
        conn.execute("CREATE ROLE app LOGIN PASSWORD 'right'")
    hba = server.data / "pg_hba.conf"
    hba.write_text("host all postgres all trust\nhost all all all scram-sha-256\n")
    with psycopg.connect(server.dsn, autocommit=True) as conn:
        conn.execute("SELECT pg_reload_conf()")
    project.write("001_a.sql", "SELECT 1;")
    url = server.dsn.replace("postgres@", "app:wr0ng-word@")
    done = tidelock("apply", "--dir", str(project.folder), "--database", url, cwd=project.folder)
    assert done.returncode == 5
    assert "D001" in done.stderr
    assert "password authentication failed" in done.stderr
    assert "wr0ng-word" not in done.stdout + done.stderr


def test_a_session_that_may_not_write_is_refused_and_named(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    done = project.tidelock("apply", env={"PGOPTIONS": "-c default_transaction_read_only=on"})
    assert done.returncode == 5
    assert "D006" in done.stderr


def test_no_permission_says_what_to_grant(project: Project):
    project.query("DROP ROLE IF EXISTS weak")
    project.query("CREATE ROLE weak LOGIN")
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    done = project.tidelock("apply", "--username", "weak")
    assert done.returncode == 5
    assert 'GRANT CREATE ON SCHEMA "public" TO "weak"' in done.stderr
    project.query("DROP ROLE weak")


def test_a_pod_gets_a_summary_that_fits(project: Project, tmp_path: Path):
    import json

    words = tmp_path / "termination-log"
    words.touch()
    for number in range(1, 60):
        project.write(
            f"{number:03}_a_rather_long_name_for_a_migration_{number}.sql", f"CREATE TABLE t{number} (id int);"
        )
    project.write("060_b.sql", "SELECT 1/0; -- " + "x" * 5000)
    done = project.tidelock(
        "apply", env={"KUBERNETES_SERVICE_HOST": "10.0.0.1", "TIDELOCK_TERMINATION_LOG": str(words)}
    )
    assert done.returncode == 5
    assert len(words.read_bytes()) <= 4096
    assert json.loads(words.read_text())["failure"]["code"] == "D010"


def of_two_databases(project: Project, second: str) -> None:
    """The first of them is the project's; the second has another name on the same server, and a file with this text."""
    other = project.dsn.rpartition("/")[0] + "/second_of_two"
    project.write("one/001_a.sql", "CREATE TABLE a (id int);")
    project.write("two/001_b.sql", second)
    project.write("tidelock.toml", f'[databases.one]\nurl = "{project.dsn}"\n[databases.two]\nurl = "{other}"\n')


def test_several_databases_are_applied_in_turn(project: Project):
    project.query("DROP DATABASE IF EXISTS second_of_two")
    project.query("CREATE DATABASE second_of_two")
    of_two_databases(project, "CREATE TABLE b (id int);")
    done = project.tidelock("apply", where=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Applied 1") == 2
    assert "Nothing to do" in project.tidelock("apply", "--database", "two", where=False).stdout
    project.query("DROP DATABASE second_of_two")


def test_files_of_all_databases_are_read_before_the_first_is_changed(project: Project):
    project.query("DROP DATABASE IF EXISTS second_of_two")
    project.query("CREATE DATABASE second_of_two")
    of_two_databases(project, "CREATE TABLE b (id int);\n\\if maybe")
    done = project.tidelock("apply", where=False)
    assert done.returncode == 3
    assert "S046" in done.stderr
    assert "two/001_b.sql:2" in done.stderr
    assert project.one("SELECT to_regclass('a') IS NULL")
    project.write("two/001_twice.sql", "SELECT 1;")  # a fault of the directory itself
    assert project.tidelock("apply", where=False).returncode == 3
    assert project.one("SELECT to_regclass('a') IS NULL")
    assert project.tidelock("apply", "--database", "one", where=False).returncode == 0
    assert project.one("SELECT to_regclass('a') IS NOT NULL")
    project.query("DROP DATABASE second_of_two")


def test_files_of_a_database_that_is_to_be_made_are_read_too(project: Project):
    project.query("DROP DATABASE IF EXISTS second_of_two")
    of_two_databases(project, "CREATE TABLE b (id int);\nBEGIN;")
    done = project.tidelock("apply", "--create-database", where=False)
    assert done.returncode == 3
    assert "S046" in done.stderr
    assert project.one("SELECT to_regclass('a') IS NULL")


def test_completion_scripts_are_printed(tmp_path: Path):
    assert "_TIDELOCK_COMPLETE" in tidelock("completion", "bash", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    "given", [["apply", "--bogus"], ["apply", "--wait", "soon"], ["nosuch"], ["apply", "--json", "--bogus"]]
)
def test_the_termination_log_has_wrong_words_too(tmp_path: Path, given: list[str]):
    words = tmp_path / "termination-log"
    done = subprocess.run(
        [sys.executable, "-m", "tidelock", *given],
        capture_output=True,
        cwd=tmp_path,
        check=False,
        env={**os.environ, "TIDELOCK_TERMINATION_LOG": str(words)},
    )
    assert done.returncode == 2
    assert json.loads(words.read_text())["failure"]["exit_code"] == 2


def test_a_bug_is_in_the_termination_log(tmp_path: Path):
    words = tmp_path / "termination-log"
    code = (
        "import sys; sys.argv = ['tidelock', 'apply']; import tidelock.cli.main as m; m.hide_password = None; m.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        cwd=tmp_path,
        check=False,
        env={**os.environ, "TIDELOCK_TERMINATION_LOG": str(words)},
    )
    assert done.returncode == 70
    assert "TypeError" in json.loads(words.read_text())["failure"]["message"]


def test_a_closed_stdout_is_no_success(tmp_path: Path):
    for command, code in ((["explain", "L011"], 75), (["apply", "--help"], 0)):
        shell = ["sh", "-c", 'exec "$0" -m tidelock "$@" >&-', sys.executable, *command]
        done = subprocess.run(shell, stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path)
        assert (done.returncode, "T034" in done.stderr) == (code, True), done.stderr


def test_a_connection_string_is_no_tool_to_adopt_from(tmp_path: Path):
    done = tidelock("adopt", "--from", "postgresql://app:hunter2@h/db", cwd=tmp_path)
    assert (done.returncode, "U024" in done.stderr, "hunter2" in done.stderr) == (2, True, False), done.stderr


def test_a_directory_that_is_gone_is_told(tmp_path: Path):
    gone = tmp_path / "gone"
    for command in ("status", "new x", "lint"):
        gone.mkdir()
        shell = ["sh", "-c", f'rmdir "$0"; exec "$1" -m tidelock {command}', str(gone), sys.executable]
        done = subprocess.run(shell, capture_output=True, text=True, check=False, cwd=gone)
        assert (done.returncode, "U051" in done.stderr, "Traceback" in done.stderr) == (2, True, False), done.stderr
