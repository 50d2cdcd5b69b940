"""`tidelock drift` and `tidelock snapshot`: a server for shadow databases, and what they say."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from tidelock.cli import wiring
from tidelock.cli.verbs import one_target
from tidelock.config import expanded
from tidelock.core.planner import NoMigrations
from tidelock.errors import TidelockError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tidelock.app.apply import Run
    from tidelock.cli.output import Output
    from tidelock.cli.wiring import Asked
    from tidelock.config import Target
    from tidelock.core.snapshot import Snapshot
    from tidelock.postgres.workshop import ShadowWorkshop


def each(asked: Asked, out: Output, command: str, act: Callable[[Target, Run], int], *, reads: bool = True) -> int:
    """Do something for every target, with or without its files: the first code that is not 0."""
    try:
        targets = wiring.targets(asked)
    except TidelockError as error:
        return out.fail(error, command)
    codes = [one_target(target, asked, out, command, partial(act, target), reads=reads) for target in targets]
    return next((code for code in codes if code not in (0, 75)), max(codes))


def drift(asked: Asked, out: Output, shadow: str | None) -> int:
    """`tidelock drift`."""

    def act(target: Target, run: Run) -> int:
        from tidelock.app.drift import drift as found_in
        from tidelock.render import drift as render

        with workshop(target, shadow, "drift") as server:
            found = found_in(run, server, target.drift_ignore)
        run.sink.close()
        out.show(render.text(found), render.data(found))
        return 1 if found.items else 0

    return each(asked, out, "drift", act)


def snapshot(asked: Asked, out: Output, shadow: str | None, *, check: bool, live: bool) -> int:
    """`tidelock snapshot`."""

    def act(target: Target, run: Run) -> int:
        from tidelock.render import snapshot as render
        from tidelock.repo.snapshots import Files

        taken = run.database.snapshot() if live else of_files(run, asked, target, shadow)
        run.sink.close()
        files = Files(target.snapshot_dir, target.name or "schema")
        if check:
            stale = files.stale(taken)
            out.show(render.check_text(files.paths, stale), render.check_data(files.paths, stale))
            return 1 if stale else 0
        written = files.write(taken)
        out.show(render.text(files.paths, taken, changed=written), render.data(files.paths, taken, changed=written))
        return 0

    return each(asked, out, "snapshot", act, reads=not live)


def of_files(run: Run, asked: Asked, target: Target, shadow: str | None) -> Snapshot:
    """What the migration files make of an empty database."""
    from tidelock.cli.proving import target_name

    if not run.files:
        raise NoMigrations(run.directory)
    run.reader.named = target_name(run.files, target, asked)
    with workshop(target, shadow, "snapshot") as server:
        return server.produced(run, run.files, "")


@contextmanager
def workshop(target: Target, shadow: str | None, what: str) -> Iterator[ShadowWorkshop]:
    """Shadow databases on the server that was named, or on the embedded one."""
    from tidelock.postgres import embedded
    from tidelock.postgres.address import address
    from tidelock.postgres.shadow import Shadow
    from tidelock.postgres.workshop import ShadowWorkshop, opened

    ledger, hooks = target.ledger or None, partial(wiring.shadow_hooks, target)
    if named := shadow or target.shadow:
        with opened(address(expanded(named, "--shadow"))) as databases:
            yield ShadowWorkshop(databases, ledger=ledger, hooks=hooks)
        return
    with embedded.server(what=what) as server, Shadow(server.local, disposable=True) as databases:
        yield ShadowWorkshop(databases, ledger=ledger, hooks=hooks)
