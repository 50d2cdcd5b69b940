"""Secrets in texts: where they are, so that a check can say so and no output repeats them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidelock.core.patterns import regex

if TYPE_CHECKING:
    from collections.abc import Iterator

PAIR = r"\b(?:host|hostaddr|dbname|user|port)\s*=\s*[^\s']+"
SECRETS = (
    ("a password", regex(r"\bPASSWORD\s+E?'+(?P<secret>[^'\n]+)'", re.IGNORECASE)),
    ("a password in a URL", regex(r"\b[a-z][a-z0-9+]*://[^\s:/@'\"]+:(?P<secret>[^\s@'\"/]+)@", re.IGNORECASE)),
    (
        "a password in a connection string",
        regex(
            rf"{PAIR}[^'\n]*?\bpassword\s*=\s*(?P<secret>[^\s';]+)|\bpassword\s*=\s*(?P<second>[^\s';]+)\s[^'\n]*?{PAIR}",
            re.IGNORECASE,
        ),
    ),
    ("an access key of AWS", regex(r"\b(?P<secret>(?:AKIA|ASIA)[0-9A-Z]{16})\b")),
    (
        "a secret key of AWS",
        regex(r"aws_secret_access_key\W+(?P<secret>[A-Za-z0-9/+=]{40})", re.IGNORECASE),
    ),
    ("a private key", regex(r"-----BEGIN (?:[A-Z]+ )*(?P<secret>PRIVATE KEY)-----")),
    ("a token of GitHub", regex(r"\b(?P<secret>gh[opsu]_[A-Za-z0-9]{36,})\b")),
    ("a token of Slack", regex(r"\b(?P<secret>xox[abprs]-[A-Za-z0-9-]{10,})")),
    ("a live key of Stripe", regex(r"\b(?P<secret>[sr]k_live_[A-Za-z0-9]{16,})\b")),
    ("a key of Google's API", regex(r"\b(?P<secret>AIza[0-9A-Za-z_-]{35})\b")),
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
NONE = regex(r"[$<{%:\[].*|[*xX.]+|SCRAM-SHA-256\$.*|null", re.DOTALL | re.IGNORECASE)
"""Places for a secret, and a verifier that it cannot be computed from."""

CONNECTION = (
    r"^postgres(?:ql)?://|://[^/@]*:[^@]*@|^\s*(?:ssl)?password\s*="
    r"|\b(?:host|hostaddr|dbname|user|port|service)\s*=.*\b(?:ssl)?password\s*=|\bpassword\s*=.*\b(?:host|dbname|user)\s*="
)
"""What is read as a connection string, wherever it stands. It may hold a password in any form."""

SECRETIVE = r"\w*(?:pass|pw|secret|token|key|credential)\w*"
"""The name of a variable that says that its value is a secret."""

EXAMPLES = ("a password in a URL", "a password in a connection string")
PLACEHOLDER = regex(
    r"(?:(?:your|my|the|some|db)[-_]?)?(?:pass(?:word|wd)?|pwd|pw|secret|placeholder|change[-_]?me)(?:[-_]?here)?",
    re.IGNORECASE,
)
"""What stands in an example. In PASSWORD '…' of a role it is none, but a bad password."""


def found_in(text: str) -> Iterator[tuple[str, int, int]]:
    """What each secret is, and where it begins and ends."""
    lower = text.lower()
    for what, pattern in SECRETS if any(each in lower for each in HINTS) else ():
        for found in pattern.finditer(text):
            name = "second" if found.groupdict().get("second") else "secret"
            example = what in EXAMPLES and PLACEHOLDER.fullmatch(found[name])
            if not example and not NONE.fullmatch(found[name]):
                yield what, found.start(name), found.end(name)


def masked(text: str) -> str:
    """A text with a star for each character of a secret, so that it can be shown and its columns stay."""
    for _, start, end in sorted(found_in(text), reverse=True):
        text = text[:start] + "*" * (end - start) + text[end:]
    return text


def is_connection(text: str) -> bool:
    """Whether a value is a connection string: where none is taken it is refused and not shown."""
    return re.search(CONNECTION, text, re.IGNORECASE | re.DOTALL) is not None


def brief(text: str, most: int) -> str:
    """The beginning of a statement on one line, at most so many characters, without its secrets."""
    words = " ".join(masked(text).split())
    return words if len(words) <= most else f"{words[: most - 2]} …"
