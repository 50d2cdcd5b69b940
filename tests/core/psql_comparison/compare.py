"""One file: what psql sends, and what the reader reads."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidelock.core.script import Reader, normalised
from tidelock.core.script_faults import ScriptFault
from tidelock.core.session import session
from tidelock.core.statement import Ending, Statement, Variable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.core.psql_comparison.recorder import Recorder, Recording
    from tests.rig.installation import Installation

PSQL_ONLY = re.compile(r"\s*\\set (FETCH_COUNT|ON_ERROR_STOP)")
"""psql would read results through a cursor (other queries, the same meaning), or stop at the first error."""
GDESC = 'SELECT name AS "Column", pg_catalog.format_type(tp, tpm) AS "Type"'
"""What \\gdesc asks, with the answer to the query's description in it."""
TIMEOUT_S = 60.0
BLANK = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|;)*")
SETTINGS = "-c statement_timeout=5s -c lock_timeout=1s -c client_min_messages=error"


@dataclass
class Outcome:
    """What comparing one file gave."""

    path: str
    same: int = 0
    """Statements that psql sends and the reader reads alike."""
    texts: set[str] = field(default_factory=set)
    """Their texts, to count how many are different."""
    copies: int = 0
    """… of which COPY … FROM STDIN with their data."""
    difference: str = ""
    removed: list[str] = field(default_factory=list)
    """Lines taken out for both, because the reader refuses them: their codes."""
    left_out: str = ""
    """Why the rest of the file cannot be compared."""


def reading(path: str, text: str) -> tuple[list[Statement], ScriptFault | None, str]:
    """The reader's statements, the fault that ended them, and why they are not all that psql sends."""
    shared = session(path, variables={}, load=None, database=None, specials={})
    fault = None
    try:
        Reader(shared, path, text).run()
    except ScriptFault as error:
        fault = error
    first = next((index for index, item in enumerate(shared.items) if getattr(item, "guards", ())), None)
    statements = [item for item in shared.items[:first] if isinstance(item, Statement)]
    return statements, fault, "" if first is None else "behind an \\if on a query's result"


def without_refused_lines(path: str, text: str) -> tuple[str, list[str]]:
    """The file without the lines that the reader refuses: they would run programs, or change how psql works."""
    removed: list[str] = []
    lines = normalised(text).split("\n")
    for index, line in enumerate(lines):
        if stopping := PSQL_ONLY.match(line):
            lines[index] = ""
            removed.append(stopping[1])
    while len(removed) < 200:
        _, fault, _ = reading(path, "\n".join(lines))
        if fault is None or fault.code == "S031" or "has no \\endif" in fault.message:
            break
        lines[fault.place.line - 1] = ""
        removed.append(fault.code)
    return "\n".join(lines), removed


def blank(text: str, pos: int) -> int:
    """Behind blanks, comments and semicolons."""
    while True:
        start = pos
        if match := BLANK.match(text, pos):
            pos = match.end()
        if text.startswith("/*", pos):
            depth = 0
            for edge in re.compile(r"/\*|\*/").finditer(text, pos):
                depth += 1 if edge.group() == "/*" else -1
                if depth == 0:
                    pos = edge.end()
                    break
            else:
                return len(text)
        if pos == start:
            return pos


def lines_joined(text: str) -> str:
    """psql leaves empty lines out, and the reader keeps them."""
    return re.sub(r"\n+", "\n", text.replace("\r\n", "\n"))


def pattern(statement: Statement) -> re.Pattern[str]:
    """What psql may send for it: what only run time knows is anything, up to the words behind it."""
    pieces = statement.pieces or (statement.text,)
    words = ("(?s:.*?)" if isinstance(each, Variable) else re.escape(lines_joined(each)) for each in pieces)
    return re.compile("".join(words) + ("(?s:.*)" if isinstance(pieces[-1], Variable) else ""))


def is_sent_as(group: Sequence[Statement], query: str) -> bool:
    """Whether a query is these statements, with nothing but blanks and comments around them."""
    query = lines_joined(query)
    if query.startswith("COPY  "):  # \\copy: psql spaces its words in its own way
        return "".join(query.split()).rstrip(";") == "".join(group[-1].text.split())
    pos = blank(query, 0)
    for statement in group:
        match = pattern(statement).match(query, 0 if statement.text.startswith("/*+") else pos)
        if match is None:
            return False
        pos = blank(query, match.end())
    return pos == len(query)


def groups(statements: Sequence[Statement]) -> list[list[Statement]]:
    """Statements that are sent together, because `\\;` stands between them."""
    found: list[list[Statement]] = [[]]
    for statement in statements:
        found[-1].append(statement)
        if statement.ending is not Ending.SEPARATOR:
            found.append([])
    return [each for each in found if each]


def record(
    programs: Installation, recorder: Recorder, file: Path, *, database: str = "postgres", variables: Mapping[str, str]
) -> Recording:
    """Run psql on a file and return what it sent."""
    recording = recorder.fresh()
    command = [programs.program("psql"), "-X", "-q", "-h", "127.0.0.1", "-p", str(recorder.port), "-U", "postgres"]
    # psql's own catalog queries (\d) are not sent. Everything else psql does as it always does.
    command += ["-d", database, "-v", "ECHO_HIDDEN=noexec", "-f", file.name]
    for name, value in variables.items():
        command += ["-v", f"{name}={value}"]
    environment = {
        "PATH": "/nonexistent", "SHELL": "/bin/false", "PAGER": "", "PGOPTIONS": SETTINGS, "PGCLIENTENCODING": "UTF8",
        "PGSSLMODE": "disable", "PGGSSENCMODE": "disable", "HOME": str(file.parent), "LC_ALL": "C.UTF-8",
        "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", ""),
    }  # fmt: skip
    done = subprocess.run(
        command,
        cwd=file.parent,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    recording.lost = done.returncode == 2
    if recording.lost and not recording.connected:
        raise RuntimeError(f"psql could not connect: {done.stderr.decode(errors='replace')}")
    return recording


def compare(programs: Installation, recorder: Recorder, source: Path, folder: Path) -> Outcome:
    """Compare one file. psql gets the same text as the reader, and goes on after errors."""
    outcome = Outcome(str(source))
    try:
        original = source.read_bytes().decode()
    except UnicodeDecodeError:
        outcome.left_out = "not UTF-8"
        return outcome
    text, outcome.removed = without_refused_lines(source.name, original)
    statements, _, outcome.left_out = reading(source.name, text)
    if len(outcome.removed) >= 200:
        outcome.left_out = "more than 200 refused lines"
        return outcome
    file = folder / "script.sql"
    file.write_text(text, encoding="utf-8", newline="")
    try:
        recording = record(programs, recorder, file, variables={})
    except subprocess.TimeoutExpired:
        outcome.left_out = f"psql ran for more than {TIMEOUT_S:.0f} s"
        return outcome
    match_all(groups(statements), recording, outcome)
    return outcome


def match_all(wanted: list[list[Statement]], recording: Recording, outcome: Outcome) -> None:
    """Go through both lists side by side, to the first difference."""
    sent = [
        (index, query)
        for index, query in enumerate(recording.queries)
        if blank(query, 0) < len(query) and not query.startswith(GDESC)
    ]
    for number, group in enumerate(wanted):
        if number >= len(sent) and recording.lost:
            outcome.left_out = "behind a statement that cost the connection"
            return
        if number >= len(sent):
            outcome.difference = f"{group[0].place}: psql did not send\n{group[0].text[:300]}"
            return
        index, query = sent[number]
        if not is_sent_as(group, query):
            if group[0].pieces and isinstance(group[0].pieces[0], Variable):
                outcome.left_out = "behind a variable that a query fills with whole statements"
                return
            read = " \\; ".join(each.text for each in group)
            outcome.difference = f"{group[0].place}: psql sent\n{query[:600]}\n--- and the reader read\n{read[:600]}"
            return
        data = "".join(each.copy_data or "" for each in group)
        if index in recording.copied and same_data(recording.copied[index].decode(), data) is False:
            outcome.difference = f"{group[0].place}: other COPY data\n{recording.copied[index][:200]!r}\n{data[:200]!r}"
            return
        outcome.same += len(group)
        outcome.texts.update(each.tokens for each in group)
        outcome.copies += index in recording.copied
        if group[-1].ending is Ending.GEXEC:
            outcome.left_out = "behind \\gexec"
            return
    if len(sent) > len(wanted) and not outcome.left_out:
        outcome.difference = f"psql sent {len(sent) - len(wanted)} more:\n{sent[len(wanted)][1][:600]}"


def same_data(sent: str, read: str) -> bool:
    """psql before 18 sends the closing `\\.` along."""
    sent = sent.replace("\r\n", "\n")
    return read in (sent, re.sub(r"(?m)^\\\.(?:\n|\Z)", "", sent))
