"""The arguments of one CALL as they are written: what no constant is, the server is asked for."""

from __future__ import annotations

import re

TOKEN = re.compile(
    r"--[^\n]*|/\*.*?\*/"
    r"|(?:[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*')"
    r'|"(?:[^"]|"")*"'
    r"|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$"
    r"|[(\[]|[)\]]|,|.",
    re.DOTALL,
)
NAMED = re.compile(r"\s*(?P<name>\w+)\s*(?:=>|:=)\s*(?P<value>.*)", re.DOTALL)


def arguments_of(text: str, names: tuple[str, ...]) -> dict[str, str] | None:
    """Name → SQL of each argument of `CALL f(…)`, places turned into `names`. None when that cannot be read."""
    parts = _parts(text)
    if parts is None or len(parts) > len(names):
        return None
    found: dict[str, str] = {}
    for name, part in zip(names, parts, strict=False):
        named = NAMED.fullmatch(part)
        key = named["name"].lower() if named else name
        if key not in names or key in found:
            return None
        found[key] = (named["value"] if named else part).strip()
    return found


def _parts(text: str) -> list[str] | None:
    """What commas separate between the first bracket and its end, without comments."""
    depth, parts, current, done = 0, list[str](), "", False
    for match in TOKEN.finditer(text):
        cut = match.group()
        if cut.startswith(("--", "/*")):
            cut = " "
        if done:
            if cut.strip() not in ("", ";"):
                return None
        elif cut in ("(", "["):
            depth += 1
            current += cut if depth > 1 else ""
        elif cut in (")", "]"):
            depth -= 1
            done = depth == 0
            current += "" if done else cut
        elif cut == "," and depth == 1:
            parts.append(current)
            current = ""
        elif depth:
            current += cut
    return [*parts, current] if done else None
