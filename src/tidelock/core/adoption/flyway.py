"""Flyway: V<version>__<description>.sql, R__<description>.sql; a CRC32 over the lines without their ends."""

from __future__ import annotations

import re
import tomllib
import zlib

from tidelock.core.adoption.original import Files, Original, base, text_of, words

VERSIONED = re.compile(r"V(?P<version>\d+(?:[._]\d+)*)(?:__(?P<name>.*))?\.sql")
REPEATABLE = re.compile(r"R__(?P<name>.*)\.sql")
PLACEHOLDER = re.compile(r"\$\{([\w:.]+)\}")
SETTING = re.compile(r"^\s*flyway\.placeholders\.([\w.]+)\s*=\s*(.*?)\s*$", re.MULTILINE)
NO_TRANSACTION = re.compile(r"^\s*executeInTransaction\s*=\s*false\s*$", re.MULTILINE)


def originals(files: Files) -> list[Original]:
    """The versioned files by version, then the repeatable ones by description."""
    values = placeholders(files)
    versioned = [(numbers(m["version"]), path, m) for path in files if (m := VERSIONED.fullmatch(base(path)))]
    repeatable = [(m["name"], path) for path in files if (m := REPEATABLE.fullmatch(base(path)))]
    return [
        *(
            one(files, path, match["version"].replace("_", "."), match["name"] or "", values)
            for _, path, match in sorted(versioned, key=lambda each: each[:2])
        ),
        *(one(files, path, base(path), name, values, repeatable=True) for name, path in sorted(repeatable)),
    ]


def placeholders(files: Files) -> dict[str, str]:
    """Their values, from the settings files that lie below the directory."""
    values: dict[str, str] = {}
    for path, data in files.items():
        if base(path) == "flyway.conf":
            values |= SETTING.findall(text_of(data))
        elif base(path) == "flyway.toml":
            values |= toml_placeholders(text_of(data))
    return values


def toml_placeholders(text: str) -> dict[str, str]:
    """`[flyway.placeholders]`; none of a file that cannot be read."""
    try:
        found = tomllib.loads(text).get("flyway", {}).get("placeholders", {})
    except (tomllib.TOMLDecodeError, AttributeError):
        return {}
    return {name: value for name, value in found.items() if isinstance(value, str)}


def one(files: Files, path: str, key: str, name: str, values: dict[str, str], *, repeatable: bool = False) -> Original:
    """One file, its placeholders filled in."""
    raw = files[path].decode("utf-8-sig", errors="replace")
    filled = PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), raw)
    unknown = sorted(set(PLACEHOLDER.findall(filled)))
    return Original(
        key=key,
        path=path,
        description=words(name),
        sql=None if unknown else filled.replace("\r\n", "\n"),
        why_not=f"its placeholder ${{{unknown[0]}}} has no value in a flyway.conf or flyway.toml below --dir"
        if unknown
        else "",
        sums=tuple(dict.fromkeys(str(crc32(each)) for each in (raw, filled))),
        transaction=NO_TRANSACTION.search(text_of(files.get(f"{path}.conf", b""))) is None,
        repeatable=repeatable,
    )


def numbers(version: str) -> tuple[int, ...]:
    """`3_2` and `3.2.0` compare as numbers."""
    parts = [int(part) for part in re.split(r"[._]", version)]
    while len(parts) > 1 and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def version(key: str) -> tuple[int, ...]:
    """The numbers of a key; none for a repeatable file."""
    return numbers(key) if re.fullmatch(r"\d+(?:[._]\d+)*", key) else ()


def crc32(text: str) -> int:
    """CRC32 over the UTF-8 of all lines without their ends, as a signed 32-bit number."""
    lines = re.split("\r\n|\n|\r", text)
    found = zlib.crc32("".join(lines).encode())
    return found - 2**32 if found >= 2**31 else found
