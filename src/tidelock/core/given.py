"""Values of `--set` and tidelock.toml may be passwords: what is shown and kept has their names instead."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tidelock.core.patterns import regex
from tidelock.core.secrets import SECRETIVE
from tidelock.core.values import record
from tidelock.errors import TidelockError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SHORT = 4
"""A value of fewer characters is in every other text by chance, and is no password."""
NAME = regex(r"[A-Za-z_][A-Za-z0-9_$]*|[0-9.]+")
SECRET = regex(SECRETIVE, re.IGNORECASE)
INCLUDES = regex(r"\\(?:i|ir|include|include_relative)\b")


@record(frozen=True, slots=True)
class Given:
    """Variables that somebody has given, by name. In a text their values stand as `:{name}`."""

    values: Mapping[str, str]

    @classmethod
    def to(cls, variables: Mapping[str, str], texts: Iterable[str]) -> Given:
        """What is given to files with these texts, without names of schemas, roles and the like.

        What looks like one and is nowhere a literal (`:'name'`) is one wherever it stands.
        """
        text = "\n".join(texts) if variables else ""
        hides = INCLUDES.search(text) is not None  # of other files nothing is known here
        return cls(
            {
                name: value
                for name, value in variables.items()
                if hides or f":'{name}'" in text or SECRET.fullmatch(name) or not NAME.fullmatch(value)
            }
        )

    def hidden(self, text: str) -> str:
        """A text of the server's without them, quotes within them doubled or not; the longest first."""
        for name, value in sorted(self.values.items(), key=lambda each: -len(each[1])):
            if len(value) >= SHORT:
                for form in {value.replace("'", "''"), value}:
                    text = text.replace(form, f":{{{name}}}")
        return text

    def revealed(self, text: str) -> str:
        """What `hidden` has taken out, put back: for what a run that goes on needs of an earlier one's."""
        for name, value in self.values.items():
            text = text.replace(f":{{{name}}}", value)
        return text

    def hidden_in(self, found: Any) -> Any:
        """The same for every text within lists and mappings, as the journal keeps them."""
        return found if not self.values else mapped(self.hidden, found)

    def revealed_in(self, found: Any) -> Any:
        """Likewise."""
        return found if not self.values else mapped(self.revealed, found)

    @contextmanager
    def unsaid(self) -> Iterator[None]:
        """A fault that is raised within does not say them."""
        try:
            yield
        except TidelockError as error:
            error.message, error.detail = self.hidden(error.message), self.hidden(error.detail)
            raise


NOTHING = Given({})


def mapped(change: Any, found: Any) -> Any:
    """A value as JSON has it, with each text in it changed; keys stay."""
    if isinstance(found, str):
        return change(found)
    if isinstance(found, dict):
        return {name: mapped(change, value) for name, value in found.items()}
    return [mapped(change, each) for each in found] if isinstance(found, list | tuple) else found
