"""Tools whose files are numbered SQL: golang-migrate, dbmate, goose, tern, sqlx, diesel, Atlas, Rails."""

from __future__ import annotations

import hashlib
import re
import tomllib
from base64 import b64encode
from typing import TYPE_CHECKING

from tidelock.core.adoption.original import Files, Original, base, text_of, without_lines, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NUMBERED = re.compile(r"(?P<number>\d+)_(?P<name>.+)\.sql")


def by_number(files: Files, pattern: re.Pattern[str]) -> Iterator[tuple[str, re.Match[str], str]]:
    """(path, match, text) of the files whose name matches, by number."""
    found = [(path, match) for path in files if (match := pattern.fullmatch(base(path)))]
    for path, match in sorted(found, key=lambda each: (int(each[1]["number"]), each[0])):
        yield path, match, text_of(files[path])


# --- golang-migrate: NNN_name.up.sql and NNN_name.down.sql; a file is one query -------------------------------------

UP = re.compile(r"(?P<number>\d+)_(?P<name>.*)\.up\.(?:sql|pgsql)")


def golang_migrate(files: Files) -> list[Original]:
    """The up files. It keeps no checksum."""
    return [
        Original(key=str(int(match["number"])), path=path, description=words(match["name"]), sql=text)
        for path, match, text in by_number(files, UP)
    ]


# --- dbmate: the first `-- migrate:up` block; order by name ---------------------------------------------------------

DBMATE = re.compile(r"(?P<number>\d+)(?P<name>.*)\.sql")
MIGRATE = re.compile(r"^-- migrate:(?P<way>up|down)(?P<options>[^\n]*)$", re.MULTILINE)


def dbmate(files: Files) -> list[Original]:
    """The first up block of each file: dbmate applies no other. It keeps no checksum."""
    originals = []
    for path, match, text in sorted(by_number(files, DBMATE), key=lambda each: base(each[0])):
        marks = list(MIGRATE.finditer(text))
        up = next((mark for mark in marks if mark["way"] == "up"), None)
        end = next((mark.start() for mark in marks if up and mark.start() > up.start()), len(text))
        originals.append(
            Original(
                key=match["number"],
                path=path,
                description=words(match["name"]),
                sql=text[up.end() : end].strip("\n") + "\n" if up else None,
                why_not="" if up else "it has no line `-- migrate:up`",
                transaction=not (up and "transaction:false" in up["options"].split()),
            )
        )
    return originals


# --- goose ----------------------------------------------------------------------------------------------------------

GOOSE = re.compile(r"^\s*--\s*\+goose\s+(?P<word>[A-Za-z ]+?)\s*$", re.MULTILINE)


def goose(files: Files) -> list[Original]:
    """What stands between `+goose Up` and `+goose Down`. It keeps no checksum."""
    originals = []
    for path, match, text in by_number(files, NUMBERED):
        marks = {mark["word"].lower(): mark for mark in reversed(list(GOOSE.finditer(text)))}
        up, down = marks.get("up"), marks.get("down")
        substituted = "envsub on" in marks
        body = without_lines(text[up.end() : down.start() if down else len(text)], GOOSE) if up else ""
        originals.append(
            Original(
                key=str(int(match["number"])),
                path=path,
                description=words(match["name"]),
                sql=body.strip("\n") + "\n" if up and not substituted else None,
                why_not="environment variables are put into it (+goose ENVSUB ON)"
                if substituted
                else ("" if up else "it has no line `-- +goose Up`"),
                transaction="no transaction" not in marks,
            )
        )
    return originals


# --- tern -----------------------------------------------------------------------------------------------------------

TERN_DOWN = "---- create above / drop below ----"
TERN_NO_TX = re.compile(r"^---- tern: disable-tx ----$")


def tern(files: Files) -> list[Original]:
    """What stands above its separator. It keeps no checksum; a template cannot be read from the file alone."""
    originals = []
    for path, match, text in by_number(files, NUMBERED):
        up = text.partition(TERN_DOWN)[0]
        template = "{{" in up
        originals.append(
            Original(
                key=str(int(match["number"])),
                path=path,
                description=words(match["name"]),
                sql=None if template else without_lines(up, TERN_NO_TX),
                why_not="it is a template ({{ … }})" if template else "",
                transaction=not any(TERN_NO_TX.match(line) for line in up.split("\n")),
            )
        )
    return originals


# --- sqlx -----------------------------------------------------------------------------------------------------------

SQLX = re.compile(r"(?P<number>\d+)_(?P<name>.+?)(?:\.up)?\.sql")


def sqlx(files: Files) -> list[Original]:
    """Its checksum is SHA-384 of the bytes; some projects have it ignore carriage returns."""
    originals = []
    for path, match, text in by_number(files, SQLX):
        if base(path).endswith(".down.sql"):
            continue
        contents = dict.fromkeys((files[path], files[path].replace(b"\r", b"")))
        originals.append(
            Original(
                key=str(int(match["number"])),
                path=path,
                description=words(match["name"]),
                sql=text,
                sums=tuple(hashlib.sha384(each).hexdigest() for each in contents),
                transaction=not files[path].startswith(b"-- no-transaction"),
            )
        )
    return originals


# --- diesel: a folder each, ordered as text -------------------------------------------------------------------------


def diesel(files: Files) -> list[Original]:
    """`<version>_<name>/up.sql`. It keeps no checksum."""
    originals = []
    for path in files:
        folder = base(path.rpartition("/")[0])
        if base(path) != "up.sql" or "_" not in folder:
            continue
        version, _, name = folder.partition("_")
        originals.append(
            Original(
                key=version.replace("-", ""),
                path=path,
                description=words(name),
                sql=text_of(files[path]),
                transaction=diesel_transaction(files.get(f"{path.rpartition('/')[0]}/metadata.toml")),
            )
        )
    return sorted(originals, key=lambda each: each.key)


def diesel_transaction(metadata: bytes | None) -> bool:
    """A metadata.toml without the key means none; one that cannot be read is passed over."""
    if metadata is None:
        return True
    try:
        return bool(tomllib.loads(text_of(metadata)).get("run_in_transaction", False))
    except tomllib.TOMLDecodeError:
        return True


# --- Atlas ----------------------------------------------------------------------------------------------------------

NO_TX = re.compile(r"^-- atlas:txmode none\s*$", re.MULTILINE)


def atlas(files: Files) -> list[Original]:
    """Its checksum is over all files up to this one: names and bytes."""
    originals = []
    chain = hashlib.sha256()
    for path in sorted((each for each in files if base(each).endswith(".sql")), key=base):
        match = re.fullmatch(r"(?P<number>[^_]+)(?:_(?P<name>.+))?\.sql", base(path))
        chain.update(base(path).encode() + files[path])
        if match is None:
            continue
        text = text_of(files[path])
        originals.append(
            Original(
                key=match["number"],
                path=path,
                description=words(match["name"] or ""),
                sql=text,
                sums=(b64encode(chain.digest()).decode(),),
                transaction=NO_TX.search(text) is None,
            )
        )
    return originals


# --- Rails ----------------------------------------------------------------------------------------------------------

RUBY = re.compile(r"(?P<number>\d+)_(?P<name>.+)\.rb")


def rails(files: Files) -> list[Original]:
    """Ruby: only Rails can say what it does."""
    return [
        Original(key=match["number"], path=path, description=words(match["name"]), why_not="it is Ruby")
        for path, match, _ in by_number(files, RUBY)
    ]


READERS: dict[str, Callable[[Files], list[Original]]] = {
    "golang-migrate": golang_migrate,
    "dbmate": dbmate,
    "goose": goose,
    "tern": tern,
    "sqlx": sqlx,
    "diesel": diesel,
    "atlas": atlas,
    "rails": rails,
}
