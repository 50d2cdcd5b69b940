"""The pages of the rules are what the register and the examples say."""

from __future__ import annotations

import re

from tests.docs import rule_pages

from tidelock.cli.explanation import page
from tidelock.core.lint.rule import RULES


def test_the_pages_are_current() -> None:
    there = {path.name: path.read_text(encoding="utf-8") for path in rule_pages.FOLDER.glob("*.md")}
    there.pop("comparison.md", None)
    assert there == rule_pages.pages(), "run `python -m tests.docs.rule_pages`"


def test_a_rule_is_explained() -> None:
    assert page("lk001").startswith("# LK001 · ")


def test_the_comparison_names_rules_that_there_are() -> None:
    text = (rule_pages.FOLDER / "comparison.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\b(?:ID|LK|TX|DE|TS|HY)\d{3}\b", text)) <= set(RULES)
