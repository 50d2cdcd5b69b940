"""What a plan says of a statement beside its locks."""

from __future__ import annotations

import pytest

from tidelock.core.facts import facts_of
from tidelock.core.model import Place
from tidelock.core.statement import Statement
from tidelock.render.plan import consequences


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("DROP INDEX i", "AccessExclusive on i; the same on its table"),
        ("TRUNCATE a CASCADE", "AccessExclusive on a; CASCADE: also what it does not name"),
        ("ALTER TABLE a ALTER c TYPE varchar(10)", "AccessExclusive on a; may rewrite it: the old type decides"),
        ("ALTER TABLE a ALTER c TYPE uuid USING f(c)", "AccessExclusive on a, rewrites it"),
        ("ALTER TABLE a ADD FOREIGN KEY (i) REFERENCES b", "ShareRowExclusive on a; ShareRowExclusive on b"),
        ("TRUNCATE a", "AccessExclusive on a"),
    ],
)
def test_a_plan_says_what_the_text_of_a_statement_does_not_tell(text: str, said: str):
    assert consequences(Statement(text=text, place=Place("001_a.sql", 1), facts=facts_of(text))) == said
