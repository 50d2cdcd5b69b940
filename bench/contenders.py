"""The contenders: how each wants its directory, its command, its version. `apply` run again has nothing to do."""

from __future__ import annotations

import re
import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bench.peers import debian_program, node_binary, python_tool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.corpus import Change

BENCH = Path(__file__).parent
DSN = re.compile(r"postgresql://(?P<user>\w+)@(?P<host>[\d.]+):(?P<port>\d+)/(?P<name>\w+)")


class Contender(ABC):
    """A tool that applies migrations from the command line."""

    name: ClassVar[str]
    repeatable: ClassVar[bool] = True
    """Whether it knows what has been applied, and so can have nothing to do."""

    @abstractmethod
    def prepare(self, folder: Path, changes: Sequence[Change]) -> None:
        """Fetch the tool if need be, and write the migrations as it wants them. Raises PeerMissing."""

    @abstractmethod
    def command(self, folder: Path, dsn: str) -> list[str]:
        """The command that applies what is pending."""

    @abstractmethod
    def version(self) -> str:
        """For the results."""

    def environment(self, folder: Path, dsn: str) -> Mapping[str, str]:
        """Variables that the command needs."""
        del folder, dsn
        return {}


def output(*command: str | Path) -> str:
    """What a command prints."""
    return subprocess.run([str(each) for each in command], capture_output=True, text=True, check=True).stdout


def plain_files(folder: Path, changes: Sequence[Change], template: str = "{sql}\n") -> None:
    """`0001_name.sql` for each."""
    for each in changes:
        (folder / f"{each.version:04}_{each.name}.sql").write_text(template.format(sql=each.sql))


class Tidelock(Contender):
    """This checkout, installed as a user installs it, and as the other tools are: not editable, byte code and all."""

    name = "tidelock"
    program = Path()

    def prepare(self, folder: Path, changes: Sequence[Change]) -> None:
        self.program = python_tool("tidelock", [str(BENCH.parent)], anew=True)
        plain_files(folder, changes)

    def command(self, folder: Path, dsn: str) -> list[str]:
        return [str(self.program), "apply", "--dir", str(folder), "--database", dsn]

    def version(self) -> str:
        from importlib.metadata import version

        return version("tidelock")


class Floor(Contender):
    """The least that a correct runner can do; see floor.py."""

    name = "floor"

    def prepare(self, folder: Path, changes: Sequence[Change]) -> None:
        plain_files(folder, changes)

    def command(self, folder: Path, dsn: str) -> list[str]:
        return [sys.executable, str(BENCH / "floor.py"), dsn, str(folder)]

    def version(self) -> str:
        from importlib.metadata import version

        return f"psycopg {version('psycopg')}"


class Dbmate(Contender):
    """The native binary, without Node around it and without its dump."""

    name = "dbmate"
    program = Path()

    def prepare(self, folder: Path, changes: Sequence[Change]) -> None:
        self.program = node_binary("dbmate")
        plain_files(folder, changes, "-- migrate:up\n{sql}\n\n-- migrate:down\n")

    def command(self, folder: Path, dsn: str) -> list[str]:
        url = f"{dsn}?sslmode=disable"
        return [str(self.program), "--url", url, "--migrations-dir", str(folder), "--no-dump-schema", "migrate"]

    def version(self) -> str:
        return output(self.program, "--version").split()[-1]


class Psql(Contender):
    """One psql session with one transaction for each file, and a ledger row that nobody reads."""

    name = "psql"
    repeatable = False
    ledger = "CREATE TABLE schema_migrations (version integer PRIMARY KEY, applied_at timestamptz DEFAULT now());\n"

    def __init__(self, program: Path) -> None:
        self.program = program

    def prepare(self, folder: Path, changes: Sequence[Change]) -> None:
        plain_files(folder, changes)
        row = "BEGIN;\n\\ir {}\nINSERT INTO schema_migrations (version) VALUES ({});\nCOMMIT;\n"
        names = [(path.name, int(path.name[:4])) for path in sorted(folder.glob("*.sql"))]
        (folder / "all.psql").write_text(self.ledger + "".join(row.format(*each) for each in names))

    def command(self, folder: Path, dsn: str) -> list[str]:
        return [str(self.program), "-Xq", "-v", "ON_ERROR_STOP=1", "-d", dsn, "-f", str(folder / "all.psql")]

    def version(self) -> str:
        return output(self.program, "--version").split()[2]


class Sqitch(Contender):
    """It starts a psql for each change."""

    name = "sqitch"
    plan = "%syntax-version=1.0.0\n%project=bench\n\n"
    line = "{name} 2026-01-01T00:00:00Z Bench <bench@example.org> # change {version}\n"

    def prepare(self, folder: Path, changes: Sequence[Change]) -> None:
        debian_program("sqitch", ["sqitch", "libdbd-pg-perl", "postgresql-client"])
        (folder / "sqitch.conf").write_text(
            "[core]\n\tengine = pg\n[user]\n\tname = Bench\n\temail = bench@example.org\n"
        )
        (folder / "sqitch.plan").write_text(
            self.plan + "".join(self.line.format(name=each.name, version=each.version) for each in changes)
        )
        (folder / "deploy").mkdir()
        for each in changes:
            (folder / "deploy" / f"{each.name}.sql").write_text(f"BEGIN;\n{each.sql}\nCOMMIT;\n")

    def command(self, folder: Path, dsn: str) -> list[str]:
        target = dsn.replace("postgresql://", "db:pg://")
        return ["sqitch", "--chdir", str(folder), "deploy", "--quiet", "--no-verify", target]

    def environment(self, folder: Path, dsn: str) -> Mapping[str, str]:
        del dsn
        return {"TZ": "UTC", "SQITCH_USER_CONFIG": str(folder / "none"), "LC_ALL": "C.UTF-8"}

    def version(self) -> str:
        return output("sqitch", "--version").split()[-1]


class Yoyo(Contender):
    """With psycopg 3, each file a transaction."""

    name = "yoyo"
    program = Path()

    def prepare(self, folder: Path, changes: Sequence[Change]) -> None:
        self.program = python_tool("yoyo", ["yoyo-migrations", "psycopg[binary]", "setuptools"])
        plain_files(folder, changes)

    def command(self, folder: Path, dsn: str) -> list[str]:
        url = dsn.replace("postgresql://", "postgresql+psycopg://")
        return [str(self.program), "apply", "--batch", "--no-config-file", "--database", url, str(folder)]

    def version(self) -> str:
        return output(self.program.parent / "pip", "show", "yoyo-migrations").split("Version: ")[1].split()[0]


class Alembic(Contender):
    """With psycopg 3 and a transaction for each revision."""

    name = "Alembic"
    program = Path()
    settings = "[alembic]\nscript_location = {folder}\n"
    env = """\
import os
from alembic import context
from sqlalchemy import create_engine, pool

with create_engine(os.environ["BENCH_URL"], poolclass=pool.NullPool).connect() as connection:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
"""
    revision = """\
from alembic import op

revision = "{version:04}"
down_revision = {before}


def upgrade():
    op.execute({sql!r})
"""

    def prepare(self, folder: Path, changes: Sequence[Change]) -> None:
        self.program = python_tool("alembic", ["alembic", "psycopg[binary]"])
        (folder / "alembic.ini").write_text(self.settings.format(folder=folder))
        (folder / "env.py").write_text(self.env)
        (folder / "versions").mkdir()
        for each in changes:
            before = f'"{each.version - 1:04}"' if each.version > 1 else "None"
            text = self.revision.format(version=each.version, before=before, sql=each.sql)
            (folder / "versions" / f"{each.version:04}_{each.name}.py").write_text(text)

    def command(self, folder: Path, dsn: str) -> list[str]:
        del dsn
        return [str(self.program), "-c", str(folder / "alembic.ini"), "upgrade", "head"]

    def environment(self, folder: Path, dsn: str) -> Mapping[str, str]:
        del folder
        return {"BENCH_URL": dsn.replace("postgresql://", "postgresql+psycopg://")}

    def version(self) -> str:
        return output(self.program, "--version").split()[-1]
