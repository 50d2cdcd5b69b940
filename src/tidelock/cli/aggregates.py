"""`tidelock aggregates list`: a look at a live TimescaleDB, with what exists in aggregates alone."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from tidelock.cli import wiring
from tidelock.cli.verbs import one_target
from tidelock.errors import TidelockError

if TYPE_CHECKING:
    from tidelock.app.apply import Run
    from tidelock.cli.output import Output
    from tidelock.cli.wiring import Asked
    from tidelock.core.aggregates import Stock
    from tidelock.postgres.database import PostgresDatabase

COMMAND = "aggregates list"


def listed(asked: Asked, out: Output) -> int:
    """`tidelock aggregates list`."""
    try:
        targets = wiring.targets(asked)
    except TidelockError as error:
        return out.fail(error, COMMAND)
    codes = [one_target(each, asked, out, COMMAND, partial(one, out), reads=False) for each in targets]
    return next((code for code in codes if code not in (0, 75)), max(codes))


def one(out: Output, run: Run) -> int:
    """One database's."""
    from tidelock.postgres.database import PostgresDatabase
    from tidelock.render import aggregates as render

    database = run.database
    assert isinstance(database, PostgresDatabase)
    stock = looked_at(database)
    run.sink.close()
    if out.terminal:
        from tidelock.cli.terminal import show_aggregates

        show_aggregates(database.target, stock)
    else:
        out.show(render.text(database.target, stock), render.data(database.target, stock))
    return 0


def looked_at(database: PostgresDatabase) -> Stock:
    """Everything that is known, with sizes and what exists nowhere else; an empty Stock without the extension."""
    from tidelock.core.aggregates import Stock
    from tidelock.postgres.translation import translated

    if "timescaledb" not in database.observe().extensions:
        return Stock(version="", community=False)
    from tidelock.timescale import eroding, history, look

    with translated(database.target):
        stock = look.take(database.conn, sizes=True)
        counted = tuple(
            replace(each, history=history.of(database.conn, each), at_risk=eroding.at_risk(database.conn, each))
            for each in stock.aggregates
        )
        return replace(stock, aggregates=counted)
