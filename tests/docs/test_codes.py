"""What is documented is what is there: codes, options, settings, commands, JSON and links."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from tests.docs import codes_index
from tests.rig.requirement import missing

import tidelock
from tidelock.cli.commands import app
from tidelock.config import KEYS, targets
from tidelock.errors import TidelockError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rig.project import Project

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = DOCS / "codes"
TEXTS = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
REMARK = re.compile(r'code="(N\d{3})"')
FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)
SHELL = {"sh", "console", "bash"}
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
MOST_LINES = 40


# --- codes -----------------------------------------------------------------------------------------------------


def faults() -> list[type[TidelockError]]:
    """Every class of the family that has a code of its own."""
    for module in pkgutil.walk_packages(tidelock.__path__, "tidelock."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, waiting = [], [TidelockError]
    while waiting:
        below = waiting.pop().__subclasses__()
        waiting += below
        found += [each for each in below if "code" in vars(each) and each.__module__.startswith("tidelock.")]
    return list(dict.fromkeys(found))


def codes() -> list[str]:
    """The code of each, and the codes of remarks."""
    remarks = {code for path in (ROOT / "src").rglob("*.py") for code in REMARK.findall(path.read_text("utf-8"))}
    return [each.code for each in faults()] + sorted(remarks)


def pages() -> list[Path]:
    return sorted(PAGES.glob("[A-Z][0-9]*.md"))


def test_no_two_faults_share_a_code() -> None:
    shared = {code for code in codes() if codes().count(code) > 1}
    assert not shared


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    written, used = {path.stem for path in pages()}, set(codes())
    assert used - written == set(), "write docs/codes/CODE.md for these"
    assert written - used == set(), "nothing raises these any more"


def test_the_letter_of_a_code_says_its_exit_code() -> None:
    wanted = {"U": 2, "S": 3, "L": 4, "D": 5, "T": 75}
    assert {each.code: each.exit_code for each in faults() if wanted[each.code[0]] != each.exit_code} == {}


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.stem)
def test_a_page_has_the_form(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.startswith(f"# {path.stem} · ")
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## What happened",
        "## Why it stops",
        "## What to do",
    ]
    assert text.count("\n") <= MOST_LINES


def test_explain_prints_the_page_in_any_case() -> None:
    shown = CliRunner().invoke(app, ["explain", "l002"], standalone_mode=False)
    assert shown.output.strip() == (PAGES / "L002.md").read_text("utf-8").strip()


def test_the_index_lists_every_code() -> None:
    assert (PAGES / "index.md").read_text("utf-8") == codes_index.index(), "run: python -m tests.docs.codes_index"


# --- options and settings --------------------------------------------------------------------------------------


def options() -> set[str]:
    """Every way to write every option of every command."""
    return {
        name
        for command in (app, *app.commands.values())
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for name in (*parameter.opts, *parameter.secondary_opts)
    }


def test_every_option_is_documented() -> None:
    text = (DOCS / "configuration.md").read_text("utf-8")
    assert {name for name in options() if f"`{name}`" not in text} == set()


def test_every_option_that_is_documented_is_there() -> None:
    text = (DOCS / "configuration.md").read_text("utf-8").partition("## Options")[2].partition("\n## ")[0]
    written = {
        name for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for name in re.findall(r"`(-[^`]+)`", row)
    }
    assert written - options() == {"--help"}


def test_every_command_is_documented() -> None:
    text = (DOCS / "running.md").read_text("utf-8")
    assert {name for name in app.commands if f"| `tidelock {name}" not in text} == set()


def test_every_setting_is_documented() -> None:
    text = (DOCS / "configuration.md").read_text("utf-8")
    keys = {f"`[{section}] {key}`" for section, keys in KEYS.items() for key in keys}
    assert {key for key in keys if key not in text} == set()


def test_every_environment_variable_of_ours_is_documented() -> None:
    text = (DOCS / "configuration.md").read_text("utf-8")
    source = "".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    named = set(re.findall(r"\"(TIDELOCK_[A-Z_]+)\"", source)) - {"TIDELOCK_HIDDEN"}
    assert {name for name in named if f"`{name}`" not in text} == set()


# --- fences ----------------------------------------------------------------------------------------------------


def fences(*languages: str) -> Iterator[tuple[Path, str]]:
    for path in TEXTS:
        for found in FENCE.finditer(path.read_text("utf-8")):
            if found["language"] in languages:
                yield path, found["body"]


def commands() -> list[tuple[str, list[str]]]:
    """(where, words after `tidelock`) of each command in a fence for the shell."""
    found = []
    for path, body in fences(*SHELL):
        console = "$ " in body
        for line in body.splitlines():
            text = line.removeprefix("$ ") if console else line
            if console and not line.startswith("$ "):
                continue
            for part in re.split(r"\s*(?:;|&&|\|)\s*", text.partition(" #")[0]):
                words = shlex.split(part)
                if words[:1] == ["tidelock"]:
                    found.append((str(path.relative_to(ROOT)), words[1:]))
    return found


@pytest.mark.parametrize(
    ("where", "words"), commands(), ids=lambda value: value if isinstance(value, str) else " ".join(value)
)
def test_a_command_in_the_docs_parses(where: str, words: list[str]) -> None:
    command = app.commands[words[0]]
    command.make_context(f"tidelock {words[0]}", words[1:])


def test_commands_within_the_text_have_their_options() -> None:
    """`tidelock adopt --up-to N`: a placeholder need not parse, the options must be there."""
    wrong = []
    for path in TEXTS:
        prose = FENCE.sub("", path.read_text("utf-8"))
        for name, rest in re.findall(r"`tidelock (\w+)([^`]*)`", prose):
            known = {each for parameter in app.commands[name].params for each in parameter.opts} | {"--help"}
            wrong += [
                (path.name, name, word) for word in re.findall(r"(?<!\S)--?[a-z][\w-]*", rest) if word not in known
            ]
    assert wrong == []


def test_settings_in_the_docs_are_accepted() -> None:
    for path, body in fences("toml"):
        targets(tomllib.loads(body), path)


def test_each_part_of_a_job_is_yaml_with_the_contract() -> None:
    jobs = [body for _, body in fences("yaml") if "podFailurePolicy" in body]
    assert jobs
    for body in jobs:
        assert body.index("Ignore") < body.index("FailJob")
        assert "values: [1, 2, 3, 4, 5, 6, 7, 8, 70]" in body
        assert "restartPolicy: Never" in body
        args = re.search(r"args: \[(.*)\]", body)
        assert args is not None
        words = [word.strip() for word in args[1].split(",")]
        app.commands[words[0]].make_context("tidelock", words[1:])


# --- JSON ------------------------------------------------------------------------------------------------------


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
    project.write("001_a.sql", "CREATE  TABLE a (i int);\nINSERT INTO a VALUES (1);\nSELECT * FROM a;\n")
    assert check("report", project.tidelock("apply", "--json").stdout)["findings"][0]["code"] == "N001"
    assert check("plan", project.tidelock("plan", "--json").stdout)["cosmetic"]
    assert check("status", project.tidelock("status", "--json", "--history").stdout)["history"]
    assert check("recover", project.tidelock("recover", "--json").stdout)["interrupted"] is None
    project.write("003_c.sql", "CREATE TABLE c (i int);\n")
    assert check("report", project.tidelock("adopt", "--up-to", "3", "--yes", "--json").stdout)["adopted"] == [3]


def test_json_of_runs_that_fail_is_as_documented(project: Project) -> None:
    project.write("001_a.sql", "CREATE TABLE a (i int);\n")
    project.write("002_b.sql", "SELECT 1;\nSELECT no_such_thing;\n")
    failed = check("report", project.tidelock("apply", "--json").stdout)
    assert (failed["failure"]["code"], failed["pending"], failed["exit_code"]) == ("D010", 1, 5)
    project.write("001_a.sql", "CREATE TABLE a (i bigint);\n")
    assert check("status", project.tidelock("status", "--json", "--history").stdout)["trouble"][0]["code"] == "L002"
    for command in ("plan", "recover"):
        assert check("report", project.tidelock(command, "--json").stdout)["failure"]["code"] == "L002"
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


def wait_for(project: Project, query: str, least: int) -> None:
    """`least` counts this query itself, whose text holds what it looks for."""
    import time

    for _ in range(200):
        if project.one(query) >= least:
            return
        time.sleep(0.05)
    pytest.fail(f"never {least}: {query}")


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


# --- links and site --------------------------------------------------------------------------------------------


def anchors(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower()) for title in titles}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for found in LINK.finditer(path.read_text("utf-8")):
        target, _, anchor = found["target"].partition("#")
        if "://" in target:
            continue
        there = (path.parent / target).resolve() if target else path
        assert there.exists(), found[0]
        assert not anchor or anchor in anchors(there), found[0]


def test_decisions_are_short_and_listed() -> None:
    index = (DOCS / "adr" / "index.md").read_text("utf-8")
    for path in (DOCS / "adr").glob("0*.md"):
        assert path.name in index
        assert path.read_text("utf-8").count("\n") <= MOST_LINES, path.name


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    if not importlib.util.find_spec("mkdocs"):
        missing("mkdocs", "make docs", package=False)
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert (tmp_path / "site" / "codes" / "L002" / "index.html").exists()
