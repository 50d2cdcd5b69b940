"""Transactions (TX): where they begin and end, what they may hold, what outlives them.

What cannot be cut into steps at all is a fault of the script, with a code of its own, and a finding as such: BEGIN
without COMMIT (S040), CONCURRENTLY between BEGIN and COMMIT (S041), PREPARE TRANSACTION (S043), `\\c` to another
database than the one that tidelock.toml names (S022).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidelock.core.lint.compose import lines
from tidelock.core.lint.edit import insert_after, rewritten
from tidelock.core.lint.known import key
from tidelock.core.lint.rule import Remark, file_rule, rule
from tidelock.core.model import Place
from tidelock.core.patterns import regex
from tidelock.core.report import Severity
from tidelock.core.statement import Kind
from tidelock.core.step import Mode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tidelock.core.lint.look import File, Look
    from tidelock.core.statement import Statement
    from tidelock.core.step import Step


@file_rule(
    "TX001",
    "a file that is more than one transaction",
    Severity.NOTE,
    why="A statement that no transaction may hold, one that needs an earlier one committed, and a BEGIN of the file's "
    "own: Tidelock runs and records each part by itself. When a later part fails, the parts before it stay, the next "
    "run goes on where this one stopped, and the application sees the state in between.",
    fix="put such a statement into a file of its own",
)
def several_steps(file: File) -> Iterator[Remark]:
    """A file that is cut into steps."""
    steps = [each for each in file.steps if not all(one.facts.session_only for one in each.statements)]
    if len(steps) < 2 or not file.migration.transactional:
        return
    cut = next((number for number, each in enumerate(steps) if number and each.reason), None)
    at = 0 if steps[0].mode is Mode.ALONE else cut or 1
    reason = steps[at].reason or "a transaction of the file's own ends before it"
    stay = sum(len(each.statements) for each in steps[: max(at, 1)])
    yield Remark(
        message=f"{len(steps)} parts, as {reason}; if a later one fails, "
        f"{'the statement' if stay == 1 else f'the {stay} statements'} before it {'stays' if stay == 1 else 'stay'}",
        place=steps[at].statements[0].place,
    )


# --- BEGIN and COMMIT ------------------------------------------------------------------------------------------------

CONTROL = (Kind.BEGIN, Kind.COMMIT, Kind.ROLLBACK)


def opened_by(statements: Sequence[Statement]) -> Statement | None:
    """The BEGIN that is open after some statements."""
    begin = None
    for each in statements:
        if each.facts.kind is Kind.BEGIN:
            begin = begin or each
        elif each.facts.kind in CONTROL and "AND CHAIN" not in each.facts.command:
            begin = None
    return begin


@rule(
    "TX002",
    "BEGIN within a transaction",
    Severity.WARNING,
    why="PostgreSQL only warns (25001): there is still one transaction, and the first COMMIT ends all of it. What was "
    "meant to be undone by itself is not.",
    fix="take the second BEGIN and its COMMIT out; a part that may fail alone needs SAVEPOINT",
    kinds=(Kind.BEGIN,),
)
def nested_begin(look: Look) -> Iterator[str]:
    """A second BEGIN before the first COMMIT."""
    if open_ := opened_by(look.earlier):
        yield f"the transaction that line {open_.place.line} began is still open, and this begins none"


@rule(
    "TX003",
    "COMMIT or ROLLBACK without BEGIN",
    Severity.WARNING,
    why="PostgreSQL only warns (25P01), and nothing is committed or undone by it: psql has committed each statement "
    "already, and Tidelock commits at the end of the file.",
    fix="take it out, or write the BEGIN that it was meant for",
    kinds=(Kind.COMMIT, Kind.ROLLBACK),
)
def end_without_begin(look: Look) -> Iterator[str]:
    """An end of a transaction that the file has not begun."""
    if opened_by(look.earlier) is None:
        done = "undoes" if look.facts.kind is Kind.ROLLBACK else "commits"
        yield f"this {look.facts.command} {done} nothing: no BEGIN stands before it"


@file_rule(
    "TX004",
    "BEGIN and COMMIT around the whole file",
    Severity.NOTE,
    why="Tidelock runs a file in one transaction, and records it in the same one. A BEGIN and COMMIT of the file's own "
    "say that again.",
    fix="take both out",
    optional=True,
)
def needless_begin(file: File) -> Iterator[Remark]:
    """One transaction of the file's own that is all there is."""
    if len(file.steps) == 1 and (begin := file.steps[0].begin) and not file.steps[0].rolled_back:
        yield Remark(message="the file is one transaction without them", place=begin.place)


@rule(
    "TX005",
    "the file undoes its own work",
    Severity.WARNING,
    why="What stands between BEGIN and ROLLBACK is run and thrown away, on every database; the file counts as applied.",
    fix="write COMMIT; or take BEGIN, what follows, and ROLLBACK out",
    kinds=(Kind.ROLLBACK,),
)
def rolled_back(look: Look) -> Iterator[str]:
    """BEGIN … ROLLBACK."""
    if (begin := opened_by(look.earlier)) is None:
        return
    inside = look.number - 1 - look.earlier.index(begin)
    if inside:
        what = "the statement" if inside == 1 else f"each of the {inside} statements"
        yield f"{what} since line {begin.place.line} leaves nothing"


# --- what one transaction cannot hold --------------------------------------------------------------------------------


def own_step(look: Look) -> Step | None:
    """The BEGIN … COMMIT of the file that the statement stands in. Elsewhere Tidelock cuts where it must."""
    if not look.file.controlled:
        return None
    return look.step if look.step and look.step.mode is Mode.OWN else None


@rule(
    "TX006",
    "a new enum value is used in the transaction that adds it",
    Severity.ERROR,
    why="Until ALTER TYPE … ADD VALUE is committed the value cannot be used: 55P04. (Without a BEGIN of its own a file "
    "is cut there.)",
    fix="COMMIT between the two; or take BEGIN and COMMIT out, and Tidelock cuts the file there",
)
def new_value_used(look: Look) -> Iterator[str]:
    """A value that this BEGIN has added, in a later statement of it."""
    if own_step(look) is None or look.facts.new_enum_values:
        return
    made = {key(each.name) for one in look.together for each in one.facts.actions if each.what == "create type"}
    for before in look.together:
        for name, value in before.facts.new_enum_values:
            if key(name) not in made and f"'{value}'" in look.text:
                yield f"'{value}' of {name} cannot be used before line {before.place.line} is committed"


@rule(
    "TX007",
    "ALTER TABLE after rows whose deferred constraints are still to be checked",
    Severity.ERROR,
    why="A row that was written under a constraint that is INITIALLY DEFERRED is checked at COMMIT, and until then "
    "ALTER TABLE, CREATE INDEX and TRUNCATE of its table fail: 55006. (Without a BEGIN of its own a file is cut "
    "there.)",
    fix="SET CONSTRAINTS ALL IMMEDIATE before it; or COMMIT between the two",
    kinds=(Kind.DDL,),
)
def pending_checks(look: Look) -> Iterator[Remark]:
    """DDL of a table with rows that wait to be checked."""
    if own_step(look) is None:
        return
    now = max((at for at, each in enumerate(look.together) if each.facts.sets == "constraints"), default=-1)
    written = {key(table) for each in look.together[now + 1 :] for table in each.facts.writes}
    changed = {key(each.qualified) for each in (*look.facts.alters, *look.facts.drops)}
    changed |= {key(each.table) for each in look.facts.locks if each.mode == "AccessExclusive"}
    for name in sorted(written & changed):
        table = look.known.table(name)
        if table and any(each.deferred for each in table.constraints):
            yield Remark(
                message=f"rows of {name} that this transaction wrote are not checked yet, so this is refused",
                rewrite=lines("SET CONSTRAINTS ALL IMMEDIATE", look.text),
            )


@rule(
    "TX008",
    "the isolation level is set too late",
    Severity.ERROR,
    why="SET TRANSACTION ISOLATION LEVEL fails after the first query of a transaction: 25001.",
    fix="make it the first statement behind BEGIN",
    on=("set",),
)
def late_isolation(look: Look) -> Iterator[str]:
    """SET TRANSACTION ISOLATION LEVEL after something has run."""
    if look.facts.sets != "transaction" or not re.search(r"\bISOLATION\b", look.text, re.IGNORECASE):
        return
    if look.step and look.step.in_vain(look.statement):
        return
    for before in look.together:
        if before.facts.kind not in (Kind.SESSION, Kind.SAVEPOINT):
            yield f"line {before.place.line} ({before.facts.command}) runs in the same transaction before it"
            return


# --- settings --------------------------------------------------------------------------------------------------------


ELSEWHERE = ("session characteristics", "search_path")
"""SET SESSION CHARACTERISTICS is meant for the session; of search_path HY009 speaks."""


@rule(
    "TX009",
    "SET outlives its transaction",
    Severity.NOTE,
    why="SET without LOCAL holds for the session: for what stands behind COMMIT, and through PgBouncer in transaction "
    "mode for whichever client gets the connection next.",
    fix="use SET LOCAL",
    on=("set",),
)
def session_setting(look: Look) -> Iterator[Remark]:
    """SET between BEGIN and COMMIT. Elsewhere SET LOCAL has no effect, as under psql."""
    if look.step is None or look.step.mode is not Mode.OWN:
        return
    for each in look.actions("set"):
        if "local" in each.flags or not look.facts.session or each.name in ELSEWHERE:
            continue
        session = re.match(r"\s*SET\s+SESSION\b", look.text, re.IGNORECASE)
        edit = None if session else insert_after(look.text, "SET", " LOCAL")
        yield Remark(
            message=f"{each.name} stays set for the session, after the file's transaction too",
            rewrite=rewritten(look.text, edit) if edit else "",
        )


@rule(
    "TX010",
    "SET LOCAL that ends before it does anything",
    Severity.WARNING,
    why="SET LOCAL ends with its transaction, and outside of BEGIN … COMMIT with itself, as under psql: what follows "
    "runs with the setting as it was.",
    fix="use SET, and RESET behind the statement that it is for; or write BEGIN and COMMIT around both",
    on=("set",),
)
def local_in_vain(look: Look) -> Iterator[str]:
    """SET LOCAL outside of the file's own transaction, or as the last thing of one."""
    if "SET LOCAL" not in look.facts.command or look.step is None:
        return
    statements = look.step.statements
    behind = statements[statements.index(look.statement) + 1 :]
    if look.step.in_vain(look.statement) or all(each.facts.kind is Kind.SESSION for each in behind):
        for each in look.actions("set"):
            yield f"{each.name} is as it was again before the next statement that does something"


@rule(
    "TX011",
    "a limit on waiting is switched off",
    Severity.WARNING,
    why="While a statement waits for a lock, everyone who comes later waits behind it: without lock_timeout as long as "
    "the longest transaction before it lasts. Tidelock sets a short one, and tries again.",
    fix="leave it out; where a longer one is needed, say how long",
    on=("set",),
)
def endless(look: Look) -> Iterator[str]:
    """SET lock_timeout = 0."""
    for each in look.actions("set"):
        if each.name == "lock_timeout" and each.names and re.fullmatch(r"0\s*(ms|s|min|h|d)?", each.names[0]):
            yield "from here on it waits for locks without end, and everyone behind it"


# --- code ------------------------------------------------------------------------------------------------------------


@rule(
    "TX012",
    "CONCURRENTLY or VACUUM in a DO block or function",
    Severity.ERROR,
    why="Each commits between its parts, which nothing within a function can: 25001, always.",
    fix="write it as a statement of its own",
    on=("create index", "drop index", "reindex", "vacuum", "vacuum full", "detach partition"),
)
def never_in_code(look: Look) -> Iterator[str]:
    """CREATE INDEX CONCURRENTLY and its like in a body."""
    if look.facts.command != "DO":
        return
    for each in look.facts.actions:
        if each.what.startswith("vacuum"):
            yield f"{each.what.upper()} is refused in a DO block or function"
        elif "concurrently" in each.flags and each.what in COMMITTING:
            yield f"{COMMITTING[each.what]} CONCURRENTLY is refused in a DO block or function"


COMMITTING = {
    "create index": "CREATE INDEX",
    "drop index": "DROP INDEX",
    "reindex": "REINDEX",
    "detach partition": "DETACH PARTITION",
}

CONNECTS = regex(r"^[ \t]*\\c(?:onnect)?[ \t]+(?!-[ \t;]*$)(?P<name>[^\s;:]+)", re.MULTILINE)


@file_rule(
    "TX013",
    "\\\\c in the middle of a file",
    Severity.WARNING,
    why="A file is of one database, that of its target: \\\\c to any other is refused (S022), as what follows could be "
    "neither rolled back nor recorded with what stands before it. \\\\c to the same one does nothing.",
    fix="take it out; what is meant for another database belongs to a directory and target of its own",
)
def connects(file: File) -> Iterator[Remark]:
    """\\c NAME below a statement."""
    text = file.migration.text
    for found in CONNECTS.finditer(text) if "\\c" in text and file.statements else ():
        line = text.count("\n", 0, found.start()) + 1
        spans = [(each.place.line, max(each.end_line, each.place.line)) for each in file.statements]
        if spans[0][1] < line and not any(first <= line <= last for first, last in spans):
            place = Place(file.migration.path, line)
            yield Remark(message=f"what follows is for {found['name']}, and what stands before it was not", place=place)
