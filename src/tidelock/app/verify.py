"""Verify: is the live database what the files and the application count on? Changes nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidelock.app.status import look
from tidelock.core.check import Check, Flaw
from tidelock.core.critical import Footing
from tidelock.core.model import Outcome
from tidelock.errors import TidelockError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.app.apply import Run
    from tidelock.app.status import Standing
    from tidelock.core.model import Observed

PRIMARY_KEY = re.compile(r"\bPRIMARY\s+KEY\b", re.IGNORECASE)


def verify(run: Run) -> list[Check]:
    """Every check, each ok or with what mends it."""
    found = look(run)
    return [
        *([critical_tables(found)] if run.critical else []),
        files(run),
        ledger(found, whole=not run.left_out),
        interrupted(found.observed),
        *run.database.soundness(list(keyed(run, found))),
        *run.more_checks(found.observed),
    ]


def critical_tables(found: Standing) -> Check:
    """They are there, with their columns, and stand on their migration."""
    flaws = []
    for each in found.critical:
        if each.footing is Footing.MISSING:
            flaws.append(Flaw(what=each.told, mend="tidelock apply"))
        elif each.footing is Footing.FALLBACK:
            flaws.append(Flaw(what=each.told, mend="mend that migration, then: tidelock apply"))
    return Check(name="critical tables", about=f"{len(found.critical)} tables", flaws=tuple(flaws))


def files(run: Run) -> Check:
    """Each file can be read, and has a number of its own."""
    flaws = tuple(Flaw(what=f"{each.code} {each.message}", mend=each.hint) for each in run.left_out)
    return Check(name="files", about=f"{len(run.files)} files" + (", and others" if flaws else ""), flaws=flaws)


def ledger(found: Standing, *, whole: bool) -> Check:
    """Files and ledger agree. What is pending is no flaw: it is what `apply` is for.

    Without the `whole` of the files only edits are looked for: which version has no file cannot be told.
    """
    pending = f", {len(found.pending)} pending" if found.pending else ""
    pending += "" if whole else "; only edits are looked for while files are wrong"
    flaws = tuple(Flaw(what=f"{each.code} {each.message}", mend=each.hint) for each in found.trouble)
    return Check(name="ledger and files", about=f"{len(found.observed.applied)} applied{pending}", flaws=flaws)


def interrupted(observed: Observed) -> Check:
    """Nothing is left of a run that was cut off."""
    flaws = [
        Flaw(
            what=f"version {record.version}: step {record.step} was started and its end is not known: "
            f"{' '.join(record.statement.split())[:80]}",
            mend="tidelock apply (it asks the catalog), or tidelock recover",
        )
        for records in observed.unfinished.values()
        for record in records
        if record.outcome is Outcome.STARTED
    ]
    if not observed.clean:
        flaws.append(Flaw(what="a run is at work, or one died without giving its turn back", mend="tidelock apply"))
    return Check(name="interrupted runs", about="journal and lease", flaws=tuple(flaws))


def keyed(run: Run, found: Standing) -> Iterator[tuple[str, str]]:
    """(table, place) of those that an applied file creates with a primary key."""
    for file in found.files:
        if file.version not in found.observed.applied or not PRIMARY_KEY.search(file.text):
            continue
        try:
            script = run.reader.script(file)
        except TidelockError:
            continue  # the ledger's check has told of it
        for each in script.statements:
            if each.facts.command == "CREATE TABLE" and PRIMARY_KEY.search(each.text):
                yield from ((made.qualified, str(each.place)) for made in each.facts.creates if made.kind == "table")
