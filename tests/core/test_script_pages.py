"""The page of each code: its example is refused with that code, and the one after it is read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tidelock.core.script import read
from tidelock.core.script_faults import ScriptFault

PAGES = Path(__file__).parents[2] / "docs" / "codes"
CODES = {each.code: each for each in ScriptFault.__subclasses__()}
EXAMPLES = re.compile(r"```(\w+)\n(.*?)\n```", re.DOTALL)


@pytest.mark.parametrize("code", sorted(CODES))
def test_the_examples_of_a_page_are_true(code: str) -> None:
    page = (PAGES / f"{code}.md").read_text()
    assert page.startswith(f"# {code} · ")
    (_, _message), (_, before), (language, after) = EXAMPLES.findall(page)
    with pytest.raises(CODES[code]):
        read("migrations/001.sql", before, load=lambda _: "", database="app")
    if language == "sql":
        read("migrations/001.sql", after, load=lambda _: "", database="app")
