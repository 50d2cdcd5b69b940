"""The examples of the rules: `examples/CODE/bad.sql` and `good.sql`.

`-- file: NAME` begins another file; what stands before the first one is `001_example.sql`. In the last file of a bad
example `-- claims: …` says what the rule claims of its last statement, which is read back on a real server:

    lock MODE on TABLE      it holds that lock, or a stronger one
    rewrite TABLE           the table's file is another one afterwards
    scan TABLE              it reads the table's rows
    error SQLSTATE          it is refused with that
    warning SQLSTATE        the server says so, and goes on
    absent TABLE            there is no such table afterwards
    setting NAME = VALUE    the session has it afterwards
    timescale …             any of these, on TimescaleDB, of a hypertable and all of its chunks; and

    alone SQLSTATE          it is refused with that inside a transaction, and works outside
    notice TEXT             it works, and the server says so
    changes nothing         it works, and every policy, chunk interval and aggregate is as before
    loses NAME              the table or aggregate has fewer rows, when the jobs have run after it, or is gone
    nulls TABLE.COLUMN      the column is NULL in rows that should have a value
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from tidelock.app.reading import Reader
from tidelock.core.lint.compose import NEXT_FILE
from tidelock.core.lint.engine import Engine, Selection
from tidelock.core.report import Finding
from tidelock.core.source import SourceFile, migrations

FOLDER = Path(__file__).parent / "examples"
FILE = re.compile(r"^-- file: (\S+)\n", re.MULTILINE)
CLAIM = re.compile(r"^-- claims: (?P<timescale>timescale )?(?P<claim>.*)$", re.MULTILINE)


@cache
def codes() -> tuple[str, ...]:
    """Every rule that has examples."""
    return tuple(sorted(each.name for each in FOLDER.iterdir() if each.is_dir()))


def files(code: str, name: str) -> tuple[SourceFile, ...]:
    """The files of an example, `name` being good or bad."""
    return parted((FOLDER / code / f"{name}.sql").read_text())


def parted(text: str) -> tuple[SourceFile, ...]:
    """A text with `-- file:` lines as files."""
    first, *rest = FILE.split(text)
    named = list(zip(rest[::2], rest[1::2], strict=True))
    if first.strip():
        named.insert(0, ("001_example.sql", first))
    return tuple(SourceFile(name, body.encode()) for name, body in named)


def found(sources: tuple[SourceFile, ...], **selected: tuple[str, ...]) -> list[Finding]:
    """The findings in some files; every rule is asked unless some are selected."""
    read = migrations(sources)
    texts = {each.path: each.data.decode() for each in sources}
    reader = Reader(read, load=lambda path: texts[path], detailed=True)
    return Engine(reader.script, Selection(**selected)).run(read)


ADVICE = ("LK015", "LK042")
"""Their rewrites do not take the place of the statement: one comes beside it, the other replaces two."""


REPEATABLE = ("LK001", "LK002", "LK003", "LK005", "LK006", "LK010", "LK011", "LK013")
"""What their rewrites make has a guard, so that they may run twice."""


def mended(code: str) -> tuple[SourceFile, ...] | None:
    """A bad example with the first rewrite of its rule in the place of the statement; None when there is none.

    What the rewrite puts into the next file stands in one.
    """
    sources = files(code, "bad")
    read = migrations(sources)
    texts = {each.path: each.data.decode() for each in sources}
    reader = Reader(read, load=lambda path: texts[path], detailed=True)
    remark = next((each for each in found(sources, select=(code,)) if each.rewrite and each.place), None)
    if remark is None or remark.place is None or code in ADVICE:
        return None
    made = []
    for each in read:
        text = texts[each.path]
        if each.path != remark.place.path:
            made.append(SourceFile(each.path, text.encode()))
            continue
        statement = next(one for one in reader.script(each).statements if one.place == remark.place)
        first, *rest = remark.rewrite.split(NEXT_FILE)
        before, _, after = text.rpartition(statement.text)
        made.append(SourceFile(each.path, f"{before}{first.rstrip().rstrip(';')}{after}".encode()))
        made += [SourceFile(f"{900 + number}_next.sql", part.encode()) for number, part in enumerate(rest)]
    return tuple(made)
