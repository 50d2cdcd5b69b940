"""What a file changes beyond its own database: on a server that others use as well, a shadow of it is none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from tidelock.core.statement import Statement

NAME = r"(?:\"(?:[^\"]|\"\")+\"|[\w$]+)"
OUTSIDE = re.compile(
    r"\b(?:(?:CREATE|ALTER|DROP)\s+(?:DATABASE|TABLESPACE|SUBSCRIPTION)\b|ALTER\s+SYSTEM\b)", re.IGNORECASE
)
OF_ROLE = re.compile(
    rf"\b(?:ALTER|DROP)\s+(?:ROLE|USER(?!\s+MAPPING)|GROUP)\s+(?:IF\s+EXISTS\s+)?(?P<names>{NAME}(?:\s*,\s*{NAME})*)"
    rf"|\bDROP\s+OWNED\s+BY\s+(?P<owned>{NAME}(?:\s*,\s*{NAME})*)",
    re.IGNORECASE,
)
MEMBERSHIP = re.compile(
    rf"\b(?:GRANT|REVOKE)\s+(?:ADMIN\s+OPTION\s+FOR\s+)?{NAME}(?:\s*,\s*{NAME})*\s+(?:TO|FROM)\s+(?P<names>{NAME}(?:\s*,\s*{NAME})*)",
    re.IGNORECASE,
)
MADE = re.compile(rf"\bCREATE\s+(?:ROLE|USER(?!\s+MAPPING)|GROUP)\s+(?P<name>{NAME})", re.IGNORECASE)


def made_roles(statements: Iterable[Statement]) -> frozenset[str]:
    """Roles that some statement makes, in DO blocks and texts that are executed too."""
    return frozenset(plain(found["name"]) for each in statements for found in MADE.finditer(each.text))


def beyond(statements: Iterable[Statement], own: Collection[str]) -> str:
    """The first words that would change more than the database: another one, the server, a role not among `own`.

    Empty when there are none. Read from the text, so that DO blocks and strings count; rather too careful.
    """
    for each in statements:
        if found := OUTSIDE.search(each.text):
            return " ".join(found[0].upper().split())
        for pattern in (OF_ROLE, MEMBERSHIP):
            for found in pattern.finditer(each.text):
                names = {plain(name) for name in re.findall(NAME, next(filter(None, found.groups())))}
                if not names <= {*own}:
                    return " ".join(found[0].split())
    return ""


def plain(name: str) -> str:
    """A name as the parser folds it."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()
