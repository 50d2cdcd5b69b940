"""Each code has one page, in one form, and each page a code."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.docs import codes_index
from tests.docs.texts import MOST_LINES, PAGES, ROOT

import tidelock
from tidelock.cli.commands import app
from tidelock.errors import TidelockError

REMARK = re.compile(r'code="([NPG]\d{3})"')


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
    wanted = {"U": 2, "S": 3, "L": 4, "D": 5, "B": 6, "K": 7, "T": 75}
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
