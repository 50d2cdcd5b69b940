"""A backup: several pg_dump under one snapshot, each compressed and sent to the store while it runs."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import IO, TYPE_CHECKING, Any, cast

from psycopg import errors, sql

from tidelock import __version__
from tidelock.backup import missing, settings
from tidelock.backup.clients import clients, running
from tidelock.backup.faults import CannotRead
from tidelock.backup.giving_way import GIVE_WAY_S, LIMIT, PATIENCE_S, TRIES, InTheWay, gave_way
from tidelock.backup.rows import packs_well, reading
from tidelock.backup.source import Source, Stream, Table, look, streams
from tidelock.backup.store import MANIFEST, STARTED, StoreFailed, folder_of
from tidelock.core.backups import AFFECTED, ID, WHOLE, Manifest, Piece, moment_of, new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from tidelock.app.ports import Server
    from tidelock.backup.clients import Clients
    from tidelock.backup.seal import Seal
    from tidelock.backup.store import Store, Upload

SCHEMA = ["--section=pre-data", "--section=post-data"]
"""Not --schema-only: that leaves out that materialized views are filled."""
SQL_ASCII = "SQL_ASCII"
"""The encoding of a database whose text is bytes that nobody converts."""
APPLICATION = "tidelock backup "
"""Goes before the id in application_name: whether a backup is still being made is asked of the server."""


@dataclass(slots=True)
class Progress:
    """How far a backup or a restore is, for whoever watches."""

    tell: Callable[[str, float | None], None]
    total_bytes: int = 0
    done_bytes: int = 0
    began: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _told: float = 0.0

    def add(self, count: int) -> None:
        """So many bytes more."""
        with self._lock:
            self.done_bytes += count
            now = time.monotonic()
            if now - self._told < 0.5:
                return
            self._told = now
        rate = self.done_bytes / max(now - self.began, 0.001)
        fraction = min(self.done_bytes / self.total_bytes, 0.99) if self.total_bytes else None
        left = (
            f", about {(self.total_bytes - self.done_bytes) / rate:.0f} s left" if fraction and fraction < 0.99 else ""
        )
        self.tell(f"{megabytes(self.done_bytes)} at {megabytes(int(rate))}/s{left}", fraction)


def megabytes(count: int) -> str:
    """`482 MB`."""
    return f"{count / 1e6:.0f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be backed up, and how."""

    label: str = ""
    precedes: str = ""
    """Id of the plan that it is made for."""
    destructive: bool = True
    """Whether that plan destroys something."""
    bundle: str = ""
    ledger: str = ""
    applied: tuple[int, ...] = ()
    jobs: int = 2
    only: tuple[str, ...] = ()
    """The tables whose rows are kept, quoted, with the schema of everything; none for all rows."""
    seal: Seal


def create(server: Server, store: Store, wanted: Wanted, progress: Progress) -> Manifest:
    """Make one. It is in the store when this returns, and nothing is seen of it before. Raises a BackupFault."""
    began, tries = time.monotonic(), 0
    while True:
        try:
            return attempt(server, store, wanted, progress)
        except InTheWay as fault:
            tries += fault.begun
            if tries == TRIES or time.monotonic() - began > PATIENCE_S:
                raise
            progress.tell(f"{fault.message}; it is begun again", None)
            time.sleep(1)


def attempt(server: Server, store: Store, wanted: Wanted, progress: Progress) -> Manifest:
    """Make one, once. Raises InTheWay and other BackupFaults."""
    began = time.monotonic()
    with server.connect(APPLICATION) as conn:
        conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        encoding = conn.info.parameter_status("server_encoding") or ""
        with readable(server.target, encoding):
            source = look(conn).limited(wanted.only)
            programs = clients(source.server)
            lock(conn, source.tables, server.target)
            check_policies(conn, source.tables, server.target)
            schema = server.schema(conn)
        [snapshot] = conn.execute("SELECT pg_export_snapshot()").fetchone() or ("",)
        backup = new_id(datetime.fromisoformat(source.at), os.urandom(2))
        conn.execute("SELECT set_config('application_name', %s, false)", (APPLICATION + backup,))
        sweep(conn, store, source)
        progress.total_bytes = source.size_bytes
        folder = folder_of(source.database, backup)
        maker = Maker(server, store, programs, snapshot, encoding, folder, wanted.seal, progress)
        started = {"system": source.system, "id": backup, "node": node_of(conn)}
        store.put(f"{maker.folder}/{STARTED}", json.dumps(started).encode())
        try:
            pieces, rows = maker.make(source, wanted, schema)
            manifest = described(source, backup, wanted, pieces, rows, time.monotonic() - began, programs.major)
            check_sizes(store, maker.folder, pieces)
            store.publish(manifest)
            store.delete([f"{maker.folder}/{STARTED}"])
        except BaseException as error:
            fault = gave_way(conn, server.target, error)
            with suppress(StoreFailed):
                store.remove(maker.folder)
            if fault:
                raise fault from None
            raise
    return manifest


def described(
    source: Source,
    backup: str,
    wanted: Wanted,
    pieces: tuple[Piece, ...],
    rows: dict[str, int],
    took_s: float,
    client: int,
) -> Manifest:
    """Its manifest."""
    return Manifest(
        id=backup,
        database=source.database,
        system=source.system,
        at=source.at,
        took_s=round(took_s, 3),
        tidelock=__version__,
        server=source.server,
        extensions=source.extensions,
        scope=AFFECTED if wanted.only else WHOLE,
        database_bytes=source.database_bytes,
        label=wanted.label,
        run=wanted.precedes,
        destructive=wanted.destructive,
        client=client,
        bundle=wanted.bundle,
        ledger=wanted.ledger,
        applied=wanted.applied,
        lsn=source.lsn,
        encrypted=wanted.seal.encrypts,
        create=source.create,
        settings=() if wanted.seal.encrypts else source.settings,
        comment=None if wanted.seal.encrypts else source.comment,
        roles=source.roles,
        rows=rows,
        pieces=pieces,
    )


PARENTS = """
SELECT '"' || replace(n.nspname, '"', '""') || '"."' || replace(c.relname, '"', '""') || '"'
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'p' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"""


def lock(conn: Any, tables: Sequence[Table], target: str) -> None:
    """Hold every table as pg_dump does, so that none is dropped before its own pg_dump comes to it.

    Raises CannotRead or InTheWay.
    """
    names = [each.pattern for each in tables] + [f"ONLY {name}" for (name,) in conn.execute(PARENTS)]
    conn.execute(LIMIT)
    for start in range(0, len(names), 500):
        try:
            conn.execute(f"LOCK TABLE {', '.join(names[start : start + 500])} IN ACCESS SHARE MODE".encode())
        except errors.InsufficientPrivilege as error:
            raise CannotRead(target, error.diag.message_primary or str(error)) from None
        except errors.LockNotAvailable:
            raise InTheWay(target, (), begun=False) from None


@contextmanager
def readable(target: str, encoding: str) -> Iterator[None]:
    """Names and definitions that are read are UTF-8, or can be turned into it. Raises CannotRead."""
    try:
        yield
    except (UnicodeError, errors.CharacterNotInRepertoire, errors.UntranslatableCharacter) as error:
        raise CannotRead(
            target,
            f"a name, a comment or a definition in it is not UTF-8, and its encoding is {encoding}: {error}",
            "rename what has bytes beyond ASCII in its name or definition (rows may have any); nothing was written",
        ) from None


HIDING = """
SELECT x FROM unnest(%s::text[]) x JOIN pg_class c ON c.oid = x::regclass
 WHERE c.relrowsecurity AND row_security_active(c.oid) ORDER BY 1"""


def check_policies(conn: Any, tables: Sequence[Table], target: str) -> None:
    """Raise CannotRead when a policy may hide rows of a table from this role."""
    if hiding := [name for (name,) in conn.execute(HIDING, ([each.pattern for each in tables],))]:
        more = f" and of {len(hiding) - 1} more tables" if len(hiding) > 1 else ""
        raise CannotRead(
            target,
            f"row-level security may hide rows of {hiding[0]}{more} from the role {conn.info.user}",
            f'connect as a role with BYPASSRLS: a superuser runs ALTER ROLE "{conn.info.user}" BYPASSRLS',
        )


def check_sizes(store: Store, folder: str, pieces: Sequence[Piece]) -> None:
    """The store has each piece in its whole length."""
    there = store.sizes(f"{folder}/")
    for each in pieces:
        if there.get(f"{folder}/{each.name}") != each.size_bytes:
            raise StoreFailed(store.url, f"keeping {each.name}", OSError("it has another length there"))


# TimescaleDB's planner takes an internal table of compressed rows for a chunk, and fails (2.28: "no dimension slices").
PLAINLY = "SELECT set_config('timescaledb.enable_optimizations', 'off', false)"
PIECE = re.compile(r"0[0-2]-(?:schema|roles|rest|settings|tables-\d{4})\.|verified\.json$|used\.json$")
AT_WORK = "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE %s"


NODE = "SELECT concat_ws(' ', pg_is_in_recovery(), host(inet_server_addr()), inet_server_port())"
FORGOTTEN = timedelta(days=7)
"""After so long a backup that was begun on another server of the cluster is taken for a killed one."""


def node_of(conn: Any) -> str:
    """Which of a cluster's servers it is: primary or standby, and its address."""
    return str(conn.execute(NODE).fetchone()[0])


def is_young(backup: str) -> bool:
    """Whether a backup may still be in the making, by its id."""
    return datetime.now(tz=UTC) - moment_of(backup) < FORGOTTEN


def sweep(conn: Any, store: Store, source: Source) -> None:
    """Take away what a backup of this database left that was killed: one that no session is making any more.

    Nothing else that lies there is Tidelock's: only folders that are named like a backup, and say that it was begun
    on this server, or have nothing but pieces of one.
    """
    alive = {row[0].removeprefix(APPLICATION) for row in conn.execute(AT_WORK, (APPLICATION + "%",))}
    for folder, names in store.backups(source.database).items():
        backup = folder.rpartition("/")[2]
        left = MANIFEST not in names and backup not in alive and ID.fullmatch(backup)
        if left and ours(store, folder, names, source, node_of(conn)):
            store.remove(folder)


def ours(store: Store, folder: str, names: Sequence[str], source: Source, node: str) -> bool:
    """Begun on this server; or what is left of one whose removal was cut off, which said so no more.

    One that a standby or the primary has begun is left alone as long as it may be at work: its sessions are not seen.
    """
    if STARTED not in names:
        return all(PIECE.match(each) for each in names)
    with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        started = json.loads(store.get(f"{folder}/{STARTED}"))
        elsewhere = started.get("node", node) != node and is_young(folder.rpartition("/")[2])
        return bool(started["system"] == source.system) and not elsewhere
    return False


@dataclass(slots=True)
class Maker:
    """Makes the pieces of one backup."""

    server: Server
    store: Store
    programs: Clients
    snapshot: str
    encoding: str
    folder: str
    seal: Seal
    progress: Progress
    stopped: threading.Event = field(default_factory=threading.Event)
    """Set when a part of it has failed: the others end."""
    counting: list[Any] = field(default_factory=list)
    """Connections that count rows."""

    def stop(self) -> None:
        """Nobody needs the rest."""
        self.stopped.set()
        for each in self.counting:
            each.cancel()

    def make(self, source: Source, wanted: Wanted, schema: bytes) -> tuple[tuple[Piece, ...], dict[str, int]]:
        """All of them, and how many rows each table has."""
        jobs = wanted.jobs
        large = [Stream((each,)) for each in source.tables] if wanted.only else streams(source.tables, jobs)
        apart = dict.fromkeys(table for stream in large for table in stream.tables)
        environment = self.server.environment()
        roles = self.programs.command("pg_dumpall", "--globals-only", "--no-role-passwords", "--no-password")
        with ThreadPoolExecutor(jobs) as pool:
            waiting = [pool.submit(self.rows, number, each) for number, each in enumerate(large, 1)]
            small = [each for each in source.tables if each not in apart]
            size = source.large_objects_bytes + sum(each.size_bytes for each in small)
            rest = [f"--exclude-table-data={each.pattern}" for each in apart]
            if not wanted.only:
                asked = ["--section=data", *rest]
                waiting.append(pool.submit(self.dump, "01-rest.dump", "rest", asked, (), size))
            waiting.append(pool.submit(self.dump, "00-schema.dump", "schema", SCHEMA))
            waiting.append(pool.submit(self.piece, "00-roles.sql", "roles", roles, environment))
            counting = [
                pool.submit(self.count, part) for part in (*dict.fromkeys(each.tables for each in large), small) if part
            ]
            try:
                for done in as_completed(cast("list[Future[object]]", [*waiting, *counting])):
                    done.result()
            except BaseException:
                self.stop()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        pieces = [each.result() for each in waiting]
        rows = {name: count for each in counting for name, count in each.result().items()}
        pieces.append(self.stored("00-schema.json", "snapshot", schema))
        if wanted.seal.encrypts:
            pieces.append(self.stored(settings.NAME, settings.WHAT, settings.content_of(source)))
        if source.missing and not wanted.only:
            pieces.append(self.stored(missing.NAME, missing.WHAT, missing.content_of(source.missing)))
        return tuple(sorted(pieces, key=lambda each: each.name)), rows

    def rows(self, number: int, stream: Stream) -> Piece:
        """The rows of a large table, or of some that are not so large."""
        name = f"02-tables-{number:04}"
        tables = tuple(each.pattern for each in stream.tables)
        if not stream.columns:
            asked = ["--section=data", *(f"--table={each}" for each in tables)]
            return self.dump(f"{name}.dump", "tables", asked, tables, stream.size_bytes)
        binary = self.in_binary(stream)
        asked = [f"--command={each}" for each in reading(stream, self.snapshot, self.encoding, binary=binary)]
        command = self.programs.command(
            "psql", "--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", *asked
        )
        piece = self.piece(f"{name}.copy", "rows", command, self.server.environment(), tables, stream.size_bytes)
        return replace(piece, columns=stream.columns, binary=binary)

    def in_binary(self, stream: Stream) -> bool:
        """Whether a stream's rows are written in COPY's binary form."""
        if not stream.tables[0].binary:
            return False
        try:
            with closing(self.server.connect(APPLICATION)) as conn:  # perhaps amid a COPY
                return packs_well(conn, stream, self.snapshot)
        except errors.LockNotAvailable:
            raise
        except errors.Error:
            return False  # COPY itself will say why

    def dump(self, name: str, what: str, asked: Sequence[str], tables: tuple[str, ...] = (), size: int = 0) -> Piece:
        """One pg_dump."""
        command = self.programs.command(
            "pg_dump",
            "--format=custom",
            "--compress=0",
            "--no-password",
            "--no-subscriptions",
            f"--lock-wait-timeout={GIVE_WAY_S * 1000}",
            f"--encoding={SQL_ASCII if self.encoding == SQL_ASCII else 'UTF8'}",
            f"--snapshot={self.snapshot}",
            *asked,
        )
        return self.piece(name, what, command, self.server.environment(), tables, size)

    def piece(
        self,
        name: str,
        what: str,
        command: Sequence[str],
        environment: Any,
        tables: tuple[str, ...] = (),
        size: int = 0,
    ) -> Piece:
        """What a program says, compressed, sealed and stored."""
        with self.upload(name, size) as upload, running(command, environment, what) as output:
            self.seal.close(Counted(output, self.progress, self.stopped), upload)
        return piece_of(upload, what, tables)

    def stored(self, name: str, what: str, content: bytes) -> Piece:
        """A piece that is at hand."""
        import io

        with self.upload(name, len(content)) as upload:
            self.seal.close(io.BytesIO(content), upload)
        return piece_of(upload, what, ())

    @contextmanager
    def upload(self, name: str, size: int) -> Iterator[Upload]:
        """An object that is there only when all went well."""
        upload = self.store.writer(f"{self.folder}/{name}{self.seal.suffix}", size)
        yield upload
        upload.close()

    def count(self, tables: Sequence[Table]) -> dict[str, int]:
        """Rows of each table in the snapshot."""
        found: dict[str, int] = {}
        with self.server.connect(APPLICATION) as conn:
            conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            conn.execute(f"SET TRANSACTION SNAPSHOT '{self.snapshot}'".encode())
            conn.execute(PLAINLY)
            conn.execute(LIMIT)
            self.counting.append(conn)
            for name in dict.fromkeys(each.hashed or each.pattern for each in tables):
                if self.stopped.is_set():
                    raise Stopped
                found[name] = rows_of(conn, name)
        return found


KIND = "SELECT relkind = 'p' FROM pg_class WHERE oid = %s::regclass"


def rows_of(conn: Any, table: str) -> int:
    """Rows of a table, its name as SQL: its own, or of a partitioned one those of its partitions."""
    query = "SELECT count(*) FROM {}" if conn.execute(KIND, (table,)).fetchone()[0] else "SELECT count(*) FROM ONLY {}"
    return int(conn.execute(sql.SQL(query).format(sql.SQL(table))).fetchone()[0])


def piece_of(upload: Upload, what: str, tables: tuple[str, ...]) -> Piece:
    """What was uploaded."""
    return Piece(
        name=upload.path.rpartition("/")[2],
        what=what,
        size_bytes=upload.size_bytes,
        sha256=upload.sha256,
        tables=tables,
    )


class Stopped(Exception):
    """Another part of this backup has failed, which says why."""


class Counted:
    """A stream that tells how much was read of it, until all is stopped."""

    def __init__(self, stream: IO[bytes], progress: Progress, stopped: threading.Event) -> None:
        self.stream, self.progress, self.stopped = stream, progress, stopped

    def read(self, size: int = -1) -> bytes:
        """The next bytes. Raises Stopped."""
        if self.stopped.is_set():
            raise Stopped
        content = self.stream.read(size)
        self.progress.add(len(content))
        return content
