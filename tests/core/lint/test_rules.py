"""Every rule finds its bad example and leaves its good one alone."""

from __future__ import annotations

import pytest
from tests.core.lint import examples

from tidelock.core.lint import engine
from tidelock.core.lint.edit import applied
from tidelock.core.lint.rule import RULES, Rule
from tidelock.core.source import SourceFile

ELSEWHERE = {
    "HY000": "test_engine",
    "HY001": "test_engine",
    "HY026": "test_branch",
    "HY027": "test_branch",
    "HY028": "test_branch",
    "HY030": "test_branch",
}
"""Rules of the engine itself, of git and of tidelock.toml: their tests need more than SQL."""


def test_every_rule_has_examples():
    assert set(examples.codes()) | set(ELSEWHERE) == set(RULES)


@pytest.mark.parametrize("code", examples.codes())
def test_a_rule_finds_its_bad_example(code: str):
    assert code in {each.code for each in examples.found(examples.files(code, "bad"), select=(code,))}


@pytest.mark.parametrize("code", examples.codes())
def test_a_rule_leaves_its_good_example_alone(code: str):
    assert examples.found(examples.files(code, "good"), select=(code,)) == []


@pytest.mark.parametrize("code", examples.codes())
def test_a_good_example_has_no_error_of_any_rule(code: str):
    """Advice that another rule refuses is no advice."""
    found = examples.found(examples.files(code, "good"))
    assert [f"{each.code} {each.message}" for each in found if each.severity == "error"] == []


def mended(code: str) -> tuple[tuple[SourceFile, ...], list[str]]:
    """The bad example with every safe change made, and the texts that were changed."""
    bad = examples.files(code, "bad")
    found = examples.found(bad, select=(code,))
    files = []
    for file in bad:
        edits = [each.edit for each in found if each.edit and each.place and each.place.path == file.path]
        files.append(SourceFile(file.path, applied(file.data.decode(), edits).encode()))
    return tuple(files), [new.path for new, old in zip(files, bad, strict=True) if new != old]


@pytest.mark.parametrize("code", [code for code in examples.codes() if mended(code)[1]])
def test_a_safe_change_mends_the_bad_example(code: str):
    assert [each for each in examples.found(mended(code)[0], select=(code,)) if each.edit] == []


def test_codes_are_of_their_families():
    families = {(each.code[:2], family(each)) for each in RULES.values()}
    assert families >= {("ID", "idempotence"), ("LK", "locking"), ("TX", "transactions"), ("HY", "hygiene")}
    assert len({code for code, _ in families}) == len({name for _, name in families}) == len(families)


def family(each: Rule) -> str:
    """The module or package of `core/lint` that a rule stands in."""
    check = each.statement or each.file or each.directory
    assert check is not None
    return check.__module__.removeprefix("tidelock.core.lint.").partition(".")[0].partition("_")[0]


def test_the_engine_imports_every_family():
    assert engine.FAMILIES
