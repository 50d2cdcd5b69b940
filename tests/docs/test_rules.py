"""The pages of the rules are what the register and the examples say."""

from __future__ import annotations

from tests.docs import rule_pages

from tidelock.cli.explanation import page


def test_the_pages_are_current() -> None:
    there = {path.name: path.read_text(encoding="utf-8") for path in rule_pages.FOLDER.glob("*.md")}
    there.pop("comparison.md", None)
    assert there == rule_pages.pages(), "run `python -m tests.docs.rule_pages`"


def test_a_rule_is_explained() -> None:
    assert page("lk001").startswith("# LK001 · ")
