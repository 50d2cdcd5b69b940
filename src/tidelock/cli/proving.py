"""`tidelock prove`: a server for shadow databases, the proofs, and what they say."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from tidelock.cli import wiring
from tidelock.config import BadSetting, expanded
from tidelock.core.given import Given
from tidelock.core.planner import NoMigrations
from tidelock.core.proof import Proof
from tidelock.core.report import Event, Happening
from tidelock.errors import TidelockError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tidelock.app.apply import Run
    from tidelock.app.ports import Sink
    from tidelock.app.proving.context import Proving
    from tidelock.cli.output import Output
    from tidelock.cli.wiring import Asked
    from tidelock.config import Target
    from tidelock.core.model import Migration
    from tidelock.core.proof import Proven
    from tidelock.postgres.stage import Stage

CONNECTS = re.compile(r"^\s*\\(?:c|connect)\s+([\w-]+)\s*$", re.MULTILINE)
SMOKE_S = 1800.0
OUTPUT_LINES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says beside where."""

    shadow: str | None = None
    source: str | None = None
    only: str | None = None
    jobs: int | None = None
    cache: bool = True
    strict: bool = False


def prove(asked: Asked, out: Output, options: Options) -> int:
    """`tidelock prove`, target by target; returns the first exit code that is not 0."""
    try:
        wanted = proofs(options.only)
        targets = wiring.targets(asked)
    except TidelockError as error:
        return out.fail(error, "prove")
    codes = [one(target, asked, out, options, wanted) for target in targets]
    return next((code for code in codes if code), 0)


def proofs(only: str | None) -> frozenset[Proof]:
    """Those that --only names, or all."""
    if only is None:
        return frozenset(Proof)
    try:
        return frozenset(Proof(each.strip()) for each in only.split(","))
    except ValueError:
        raise BadSetting("--only", f"“{only}” names no proof", f"write some of {','.join(Proof)}") from None


def one(target: Target, asked: Asked, out: Output, options: Options, wanted: frozenset[Proof]) -> int:
    """Prove one directory."""
    from tidelock.render import proof as render

    sink = out.sink()
    try:
        found = proven(target, asked, sink, options, wanted)
    except TidelockError as error:
        sink.close()
        return out.fail(error, "prove")
    finally:
        sink.close()
    out.show(render.text(found), render.data(found))
    return found.exit_code


def proven(target: Target, asked: Asked, sink: Sink, options: Options, wanted: frozenset[Proof]) -> Proven:
    """Read the files, start the server, run the proofs."""
    from tidelock.app.proving.prove import prove as prove_all

    run = wiring.run_of(target, asked, sink)
    if not run.files:
        raise NoMigrations(run.directory)
    run.reader.named = target_name(run.files, target, asked)
    sink.emit(Event(what=Happening.MIGRATION, label="prove", text="starting a server"))
    with stage(target, options, Given.to(target.variables, (each.text for each in run.files))) as shadows:
        proving = arranged(run, target, options, wanted, shadows)
        found = prove_all(proving, target=meant(target, proving.wanted.source))
        return replace(found, strict=options.strict or target.strict)


def meant(target: Target, source: str) -> str:
    """The major version that the files are for: what tidelock.toml says, or what the live database is."""
    if target.prove_on or not source:
        return str(target.prove_on or "")
    from tidelock.postgres.address import address
    from tidelock.postgres.connection import connect, explain_failure

    where = address(source)
    try:
        with connect(where, run_id="prove") as conn:
            return str(conn.info.server_version // 10000)
    except psycopg.OperationalError as error:
        raise explain_failure(error, where, 0.0) from None


def target_name(files: Sequence[Migration], target: Target, asked: Asked) -> str:
    """What `\\c` may name: the database of the target, or the one that the files agree on."""
    named = {name for file in files for name in CONNECTS.findall(file.text)}
    return named.pop() if len(named) == 1 else wiring.address_of(target, asked).database


@contextmanager
def stage(target: Target, options: Options, given: Given) -> Iterator[Stage]:
    """Shadow databases on the server that was named, or on the embedded one."""
    from tidelock.postgres import embedded
    from tidelock.postgres.address import address
    from tidelock.postgres.shadow import Shadow
    from tidelock.postgres.stage import Stage

    ledger, hooks = target.ledger or None, partial(wiring.shadow_hooks, target)
    if named := options.shadow or target.shadow:
        with Shadow(address(expanded(named, "--shadow"))) as shadow:
            yield Stage(shadow, ledger=ledger, hooks=hooks, given=given)
        return
    with embedded.server(what="prove") as server, Shadow(server.local, disposable=True) as shadow:
        yield Stage(shadow, outside=server.loopback, ledger=ledger, hooks=hooks, given=given)


def arranged(run: Run, target: Target, options: Options, wanted: frozenset[Proof], shadows: Stage) -> Proving:
    """Everything that the proofs need."""
    from tidelock.app.proving.context import Proving, Wanted
    from tidelock.postgres.embedded import cache_folder
    from tidelock.repo.proofs import Proofs

    cache = Proofs(cache_folder() / "proofs" if options.cache else None)
    cache.sweep()
    smoke = target.smoke
    source = expanded(options.source or "", "--from")
    stored, version = stored_schema(source)
    return Proving(
        shadows=shadows,
        reader=run.reader,
        cache=cache,
        wanted=Wanted(
            proofs=wanted,
            jobs=options.jobs or os.cpu_count() or 1,
            source="" if stored else source,
            stored=stored,
            stored_at=version,
            smoke=(lambda environment: command(smoke, environment)) if smoke else None,
        ),
        sink=run.sink,
        critical=run.critical,
        fallback=run.fallback,
    )


def stored_schema(source: str) -> tuple[str, int]:
    """The schema as SQL of `FILE@VERSION`, a snapshot and the last version that is in it; empty for a database."""
    from tidelock.core.ddl import document
    from tidelock.core.snapshot import from_json

    name, at, version = source.rpartition("@")
    path = Path(name if at else source)
    if "://" in source or not path.is_file():
        return "", 0
    if not version.isdecimal():
        hint = f"write --from {path}@42 when 42 is the last version that it has"
        raise BadSetting("--from", f"{path} does not say which versions are in it", hint)
    return document.text(from_json(path.read_bytes(), str(path))), int(version)


def command(smoke: str, environment: Mapping[str, str]) -> tuple[int, str]:
    """Run the user's command: its exit code, and the end of what it printed."""
    try:
        done = subprocess.run(
            shlex.split(smoke),
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=SMOKE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 124, f"it ran for more than {SMOKE_S:.0f} s"
    except OSError as error:
        raise BadSetting("[prove] smoke", f"{smoke}: {error.strerror}", "check the command and its path") from None
    return done.returncode, "\n".join(done.stdout.splitlines()[-OUTPUT_LINES:])
