"""Each tool that a registry has is really run: 19 migrations applied, the 20th pending, and then Tidelock takes over.

Those from pip and npm run always. The others take minutes to build: `TIDELOCK_TEST_TOOLS=all` runs them too. Rails is
in no registry that can be had: `test_adoption.py` builds its table as documented.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from bench.peers import PeerMissing
from packaging.specifiers import SpecifierSet
from tests.rig.project import Project
from tests.rig.requirement import missing
from tests.rig.tools import TOOLS, Tool, sql

from tidelock.core.adoption import tool as readers

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.rig.installation import Installation
    from tests.rig.postgres import Server

COUNT = 20
TABLES = r"""
SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
 WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND tablename !~ '^m\d+$'"""
COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
 WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum"""


@dataclass(frozen=True)
class Taken:
    """A database to which a tool has applied 19, and its folder, which has 20."""

    tool: Tool
    program: Path
    project: Project

    @property
    def theirs(self) -> Path:
        return self.project.folder / "theirs"

    @property
    def nineteen(self) -> Path:
        """The folder as it was when all in it was applied."""
        return self.project.folder / "nineteen"

    @property
    def ours(self) -> Project:
        return Project(self.project.folder / "ours", self.project.dsn)

    def run(self, folder: Path, *more: str) -> str:
        return self.tool.run(self.program, folder, self.project.dsn, *more)

    def adopt(self) -> subprocess.CompletedProcess[str]:
        path = {"PATH": f"{self.program.parent}:{os.environ['PATH']}", "URL": self.project.dsn}
        where = ["--dir", str(self.theirs), "--write", str(self.ours.folder), "--database", self.project.dsn]
        return self.project.tidelock("adopt", "--from", "--yes", *where, where=False, env=path, timeout=180)

    def tables(self) -> list[str]:
        return sorted(name for (name,) in self.project.query(TABLES))

    def history(self, tables: list[str]) -> dict[str, list[object]]:
        """Columns and rows of the tool's own tables."""
        return {
            table: [
                *self.project.query(COLUMNS, table),
                *self.project.query(f"SELECT t FROM {table} t ORDER BY t::text"),
            ]
            for table in tables
        }


def ready(tool: Tool) -> Path:
    if tool.slow and os.environ.get("TIDELOCK_TEST_TOOLS") != "all":
        pytest.skip(f"building {tool.name} takes minutes: TIDELOCK_TEST_TOOLS=all runs it")
    try:
        return tool.install()
    except PeerMissing as reason:
        missing(tool.name, str(reason), package=not tool.slow)


@pytest.fixture
def somewhere(
    programs: Installation,
    find_programs: Callable[[str], Installation],
    shared_servers: Callable[[Installation], Server],
) -> Iterator[Callable[[Tool], str]]:
    """Makes an empty database that the tool can work with: on this run's server, or else on Debian's."""
    with contextlib.ExitStack() as stack:

        def make(tool: Tool) -> str:
            kinds = (find_programs(kind) for kind in (programs.kind, "debian"))
            found = next((each for each in kinds if str(each.major) in SpecifierSet(tool.servers)), None)
            if found is None:
                pytest.skip(f"{tool.name} needs PostgreSQL {tool.servers}, and no server here is of that version")
            server = shared_servers(found)
            name = server.create_database()
            stack.callback(server.drop_database, name)
            return server.database(name)

        yield make


def begun(tool: Tool, project: Project) -> Taken:
    """An empty database, and a folder with 19."""
    taken = Taken(tool, ready(tool), project)
    taken.theirs.mkdir()
    tool.prepare(taken.theirs)
    for number in range(1, COUNT):
        tool.write(taken.theirs, number)
    return taken


@pytest.fixture(params=list(TOOLS))
def taken(request: pytest.FixtureRequest, tmp_path: Path, somewhere: Callable[[Tool], str]) -> Taken:
    tool = TOOLS[request.param]
    taken = begun(tool, Project(tmp_path, somewhere(tool)))
    taken.run(taken.theirs)
    assert taken.project.one("SELECT count(*) FROM pg_class WHERE relname ~ '^m[0-9]+$'") == COUNT - 1
    shutil.copytree(taken.theirs, taken.nineteen)
    tool.write(taken.theirs, COUNT)
    return taken


def test_nineteen_are_taken_over_and_exactly_one_runs(taken: Taken):
    project, ours, tables = taken.project, taken.ours, taken.tables()
    history = taken.history(tables)
    assert any(history.values())
    done = taken.adopt()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("checksum equal") == (COUNT - 1 if taken.tool.sums else 0)
    assert "19 applied, 1 pending" in ours.tidelock("status").stdout
    applied = ours.tidelock("apply")
    assert "Applied 1 in" in applied.stdout, applied.stdout + applied.stderr
    assert project.one("SELECT to_regclass('m20') IS NOT NULL")
    assert "Nothing to do" in ours.tidelock("apply").stdout
    assert taken.history(tables) == history
    taken.run(taken.nineteen)  # its table still tells it that all it has was applied
    assert taken.history(tables) == history


def test_the_tool_may_go_on_after_the_takeover(taken: Taken):
    ours, tables = taken.ours, taken.tables()
    history = taken.history(tables)
    assert taken.adopt().returncode == 0
    assert taken.history(tables) == history
    taken.run(taken.theirs)
    assert taken.project.one("SELECT to_regclass('m20') IS NOT NULL")
    assert taken.history(tables) != history
    refused = ours.tidelock("apply")
    assert (refused.returncode, "L033" in refused.stderr) == (4, True), refused.stdout + refused.stderr
    again = ours.tidelock("adopt", "--from", taken.tool.name, "--yes")
    assert "1 adopted" in again.stdout, again.stdout + again.stderr
    assert "Nothing to do" in ours.tidelock("apply").stdout


@pytest.mark.parametrize("taken", [name for name, tool in TOOLS.items() if tool.sums], indirect=True)
def test_a_file_that_was_edited_is_named_and_no_other(taken: Taken):
    path = taken.theirs / taken.tool.sums
    path.write_text(path.read_text().replace("a;b", "edited"))
    done = taken.adopt()
    assert done.returncode == 4
    [named] = [line for line in done.stderr.splitlines() if "edited since" in line]
    assert "m5" in named
    before, behind = 4, 14
    proved = before if readers.TOOLS[taken.tool.name].chained else before + behind
    assert done.stdout.count("checksum equal") == proved
    assert done.stdout.count("not provable behind") == before + behind - proved
    assert not taken.ours.folder.exists()
    assert taken.project.one("SELECT to_regclass('tidelock.schema_migrations') IS NULL")


@pytest.mark.parametrize("name", [name for name, tool in TOOLS.items() if tool.baseline])
def test_what_its_baseline_covers_is_taken_over_too(name: str, tmp_path: Path, somewhere: Callable[[Tool], str]):
    tool = TOOLS[name]
    taken = begun(tool, Project(tmp_path, somewhere(tool)))
    for number in (1, 2, 3):
        taken.project.query(sql(number))
    taken.run(taken.theirs, *tool.baseline)
    tool.write(taken.theirs, COUNT)
    done = taken.adopt()
    assert done.stdout.count("baseline") == 3, done.stdout + done.stderr
    assert done.stdout.count("checksum equal") == COUNT - 4
    assert "19 applied, 1 pending" in taken.ours.tidelock("status").stdout
    assert "Applied 1 in" in taken.ours.tidelock("apply").stdout
