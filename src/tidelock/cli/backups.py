"""`tidelock backup …`, `restore` and `rollback`, and the backup that precedes a dangerous run."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tidelock.cli import wiring
from tidelock.cli.choosing import beside, chosen, newer_part, system_if_up
from tidelock.cli.last_run import NothingToTakeBack, first_version, known
from tidelock.cli.verbs import agreed, one_target
from tidelock.config import BadSetting, expanded
from tidelock.core import backups
from tidelock.core.report import Event, Happening
from tidelock.errors import TidelockError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidelock.app.apply import Run
    from tidelock.app.ports import Sink
    from tidelock.backup.create import Progress
    from tidelock.backup.store import Store
    from tidelock.cli.output import Output
    from tidelock.cli.wiring import Asked
    from tidelock.config import Target
    from tidelock.core.backups import Keep, Manifest
    from tidelock.core.model import LedgerEntry, Observed
    from tidelock.postgres.server import PostgresServer


def store_of(target: Target, url: str | None) -> Store:
    """Where backups go. Raises BadSetting when nobody says."""
    from tidelock.backup.store import Store

    found = expanded(url, "--store") if url else target.backup_url
    if not found:
        raise BadSetting(
            "backup",
            "nobody says where backups go",
            'write [backup] url = "s3://bucket/prefix" into tidelock.toml, or pass --store',
        )
    return Store(found)


def server_of(target: Target, asked: Asked) -> PostgresServer:
    """The server itself: behind a pooler, where --direct leads."""
    from tidelock.postgres.server import PostgresServer

    return PostgresServer(wiring.direct_of(target) or wiring.address_of(target, asked))


def progress_of(sink: Sink, what: str) -> Progress:
    """Progress as events."""
    from tidelock.backup.create import Progress

    def tell(text: str, fraction: float | None) -> None:
        sink.emit(Event(what=Happening.PROGRESS, label=what, text=text, fraction=fraction))

    return Progress(tell)


def taken(run: Run, target: Target, asked: Asked, store: Store, **more: Any) -> Manifest:
    """Make a backup of a target's database, as it was observed; what else is said of it is `more`: Wanted."""
    from tidelock.backup.create import Wanted, create
    from tidelock.backup.seal import Seal
    from tidelock.core.source import bundle_digest

    observed: Observed = more.pop("observed", None) or run.database.observe()
    wanted = Wanted(
        bundle=bundle_digest(run.files) if run.files else "",
        ledger=observed.ledger or "",
        applied=tuple(sorted(observed.applied)),
        jobs=target.backup_jobs,
        seal=Seal(target.backup_recipients),
        **more,
    )
    return create(server_of(target, asked), store, wanted, progress_of(run.sink, "backup"))


def with_store(
    asked: Asked, out: Output, command: str, url: str | None, act: Callable[[Target, Run, Store], int]
) -> int:
    """Do something for every target with its store."""
    from tidelock.postgres.translation import translated

    try:
        targets = wiring.targets(asked)
    except TidelockError as error:
        return out.fail(error, command)
    codes = []
    for target in targets:

        def one(run: Run, target: Target = target) -> int:
            with translated(run.database.target):
                return act(target, run, store_of(target, url))

        codes.append(one_target(target, asked, out, command, one, reads=False))
    return next((code for code in codes if code), 0)


def create(asked: Asked, out: Output, url: str | None, label: str) -> int:
    """`tidelock backup create`."""
    from tidelock.render import backup as render

    def act(target: Target, run: Run, store: Store) -> int:
        made = taken(run, target, asked, store, label=label)
        run.sink.close()
        out.show(render.made_text(made, str(store)), render.data("backup create", [(made, {})]))
        return 0

    return with_store(asked, out, "backup create", url, act)


def listing(asked: Asked, out: Output, url: str | None) -> int:
    """`tidelock backup list`: the server is only asked which one it is, and need not be up."""
    from tidelock.backup.check import noted
    from tidelock.render import backup as render

    def act(target: Target, run: Run, store: Store) -> int:
        del run
        whole, damaged = store.catalog()
        found = [(each, noted(store, each)) for each in backups.newest_first(whole)]
        system = system_if_up(server_of(target, asked))
        out.show(render.list_text(found, str(store), system, damaged), render.list_data(found, system, damaged))
        return 0

    return with_store(asked, out, "backup list", url, act)


def show(asked: Asked, out: Output, url: str | None, wanted: str, *, roles: bool) -> int:
    """`tidelock backup show`."""
    from tidelock.backup.check import noted
    from tidelock.render import backup as render

    def act(target: Target, run: Run, store: Store) -> int:
        server = server_of(target, asked)
        found = chosen(store, server.database, system_if_up(server), wanted, any_database=True)
        if roles:
            out.show(roles_of(store, found, run.sink), {})
            return 0
        out.show(
            render.show_text(found, noted(store, found)), render.data("backup show", [(found, noted(store, found))])
        )
        return 0

    return with_store(asked, out, "backup show", url, act)


def roles_of(store: Store, found: Manifest, sink: Sink) -> str:
    """The SQL that makes the cluster's roles, without passwords."""
    from io import BytesIO

    from tidelock.backup.reading import unsealed

    content = BytesIO()
    if piece := found.piece("roles"):
        unsealed(store, found, piece, content, progress_of(sink, "roles"))
    return content.getvalue().decode()


def verify(asked: Asked, out: Output, url: str | None, wanted: str, *, restoring: bool) -> int:
    """`tidelock backup verify`."""
    from tidelock.backup import check
    from tidelock.render import backup as render

    def act(target: Target, run: Run, store: Store) -> int:
        server = server_of(target, asked)
        found = chosen(store, server.database, system_if_up(server), wanted, any_database=True)
        check.digests(store, found, progress_of(run.sink, "verify"))
        unfilled: list[str] = []
        if restoring:
            unfilled = check.by_restoring(server, store, found, target.backup_jobs, progress_of(run.sink, "restore"))
        check.note(store, found, "restore" if restoring else "digests")
        run.sink.close()
        out.show(
            render.verified_text(found, restoring=restoring, unfilled=unfilled),
            render.data("backup verify", [(found, check.noted(store, found))]),
        )
        return 0

    return with_store(asked, out, "backup verify", url, act)


def prune(asked: Asked, out: Output, url: str | None, keep: Keep, *, dry: bool) -> int:
    """`tidelock backup prune`."""
    from tidelock.backup.check import noted
    from tidelock.backup.source import system_of
    from tidelock.backup.store import folder_of
    from tidelock.backup.using import last_uses
    from tidelock.render import backup as render

    def act(target: Target, run: Run, store: Store) -> int:
        server = server_of(target, asked)
        whole, _ = store.catalog(server.database)
        found = backups.of_server(whole, system_of(server))
        uses = last_uses(store, found, applied_if_there(run))
        gone = backups.expendable(found, keep, [each.id for each in found if noted(store, each)], uses)
        for each in gone if not dry else ():
            store.remove(folder_of(each.database, each.id))
        out.show(
            render.pruned_text(gone, len(found), len(whole) - len(found), dry=dry),
            render.data("backup prune", [(each, {}) for each in gone]),
        )
        return 0

    return with_store(asked, out, "backup prune", url, act)


def applied_if_there(run: Run) -> list[LedgerEntry]:
    """The ledger's rows; none when the live database is gone, or has no ledger that can be read."""
    try:
        return list(run.database.observe().applied.values())
    except TidelockError:
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoring:
    """What `restore` and `rollback` are asked for."""

    wanted: str = ""
    before: int | None = None
    into: str = ""
    drop_old: bool = False
    yes: bool = False


def restore(asked: Asked, out: Output, url: str | None, how: Restoring) -> int:
    """`tidelock restore`."""
    from tidelock.backup.source import system_of

    def act(target: Target, run: Run, store: Store) -> int:
        server = server_of(target, asked)
        if how.before is not None:
            check_version(run, store, server.database, how.before)
        # beside the live one there is room for another database's too
        found = chosen(store, server.database, system_of(server), how.wanted, how.before, any_database=bool(how.into))
        bring_back(server, store, found, how, run.sink, out, target.backup_jobs)
        return 0

    return with_store(asked, out, "restore", url, act)


def check_version(run: Run, store: Store, database: str, version: int) -> None:
    """Raise NothingToTakeBack when neither ledger nor backups know a version; a ledger that is gone knows all."""
    whole, _ = store.catalog(database)
    if any(version in each.applied for each in whole):
        return
    try:
        known(run, run.database.observe(), version)
    except NothingToTakeBack:
        raise
    except TidelockError:  # there is no live database to ask
        return


def bring_back(
    server: PostgresServer, store: Store, found: Manifest, how: Restoring, sink: Sink, out: Output, jobs: int
) -> bool:
    """Restore a backup beside the live database, look it over, and put it in its place when that is meant.

    False when the person said no.
    """
    from tidelock.backup import able, compare, leftovers, replace
    from tidelock.backup.faults import CannotRestore
    from tidelock.backup.source import system_of
    from tidelock.render import backup as render

    live = server.database
    if not how.into:
        if found.scope != backups.WHOLE:
            raise CannotRestore(server.target, f"{found.id} has only some tables' rows", "restore it with --into NAME")
        replace.check_live(server, live)
    name = how.into or leftovers.new_name("restore", found.id)
    maker = able.restorer(server, store, found, name, jobs, progress_of(sink, "restore"))
    if not how.into and not how.yes and replace.is_there(server, live):
        guests = [str(each) for each in replace.guests(server, live)]
        elsewhere = found.system != system_of(server)
        asked = render.question(found, live, server.target, guests, drop_old=how.drop_old, elsewhere=elsewhere)
        if not agreed(asked):
            return False
    maker.run()
    old = ""
    try:
        compare.look_over(server, store, found, name, maker.progress)
        if not how.into:
            maker.limit()
            if replace.is_there(server, live):
                old = replace.free_name(server, live, datetime.now(tz=UTC))
            replace.swap(server, live, name, old, maker.manifest.comment)
            maker.close()
        else:
            maker.done()
    except BaseException as error:
        maker.drop(error)
        raise
    if how.drop_old and old:
        leftovers.dropped(server, old)
        old = ""
    sink.close()
    made = (found, how.into or live, old, maker.unfilled)
    out.show(render.restored_text(*made), render.restored_data(*made))
    return True


def rollback(asked: Asked, out: Output, url: str | None, how: Restoring) -> int:
    """`tidelock rollback`: what failed, what precedes it, what would be lost, and back on yes."""
    from tidelock.backup.compare import written_since
    from tidelock.backup.source import system_of
    from tidelock.render import backup as render

    def act(target: Target, run: Run, store: Store) -> int:
        server = server_of(target, asked)
        observed = run.database.observe()
        version = first_version(run, observed) if how.before is None else known(run, observed, how.before)
        found = chosen(store, server.database, system_of(server), before=version, any_database=False)
        lost = written_since(server, found)
        part = newer_part(store, found, version)
        told = render.rollback_text(
            found, observed, version, lost, run.database.history(20), beside(part) if part else ""
        )
        run.database.close()  # among those who are connected, and ended, there are only others
        print(told, file=sys.stderr if out.json else sys.stdout, flush=True)
        done = bring_back(server, store, found, how, run.sink, out, target.backup_jobs)
        if done:
            run.database.reconnect()
            run.database.observe()
            with run.database.lease((), 0, {"rolled_back_to": found.id}):
                gone = sorted(observed.applied.keys() - set(found.applied))
                run.database.note("rolled back", {"backup": found.id, "versions": gone})
        return 0

    return with_store(asked, out, "rollback", url, act)
