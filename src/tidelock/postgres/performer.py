"""Performs a script's items one by one, as psql does, and tells what the server answers."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from psycopg.pq import ExecStatus

from tidelock.core.facts import transaction_control
from tidelock.core.model import Place
from tidelock.core.patterns import regex
from tidelock.core.report import Happening
from tidelock.core.secrets import masked
from tidelock.core.statement import Echo, Ending, Quit, Statement
from tidelock.core.step import Mode
from tidelock.core.steps import RuntimeTransaction
from tidelock.postgres import failures
from tidelock.postgres.failures import caret
from tidelock.postgres.mending import sending
from tidelock.postgres.session import BatchFailed, rows_of
from tidelock.postgres.variables import Variables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from psycopg.pq.abc import PGresult

    from tidelock.core.statement import Guard, Item
    from tidelock.core.step import Step
    from tidelock.postgres.session import Rows
    from tidelock.postgres.turn import Pairs, Turn

    Held = list[tuple[Statement, str, str]]
    """Statement, severity, text."""

SHOWN_ROWS = 20
KEPT_OUTPUT = 200
"""Notices and results of one migration that the journal keeps."""
CONTROL = ("COMMIT", "ROLLBACK", "BEGIN", "START TRANSACTION", "PREPARE TRANSACTION")
"""Command tags of transaction control."""
WITHOUT_CONTROL = (
    "leave transaction control out of what \\gexec and variables make; Tidelock runs a file in one transaction anyway"
)
VARIABLE = regex(r"[A-Za-z0-9_\u0080-\U0010ffff]+")
"""What psql takes for the name of a variable."""
COMPARE = "compare the database with the file, take back what is left of it, and leave transaction control out of it"


class Performer:
    """What psql does between reading a script and talking to the server."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.held: Held | None = None
        """Not None while notices are kept, not told."""

    @property
    def variables(self) -> Variables:
        """The migration's variables, with the quoting of this session."""
        return Variables(self.turn.session.conn, self.turn.variables)

    def allows(self, guards: Iterable[Guard]) -> bool:
        """Whether the \\if branches around an item let it run."""
        return not guards or self.variables.allow(guards)

    def perform(self, step: Step, item: Item) -> None:
        """Run one item: a statement with its COPY data and result, an echo, an assignment."""
        if not self.allows(item.guards):
            return
        if command := step.in_vain(item):
            text = f"{command} can only be used in transaction blocks, so it has no effect"
            self.say(Happening.NOTICE, text, item.place, severity="WARNING")
        elif isinstance(item, Statement):
            text = self.variables.fill(item.pieces) if item.pieces else item.text
            with self.decided_now(step, item, text) if item.pieces else nullcontext():
                results = [self.copy(item, text)] if item.copy_data is not None else self.turn.run([(text, item)])
            self.after(step, item, results)
        elif isinstance(item, Echo):
            severity = "WARNING" if item.warning else ""
            self.say(Happening.ECHO, self.variables.fill(item.parts), item.place, severity=severity)
        elif not isinstance(item, Quit):
            if item.parts is None:
                self.turn.variables.pop(item.name, None)
            else:
                self.turn.variables[item.name] = self.variables.fill(item.parts)

    def perform_watched(self, step: Step, item: Item) -> None:
        """Run one item before the eyes of whoever looks on."""
        hooks = self.turn.looking(step)
        if not hooks or not isinstance(item, Statement) or not self.allows(item.guards):
            self.perform(step, item)
            return
        with self.turn.looked_on():
            for each in hooks:
                each.before(step, item)
            done = any(each.instead(step, item) for each in hooks)
        if not done:
            self.perform(step, item)
        with self.turn.looked_on():
            for each in hooks:
                each.after(step, item)

    @contextmanager
    def decided_now(self, step: Step, statement: Statement, text: str) -> Iterator[None]:
        """Around the sending of a text that only the run knows: nothing in it may begin or end a transaction.

        What the parser cannot read of it is judged by what the server answers. Raises RuntimeTransaction.
        """
        control = transaction_control(text)
        if control:
            why = f"is what the run itself would send here; {failures.what_remains(step)}"
            raise RuntimeTransaction(statement.place, control, why, WITHOUT_CONTROL, self.shown(statement, text))
        before = self.turn.session.status
        yield
        ended = [tag for tag in self.turn.session.tags if tag in CONTROL] if control is None else []
        if ended or self.turn.session.status != before:
            why = "came out of what the run itself sent, and ended its transaction; what ran before it may stay"
            command = ended[0] if ended else "COMMIT"
            raise RuntimeTransaction(statement.place, command, why, COMPARE, self.shown(statement, text))

    def shown(self, statement: Statement, text: str) -> str:
        """A statement's place, and what the run makes of it there."""
        return f"{caret(self.turn.sources, statement.place)}\nsent    {masked(text)[:200]}"

    def copy(self, statement: Statement, text: str) -> Rows:
        """COPY … FROM STDIN with the data that follows it in the file."""
        self.turn.sent = (statement,)
        try:
            return self.turn.session.copy(text, statement.copy_data or "")
        except BatchFailed as failed:
            failed.sent = self.turn.sent
            raise

    def after(self, step: Step, statement: Statement, results: Sequence[Rows]) -> None:
        """What is done with a statement's result: \\gset, \\gexec, or it is shown."""
        if statement.ending is Ending.GSET:
            self.keep(statement, results[-1])
        elif statement.ending is Ending.GEXEC:
            cells = [cell for row in results[-1].rows for cell in row if cell is not None]
            for number, cell in enumerate(cells):
                around = sending(self.turn, step, cells, number) if step.mode is Mode.ALONE else nullcontext()
                with around, self.decided_now(step, statement, cell):
                    made = self.turn.run([(cell, statement)])
                self.show(made, statement)
        else:
            self.show(results, statement)

    def keep(self, statement: Statement, result: Rows) -> None:
        """\\gset: exactly one row becomes variables; NULL unsets one, as in psql."""
        if len(result.rows) != 1:
            shown = f"{caret(self.turn.sources, statement.place)}\nthe query returned {len(result.rows)} rows"
            raise failures.StatementFailed(
                self.turn.migration,
                statement.place,
                "\\gset wants one row",
                sqlstate="",
                detail=shown,
                hint="make the query return exactly one row (LIMIT 1, an aggregate)",
            )
        for column, value in zip(result.columns, result.rows[0], strict=True):
            name = statement.gset_prefix + column
            if not VARIABLE.fullmatch(name):
                raise failures.StatementFailed(
                    self.turn.migration,
                    statement.place,
                    f'invalid variable name: "{name}"',
                    sqlstate="",
                    detail=caret(self.turn.sources, statement.place),
                    hint="give the column a name of letters, digits and _ (SELECT … AS name \\gset)",
                )
            if value is None:
                self.turn.variables.pop(name, None)
            else:
                self.turn.variables[name] = value

    def show_until(self, pairs: Pairs, answers: Sequence[PGresult]) -> None:
        """What the statements before the one that failed have returned; the last answer is the failure."""
        before = list(zip(pairs, answers[:-1], strict=False))
        if any(each.nfields for (text, statement), each in before if statement is None and text == "SELECT"):
            return  # a rule gave a statement several answers: nobody can say whose each is
        for (_, statement), each in before:
            if statement is not None and each.status == ExecStatus.TUPLES_OK:
                self.show([rows_of(each)], statement)

    def show(self, results: Sequence[Rows], statement: Statement) -> None:
        """Result rows go to whoever watches, and into the journal."""
        for result in results:
            if result.rows:
                shown = (result.columns, *result.rows[:SHOWN_ROWS])
                table = "\n".join(" | ".join("" if cell is None else cell for cell in row) for row in shown)
                hidden = len(result.rows) - SHOWN_ROWS
                more = f"\n… {hidden} more rows" if hidden > 0 else ""
                self.say(Happening.ROWS, table[:4000] + more, statement.place)

    def notice(self, diag: Any) -> None:
        """The server said something while a statement ran."""
        # libpq reads a notice before it hands out the result in front of it, so one that seems to belong to a
        # statement of ours belongs to the one after it; `marked` puts one of ours between any two of the file.
        turn = self.turn
        at = len(turn.session.answered)
        statement = next((each for each in turn.sent[at : at + 2] if each is not None), None)
        if statement is None:
            return
        text = diag.message_primary or ""  # libpq forgets it when this function is left
        if diag.message_detail:
            text += f" ({diag.message_detail})"
        severity = diag.severity_nonlocalized or diag.severity or "NOTICE"
        if self.held is None:
            self.say(Happening.NOTICE, text, statement.place, severity=severity)
        else:
            self.held.append((statement, severity, text))

    @contextmanager
    def holding(self) -> Iterator[Held]:
        """Keep what the server says for `let_go`: the statements that are sent meanwhile are of several migrations."""
        held: Held = []
        self.held = held
        try:
            yield held
        finally:
            self.held = None

    def let_go(self, held: Held, step: Step) -> None:
        """Tell what was kept for a step of the migration at hand."""
        for statement, severity, text in held:
            if statement in step.items:
                self.say(Happening.NOTICE, text, statement.place, severity=severity)

    def say(self, what: Happening, text: str, place: Place | None, *, severity: str = "") -> None:
        """Tell whoever watches, and keep it for the journal."""
        self.turn.tell(what, text, place, severity=severity)
        output = self.turn.tally.output
        if len(output) < KEPT_OUTPUT:
            output.append({"kind": severity or what.value, "place": str(place or ""), "text": text[:2000]})


def marked(statements: Sequence[Statement]) -> list[tuple[str, Statement | None]]:
    """The file's statements with an empty SELECT between any two, so that each notice can be told apart."""
    pairs: list[tuple[str, Statement | None]] = []
    for statement in statements:
        pairs += [("SELECT", None), (statement.text, statement)] if pairs else [(statement.text, statement)]
    return pairs
