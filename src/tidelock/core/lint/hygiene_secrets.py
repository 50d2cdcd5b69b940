"""Hygiene (HY) of secrets. A message says where one is and of what kind; never what it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidelock.core.lint.rule import Remark, file_rule
from tidelock.core.model import Place
from tidelock.core.report import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.lint.look import File

PAIR = r"\b(?:host|hostaddr|dbname|user|port)\s*=\s*[^\s']+"
SECRETS = (
    ("a password", re.compile(r"\bPASSWORD\s+E?'+(?P<secret>[^'\n]+)'", re.IGNORECASE)),
    ("a password in a URL", re.compile(r"\b[a-z][a-z0-9+]*://[^\s:/@'\"]+:(?P<secret>[^\s@'\"/]+)@", re.IGNORECASE)),
    (
        "a password in a connection string",
        re.compile(
            rf"{PAIR}[^'\n]*?\bpassword\s*=\s*(?P<secret>[^\s';]+)|\bpassword\s*=\s*(?P<second>[^\s';]+)\s[^'\n]*?{PAIR}",
            re.IGNORECASE,
        ),
    ),
    ("an access key of AWS", re.compile(r"\b(?P<secret>(?:AKIA|ASIA)[0-9A-Z]{16})\b")),
    (
        "a secret key of AWS",
        re.compile(r"aws_secret_access_key\W+(?P<secret>[A-Za-z0-9/+=]{40})", re.IGNORECASE),
    ),
    ("a private key", re.compile(r"-----BEGIN (?:[A-Z]+ )*(?P<secret>PRIVATE KEY)-----")),
    ("a token of GitHub", re.compile(r"\b(?P<secret>gh[opsu]_[A-Za-z0-9]{36,})\b")),
    ("a token of Slack", re.compile(r"\b(?P<secret>xox[abprs]-[A-Za-z0-9-]{10,})")),
    ("a live key of Stripe", re.compile(r"\b(?P<secret>[sr]k_live_[A-Za-z0-9]{16,})\b")),
    ("a key of Google's API", re.compile(r"\b(?P<secret>AIza[0-9A-Za-z_-]{35})\b")),
)
HINTS = (
    "password",
    "://",
    "akia",
    "asia",
    "aws_secret",
    "private key",
    *(f"gh{kind}_" for kind in "opsu"),
    "xox",
    "k_live_",
    "aiza",
)
"""In lower case: a text without any of them has none of those. (Searching for words is ten times as fast.)"""
NONE = re.compile(r"[$<{%:\[].*|[*xX.]+|SCRAM-SHA-256\$.*|null", re.DOTALL | re.IGNORECASE)
"""Places for a secret, and a verifier that it cannot be computed from."""


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


def found_in(text: str) -> Iterator[tuple[str, int, int]]:
    """What each secret is, and where it begins and ends."""
    lower = text.lower()
    for what, pattern in SECRETS if any(each in lower for each in HINTS) else ():
        for found in pattern.finditer(text):
            name = "second" if found.groupdict().get("second") else "secret"
            if not NONE.fullmatch(found[name]):
                yield what, found.start(name), found.end(name)


def masked(text: str) -> str:
    """A text with a star for each character of a secret, so that it can be shown and its columns stay."""
    for _, start, end in sorted(found_in(text), reverse=True):
        text = text[:start] + "*" * (end - start) + text[end:]
    return text
