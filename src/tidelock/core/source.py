"""(path, bytes) pairs → Migrations: names, versions, directives, checksums."""

from __future__ import annotations

import hashlib
import re
from codecs import BOM_UTF8
from typing import TYPE_CHECKING

from tidelock.core.model import Directive, Migration, Place
from tidelock.core.patterns import regex
from tidelock.core.values import record
from tidelock.errors import SourceFault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

NAME = regex(r"(?P<number>\d+)(?:[_-](?P<description>.*))?\.sql(?:\.gz|\.zst)?", re.IGNORECASE)
SQL = regex(r".*\.sql(?:\.gz|\.zst)?", re.IGNORECASE)
DOWN = regex(r".*\.(?:down|undo|rollback|revert)\.sql(?:\.gz|\.zst)?", re.IGNORECASE)
MAX_DIGITS = 18
"""A bigint holds every number of 18 digits."""


class NoNumber(SourceFault):
    """An .sql file whose name does not start with a number."""

    code = "S001"

    def __init__(self, paths: Sequence[str]) -> None:
        one = paths[0]
        flyway = " Flyway's files are taken over with `tidelock adopt --from flyway --write DIR`, not renumbered."
        named = any(re.match(r"[VRB][\d_.]*__", name_of(path)) for path in paths)
        super().__init__(
            f"{listed(paths)} {'has' if len(paths) == 1 else 'have'} no number at the start of the name",
            hint=f"name it NNN_description.sql (`tidelock renumber` numbers them all), or keep it out of the way as "
            f"{name_of(one)}.example." + flyway * named,
        )


class DuplicateVersion(SourceFault):
    """Two files with one version; 1 and 001 are the same version."""

    code = "S002"

    def __init__(self, version: int, paths: Sequence[str]) -> None:
        zeros = len({number_of(path) for path in paths}) > 1
        super().__init__(
            f"version {version} has {len(paths)} files: {listed(paths)}"
            + (" (leading zeros make no difference)" if zeros else ""),
            hint="give each file a number of its own (`tidelock renumber` does so); one that a database has already "
            "applied keeps its number",
        )


class VersionTooLong(SourceFault):
    """A number of more than 18 digits."""

    code = "S003"

    def __init__(self, path: str, number: str) -> None:
        super().__init__(
            f"{path}: the number {number} has {len(number)} digits, and the ledger holds {MAX_DIGITS}",
            hint="use a shorter number or a timestamp such as 20260302081400",
        )


class EmptyFile(SourceFault):
    """A file without a single character that counts: usually a copy that went wrong."""

    code = "S004"

    def __init__(self, paths: Sequence[str]) -> None:
        super().__init__(
            f"{listed(paths)} {'is' if len(paths) == 1 else 'are'} empty",
            hint="write the migration or delete the file; to keep a number free, say so in a comment inside",
        )


class NotUtf8(SourceFault):
    """Bytes that are not UTF-8."""

    code = "S005"

    def __init__(self, path: str, data: bytes, error: UnicodeDecodeError) -> None:
        line = data.count(b"\n", 0, error.start) + 1
        utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        guess = "UTF-16" if utf16 else "LATIN1"
        super().__init__(
            f"{path}:{line}: byte 0x{data[error.start]:02x} at offset {error.start} is not UTF-8",
            hint=f"convert it: iconv -f {guess} -t UTF-8 {path} > fixed.sql",
        )


class NulByte(SourceFault):
    """A NUL byte, which PostgreSQL accepts nowhere in text."""

    code = "S006"

    def __init__(self, path: str, text: str) -> None:
        at = text.index("\0")
        super().__init__(
            f"{path}:{text.count(chr(10), 0, at) + 1}: a NUL byte, which PostgreSQL accepts nowhere",
            hint=f"remove it: tr -d '\\000' < {path} > fixed.sql",
        )


class DownMigration(SourceFault):
    """The way back of another tool, which would run as a way forward."""

    code = "S007"

    def __init__(self, paths: Sequence[str]) -> None:
        super().__init__(
            f"{listed(paths)}: by the name, this undoes a migration, and Tidelock would apply it",
            hint="move it out of the directory (Tidelock goes back through backups), or rename it",
        )


class ForeignFile(SourceFault):
    """A file of another tool, with its way back in it, which would run as a way forward."""

    code = "S017"

    def __init__(self, path: str, tool: str, line: str) -> None:
        super().__init__(
            f"{path} is a file of {tool}: what stands below `{line}` undoes it, and Tidelock would apply that, too",
            hint=f"take it over: `tidelock adopt --from {tool} --dir {path.rpartition('/')[0] or '.'} --write DIR`",
        )


class UnknownDirective(SourceFault):
    """A `-- tidelock:` line that nobody knows."""

    code = "S010"

    def __init__(self, name: str, place: Place, *, tool: str = "tidelock") -> None:
        near = nearest(name, cutoff=0.5)
        super().__init__(
            f"{place}: unknown directive “{name}”" if tool == "tidelock" else f"{place}: “{tool}:” begins no directive",
            hint=f"did you mean `-- tidelock: {near}`?" if near else f"known: {', '.join(sorted(DIRECTIVES))}",
        )


def nearest(name: str, *, cutoff: float) -> str:
    """The known directive that a name comes close to, whatever its case; empty when none does."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(name.lower(), DIRECTIVES, n=1, cutoff=cutoff)), "")


class BadDirective(SourceFault):
    """A directive that is known, and whose value cannot be read."""

    code = "S011"

    def __init__(self, directive: str, value: str, wanted: str, place: Place) -> None:
        super().__init__(
            f"{place}: `{directive}` wants {wanted}, found “{value}”",
            hint=f"write `-- tidelock: {directive} {EXAMPLES[directive]}`",
        )


@record(frozen=True, slots=True)
class SourceFile:
    """A file as found: the path as shown to people, and its content (decompressed)."""

    path: str
    data: bytes


class DirectiveBelow(SourceFault):
    """A directive that steers the whole file, below its first statement."""

    code = "S012"

    def __init__(self, name: str, place: Place) -> None:
        super().__init__(
            f"{place}: `{name}` steers the whole file, and stands below its first statement",
            hint="move the line to the top of the file",
        )


DURATION = regex(r"(\d+(?:\.\d+)?)\s*(ms|s|sec|min|m|h)", re.IGNORECASE)
SECONDS = {"ms": 0.001, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600}
MOST_H = 596
"""Hours that fit into a setting of PostgreSQL's: 2^31 milliseconds."""
REQUIREMENT = regex(
    r"(?P<name>[a-z_][\w-]*)(?:\s*(?P<operator>>=|<=|=|>|<)\s*(?P<version>\d+(?:\.\d+)*))?", re.IGNORECASE
)

NAMED = regex(r'(?:"(?:[^"]|"")+"|[^\s:"])+')
"""The name of an aggregate; in quotes it may have blanks and colons."""
# name → (how its value reads, what to say when it does not, does it need a reason)
DIRECTIVES: dict[str, tuple[re.Pattern[str], str, bool]] = {
    "no-transaction": (regex(""), "no value", False),
    "out-of-order": (regex(""), "no value", False),
    "lock-timeout": (DURATION, f"a duration of up to {MOST_H}h", False),
    "statement-timeout": (DURATION, f"a duration of up to {MOST_H}h", False),
    "build-limit": (DURATION, f"a duration of up to {MOST_H}h", False),
    "requires": (REQUIREMENT, "an extension or postgresql, and a version", False),
    "allow": (regex(r"[A-Z]+\d+"), "a rule's code and, after a colon, a reason", True),
    "accept-loss": (NAMED, "a name and, after a colon, a reason", True),
    "rebuild": (NAMED, "the name of a continuous aggregate", False),
    "was": (regex(r"[a-z][a-z-]* \S.*"), "a tool, and what it called this migration", False),
}
EXAMPLES = {
    "no-transaction": "",
    "out-of-order": "",
    "lock-timeout": "10s",
    "statement-timeout": "15min",
    "build-limit": "2h",
    "requires": "timescaledb >= 2.18",
    "allow": "LK001: the table is empty",
    "accept-loss": "energy_hourly: rebuilt from the archive",
    "rebuild": "energy_hourly",
    "was": "dbmate 20240101120700",
}
WAYS_BACK = (
    ("-- migrate:down", "dbmate", regex(r"^-- migrate:down\b.*$", re.MULTILINE)),
    ("+goose", "goose", regex(r"^\s*--\s*\+goose\s+Down\s*$", re.MULTILINE | re.IGNORECASE)),
    ("---- create above", "tern", regex(r"^---- create above / drop below ----", re.MULTILINE)),
)
"""(a part of the line, the tool, the line that its way back stands below)."""
ANYWHERE = ("allow", "accept-loss")
HEADER = regex(r"(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*", re.DOTALL)
LINE = regex(
    r"^[ \t]*--[ \t]*"
    r"(?:(?P<tool>(?i:tidelock)):[ \t]*(?P<directive>[^\r\n]*)|(?P<breaking>BREAKING):[ \t]*(?P<why>[^\r\n]*))",
    re.MULTILINE,
)


def migrations(files: Iterable[SourceFile]) -> tuple[Migration, ...]:
    """Every migration among the files, in numeric order.

    Files that are not SQL (README.md, *.example, dot files) are passed over. Raises a SourceFault that names each
    file concerned when a name or a content is wrong.
    """
    candidates = [file for file in files if is_migration_name(name_of(file.path))]
    refuse(NoNumber, [file.path for file in candidates if without_number(name_of(file.path))])
    refuse(DownMigration, [file.path for file in candidates if goes_back(name_of(file.path))])
    read = sorted((migration(file) for file in candidates), key=lambda each: (each.version, each.path))
    refuse(EmptyFile, [each.path for each in read if is_empty(each)])
    for version, same in duplicates(read):
        raise DuplicateVersion(version, same)
    return tuple(read)


def in_part(files: Iterable[SourceFile]) -> tuple[tuple[Migration, ...], list[SourceFault]]:
    """The migrations that nothing is wrong with, in numeric order, and a fault for each reason to leave out others."""
    faults: list[SourceFault] = []
    read: list[Migration] = []
    left = [file for file in files if is_migration_name(name_of(file.path))]
    for fault, wrong in ((NoNumber, without_number), (DownMigration, goes_back)):
        if paths := [file.path for file in left if wrong(name_of(file.path))]:
            faults.append(fault(paths))
        left = [file for file in left if not wrong(name_of(file.path))]
    for file in left:
        try:
            read.append(migration(file))
        except SourceFault as error:
            faults.append(error)
    if empty := [each.path for each in read if is_empty(each)]:
        faults.append(EmptyFile(empty))
    twice = dict(duplicates(read))
    faults += [DuplicateVersion(version, sorted(paths)) for version, paths in sorted(twice.items())]
    good = (each for each in read if each.version not in twice and not is_empty(each))
    return tuple(sorted(good, key=lambda each: each.version)), faults


def without_number(name: str) -> bool:
    """A name that does not begin with a number."""
    return NAME.fullmatch(name) is None


def goes_back(name: str) -> bool:
    """The name of a file that undoes a migration."""
    return DOWN.fullmatch(name) is not None


def is_empty(file: Migration) -> bool:
    """Not a character that counts."""
    return not file.text or file.text.isspace()


def is_migration_name(name: str) -> bool:
    """True for names that must be migrations: *.sql, *.sql.gz, *.sql.zst that are not hidden."""
    return bool(SQL.fullmatch(name)) and not name.startswith(".")


def name_of(path: str) -> str:
    """The last part of a path."""
    return path.rpartition("/")[2]


def parts_of(name: str) -> tuple[str, str]:
    """A file's name without its ending, and the ending: `.sql`, `.sql.gz`."""
    found = re.search(r"\.sql(?:\.gz|\.zst)?$", name, re.IGNORECASE)
    return (name[: found.start()], found[0]) if found else (name, "")


def number_of(path: str) -> str:
    """The number as written in the file's name, leading zeros kept."""
    found = NAME.fullmatch(name_of(path))
    return found["number"] if found else ""


def migration(file: SourceFile) -> Migration:
    """Read one file whose name is known to be good."""
    name = NAME.fullmatch(name_of(file.path))
    assert name is not None
    if len(name["number"].lstrip("0")) > MAX_DIGITS:
        raise VersionTooLong(file.path, name["number"])
    text = decoded(file)
    for part, tool, line in WAYS_BACK:
        if part in text and (found := line.search(text)):
            raise ForeignFile(file.path, tool, found[0].strip())
    return Migration(
        version=int(name["number"]),
        description=name["description"] or "",
        path=file.path,
        text=text,
        checksum=hashlib.sha256(file.data).hexdigest(),
        directives=tuple(directives(file.path, text)),
    )


def decoded(file: SourceFile) -> str:
    """The content as text, without a byte order mark. Line ends stay as they are, as in psql."""
    try:
        text = file.data.removeprefix(BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        raise NotUtf8(file.path, file.data, error) from None
    if "\0" in text:
        raise NulByte(file.path, text)
    return text


def directives(path: str, text: str) -> Iterator[Directive]:
    """The `-- tidelock: …` and `-- BREAKING: …` lines of a file.

    What steers stands above the first statement; what allows may stand anywhere. Below the first statement a line
    that nobody knows is none: it may be data. `Tidelock:` is none either, and told where it seems to be meant as one.
    """
    if "BREAKING:" not in text and "tidelock:" not in text.lower():
        return
    header = HEADER.match(text)
    end = header.end() if header else 0
    for found in LINE.finditer(text):
        place = Place(path, text.count("\n", 0, found.start()) + 1)
        if found["breaking"]:
            yield Directive("BREAKING", "", found["why"].strip(), place)
            continue
        name, on_top = found["directive"].partition(" ")[0].rstrip(":"), found.start() < end
        if found["tool"] != "tidelock":
            if name.lower() in DIRECTIVES or (on_top and nearest(name, cutoff=0.8)):
                raise UnknownDirective(name, place, tool=found["tool"])
        elif on_top or name.lower() in ANYWHERE:
            yield directive(found["directive"].strip(), place)
        elif name.lower() in DIRECTIVES:
            raise DirectiveBelow(name, place)


def directive(line: str, place: Place) -> Directive:
    """One directive, checked: `lock-timeout 10s`, `allow LK001: reason`."""
    name, _, rest = line.partition(" ")
    name = name.rstrip(":")
    if name not in DIRECTIVES:
        raise UnknownDirective(name, place)
    pattern, wanted, reasoned = DIRECTIVES[name]
    value, reason = rest.strip(), ""
    if reasoned and (found := pattern.match(value)):
        after, _, reason = (part.strip() for part in value[found.end() :].partition(":"))
        value = f"{found[0]} {after}".strip()
    too_long = pattern is DURATION and pattern.fullmatch(value) and seconds(value) > MOST_H * 3600
    if not pattern.fullmatch(value) or (reasoned and not reason) or too_long:
        raise BadDirective(name, rest.strip(), wanted, place)
    return Directive(name, value, reason, place)


def seconds(duration: str) -> float:
    """`10s`, `500ms`, `5m`, `1.5h` in seconds. Raises ValueError for anything else."""
    found = DURATION.fullmatch(duration.strip())
    if not found:
        raise ValueError(duration)
    return float(found[1]) * SECONDS[found[2].lower()]


def bundle_digest(all_migrations: Iterable[Migration]) -> str:
    """One SHA-256 (hex) over the names and contents of a directory's migrations, in order."""
    digest = hashlib.sha256()
    for each in all_migrations:
        digest.update(f"{name_of(each.path)}\0{each.checksum}\n".encode())
    return digest.hexdigest()


def duplicates(read: Sequence[Migration]) -> Iterator[tuple[int, list[str]]]:
    """Versions that more than one file claims, with the paths."""
    by_version: dict[int, list[str]] = {}
    for each in read:
        by_version.setdefault(each.version, []).append(each.path)
    return ((version, paths) for version, paths in by_version.items() if len(paths) > 1)


def refuse(fault: type[NoNumber | DownMigration | EmptyFile], paths: Sequence[str]) -> None:
    """Raise `fault` when there is a path that it is about."""
    if paths:
        raise fault(paths)


def listed(paths: Sequence[str]) -> str:
    """`a, b and 3 more`."""
    shown = ", ".join(paths[:8])
    return shown if len(paths) <= 8 else f"{shown} and {len(paths) - 8} more"
