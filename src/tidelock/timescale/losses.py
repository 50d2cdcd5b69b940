"""What a plan would take from the aggregates of a live database, reckoned in the order in which it would run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tidelock.core.aggregates import History, Span
from tidelock.core.calling import arguments_of
from tidelock.core.facts.tree import identifier
from tidelock.core.secrets import brief
from tidelock.core.statement import Object
from tidelock.core.step import Mode
from tidelock.core.threats import Bound, How, Threat, foreign
from tidelock.timescale import defaults, definitions, dependents, history, lapsing, windows
from tidelock.timescale.consent import NOTHING, File, among, file_of
from tidelock.timescale.names import Names
from tidelock.timescale.points import text as written
from tidelock.timescale.refresher import PLACES, read
from tidelock.timescale.refusals import AggregateReplaced, DefinitionPassedOver, HistoryLost, Loss, Unseen, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import psycopg

    from tidelock.core.aggregates import Aggregate, Stock
    from tidelock.core.model import Place, PlannedMigration
    from tidelock.core.rebuilding import Wanted
    from tidelock.core.statement import Statement
    from tidelock.errors import LedgerFault

    Connection = psycopg.Connection[Any]

BRIEF = 100
"""Characters of a statement in a message."""


@dataclass
class Reckoning:
    """What has become of the aggregates so far, and what was lost on the way."""

    names: Names = field(init=False)
    conn: Connection
    stock: Stock
    target: Wanted
    losses: list[Loss] = field(default_factory=list)
    refusals: list[LedgerFault] = field(default_factory=list)
    hidden: list[tuple[Place, str]] = field(default_factory=list)
    """Statements that nobody can read and no transaction holds."""
    open: set[str] = field(default_factory=set)
    """Aggregates whose loss a file with such a statement does not accept."""
    gone: set[str] = field(default_factory=set)
    """Live aggregates that the plan has dropped by then."""
    kept: dict[str, Statement] = field(default_factory=dict)
    """Those that the file drops and has not made yet: they come back with their history, or with what they hung on."""
    uprooted: dict[str, Span | None] = field(default_factory=dict)
    """Hypertables and aggregates whose rows the plan removes: where; None for all."""
    thinned: set[str] = field(default_factory=set)
    """Those that lose some of their rows."""
    retention: dict[str, Bound] = field(default_factory=dict)
    """Hypertable → how long a policy of the plan keeps its rows."""
    fragile: set[tuple[str, str]] = field(default_factory=set)
    """(table, column) that the plan adds with a default over compressed chunks."""
    recompressed: bool = False
    """The plan compresses chunks anew, which makes such values durable."""
    threatened: set[str] = field(default_factory=set)
    """Aggregates that some statement would have touched."""
    file: File = NOTHING
    statement: Statement | None = None

    def __post_init__(self) -> None:
        self.names = Names(self.conn)

    # --- a statement after the other -----------------------------------------------------------------------------

    def take(self, planned: PlannedMigration, found: Sequence[tuple[Mode, Statement, Sequence[Threat]]]) -> None:
        """Reckon what the statements of a file do, in order."""
        self.file = file_of(self.conn, planned, self.target, self.stock.aggregates)
        self.kept, self.names.path = {}, None
        for mode, statement, threats in found:
            self.statement = statement
            self.names.follow(statement)
            for threat in threats:
                self.consider(threat, mode)
        for each in self.stock.aggregates:
            if each.name in self.gone and each.name in self.kept:  # dropped once more, or made again under another name
                self.statement = self.kept[each.name]
                self.lose(each, self.history(each, thorough=True))

    def consider(self, threat: Threat, mode: Mode) -> None:
        """One thing that a statement may take."""
        match threat.how:
            case How.DROP:
                self.drop(threat)
            case How.REFRESH:
                for each in self.meant(threat.what):
                    self.refresh(each, threat)
            case How.EMPTY:
                self.empty(threat)
            case How.UPROOT | How.THIN:
                self.uproot(threat)
            case How.REPLACE:
                self.replace_view(threat)
            case How.CREATE:
                self.create(threat)
            case How.REFRESH_POLICY | How.RETENTION_POLICY:
                lapsing.policy(self, threat)
            case How.JOB:
                lapsing.run_by_hand(self, threat, mode)
            case How.UNSEEN:
                self.unseen(mode)
            case How.REWRITE:
                defaults.consider(self, threat)

    @property
    def place(self) -> Place:
        """Of the statement at hand."""
        assert self.statement is not None
        return self.statement.place

    @property
    def text(self) -> str:
        """The statement at hand on one line."""
        assert self.statement is not None
        return brief(self.statement.shown, BRIEF)

    def meant(self, what: Object) -> list[Aggregate]:
        """The live aggregates that a name may mean, and that are still there."""
        found = self.names.relations(what) - self.gone
        return [each for each in self.stock.aggregates if each.name in found]

    def drop(self, threat: Threat) -> None:
        """DROP: what it names and, with CASCADE, what hangs on it."""
        if (number := dependents.of_internal(self.conn, threat.what.name)) is not None:
            return self.empty(replace(threat, how=How.EMPTY), number)
        found = self.names.gone(threat.what, cascade=threat.cascade)
        everything = threat.what.kind == "extension" and threat.what.name == "timescaledb"
        taken = [each for each in self.stock.aggregates if each.number in found.aggregates or everything]
        if threat.cascade:
            also = [above for each in taken for above in self.stock.above(each)]
            taken = [each for each in self.stock.aggregates if each in taken or each in also]
        names = {each.name for each in taken}
        for each in taken:
            if each.name in self.gone:
                self.threatened.add(each.name)
                continue
            self.gone.add(each.name)
            if self.file.keeps(each, taken):
                self.threatened.add(each.name)
                assert self.statement is not None
                self.kept[each.name] = self.statement
                continue
            rootless = each.hypertable in found.relations
            if {each.hypertable, each.parent} & self.thinned:
                whole = history.of(self.conn, each, rootless=True)
                self.lose(each, whole, why="rows that it was made of are deleted before")
                continue
            self.lose(each, self.history(each, rootless=rootless, orphan=each.parent in names, thorough=True))
        return None

    def refresh(self, aggregate: Aggregate, threat: Threat, job: int | None = None) -> None:
        """A range is computed anew: what has no raw rows there goes. With care, it is left out."""
        # A CALL is done with care (`refresher`): what a DELETE took a part of is left as it is, and told.
        careful = job is None and self.statement is not None and self.statement.facts.command.upper() != "DO"
        if careful and (self.target.on_recreate == "preserve" or among(aggregate.name, self.file.rebuilds)):
            return
        within = self.asked(aggregate) if careful else None
        within = within or windows.span(self.conn, threat.start, threat.end, aggregate.kind)
        found = self.history(aggregate, within=within, deleted=not careful)
        why = "it computes them anew, from nothing" if job is None else f"job {job} refreshes them"
        self.lose(aggregate, found, why=why, window=safe(aggregate, found, within) if found else "")

    def asked(self, aggregate: Aggregate) -> Span | None:
        """The window of a CALL, also by expressions of the server's own functions; None when it is not known."""
        statement = self.statement
        if statement is None or statement.runtime or foreign(statement.facts):
            return None
        arguments = arguments_of(statement.text, PLACES)
        asked = read(self.conn, self.stock, arguments) if arguments else None
        if asked is None or asked.aggregate.name != aggregate.name:
            return None
        return windows.between(asked.wish.start, asked.wish.end, aggregate.kind)

    def empty(self, threat: Threat, number: int | None = None) -> None:
        """Rows of the aggregate itself go."""
        if number is None:
            number = dependents.of_internal(self.conn, threat.what.name)
        aggregates = [each for each in self.stock.aggregates if each.number == number and each.name not in self.gone]
        for each in aggregates if number is not None else self.meant(threat.what):
            within = windows.span(self.conn, threat.start, threat.end, each.kind)
            self.lose(each, self.history(each, within=within))

    def uproot(self, threat: Threat) -> None:
        """Rows that aggregates are computed from go: from then on what they hold of it exists nowhere else."""
        found = self.names.relations(threat.what)
        if threat.how is How.THIN:
            self.thinned |= found
            return
        tables = {each.name: each.kind for each in self.stock.hypertables}
        tables |= {each.name: each.kind for each in self.stock.aggregates}
        for name in found & tables.keys():
            self.uprooted[name] = windows.span(self.conn, threat.start, threat.end, tables[name])
            lapsing.uprooted(self, name)

    def replace_view(self, threat: Threat) -> None:
        """CREATE OR REPLACE VIEW over an aggregate."""
        for each in self.meant(threat.what):
            self.threatened.add(each.name)
            if "L044" not in self.file.allows and not among(each.name, self.file.accepts):
                self.refusals.append(AggregateReplaced(self.place, each.name))

    def create(self, threat: Threat) -> None:
        """An aggregate is made, or IF NOT EXISTS finds another one there."""
        assert self.statement is not None
        made = [each for each in self.statement.facts.creates if each.kind == "aggregate"]
        what = replace(made[0], kind="table") if len(made) == 1 else threat.what
        live = [each for each in self.meant(what) if threat.guarded and each.name not in self.kept]
        if not live and not self.restored(what):
            self.names.fresh.add(what.qualified)
        for each in live:
            difference = definitions.difference(self.conn, each, self.statement.text)
            if difference and "L043" not in self.file.allows and not among(each.name, self.file.accepts):
                self.refusals.append(DefinitionPassedOver(self.place, each.name, difference))

    def restored(self, what: Object) -> bool:
        """A kept one is made anew: with its history, and with those above it."""
        found = self.names.relations(what) & self.kept.keys()
        for each in self.stock.aggregates:
            if each.name in found:
                self.gone -= {each.name, *(above.name for above in self.stock.above(each))} & self.kept.keys()
        self.kept = {name: drop for name, drop in self.kept.items() if name not in found}
        return bool(found)

    def unseen(self, mode: Mode) -> None:
        """Nobody can say what it does; in a transaction it is compared and rolled back."""
        if mode is not Mode.ALONE:
            return
        accepted = {each.name for each in self.stock.aggregates if among(each.name, self.file.accepts)}
        self.threatened |= accepted
        open_ = {each.name for each in self.stock.aggregates} - self.gone - accepted
        if open_ and "L045" not in self.file.allows:
            self.hidden.append((self.place, self.text))
            self.open |= open_

    # --- what is lost --------------------------------------------------------------------------------------------

    def lose(self, aggregate: Aggregate, found: History | None, *, why: str = "", window: str = "") -> None:
        """Note a loss, unless the file accepts it."""
        self.threatened.add(aggregate.name)
        if found is None or among(aggregate.name, self.file.accepts):
            return
        self.losses.append(
            Loss(
                place=self.place,
                statement=self.text,
                aggregate=aggregate.name,
                history=found,
                why=why,
                window=window,
                remade=identifier(aggregate.name)[1] in self.file.makes
                and not among(aggregate.name, self.file.rebuilds),
            )
        )

    def history(
        self,
        aggregate: Aggregate,
        *,
        within: Span | None = None,
        rootless: bool = False,
        orphan: bool = False,
        deleted: bool = True,
        thorough: bool = False,
    ) -> History | None:
        """What exists in the aggregate alone, after what the plan has done by then. `orphan`: its parent goes too."""
        found = history.of(self.conn, aggregate, within=within, rootless=rootless, deleted=deleted, thorough=thorough)
        if orphan and not rootless:
            found = larger(found, self.beyond_raw(aggregate, within))
        for source in {aggregate.hypertable, aggregate.parent} & self.uprooted.keys():
            span = lapsing.both(within, self.uprooted[source])
            if span is None or span.start < span.end:
                found = larger(found, history.of(self.conn, aggregate, within=span, rootless=True))
        return found

    def beyond_raw(self, aggregate: Aggregate, within: Span | None) -> History | None:
        """What the hypertable at the root could not give back, were the aggregates between made anew."""
        lowest = aggregate
        while lowest.parent and (parent := self.stock.aggregate(lowest.parent)):
            lowest = parent
        direct = replace(
            aggregate,
            source=lowest.source,
            source_time=lowest.source_time,
            source_kind=lowest.source_kind,
            raw=lowest.raw,
            chunks=lowest.chunks,
            unread=lowest.unread,
            doubtful=None,
        )
        return history.of(self.conn, direct, within=within)


def larger(one: History | None, other: History | None) -> History | None:
    """The one with more buckets."""
    if one is None or other is None:
        return one or other
    return max(one, other, key=lambda each: each.buckets)


def safe(aggregate: Aggregate, found: History, within: Span | None) -> str:
    """A refresh that begins where history ends."""
    start = found.span.end
    last = within.end if within and within.end not in (windows.LAST, 2**62) else None
    if last is not None and last <= start:
        return ""
    ends = [f"'{written(each, aggregate.kind).replace('.000000', '')}'" for each in (start, last) if each is not None]
    name = shown(aggregate.name)
    return f"CALL refresh_continuous_aggregate('{name}', {ends[0]}, {ends[1] if last is not None else 'NULL'})"


def of_all(reckoning: Reckoning) -> Iterator[Loss]:
    """The history of every aggregate that a statement could take which nobody can read."""
    place, text = reckoning.hidden[0]
    for each in reckoning.stock.aggregates:
        if each.name in reckoning.open and (found := history.of(reckoning.conn, each)):
            yield Loss(place=place, statement=text, aggregate=each.name, history=found)


def refuse(reckoning: Reckoning) -> None:
    """Raise what speaks against the plan, all of it in one."""
    refusals = list(reckoning.refusals)
    if reckoning.hidden and (losses := list(of_all(reckoning))):
        refusals.append(Unseen(reckoning.hidden, losses))
    if reckoning.losses:
        raise HistoryLost(reckoning.losses, refusals)
    if refusals:
        first, *rest = refusals
        first.detail = "\n\n".join(
            [first.detail, *(f"{each.code} {each.message}\n{each.detail}" for each in rest)]
        ).strip()
        raise first
