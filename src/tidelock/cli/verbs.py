"""What the verbs do, target by target; each returns an exit code."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tidelock.app import apply as application
from tidelock.cli import wiring
from tidelock.core.planner import NoMigrations
from tidelock.errors import PassingFault, SourceFault, TidelockError, UsageFault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tidelock.app.apply import Run
    from tidelock.app.ports import Sink
    from tidelock.cli.adopting import Wanted
    from tidelock.cli.output import Output
    from tidelock.cli.wiring import Asked
    from tidelock.config import Target
    from tidelock.core.model import Observed, Plan
    from tidelock.core.report import Finding


NEED_CRITICAL = ("apply", "plan", "verify")
"""Commands that count on the entries of [[critical]]. Not `wait`: it looks at tables alone, in an image of the
application that needs neither scripts nor migrations."""


class UnreadableElsewhere(SourceFault):
    """Nothing is run against a database, because another one of the project has files that cannot be read."""

    code = "S046"

    def __init__(self, target: str, other: str, fault: SourceFault) -> None:
        super().__init__(
            f"{target} is left as it is: files of {other} cannot be read ({fault.code})",
            hint=f"mend them; `--database NAME` applies one database alone, whatever the files of {other} are",
            detail=fault.message,
        )


class FirstLook:
    """Whether all databases of a project have files that can be read; asked once, when the first is at hand."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.found: tuple[str, SourceFault] | None = None
        self.looked = False

    def refusal(self, run: Run) -> TidelockError | None:
        """Why nothing is run, when the files of another database are wrong."""
        targets = wiring.targets(self.asked)
        if len(targets) > 1 and not self.looked:
            self.looked = True
            self.found = next((found for each in targets if (found := fault_in_files(each, self.asked))), None)
        if self.found is None or self.found[0] == run.database.target:
            return None
        return UnreadableElsewhere(run.database.target, *self.found)


def fault_in_files(target: Target, asked: Asked) -> tuple[str, SourceFault] | None:
    """A database, and what is wrong with the files that it has not got yet. What else may be wrong is told in turn."""
    from tidelock.app.sinks import Silent
    from tidelock.core.steps import steps_of
    from tidelock.postgres.connection import DatabaseMissing

    run: Run | None = None
    try:
        run = wiring.run_of(replace(target, wait_s=0.0), replace(asked, create_database=False), Silent())
        try:
            observed, _ = run.known_anew(run.database.observe())
            run.decide(observed)
        except DatabaseMissing:
            for file in run.files:
                steps_of(file, run.reader.script(file))
    except SourceFault as fault:
        return (run.database.target if run else target.name), fault
    except TidelockError:
        pass
    finally:
        if run is not None:
            run.database.close()
    return None


def each_target(asked: Asked, out: Output, command: str, act: Callable[[Run], int]) -> int:
    """Do something for every target; a fault of one does not keep the others from their turn.

    Returns the first code that is not 0, a lasting one before a passing one.
    """
    try:
        asked = wiring.settled(asked, out.sink)
        targets = wiring.targets(asked)
    except TidelockError as error:
        return out.fail(error, command)
    codes = [one_target(target, asked, out, command, act) for target in targets]
    return next((code for code in codes if code not in (0, 75)), max(codes))


def one_target(
    target: Target, asked: Asked, out: Output, command: str, act: Callable[[Run], int], *, reads: bool = True
) -> int:
    """Do something for one target, and close what it opened. Without `reads` its directory need not be there yet."""
    sink = out.sink()
    run: Run | None = None
    try:
        run = run_or_fallback(target, asked, sink, command, reads=reads)
        return act(run)
    except TidelockError as error:
        sink.close()
        return out.fail(error, command, run.database.target if run else "")
    finally:
        sink.close()
        if run is not None:
            run.database.close()


def run_or_fallback(target: Target, asked: Asked, sink: Sink, command: str, *, reads: bool) -> Run:
    """A run; when its files cannot be read and there are critical tables, `apply` still looks after those.

    `verify` goes on with the files that can be read.

    A [[critical]] that cannot be used is refused first, while nothing has happened: else it would come out on the day
    on which the fallback is needed. Files that cannot be read say nothing about the versions that it names.
    """
    concerned = target.critical if command in NEED_CRITICAL else ()
    if concerned:
        from tidelock.repo import critical

        critical.refuse_scripts(concerned)
    try:
        run = wiring.run_of(target, asked, sink, reads=reads)
    except TidelockError as error:
        wiring.refuse_changed(asked)
        if command == "verify" and isinstance(error, SourceFault):
            return wiring.run_in_part(target, asked, sink)
        if command != "apply" or not concerned:
            raise
        run = wiring.run_of(target, asked, sink, reads=False)
        run.failure = error
    else:
        wiring.refuse_changed(asked)
        if concerned:
            critical.refuse_migrations(concerned, [file.version for file in run.files])
    return run


def apply(asked: Asked, out: Output, *, start_on_fallback: bool = False) -> int:
    """`tidelock apply`. The files of all databases are read before the first is changed."""
    first = FirstLook(asked)

    def act(run: Run) -> int:
        run.start_on_fallback = start_on_fallback
        run.failure = run.failure or first.refusal(run)
        report = application.apply(run)
        run.sink.close()
        out.end(report)
        from tidelock.core.report import exit_code

        return exit_code(report)

    return each_target(asked, out, "apply", act)


def plan(asked: Asked, out: Output, *, exit_code: bool) -> int:
    """`tidelock plan`."""
    from tidelock.render import json
    from tidelock.render.plan import plan_text

    def act(run: Run) -> int:
        if not run.files:
            raise NoMigrations(run.directory)
        observed, _ = run.known_anew(run.database.observe())
        decided = run.decide(observed)
        found, refusal = examined(run, decided, observed)
        target = run.database.target
        dangers = run.endangered(decided) if decided.pending else None
        told = plan_text(decided, target, server(observed), dangers, backed_up=run.backs_up)
        text = "\n".join([told, *(f"{each.code} {each.message}" for each in found)])
        out.show(text, json.plan(decided, target, found, refusal, dangers if run.backs_up else None))
        if refusal is not None:
            return refusal.exit_code if out.json else out.fail(refusal, "plan", target)
        return 1 if exit_code and decided.pending else 0

    return each_target(asked, out, "plan", act)


def examined(run: Run, decided: Plan, observed: Observed) -> tuple[Sequence[Finding], TidelockError | None]:
    """What the live database shows to be known of a plan, and why it must not run there."""
    try:
        return run.examine(decided, observed), None
    except TidelockError as refusal:
        return (), refusal


def server(observed: Any) -> str:
    """`PostgreSQL 16.4, TimescaleDB 2.24.0`."""
    words = f"PostgreSQL {observed.server_version // 10000}.{observed.server_version % 10000}"
    timescale = observed.extensions.get("timescaledb")
    return f"{words}, TimescaleDB {timescale}" if timescale else words


def status(asked: Asked, out: Output, *, history: int | None, exit_code: bool) -> int:
    """`tidelock status`."""

    def act(run: Run) -> int:
        from tidelock.app.status import look

        found = look(run)
        journal = run.database.history(history) if history else None
        from tidelock.render import standing

        if out.terminal:
            from tidelock.cli.terminal import show_standing

            show_standing(found, journal)
        else:
            out.show(standing.text(found, journal), standing.data(found, journal))
        return 1 if exit_code and found.pending else 0

    return each_target(asked, out, "status", act)


def recover(asked: Asked, out: Output, *, mark_done: bool, retry: bool) -> int:
    """`tidelock recover`."""
    from tidelock.app.recover import look, outlook, running, settle
    from tidelock.render import standing

    if mark_done and retry:
        return out.fail(Contradiction("--mark-done", "--retry"), "recover")

    def act(run: Run) -> int:
        found = settle(run, done=mark_done) if mark_done or retry else look(run)
        decision = "recorded as done" if mark_done else "will be run again by `tidelock apply`" if retry else ""
        now = running(run, found) if found is not None and not decision else ""
        goes_on, why = (True, "") if found is None or decision else (False, now) if now else outlook(run, found)
        out.show(
            standing.interrupted_text(found, run.database.target, decision, goes_on=goes_on, why=why, runs=bool(now)),
            standing.interrupted_data(found, decision, goes_on=goes_on, why=f"it runs now: {now}" if now else why),
        )
        return 0 if goes_on else PassingFault.exit_code if now else 4

    return each_target(asked, out, "recover", act)


def verify(asked: Asked, out: Output) -> int:
    """`tidelock verify`."""

    def act(run: Run) -> int:
        from tidelock.app.verify import verify as checked
        from tidelock.core.report import VERIFICATION_FAILED
        from tidelock.render import check

        found = checked(run)
        out.show(check.text(run.database.target, found), check.data(run.database.target, found))
        return 0 if all(each.ok for each in found) else VERIFICATION_FAILED

    return each_target(asked, out, "verify", act)


def wait(asked: Asked, out: Output, *, version: int | None) -> int:
    """`tidelock wait`."""

    def act(target: Target) -> int:
        from tidelock.app.patience import Patience
        from tidelock.app.wait import wait as waited
        from tidelock.render.json import SCHEMA

        sink = out.sink()
        run = wiring.run_of(target, asked, sink, reads=False)
        try:
            came = waited(run, version, Patience(target.wait_s))
        finally:
            sink.close()
            run.database.close()
        found = {"schema": SCHEMA, "command": "wait", "target": run.database.target, "came": came}
        out.show(f"{run.database.target}  {came}.", found)
        return 0

    try:
        return max(act(target) for target in wiring.targets(asked))
    except TidelockError as error:
        return out.fail(error, "wait")


class Contradiction(UsageFault):
    """Two options that exclude each other."""

    code = "U007"

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} and {other} exclude each other", hint="pass one of them")


class NeedsYes(UsageFault):
    """A question, and nobody there to answer it."""

    code = "U008"

    def __init__(self, question: str) -> None:
        super().__init__(f"{question}, and nobody is at the terminal to say yes", hint="pass --yes")


def adopt(asked: Asked, out: Output, wanted: Wanted, *, tool: bool, observe: bool, up_to: int | None) -> int:
    """`tidelock adopt`, one of its three ways."""
    from tidelock.cli import adopting

    ways = [name for name, given in (("--from", tool), ("--observe", observe), ("--up-to", up_to is not None)) if given]
    if len(ways) > 1:
        return out.fail(Contradiction(ways[0], ways[1]), "adopt")
    if up_to is not None:
        return adopt_up_to(asked, out, up_to=up_to, yes=wanted.yes)
    return adopting.observe(asked, out, wanted) if observe else adopting.from_tool(asked, out, wanted)


def adopt_up_to(asked: Asked, out: Output, *, up_to: int, yes: bool) -> int:
    """`tidelock adopt --up-to N`."""
    from tidelock.app.adopt import adopt as adoption
    from tidelock.app.adopt import candidates
    from tidelock.render import json

    def act(run: Run) -> int:
        wanted = candidates(run, up_to)
        shown = "\n".join(f"   {each.label}" for each in wanted)
        if not yes and not agreed(
            f"{run.database.target}: record {len(wanted)} as applied without running them?\n{shown}\n"
        ):
            return 0
        report, taken = adoption(run, up_to)
        if report.failure is None:
            out.show(
                f"{run.database.target}  {len(taken)} adopted, up to {up_to}. Nothing was executed.",
                {**json.report(report), "adopted": [each.version for each in taken]},
            )
            return 0
        raise report.failure

    return each_target(asked, out, "adopt", act)


def agreed(question: str) -> bool:
    """Ask a person. Raises NeedsYes when there is none."""
    if not sys.stdin.isatty():
        raise NeedsYes(question.splitlines()[0].strip().rstrip("?"))
    return input(f"\n{question}[y/N] ").strip().lower() in ("y", "yes")


def new(asked: Asked, out: Output, description: str, templates: Mapping[str, str], *, timestamp: bool) -> int:
    """`tidelock new`."""
    from tidelock.render.json import SCHEMA
    from tidelock.repo.scaffold import create

    try:
        path = create(one_directory(asked), description, templates, timestamp=timestamp)
    except TidelockError as error:
        return out.fail(error, "new")
    out.show(path, {"schema": SCHEMA, "command": "new", "path": path})
    return 0


def new_fallback(asked: Asked, out: Output, table: str) -> int:
    """`tidelock new --critical TABLE`."""
    from tidelock.app.reading import Reader
    from tidelock.core.source import migrations
    from tidelock.render.json import SCHEMA
    from tidelock.repo import directory, fallback

    try:
        folder = one_directory(asked)
        files = migrations(directory.files(folder))
        reader = Reader(files, load=lambda path: directory.load_beside(folder, path))
        scripts = [(file, reader.script(file)) for file in files]
        names = {each.name for each in wiring.targets(asked)}
        database = names.pop() if len(names) == 1 else ""
        made = fallback.create(folder, table, scripts, project=wiring.project(asked, folder), database=database)
    except TidelockError as error:
        return out.fail(error, "new")
    shown = {"schema": SCHEMA, "command": "new", "path": made.path, "setting": made.setting}
    out.show(f"{made.path}\n\nadd to tidelock.toml:\n\n{made.setting}", {**shown, "warnings": list(made.warnings)})
    for warning in made.warnings if not out.json else ():
        print(f"! {made.path}: {warning}", file=sys.stderr)
    return 0


def one_directory(asked: Asked) -> Path:
    """The directory that a file is to be made in. Raises when there are several, and nobody said which."""
    targets = wiring.targets(asked)
    if len({each.directory for each in targets}) > 1:
        raise WhichDatabase([each.name for each in targets])
    return targets[0].directory


class WhichDatabase(UsageFault):
    """A file is to be made, and there are several directories."""

    code = "U015"

    def __init__(self, names: list[str]) -> None:
        super().__init__(
            f"tidelock.toml has several databases, each with a directory of its own: {', '.join(names)}",
            hint=f"say for which one: `--database {names[0]}`",
        )


def explain(code: str, out: Output) -> int:
    """`tidelock explain CODE`."""
    from tidelock.cli.explanation import page
    from tidelock.render.json import SCHEMA

    try:
        shown = page(code)
    except TidelockError as error:
        return out.fail(error, "explain")
    if out.terminal:
        from tidelock.cli.terminal import show_page

        show_page(shown)
    else:
        out.show(shown, {"schema": SCHEMA, "command": "explain", "code": code.upper(), "page": shown})
    return 0
