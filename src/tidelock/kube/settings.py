"""tidelock.toml as a pod needs it: what a run reads and nothing else, written as TOML."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from tidelock.config import DATABASE_KEYS, KEYS
from tidelock.core.workload import Incomplete

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tidelock.core.workload import Workload

SECTIONS = ("migrations", "database", "ledger", "limits", "backup", "timescale")
"""What `apply`, `wait`, `status`, `verify` and `backup` read."""
NAMES = {key for section in SECTIONS for key in KEYS[section]} & DATABASE_KEYS.keys() | {"ledger"}
PASSWORD = re.compile(r"://[^/@:\s]*:(?!\$\{\w+\}@)[^/@\s]+@|\bpassword\s*=\s*(?!\$\{)\S")
"""In a URL or a connection string, written out."""
VARIABLE = re.compile(r"\$\{(\w+)\}")
BARE = re.compile(r"[A-Za-z0-9_-]+")


def reduced(data: Mapping[str, Any], name: str, fallbacks: Mapping[str, str]) -> dict[str, Any]:
    """The settings of one database; `fallbacks`: what a `[[critical]]` calls a script → where it is mounted.

    The directory is left out: `--dir` says it.
    """
    found: dict[str, Any] = {section: dict(data[section]) for section in SECTIONS if section in data}
    found.get("migrations", {}).pop("dir", None)
    if name:
        own = data["databases"][name]
        found["databases"] = {name: {key: value for key, value in own.items() if key in NAMES - {"dir"}}}
    critical = [each for each in data.get("critical", []) if each.get("database", name) == name]
    found["critical"] = [
        {**each, **({"fallback": fallbacks[each["fallback"]]} if each.get("fallback") else {})} for each in critical
    ]
    return {section: value for section, value in found.items() if value}


def refuse_unset(settings: Mapping[str, Any], workload: Workload) -> None:
    """Raise Incomplete for a `${NAME}` that the pod's environment does not have."""
    given = {name for name, _ in workload.variables()}
    for where, text in texts(settings, ""):
        for name in VARIABLE.findall(text):
            if name not in given and not workload.env_from:
                raise Incomplete(
                    f"gives the pod no {name}, which {where} asks for",
                    f'add env = {{ {name} = "secret/NAME/KEY" }} to [kube], or env_from = ["SECRET"]',
                )


def refuse_passwords(settings: Mapping[str, Any]) -> None:
    """Raise Incomplete for a password that is written out: whoever may read ConfigMaps, or the repository, would."""
    for where, text in texts(settings, ""):
        if PASSWORD.search(text):
            raise Incomplete(
                f"would put the password that {where} holds into a ConfigMap",
                f'write "${{NAME}}" in its place in {where}, and env = {{ NAME = "secret/NAME/KEY" }} into [kube]',
            )


def texts(value: Any, where: str) -> Iterator[tuple[str, str]]:
    """(dotted place, text) of every text in the settings."""
    match value:
        case str():
            yield where, value
        case dict():
            for key, inner in value.items():
                yield from texts(inner, f"{where}.{key}".removeprefix("."))
        case list():
            for inner in value:
                yield from texts(inner, where)


def toml(settings: Mapping[str, Any]) -> str:
    """The settings as tidelock.toml."""
    lines = ["# What `tidelock kube render` took from tidelock.toml. Edit that, and render again."]
    for section, value in settings.items():
        if isinstance(value, list):
            for each in value:
                lines += ["", f"[[{section}]]", *assignments(each)]
        elif section == "databases":
            for name, each in value.items():
                lines += ["", f"[databases.{written_key(name)}]", *assignments(each)]
        else:
            lines += ["", f"[{section}]", *assignments(value)]
    return "\n".join(lines) + "\n"


def assignments(table: Mapping[str, Any]) -> Iterator[str]:
    """`key = value` for each."""
    return (f"{written_key(key)} = {written(value)}" for key, value in table.items())


def written_key(key: str) -> str:
    """A key, in quotes where it needs them."""
    return key if BARE.fullmatch(key) else written(key)


def written(value: Any) -> str:
    """A value as TOML."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():  # TOML's basic strings are JSON's, but for DEL
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case list():
            return f"[{', '.join(map(written, value))}]"
        case dict():
            return f"{{ {', '.join(assignments(value))} }}" if value else "{}"
    return str(value)
