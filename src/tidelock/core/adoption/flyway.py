"""Flyway: V<version>__<description>.sql, R__<description>.sql; a CRC32 over the lines without their ends."""

from __future__ import annotations

import re
import zlib

from tidelock.core.adoption.original import Files, Original, base, text_of, words

VERSIONED = re.compile(r"V(?P<version>\d+(?:[._]\d+)*)(?:__(?P<name>.*))?\.sql")
REPEATABLE = re.compile(r"R__(?P<name>.*)\.sql")
PLACEHOLDER = re.compile(r"\$\{([\w:.]+)\}")
SETTING = re.compile(r"^\s*flyway\.placeholders\.([\w.]+)\s*=\s*(.*?)\s*$", re.MULTILINE)
NO_TRANSACTION = re.compile(r"^\s*executeInTransaction\s*=\s*false\s*$", re.MULTILINE)


def originals(files: Files) -> list[Original]:
    """The versioned files by version, then the repeatable ones by description."""
    values = {
        name: value
        for path, data in files.items()
        if base(path) == "flyway.conf"
        for name, value in SETTING.findall(text_of(data))
    }
    versioned = [(numbers(m["version"]), path, m) for path in files if (m := VERSIONED.fullmatch(base(path)))]
    repeatable = [(m["name"], path) for path in files if (m := REPEATABLE.fullmatch(base(path)))]
    return [
        *(
            one(files, path, match["version"].replace("_", "."), match["name"] or "", values)
            for _, path, match in sorted(versioned, key=lambda each: each[:2])
        ),
        *(one(files, path, base(path), name, values, repeatable=True) for name, path in sorted(repeatable)),
    ]


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
        why_not=f"its placeholder ${{{unknown[0]}}} has no value in flyway.conf" if unknown else "",
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


def same(key: str) -> object:
    """What two keys have in common that are one version to it: `1`, `01` and `1.0`."""
    return numbers(key) if re.fullmatch(r"[\d._]+", key) else key


def crc32(text: str) -> int:
    """CRC32 over the UTF-8 of all lines without their ends, as a signed 32-bit number."""
    lines = re.split("\r\n|\n|\r", text)
    found = zlib.crc32("".join(lines).encode())
    return found - 2**32 if found >= 2**31 else found
