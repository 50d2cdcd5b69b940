"""Every command, option and setting is documented, and what the documentation says of them is accepted."""

from __future__ import annotations

import re
import shlex
import tomllib

import click
import pytest
from tests.docs.texts import DOCS, FENCE, ROOT, TEXTS, fences

from tidelock.cli.commands import app
from tidelock.config import KEYS, KUBE_KEYS, targets

SHELL = {"sh", "console", "bash"}


def every_command(group: click.Group = app) -> list[click.Command]:
    """The commands, and those of groups."""
    below = [each for each in group.commands.values() if isinstance(each, click.Group)]
    return [group, *group.commands.values(), *(one for each in below for one in every_command(each)[1:])]


def options() -> set[str]:
    """Every way to write every option of every command."""
    return {
        name
        for command in every_command()
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
    keys |= {f"`[kube] {key}`" for key in KUBE_KEYS}
    assert {key for key in keys if key not in text} == set()


def test_every_environment_variable_of_ours_is_documented() -> None:
    text = (DOCS / "configuration.md").read_text("utf-8")
    source = "".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    named = set(re.findall(r"\"(TIDELOCK_[A-Z_]+)\"", source)) - {"TIDELOCK_HIDDEN_"}
    assert {name for name in named if f"`{name}`" not in text} == set()


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
    command, rest = command_of(words)
    command.make_context(f"tidelock {words[0]}", rest)


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that is meant, also one of a group, and the words for it."""
    command: click.Command = app
    while words and isinstance(command, click.Group) and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    return command, words


def test_commands_within_the_text_have_their_options() -> None:
    """`tidelock adopt --up-to N`: a placeholder need not parse, the options must be there."""
    wrong = []
    for path in TEXTS:
        prose = FENCE.sub("", path.read_text("utf-8"))
        for name, rest in re.findall(r"`tidelock (\w+)([^`]*)`", prose):
            command, _ = command_of([name, *rest.split()])
            known = {each for parameter in command.params for each in parameter.opts} | {"--help"}
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
