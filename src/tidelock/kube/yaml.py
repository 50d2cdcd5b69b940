"""Objects → YAML: the same bytes each time, SQL as readable blocks.

Our own because of both: PyYAML folds or quotes a file with one blank at a line's end, and takes a minute for 20 MiB.
What is written is a part of YAML 1.2 that libyaml (PyYAML) and go-yaml (kubectl) read alike; tests ask both.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*(?:[:=][A-Za-z0-9_./-]+)*")
"""Texts that mean themselves without quotes, unless they are WORDS."""
WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n", "inf", "nan"}
UNSAFE = re.compile(
    "[^\\t\\n\\x20-\\x7e\\xa0-\\u2027\\u202a-\\ud7ff\\ue000-\\ufefe\\uff00-\\ufffd\\U00010000-\\U0010ffff]"
)
"""What may not stand unescaped: control characters, other line ends than \\n, byte order marks."""
BLANK_LINE = re.compile(r"^[ \t]+$", re.MULTILINE)
ESCAPES = {"\n": "\\n", "\t": "\\t", '"': '\\"', "\\": "\\\\", "\r": "\\r"}
INDENT = "  "


def documents(values: Sequence[Mapping[str, Any]]) -> str:
    """Several documents in one text."""
    return "---\n".join(document(each) for each in values)


def document(value: Mapping[str, Any]) -> str:
    """One document."""
    return "\n".join(mapping(value, "")) + "\n"


def mapping(value: Mapping[str, Any], indent: str) -> Iterator[str]:
    """The lines of a mapping; keys stay in their order."""
    for key, inner in value.items():
        yield from item(f"{indent}{scalar(str(key))}:", inner, indent)


def sequence(value: Sequence[Any], indent: str) -> Iterator[str]:
    """The lines of a list; its dashes stand below their key."""
    for inner in value:
        if isinstance(inner, dict) and inner:
            first, *others = mapping(inner, indent + INDENT)
            yield f"{indent}- {first[len(indent) + 2 :]}"
            yield from others
        elif isinstance(inner, list | tuple) and inner:
            yield f"{indent}-"
            yield from sequence(inner, indent + INDENT)
        else:
            yield from item(f"{indent}-", inner, indent)


def item(head: str, value: Any, indent: str) -> Iterator[str]:
    """`head` and what belongs to it."""
    match value:
        case dict() if value:
            yield head
            yield from mapping(value, indent + INDENT)
        case list() | tuple() if value:
            yield head
            yield from sequence(value, indent)
        case str() if "\n" in value and as_block(value):
            yield f"{head} {block_head(value)}"
            yield from (f"{indent}{INDENT}{line}" if line else "" for line in value.removesuffix("\n").split("\n"))
        case _:
            yield f"{head} {scalar(value)}"


def as_block(text: str) -> bool:
    """A literal block gives back exactly this text, to every reader."""
    return not UNSAFE.search(text) and not text.startswith(("\n", " ", "\t")) and not BLANK_LINE.search(text)


def block_head(text: str) -> str:
    """`|`, with how the end of the text is to be read."""
    return "|+" if text.endswith("\n\n") else "|" if text.endswith("\n") else "|-"


def scalar(value: Any) -> str:
    """A value on one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case None:
            return "null"
        case dict():
            return "{}"
        case list() | tuple():
            return "[]"
    text = str(value)
    return text if PLAIN.fullmatch(text) and text.lower() not in WORDS else quoted(text)


def quoted(text: str) -> str:
    """In double quotes."""
    escaped = re.sub(r'["\\\n\t]', lambda found: ESCAPES[found[0]], text)
    return '"' + UNSAFE.sub(lambda found: ESCAPES.get(found[0]) or escape(ord(found[0])), escaped) + '"'


def escape(code: int) -> str:
    """A character as its number."""
    return f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"
