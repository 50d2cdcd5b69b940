"""Adoption of another tool's history: which one, what it says of each file, and what a person has settled."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from tidelock.core.adoption.match import State, Verdict, compare, was
from tidelock.core.adoption.tool import TOOLS, Style
from tidelock.core.renumbering import TOOL
from tidelock.errors import LedgerFault, UsageFault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidelock.app.apply import Run
    from tidelock.core.adoption.match import History, Match
    from tidelock.core.model import Migration


class NoHistory(LedgerFault):
    """The database has no table of the tool that was named, or of any."""

    code = "L030"

    def __init__(self, target: str, tool: str, looked_for: Mapping[str, tuple[str, ...]]) -> None:
        tables = ", ".join(f"{name} ({', '.join(each)})" for name, each in looked_for.items())
        super().__init__(
            f"{target}: there is no history of {tool}" if tool else f"{target}: no tool's history is there",
            hint="check the database and the role's rights; without any history, `tidelock adopt --observe` asks the "
            "catalog, and `tidelock adopt --up-to N` takes your word",
            detail=f"looked, in every schema, for {tables}",
        )


class SeveralHistories(LedgerFault):
    """More than one tool has a table here."""

    code = "L031"

    def __init__(self, target: str, histories: Sequence[History]) -> None:
        names = ", ".join(f"{each.tool.name} ({each.table}, {len(each.entries)} rows)" for each in histories)
        super().__init__(
            f"{target}: more than one history is there: {names}",
            hint=f"say which one counts: `tidelock adopt --from {histories[0].tool.name}`",
        )


class NeedsAnswer(LedgerFault):
    """Entries that are dirty, failed, doubtful or of an edited file, or a file that is partly there."""

    code = "L032"

    def __init__(self, target: str, open_: Sequence[Match]) -> None:
        super().__init__(
            f"{target}: {len(open_)} to be settled by a person; nothing was recorded",
            hint="look at the database, then say what is true: "
            f"`--settle {open_[0].migration.version}=applied` (or `=pending`), once for each",
            detail="\n".join(f"{each.migration.label:<32} {each.evidence}" for each in open_),
        )


class NothingKnown(LedgerFault):
    """A history with rows, of which not one is a file's."""

    code = "L035"

    def __init__(self, target: str, history: History, matches: Sequence[Match]) -> None:
        names = [each.key for each in matches if each.key][:3]
        super().__init__(
            f"{target}: {history.table} has {len(history.entries)} rows, and none is of these files; "
            "nothing was recorded",
            hint="point --dir at where the tool's own paths and numbers begin; when the files are all new, "
            f"say so: `--settle {matches[0].migration.version}=pending`",
            detail=f"its rows: {', '.join(each.key for each in history.entries[:3])} …\n"
            f"the files: {', '.join(names) or 'of another tool, or of none'} …",
        )


class BadAnswer(UsageFault):
    """--settle that is not VERSION=applied or VERSION=pending, or of a version that nobody asked about."""

    code = "U018"

    def __init__(self, text: str, why: str) -> None:
        super().__init__(f"--settle {text}: {why}", hint="write --settle 12=applied, or --settle 12=pending")


class UnknownTool(UsageFault):
    """--from names no tool."""

    code = "U020"

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(
            f"--from {name}: no such tool", hint=f"known: {', '.join(known)}; without a name: the one found"
        )


class NotAdopted(LedgerFault):
    """Another tool has applied files that are about to be applied."""

    code = "L033"

    def __init__(self, target: str, history: History, found: Sequence[Migration]) -> None:
        labels = ", ".join(each.label for each in found[:3])
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        super().__init__(
            f"{target}: {history.table} says that {history.tool.title} has applied {labels}{more} already",
            hint=f"take its history over first: `tidelock adopt --from {history.tool.name}`",
        )


def check_taken_over(run: Run, pending: Sequence[Migration]) -> None:
    """Refuse to apply what another tool has applied: files that say what they were, and a history that knows them."""
    tools = {found.tool for each in pending if (found := was(each))} - {TOOL}
    if not tools:
        return
    for history in run.database.histories():
        if history.tool.name in tools:
            said = run.database.journaled("settled")
            matches = compare(pending, history, said)
            if known := [each for each in matches if each.verdict in (Verdict.APPLIED, Verdict.ASK)]:
                raise NotAdopted(run.database.target, history, [each.migration for each in known])


def check_new_here(run: Run, pending: Sequence[Migration]) -> None:
    """Refuse to begin a ledger where another tool's history has numbers of these files, though they say nothing of it.

    Plain SQL of Flyway or sqlx is run as it is: without this, a forgotten adoption would apply all of it again.
    """
    said = run.database.journaled("settled")
    for history in run.database.histories():
        applied = [found for each in history.entries if (found := re.match(r"\d+", each.key))]
        numbers = {int(found[0]) for found in applied}
        reached = max(numbers, default=0) if history.tool.style is Style.REACHES else 0
        known = [each for each in pending if each.version in numbers or each.version <= reached]
        if known := [each for each in known if each.version not in said]:
            raise NotAdopted(run.database.target, history, known)


def choose(run: Run, tool: str) -> History:
    """The history that is meant: the one of this tool, or the only one. Raises when there is none, or several."""
    if tool != "auto" and tool not in TOOLS:
        raise UnknownTool(tool, list(TOOLS))
    histories = run.database.histories()
    wanted = [each for each in histories if tool in ("auto", each.tool.name)]
    if not wanted:
        raise NoHistory(
            run.database.target, "" if tool == "auto" else TOOLS[tool].title, run.database.histories_looked_for()
        )
    if len(wanted) > 1:
        raise SeveralHistories(run.database.target, wanted)
    return wanted[0]


def settled(matches: Sequence[Match], answers: Sequence[str]) -> list[Match]:
    """The matches with a person's answers put in. An answer may overrule what was found, not what the ledger has."""
    said = dict(answer(text) for text in answers)
    found = []
    for each in matches:
        verdict = said.pop(each.migration.version, None)
        if verdict is not None and each.verdict is Verdict.KNOWN:
            raise BadAnswer(f"{each.migration.version}={verdict}", "the ledger has that version already")
        evidence = f"settled by hand ({each.evidence})" if verdict else each.evidence
        found.append(replace(each, verdict=verdict or each.verdict, evidence=evidence, settled=bool(verdict)))
    for version, verdict in said.items():
        raise BadAnswer(f"{version}={verdict}", "no file has that version")
    return found


def check_known(target: str, history: History, matches: Sequence[Match]) -> None:
    """Refuse when all would be pending though the tool has applied something: then the names are read wrongly."""
    recorded = [each for each in history.entries if each.state is not State.BASELINE]
    said = any(each.settled or each.verdict is not Verdict.PENDING for each in matches)
    if recorded and matches and not said:
        raise NothingKnown(target, history, matches)


def answer(text: str) -> tuple[int, Verdict]:
    """`12=applied` in two."""
    version, _, word = text.partition("=")
    if not version.strip().isdigit() or word.strip() not in (Verdict.APPLIED, Verdict.PENDING):
        raise BadAnswer(text, "it is not VERSION=applied or VERSION=pending")
    return int(version), Verdict(word.strip())


def record(run: Run, matches: Sequence[Match], how: str) -> tuple[Migration, ...]:
    """Write ledger rows for what was applied. Raises NeedsAnswer while anything is open."""
    open_ = [each for each in matches if each.verdict is Verdict.ASK]
    if open_:
        raise NeedsAnswer(run.database.target, open_)
    taken = tuple(each.migration for each in matches if each.verdict is Verdict.APPLIED)
    pending = [each.migration for each in matches if each.verdict is Verdict.PENDING and each.settled]
    if taken or pending:
        read = [(file, run.reader.script(file)) for file in taken]
        highest = max(file.version for file in run.files)
        if run.database.promoted():
            run.database.observe()
        with run.database.lease([script for _, script in read], highest, {"adopt": how}):
            run.database.record_adopted(read, pending)
    return taken
