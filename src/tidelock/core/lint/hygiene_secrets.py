"""Hygiene (HY) of secrets. A message says where one is and of what kind; never what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.lint.rule import Remark, file_rule
from tidelock.core.model import Place
from tidelock.core.report import Severity
from tidelock.core.secrets import found_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.lint.look import File


@file_rule(
    "HY007",
    "a secret in the file",
    Severity.ERROR,
    why="It stays in git, in the ConfigMap, in the server's log and in the text that the ledger keeps, for everybody "
    "who may read any of them. Taking it out of the file later takes it out of none of these.",
    fix="change it wherever it is used, now; hand it in with --set and write :'name', or let Kubernetes set it",
)
def secrets(file: File) -> Iterator[Remark]:
    """Passwords, keys and tokens, in statements and comments; one remark for each line."""
    text = file.migration.text
    lines: dict[int, Remark] = {}
    for what, start, _ in found_in(text):
        line = text.count("\n", 0, start) + 1
        place = Place(file.migration.path, line, start - (text.rfind("\n", 0, start) + 1) + 1)
        lines.setdefault(line, Remark(message=f"{what} stands here for everybody to read", place=place))
    yield from lines.values()
