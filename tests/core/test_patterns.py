"""Expressions that are compiled late."""

from __future__ import annotations

import re

from tidelock.core.patterns import regex


def test_an_expression_does_what_a_compiled_one_does() -> None:
    late, now = regex(r"(?P<a>x+)", re.IGNORECASE), re.compile(r"(?P<a>x+)", re.IGNORECASE)
    assert late.sub("-", "aXxb") == now.sub("-", "aXxb")
    assert [each["a"] for each in late.finditer("x yX")] == ["x", "X"]
    assert late.pattern == now.pattern
