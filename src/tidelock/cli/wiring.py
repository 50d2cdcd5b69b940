"""Composes: options, tidelock.toml and environment → targets → runs on real parts."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tidelock.config import BadSetting, Target, duration, expanded, load, nearest
from tidelock.core.given import Given
from tidelock.core.patterns import regex
from tidelock.core.secrets import masked
from tidelock.core.source import in_part, migrations
from tidelock.core.values import record
from tidelock.errors import SourceFault
from tidelock.repo import directory, git

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tidelock.app.apply import Run
    from tidelock.app.mounting import Checked
    from tidelock.app.ports import Sink, StepHooks
    from tidelock.app.reading import Reader
    from tidelock.cli.refusing import Eroding
    from tidelock.core.check import Check
    from tidelock.core.model import Observed, Plan, PlannedMigration
    from tidelock.core.report import Finding
    from tidelock.postgres.address import Address
    from tidelock.postgres.database import PostgresDatabase
    from tidelock.postgres.turn import Turn


HIDDEN = regex(r"\$\{TIDELOCK_HIDDEN_\d+\}")
"""Where the command line has put a secret, see `main.hide_password`."""


@record(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line said."""

    database: Sequence[str] = ()
    directory: Path | None = None
    host: str | None = None
    port: str | None = None
    user: str | None = None
    direct: str | None = None
    config: Path | None = None
    wait: str | None = None
    role: str | None = None
    variables: Sequence[str] = ()
    create_database: bool = False
    allow_ahead: bool = False
    allow_missing: bool = False
    plan_id: str | None = None
    bundle: str | None = None
    checked: tuple[Checked, ...] = ()
    """Not said, but found: directories that held what is meant."""


def settled(asked: Asked, sink: Callable[[], Sink]) -> Asked:
    """Wait until what is mounted is what is meant; returns what was asked, with the patience that is left.

    TIDELOCK_SETTINGS is the digest of the directory with tidelock.toml. Raises what `wait_for` does.
    """
    wanted = expected(asked)
    if not wanted:
        return asked
    from tidelock.app.mounting import wait_for
    from tidelock.app.patience import Patience

    patience = Patience(duration(asked.wait, "--wait")) if asked.wait else Patience()
    watching = sink()
    try:
        checked = tuple(
            wait_for(
                digest, str(folder), partial(directory.mounted, folder), patience, watching,
                lags=directory.is_volume(folder),
            )
            for folder, digest in wanted
        )  # fmt: skip
    finally:
        watching.close()
    return replace(asked, checked=checked, wait=f"{patience.left_s:.3f}s" if patience.spent_s else asked.wait)


def expected(asked: Asked) -> list[tuple[Path, str]]:
    """(directory, the digest that it has to have) of what is mounted."""
    settings = os.environ.get("TIDELOCK_SETTINGS")
    wanted = [(asked.config.parent, settings)] if settings and asked.config else []
    if asked.bundle:
        folders = [asked.directory] if asked.directory else [each.directory for each in targets(asked)]
        wanted += [(each, asked.bundle) for each in folders]
    return wanted


def refuse_changed(asked: Asked) -> None:
    """Raise BundleChanging when a mount was changed since `settled`: what was read of it may be of two bundles."""
    for folder, digest in expected(asked):
        from tidelock.app.mounting import BundleChanging, look

        if look(partial(directory.mounted, folder))[0] != digest:
            raise BundleChanging(str(folder), digest, 0.0)


def targets(asked: Asked) -> tuple[Target, ...]:
    """The databases that are meant, with the command line's word over the file's."""
    configured, path = load(asked.config)
    named = {each.name: each for each in configured if each.name}
    if asked.database:
        chosen = [
            named[text] if text in named else elsewhere(only_one(configured, path), expanded(text, "--database"))
            for text in asked.database
        ]
    else:
        chosen = list(configured)
    return tuple(with_options(each, asked) for each in chosen)


def elsewhere(target: Target, text: str) -> Target:
    """The settings of a target for another database: a bare name, as in psql, is one on the same server."""
    if "://" in text or "=" in text:
        return replace(target, url=text, direct="", database="", name="")
    return replace(target, database=text, name="")


def only_one(configured: tuple[Target, ...], path: Path | None) -> Target:
    """The common settings for a database that tidelock.toml does not name."""
    if len(configured) > 1:
        names = ", ".join(each.name for each in configured)
        raise BadSetting(
            str(path),
            f"it describes several databases: {names}",
            "pass one of these names to --database, or a --config of its own",
        )
    return configured[0]


def with_options(target: Target, asked: Asked) -> Target:
    """One target with the options of the command line."""
    changes: dict[str, object] = {}
    if asked.directory is not None:
        changes["directory"] = asked.directory
    if asked.direct is not None:
        changes["direct"] = expanded(asked.direct, "--direct")
    if asked.role is not None:
        changes["role"] = asked.role
    if asked.wait is not None:
        changes["wait_s"] = duration(asked.wait, "--wait")
    if asked.variables:
        changes["variables"] = {**target.variables, **dict(assignment(each) for each in asked.variables)}
    return replace(target, **changes)  # type: ignore[arg-type]  # the keys are Target's fields, one by one above


def assignment(text: str) -> tuple[str, str]:
    """`name=value` in two."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise BadSetting("--set", f"“{masked(text)}” is not NAME=VALUE", "write --set name=value")
    return name, expanded(value, "--set") if HIDDEN.fullmatch(value) else value


def project(asked: Asked, folder: Path) -> Path:
    """The directory that tidelock.toml lies in, or would lie in for these migrations."""
    if found := asked.config or nearest(Path.cwd()):
        return found.parent
    return Path.cwd() if folder.parent.resolve().is_relative_to(Path.cwd()) else folder.parent


def address_of(target: Target, asked: Asked) -> Address:
    """Where to connect: options over --database over tidelock.toml over DATABASE_URL over PG* variables."""
    from tidelock.postgres.address import address, checked

    found = address(target.url or os.environ.get("DATABASE_URL", ""), source_of(target, asked))
    if target.database:
        found = found.to(target.database)
    extra = {"host": asked.host, "port": asked.port, "user": asked.user}
    given = {name: value for name, value in extra.items() if value}
    return checked({**found.parameters, **given}, f"--{', --'.join(given)}" if given else source_of(target, asked))


def source_of(target: Target, asked: Asked) -> str:
    """Where the connection string of a target stands, for people."""
    if not target.url:
        return "DATABASE_URL"
    return "--database" if asked.database and not target.name and not target.database else "`url` of tidelock.toml"


def direct_of(target: Target) -> Address | None:
    """The server itself, behind a pooler."""
    from tidelock.postgres.address import address

    if not target.direct:
        return None
    found = address(target.direct)
    return found.to(target.database) if target.database else found


def database_of(target: Target, asked: Asked, sink: Sink, texts: Iterable[str] = ()) -> PostgresDatabase:
    """The real database of a target, for files with these texts; nothing connects yet."""
    from tidelock.app.patience import Patience
    from tidelock.postgres.database import Options, PostgresDatabase
    from tidelock.postgres.limits import Limits

    options = Options(
        hooks=partial(hooks_of, target),
        direct=direct_of(target),
        ledger=target.ledger or None,
        role=target.role or None,
        create_database=asked.create_database,
        commit=lambda: git.commit(target.directory),
        given=Given.to(target.variables, texts),
        limits=Limits(
            lock_timeout_s=target.lock_timeout_s,
            statement_timeout_s=target.statement_timeout_s,
            build_limit_s=target.build_limit_s,
        ),
    )
    return PostgresDatabase(address_of(target, asked), Patience(target.wait_s), sink, options)


def hooks_of(target: Target, turn: Turn, pending: Sequence[PlannedMigration]) -> Sequence[StepHooks]:
    """Who looks on at the steps of a run: on TimescaleDB those who keep its aggregates. Elsewhere nobody."""
    if "timescaledb" not in turn.extensions and not any("timescale" in each.migration.text.lower() for each in pending):
        return ()
    from tidelock.timescale.keepers import keepers

    return keepers(turn, target, pending)


def shadow_hooks(target: Target, turn: Turn, pending: Sequence[PlannedMigration]) -> Sequence[StepHooks]:
    """Who looks on in a shadow database: whoever brings back there what a rebuild brings back here."""
    if not any("continuous" in each.migration.text.lower() for each in pending):
        return ()
    from tidelock.timescale.keepers import rebuilders

    return rebuilders(turn, target)


OF_TIMESCALE = regex(r"timescaledb\s*[.;]|\btsdb\.|create_hypertable|continuous_aggregate|_policy\s*\(", re.IGNORECASE)
"""What a file has that needs the extension."""


def examiner(
    target: Target, database: PostgresDatabase, reader: Reader
) -> Callable[[Plan, Observed], Sequence[Finding]]:
    """What is asked of a live database before anything runs there: on TimescaleDB, what it will refuse, and what its
    history would lose. The first is asked once for a plan: if it changes, the server says so itself."""
    asked: dict[str, Eroding] = {}

    def examine(decided: Plan, observed: Observed) -> Sequence[Finding]:
        present = "timescaledb" in observed.extensions
        if decided.id not in asked and decided.pending and (present or speaks_of_timescale(decided)):
            from tidelock.cli.refusing import refuse

            asked[decided.id] = refuse(database, reader, decided, observed)
        eroding = asked.get(decided.id)
        findings: Sequence[Finding] = ()
        if decided.pending and present:
            from tidelock.timescale.precheck import check

            findings = check(
                database.conn, decided, target, [each.aggregate for each in eroding.accepted] if eroding else ()
            )
        if eroding and eroding.refused:
            from tidelock.timescale.refusals import PolicyErodes

            raise PolicyErodes(eroding.refused)
        return findings

    return examine


def speaks_of_timescale(decided: Plan) -> bool:
    """Whether a pending file has something that only TimescaleDB knows."""
    texts = (text for each in decided.pending for text in each.script.sources.values())
    return any(OF_TIMESCALE.search(each) for each in texts)


def checker(database: PostgresDatabase) -> Callable[[Observed], list[Check]]:
    """What `verify` asks of a live database beside: on TimescaleDB, of its jobs and aggregates."""

    def more_checks(observed: Observed) -> list[Check]:
        if "timescaledb" not in observed.extensions:
            return []
        from tidelock.postgres.translation import translated
        from tidelock.timescale.soundness import checks

        with translated(database.target):
            return checks(database.conn, database.noted)

    return more_checks


def run_in_part(target: Target, asked: Asked, sink: Sink) -> Run:
    """A run without the files that something is wrong with; it carries what."""
    run = run_of(target, asked, sink, reads=False)
    try:
        run.reader.files, run.left_out = in_part(list(directory.files(target.directory)))
    except SourceFault as error:  # the directory as a whole: a renumber that was cut off, a file that does not unpack
        run.left_out = (error,)
    return run


def shown(path: str) -> str:
    """A path as people see it: relative to where they stand, when it lies below."""
    return path.removeprefix(f"{Path.cwd()}/")


def run_of(target: Target, asked: Asked, sink: Sink, *, reads: bool = True) -> Run:
    """A run against one target: its files are read now (unless not to be), its database is looked at later."""
    from tidelock.app.apply import Run
    from tidelock.app.reading import Reader
    from tidelock.core.planner import Policy

    files = migrations(directory.files(target.directory)) if reads else ()
    reader = Reader(
        files,
        load=lambda path: directory.load_beside(target.directory, path, asked.checked),
        variables=target.variables,
        on_recreate=target.on_recreate,
        refresh=target.refresh,
    )
    database = database_of(target, asked, sink, (each.text for each in files))
    run = Run(
        database=database,
        reader=reader,
        sink=sink,
        plan_id=asked.plan_id,
        directory=str(target.directory),
        critical=tuple(replace(each, fallback=shown(each.fallback)) for each in target.critical),
        fallback=lambda path: directory.content(path, path, asked.checked),
        restoring=lambda file, entry: git.restoring(target.directory, file, entry),
        examine=examiner(target, database, reader),
        more_checks=checker(database),
        policy=Policy(
            out_of_order=target.out_of_order, allow_ahead=asked.allow_ahead, allow_missing=asked.allow_missing
        ),
    )
    if target.backup_before != "never":
        from tidelock.cli.securing import needed, secure, warn

        run.backs_up = target.backs_up
        run.secure = secure(run, target, asked) if target.backs_up else warn(run, target)
        run.endangered = lambda plan: needed(target, plan)
    return run
