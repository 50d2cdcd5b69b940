"""The examples of the rules: `examples/CODE/bad.sql` and `good.sql`.

`-- file: NAME` begins another file; what stands before the first one is `001_example.sql`. In the last file of a bad
example `-- claims: …` says what the rule claims of its last statement, which is read back on a real server:

    lock MODE on TABLE      it holds that lock, or a stronger one
    rewrite TABLE           the table's file is another one afterwards
    scan TABLE              it reads the table's rows
    error SQLSTATE          it is refused with that
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
from tidelock.core.lint.engine import Engine, Selection
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


def found(sources: tuple[SourceFile, ...], **selected: tuple[str, ...]) -> list:
    """The findings in some files; every rule is asked unless some are selected."""
    read = migrations(sources)
    texts = {each.path: each.data.decode() for each in sources}
    reader = Reader(read, load=lambda path: texts[path])
    return Engine(reader.script, Selection(**selected)).run(read)
