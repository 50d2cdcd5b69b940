"""`tidelock adopt --from TOOL` and `--observe`: look, show, ask, record."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tidelock.app import adoption
from tidelock.cli import wiring
from tidelock.cli.verbs import agreed, each_target, one_target
from tidelock.core.adoption import match, observed
from tidelock.core.adoption.match import Verdict
from tidelock.core.adoption.original import refuse_twice
from tidelock.core.adoption.writing import Written, written
from tidelock.core.planner import NoMigrations
from tidelock.core.source import SourceFile, migrations
from tidelock.errors import TidelockError
from tidelock.render import adoption as rendered
from tidelock.repo import project

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelock.app.apply import Run
    from tidelock.cli.output import Output
    from tidelock.cli.wiring import Asked
    from tidelock.core.adoption.match import History, Match
    from tidelock.core.model import Migration


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line said of an adoption."""

    tool: str = "auto"
    write: Path | None = None
    """Where Tidelock's files are to be written, from the tool's own in --dir."""
    repeatable: bool = False
    answers: Sequence[str] = ()
    yes: bool = False


def from_tool(asked: Asked, out: Output, wanted: Wanted) -> int:
    """Take over what another tool has recorded."""
    if wanted.write is None:
        return each_target(asked, out, "adopt", lambda run: take_over(run, out, wanted))
    try:
        [target] = wiring.targets(asked)
    except TidelockError as error:
        return out.fail(error, "adopt")
    source = target.directory
    # The tool's own files are none of ours: the run begins with those that are to be written.
    return one_target(
        replace(target, directory=Path(wanted.write)),
        asked,
        out,
        "adopt",
        lambda run: take_over(run, out, wanted, source),
        reads=False,
    )


def take_over(run: Run, out: Output, wanted: Wanted, source: Path | None = None) -> int:
    """Compare, show, ask; then write the files, if that was asked for, and record."""
    observed_ = run.database.observe()
    run.reader.target(observed_)
    history = adoption.choose(run, wanted.tool)
    files, new = list(run.files), []
    if source is not None and wanted.write is not None:
        project.refuse_filled(wanted.write)
        new = from_project(history, source, repeatable=wanted.repeatable)
        files = list(as_migrations(wanted.write, new))
        run.reader.files = files
    if not files:
        raise NoMigrations(run.directory)
    known = [version for version, entry in observed_.applied.items() if entry.checksum is not None]
    matches = adoption.settled(match.compare(files, history, known), wanted.answers)
    left_over = match.left_over(files, history)
    title = f"{history.tool.title} ({history.table})"
    if not out.json:
        out.show(rendered.text(run.database.target, title, matches, left_over), {})
        if any(each.original.sql is None for each in new):
            out.show(not_sql(new), {})
    adoption.check_known(run.database.target, history, matches)
    taken = finish(run, matches, wanted, history.tool.name, new, source)
    if taken is None:
        return 0
    done = f"{run.database.target}  {len(taken)} adopted from {title}. Nothing was executed; its table is as it was."
    numbers = [each.version for each in taken]
    out.show(done, rendered.data(run.database.target, title, matches, left_over, recorded=numbers, written=len(new)))
    return 0


def finish(
    run: Run, matches: Sequence[Match], wanted: Wanted, how: str, new: Sequence[Written], source: Path | None
) -> tuple[Migration, ...] | None:
    """Ask, write, record. None when a person said no."""
    count = sum(each.verdict is Verdict.APPLIED for each in matches)
    if any(each.verdict is Verdict.ASK for each in matches):
        return adoption.record(run, matches, how)  # raises: it says what is to be settled
    writes = f"write {len(new)} files to {wanted.write} and " if new else ""
    if not wanted.yes and not agreed(f"{run.database.target}: {writes}record {count} as applied, running none? "):
        print("nothing was recorded", file=sys.stderr)
        return None
    if new and source is not None and wanted.write is not None:
        project.write(source, wanted.write, new)
    return adoption.record(run, matches, how)


def from_project(history: History, source: Path, *, repeatable: bool) -> list[Written]:
    """The tool's migrations as Tidelock's files, those last that this database does not have."""
    tool = history.tool
    originals = [each for each in tool.read(project.files(source)) if repeatable or not each.repeatable]
    if not originals:
        raise project.NothingFound(source, tool.title)
    refuse_twice(tool.title, originals, tool.one)
    originals = project.with_sql(tool.name, source, originals)
    found = match.compare(as_migrations(source, written(tool.name, originals)), history, ())
    return written(tool.name, originals, {each.key for each in found if each.verdict is Verdict.PENDING})


def as_migrations(directory: Path, files: Sequence[Written]) -> tuple[Migration, ...]:
    """Files that are not written yet, read."""
    return migrations(SourceFile(f"{directory}/{each.name}", each.text.encode()) for each in files)


def not_sql(files: Sequence[Written]) -> str:
    """Which of them could not be turned into SQL, and why."""
    lines = [f"   {each.name}: {each.original.why_not}" for each in files if each.original.sql is None]
    return "\n".join(["", "not turned into SQL (each stops where it is not recorded as applied):", *lines])


def observe(asked: Asked, out: Output, wanted: Wanted) -> int:
    """Ask the catalog how much of each file is there."""

    def act(run: Run) -> int:
        seen = run.database.observe()
        run.reader.target(seen)
        if not run.files:
            raise NoMigrations(run.directory)
        scripts = [run.reader.script(each) for each in run.files]
        traces = observed.traces(scripts)
        states = run.database.states(each for trace in traces for each in trace.objects)
        known = {version for version, entry in seen.applied.items() if entry.checksum is not None}
        found = observed.judged(run.files, scripts, traces, states, known)
        matches = adoption.settled(found, wanted.answers)
        if not out.json:
            out.show(rendered.text(run.database.target, "the catalog", matches, ()), {})
        taken = finish(run, matches, wanted, "observe", (), None)
        if taken is None:
            return 0
        done = f"{run.database.target}  {len(taken)} adopted as found. Nothing was executed."
        numbers = [each.version for each in taken]
        out.show(done, rendered.data(run.database.target, "the catalog", matches, (), recorded=numbers, written=0))
        return 0

    return each_target(asked, out, "adopt", act)
