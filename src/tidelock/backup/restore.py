"""A restore: into a new database, looked over there, and only then, by two renames, in the place of the live one."""

from __future__ import annotations

import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from threading import Event
from typing import IO, TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from tidelock.backup import missing
from tidelock.backup.clients import ClientFailed, Clients, text
from tidelock.backup.faults import CannotRestore, NotDropped
from tidelock.backup.filling import Filling
from tidelock.backup.leftovers import APPLICATION, MARK, MARK_LIMIT, comment, dropped, held, maintenance
from tidelock.backup.listing import entries, ordered
from tidelock.backup.reading import checked, unsealed
from tidelock.backup.rows import load
from tidelock.backup.scratch import scratch
from tidelock.core.backups import WHOLE, Manifest, Piece
from tidelock.errors import TidelockError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tidelock.app.ports import Server
    from tidelock.backup.create import Progress
    from tidelock.backup.listing import Entry, Order
    from tidelock.backup.store import Store

# Partitions are analyzed with their parents.
ANALYZE = """
SELECT format('ANALYZE %I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm', 'p') AND NOT c.relispartition AND NOT c.relisshared
   AND c.relpersistence <> 't' ORDER BY c.relkind = 'p' DESC, pg_relation_size(c.oid) DESC, 1"""
OPTIONS = "-c synchronous_commit=off -c statement_timeout=0 -c lock_timeout=0 -c default_transaction_read_only=off"
UNKNOWN_SETTING = 'unrecognized configuration parameter "transaction_timeout"'
VIEW_ROWS = "MATERIALIZED VIEW DATA"
LEFT_OUT = (" COMMENT - EXTENSION ",)
WANT_ALL_ROWS = (" FK CONSTRAINT ", " MATERIALIZED VIEW DATA ")


@dataclass(slots=True)
class Restorer:
    """Restores one backup into one new database."""

    server: Server
    store: Store
    manifest: Manifest
    name: str
    """Of the new database."""
    jobs: int
    progress: Progress
    programs: Clients
    newer: bool = False
    """pg_restore says something that this server does not know yet: that error is none."""
    unfilled: list[str] = field(default_factory=list)
    """Materialized views that cannot be filled from the rows that are there, and why."""
    lock: Any = None
    """The connection whose lock says that this restore is alive."""
    stopped: Event = field(default_factory=Event)
    """Set when a part of it has failed: the others end."""

    def run(self) -> None:
        """Make the database and fill it; on failure it is dropped again. Raises a BackupFault."""
        if roles := self.manifest.piece("roles"):  # the one piece that is not loaded
            checked(self.store, self.manifest, roles, self.progress)
        self.make()
        try:
            self.prepare()
            with self.fetched("schema") as schema:
                wanted, order = self.ordered(schema)
                self.program("schema", "--section=pre-data", source=only(schema, "schema", wanted))
                Filling(self, schema, order).run()
                self.progress.tell("restoring what needs all rows", None)
                views = [each for each in order.last if each.what.startswith(VIEW_ROWS)]
                self.build("last", schema, [each for each in order.last if each not in views], self.jobs)
                self.populate(schema, views)
            self.finish()
        except BaseException as error:
            self.drop(error)
            raise

    # --- the database ------------------------------------------------------------------------------------------------

    def make(self) -> None:
        """An empty one as the old one was made."""
        conn = self.lock = self.server.connect(APPLICATION, self.somewhere)
        if not held(conn, self.name):
            raise CannotRestore(self.server.target, f"another restore makes {self.name}", "wait for it")
        name = sql.Identifier(self.name).as_string(conn)
        conn.execute(f"CREATE DATABASE {name} WITH {self.manifest.create} CONNECTION LIMIT {MARK_LIMIT}".encode())
        conn.execute(comment(self.name, MARK))

    def prepare(self) -> None:
        """It has the settings under which its rows were written, no `public` when it had none, and is ready for
        TimescaleDB's own rows."""
        settle(self.server, self.name, [each for each in self.manifest.settings if stage(each) == "first"])
        if "timescaledb" not in self.manifest.extensions and not self.has_public():
            with self.server.connect(APPLICATION, self.name) as conn:
                conn.execute("DROP SCHEMA public")  # template0 has one
        if version := self.manifest.extensions.get("timescaledb"):
            with self.server.connect(APPLICATION, self.name) as conn:
                create = sql.SQL("CREATE EXTENSION timescaledb VERSION {}").format(sql.Literal(version))
                conn.execute(create)
            with self.server.connect(APPLICATION, self.name) as conn:
                conn.execute("SELECT timescaledb_pre_restore()")

    def has_public(self) -> bool:
        """Whether the schema `public` was there; true when the backup does not say."""
        from tidelock.core.snapshot import unpacked

        piece = self.manifest.piece("snapshot")
        if piece is None:
            return True
        content = BytesIO()
        self.unsealed(piece, content)
        return ("schema", "public") in unpacked(content.getvalue().decode()).objects

    @property
    def somewhere(self) -> str:
        """A database to connect to that is neither the old one nor the new one."""
        return maintenance(self.server)

    def finish(self) -> None:
        """TimescaleDB goes on, the database has its owner and privileges, statistics are there."""
        settle(self.server, self.name, [each for each in self.manifest.settings if stage(each) == "filled"])
        if "timescaledb" in self.manifest.extensions:
            self.put_back()
            with self.server.connect(APPLICATION, self.name) as conn:
                conn.execute("SELECT timescaledb_post_restore()")
        self.progress.tell("gathering statistics", None)
        with self.server.connect(APPLICATION, self.name) as conn:
            # TimescaleDB's own knows which chunks are worth it.
            alone = "timescaledb" in self.manifest.extensions
            commands = ["ANALYZE"] if alone else [command for (command,) in conn.execute(ANALYZE)]
        with ThreadPoolExecutor(self.jobs) as pool:
            list(pool.map(self.run_all, [commands[number :: self.jobs] for number in range(self.jobs)]))

    def put_back(self) -> None:
        """What compressed rows take from the catalog."""
        if piece := self.manifest.piece(missing.WHAT):
            content = BytesIO()
            self.unsealed(piece, content)
            with self.server.connect(APPLICATION, self.name) as conn:
                missing.put_back(conn, content.getvalue())

    def run_all(self, commands: Sequence[str]) -> None:
        """Run some statements, one after the other."""
        with self.server.connect(APPLICATION, self.name) as conn:
            for each in commands:
                conn.execute(each.encode())

    def limit(self) -> None:
        """What would keep a restore out, and its mark: how many may connect, and whether it is a template."""
        settle(self.server, self.name, [each for each in self.manifest.settings if stage(each) == "last"])

    def done(self) -> None:
        """It is a database like any other from now on: what was said of it stands in the place of the mark."""
        self.limit()
        self.lock.execute(comment(self.name, self.manifest.comment))
        self.close()

    def close(self) -> None:
        """Let go of its lock."""
        if self.lock is not None:
            self.lock.close()

    def drop(self, cause: BaseException | None = None) -> None:
        """Take the new database away, for a cause or because it has served. When that fails it is said beside the
        cause, or is the fault: NotDropped."""
        try:
            dropped(self.server, self.name)
        except (psycopg.Error, TidelockError) as error:
            NotDropped(self.server.target, self.name, str(error).strip()).join(cause)
        finally:
            self.close()

    # --- pg_restore --------------------------------------------------------------------------------------------------

    @property
    def large(self) -> list[Piece]:
        """The pieces with the rows of large tables."""
        return [each for each in self.manifest.pieces if each.what in ("tables", "rows")]

    def ordered(self, archive: Path) -> tuple[list[Entry], Order]:
        """What an archive has, and when to make what follows the rows.

        Left out is what belongs to the server: comments on extensions; and in a backup of some tables what needs the
        rows of others: references, and that views are filled.
        """
        without = LEFT_OUT if self.manifest.scope == WHOLE else (*LEFT_OUT, *WANT_ALL_ROWS)
        found = [each for each in self.listed(archive, "--verbose") if not any(no in each.line for no in without)]
        following = {each.number for each in self.listed(archive, "--section=post-data")}
        tables = {table: bare(table) for piece in self.large for table in piece.tables}
        return found, ordered(found, following, tables)

    def listed(self, archive: Path, *asked: str) -> tuple[Entry, ...]:
        """What pg_restore lists."""
        command = self.programs.command("pg_restore", "--list", *asked, str(archive))
        done = subprocess.run(command, capture_output=True, check=True)
        return entries(done.stdout.decode(errors="surrogateescape"))  # of SQL_ASCII it may have any bytes

    def build(self, name: str, archive: Path, wanted: Sequence[Entry], jobs: int) -> None:
        """Make some of what follows the rows."""
        if wanted:
            self.program("indexes", "--section=post-data", f"--jobs={jobs}", source=only(archive, name, wanted))

    def populate(self, archive: Path, views: Sequence[Entry]) -> None:
        """Fill the materialized views; one whose query fails by now stays empty, and keeps nobody from the rows."""
        try:
            self.build("views", archive, views, self.jobs)
        except ClientFailed:
            for each in views:
                try:
                    self.build(f"view-{each.number}", archive, [each], 1)
                except ClientFailed as fault:
                    self.unfilled.append(f"{each.what.removeprefix(VIEW_ROWS).strip()}: {fault.message}")

    def program(self, what: str, *asked: str, source: Sequence[str]) -> None:
        """One pg_restore of a file."""
        done = subprocess.run(
            [*self.command(asked), *source],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode and not self.passable(done.stderr):
            raise ClientFailed("pg_restore", what, done.returncode, done.stderr)

    def passable(self, said: str) -> bool:
        """Whether the only errors are those of the setting that an older server does not know."""
        errors = [each for each in said.splitlines() if each.startswith("pg_restore: error:")]
        return self.newer and bool(errors) and all(UNKNOWN_SETTING in each for each in errors)

    def command(self, asked: Sequence[str]) -> list[str]:
        """pg_restore with what is always asked of it."""
        return self.programs.command(
            "pg_restore",
            *([] if self.newer else ["--exit-on-error"]),
            "--no-password",
            "--no-subscriptions",
            f"--dbname={conninfo(self.name)}",
            *asked,
        )

    @property
    def environment(self) -> dict[str, str]:
        """What it is to know of the server."""
        import os

        given = dict(self.server.environment(self.name))
        options = f"{given.get('PGOPTIONS', '')} {OPTIONS}".strip()
        return {**os.environ, **given, "PGOPTIONS": options, "LC_ALL": "C"}

    def load(self, piece: Piece, *, whole: bool) -> None:
        """A piece with the rows of large tables. `whole`: a table's rows are all in it."""
        if piece.what == "rows":
            load(self.server, self.name, piece, lambda to: self.unsealed(piece, to), whole=whole)
        else:
            self.pour(piece)

    def pour(self, piece: Piece) -> None:
        """Rows from the store into the database. Raises Damaged when the stored object is another."""
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                self.command(["--section=data"]),
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=said,
            )
            assert process.stdin is not None
            try:
                with suppress(BrokenPipeError):  # it has ended early, and says why
                    self.unsealed(piece, process.stdin)
                    process.stdin.close()
                process.wait()
            except BaseException:
                process.kill()
                process.wait()
                raise
            if process.returncode and not self.passable(words := text(said)):
                raise ClientFailed("pg_restore", piece.name, process.returncode, words)

    @contextmanager
    def fetched(self, what: str) -> Iterator[Path]:
        """A piece as a file: the schema, which pg_restore reads more than once."""
        piece = self.manifest.piece(what)
        assert piece is not None, "every backup has a schema"
        with scratch() as folder:
            path = folder / what
            with path.open("wb") as file:
                self.unsealed(piece, file)
            yield path

    def unsealed(self, piece: Piece, to: IO[bytes]) -> None:
        """A piece's content, checked against its digest."""
        unsealed(self.store, self.manifest, piece, Stoppable(to, self.stopped), self.progress)


class Stoppable:
    """A stream to write to until a restore is stopped."""

    def __init__(self, to: IO[bytes], stopped: Event) -> None:
        self._to, self._stopped = to, stopped

    def write(self, content: bytes) -> int:
        """Write on. Raises Stopped."""
        if self._stopped.is_set():
            raise Stopped
        self._to.write(content)
        return len(content)


class Stopped(Exception):
    """Another part of this restore has failed, which says why."""


def only(archive: Path, name: str, wanted: Sequence[Entry]) -> list[str]:
    """Options by which pg_restore takes these entries of an archive alone."""
    file = archive.with_name(f"{name}.list")
    file.write_text("\n".join(each.line for each in wanted), encoding="utf-8", errors="surrogateescape")
    return [f"--use-list={file}", str(archive)]


def bare(table: str) -> str:
    """`schema name`, as pg_restore lists it, of `"schema"."name"`."""
    schema, name = table[1:-1].split('"."', 1)
    return " ".join(each.replace('""', '"').replace("\n", " ").replace("\r", " ") for each in (schema, name))


def conninfo(database: str) -> str:
    """A connection string that names a database, whatever is in its name."""
    quoted = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{quoted}'"


def stage(setting: str) -> str:
    """When a statement of `Manifest.settings` is run. As pg_dump -C does, settings come before the rows: what is
    evaluated while these are loaded, a materialized view above all, depends on them."""
    what = setting.rpartition("{database} ")[2]
    if what.startswith(("CONNECTION LIMIT", "IS_TEMPLATE")):
        return "last"
    return "first" if what.startswith("SET ") and not what.startswith("SET role ") else "filled"


def settle(server: Server, name: str, settings: Sequence[str]) -> None:
    """Owner, privileges and settings of the database, as they were."""
    with server.connect(APPLICATION, maintenance(server)) as conn:
        for each in settings:
            try:
                statement = each.replace("{database}", sql.Identifier(name).as_string(conn), 1).encode()
                conn.execute(statement, binary=True)  # which takes one statement alone
            except psycopg.errors.InsufficientPrivilege as error:
                what = each.replace("{database}", name, 1)
                if "{database} SET " in each:
                    what = what.partition(" TO ")[0]  # the value may be a secret
                raise CannotRestore(
                    server.target,
                    f"{what}: {error.diag.message_primary}",
                    "connect as a member of the role that owns the database, or as a superuser",
                ) from None
