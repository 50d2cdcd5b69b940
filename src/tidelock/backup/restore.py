"""A restore: into a new database, looked over there, and only then, by two renames, in the place of the live one."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import psycopg
import zstandard
from psycopg import sql

from tidelock.backup.clients import ClientFailed, Clients, clients, text
from tidelock.backup.seal import open_seal
from tidelock.backup.store import folder_of
from tidelock.core.backups import BackupFault, Manifest, Piece

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tidelock.app.ports import Server
    from tidelock.backup.create import Progress
    from tidelock.backup.store import Store

APPLICATION = "tidelock restore"
OPTIONS = "-c synchronous_commit=off -c maintenance_work_mem=256MB -c statement_timeout=0 -c lock_timeout=0"
NAME_BYTES = 63


class Damaged(BackupFault):
    """A stored object is not what was written."""

    code = "B006"

    def __init__(self, place: str, why: str) -> None:
        super().__init__(
            f"{place} is damaged: {why}", hint="use another backup (`tidelock backup list`), and look at the store"
        )


class NotTheSame(BackupFault):
    """What was restored is not what was backed up."""

    code = "B007"

    def __init__(self, backup: str, differences: Sequence[str]) -> None:
        super().__init__(
            f"backup {backup} was restored, and differs from what it was made of: {differences[0]}",
            hint="the live database is as it was; use another backup, and report this",
            detail="\n".join(differences[:20]),
        )


class CannotRestore(BackupFault):
    """Something stands in the way, found before anything was done."""

    code = "B008"

    def __init__(self, target: str, why: str, hint: str) -> None:
        super().__init__(f"{target}: {why}", hint=hint)


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

    def run(self) -> None:
        """Make the database and fill it; on failure it is dropped again. Raises a BackupFault."""
        self.make()
        try:
            with self.fetched("schema") as schema:
                self.program("schema", "--section=pre-data", source=self.listed(schema))
                if rest := self.manifest.piece("rest"):
                    self.pour(rest)
                with ThreadPoolExecutor(self.jobs) as pool:
                    tables = [each for each in self.manifest.pieces if each.what == "tables"]
                    waiting = [pool.submit(self.pour, each) for each in tables]
                    try:
                        for each in as_completed(waiting):
                            each.result()
                    except BaseException:
                        pool.shutdown(wait=True, cancel_futures=True)
                        raise
                self.program("indexes", "--section=post-data", f"--jobs={self.jobs}", source=self.listed(schema))
            self.finish()
        except BaseException:
            self.drop()
            raise

    # --- the database ------------------------------------------------------------------------------------------------

    def make(self) -> None:
        """An empty one as the old one was made, ready for TimescaleDB's own rows."""
        with self.server.connect(APPLICATION, self.somewhere) as conn:
            name = sql.Identifier(self.name).as_string(conn)
            conn.execute(f"CREATE DATABASE {name} WITH {self.manifest.create}".encode())
        if version := self.manifest.extensions.get("timescaledb"):
            with self.server.connect(APPLICATION, self.name) as conn:
                create = sql.SQL("CREATE EXTENSION timescaledb VERSION {}").format(sql.Literal(version))
                conn.execute(create)
            with self.server.connect(APPLICATION, self.name) as conn:
                conn.execute("SELECT timescaledb_pre_restore()")

    @property
    def somewhere(self) -> str:
        """A database to connect to that is neither the old one nor the new one."""
        return maintenance(self.server)

    def finish(self) -> None:
        """TimescaleDB goes on, the database has its settings, statistics are there."""
        settle(self.server, self.name, self.manifest.settings)
        if "timescaledb" in self.manifest.extensions:
            with self.server.connect(APPLICATION, self.name) as conn:
                conn.execute("SELECT timescaledb_post_restore()")
        with self.server.connect(APPLICATION, self.name) as conn:
            self.progress.tell("gathering statistics", None)
            conn.execute("ANALYZE")

    def drop(self) -> None:
        """Take the new database away."""
        with suppress(psycopg.Error, BackupFault), self.server.connect(APPLICATION, self.somewhere) as conn:
            conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(self.name)))

    # --- pg_restore --------------------------------------------------------------------------------------------------

    def listed(self, archive: Path) -> list[str]:
        """Options by which pg_restore leaves out what belongs to the server: comments on extensions."""
        listing = subprocess.run(
            self.programs.command("pg_restore", "--list", str(archive)), capture_output=True, text=True, check=True
        ).stdout
        lines = [line for line in listing.splitlines() if " COMMENT - EXTENSION " not in line]
        file = archive.with_suffix(".list")
        file.write_text("\n".join(lines), encoding="utf-8")
        return [f"--use-list={file}", str(archive)]

    def program(self, what: str, *asked: str, source: Sequence[str]) -> None:
        """One pg_restore of a file."""
        self.progress.tell(f"restoring the {what}", None)
        done = subprocess.run(
            [*self.command(asked), *source],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ClientFailed("pg_restore", what, done.returncode, done.stderr)

    def command(self, asked: Sequence[str]) -> list[str]:
        """pg_restore with what is always asked of it."""
        return self.programs.command(
            "pg_restore", "--exit-on-error", "--no-password", f"--dbname={conninfo(self.name)}", *asked
        )

    @property
    def environment(self) -> dict[str, str]:
        """What it is to know of the server."""
        import os

        given = dict(self.server.environment(self.name))
        options = f"{given.get('PGOPTIONS', '')} {OPTIONS}".strip()
        return {**os.environ, **given, "PGOPTIONS": options, "LC_ALL": "C"}

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
            if process.returncode:
                raise ClientFailed("pg_restore", piece.name, process.returncode, text(said))

    @contextmanager
    def fetched(self, what: str) -> Iterator[Path]:
        """A piece as a file: the schema, which pg_restore reads more than once."""
        piece = self.manifest.piece(what)
        assert piece is not None, "every backup has a schema"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / what
            with path.open("wb") as file:
                self.unsealed(piece, file)
            yield path

    def unsealed(self, piece: Piece, to: IO[bytes]) -> None:
        """A piece's content, checked against its digest."""
        unsealed(self.store, self.manifest, piece, to, self.progress)


def unsealed(store: Store, manifest: Manifest, piece: Piece, to: Any, progress: Progress) -> None:
    """Write the content of a stored piece to a stream. Raises Damaged."""
    digest = hashlib.sha256()
    size = 0
    path = f"{folder_of(manifest.database, manifest.id)}/{piece.name}"

    def chunks() -> Iterator[bytes]:
        nonlocal size
        for chunk in store.chunks(path):
            digest.update(chunk)
            size += len(chunk)
            progress.add(len(chunk))
            yield chunk

    damage = ""
    try:
        open_seal(chunks(), to, encrypted=manifest.encrypted)
    except zstandard.ZstdError as error:
        damage = f"it cannot be decompressed ({error})"
    if size != piece.size_bytes or digest.hexdigest() != piece.sha256:
        damage = f"{size} bytes with another digest than the {piece.size_bytes} that were written"
    if damage:
        raise Damaged(f"{store}/{path}", damage)


def conninfo(database: str) -> str:
    """A connection string that names a database, whatever is in its name."""
    quoted = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{quoted}'"


def maintenance(server: Server) -> str:
    """A database to connect to that is not the one at hand."""
    return "postgres" if server.database != "postgres" else "template1"


# --- looked over -----------------------------------------------------------------------------------------------------


def differences(server: Server, store: Store, manifest: Manifest, name: str, progress: Progress) -> list[str]:
    """What is not as it was backed up: rows of each table, and the schema."""
    found: list[str] = []
    with server.connect(APPLICATION, name) as conn:
        progress.tell("counting rows", None)
        for table, rows in manifest.rows.items():
            try:
                now: object = rows_of(conn, table)
            except psycopg.errors.UndefinedTable:
                now = "no"
            if now != rows:
                found.append(f"{table} has {now} rows, and had {rows}")
        if piece := manifest.piece("snapshot"):
            progress.tell("comparing the schema", None)
            from io import BytesIO

            before = BytesIO()
            unsealed(store, manifest, piece, before, progress)
            if before.getvalue() != server.schema(conn):
                found += schema_differences(before.getvalue(), server.schema(conn))
    return found


def look_over(server: Server, store: Store, manifest: Manifest, name: str, progress: Progress) -> None:
    """Raise NotTheSame when what was restored is not what was backed up."""
    if found := differences(server, store, manifest, name, progress):
        raise NotTheSame(manifest.id, found)


def rows_of(conn: Any, table: str) -> int:
    """Rows of a table, its name as SQL."""
    query = sql.SQL("SELECT count(*) FROM ONLY {}").format(sql.SQL(table))
    return int(conn.execute(query).fetchone()[0])


def schema_differences(before: bytes, after: bytes) -> list[str]:
    """Objects that differ, by name."""
    from tidelock.core.snapshot import unpacked

    one, other = unpacked(before.decode()).objects, unpacked(after.decode()).objects
    return [
        f"{kind} {name} is another one" if (kind, name) in one and (kind, name) in other else f"{kind} {name}"
        for kind, name in sorted({*one, *other})
        if one.get((kind, name)) != other.get((kind, name))
    ] or ["the schema"]


# --- in the place of the live one ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Guest:
    """A session in the live database."""

    pid: int
    user: str
    application: str
    client: str
    state: str

    def __str__(self) -> str:
        return " · ".join(
            each for each in (f"pid {self.pid}", self.user, self.application, self.client, self.state) if each
        )


GUESTS = """
SELECT pid, coalesce(usename, ''), coalesce(application_name, ''), coalesce(host(client_addr), 'local'),
       coalesce(state, '') FROM pg_stat_activity
 WHERE datname = %s AND pid <> pg_backend_pid() AND backend_type = 'client backend' ORDER BY pid"""
END = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN (%s, %s) AND pid <> pg_backend_pid()"""


def guests(server: Server, name: str) -> list[Guest]:
    """Who is connected to a database."""
    with server.connect(APPLICATION, maintenance(server)) as conn:
        return [Guest(*row) for row in conn.execute(GUESTS, (name,))]


def settle(server: Server, name: str, settings: Sequence[str]) -> None:
    """Owner, privileges and settings of the database, as they were."""
    with server.connect(APPLICATION, maintenance(server)) as conn:
        for each in settings:
            conn.execute(each.replace("{database}", sql.Identifier(name).as_string(conn), 1).encode())


def drop(server: Server, name: str) -> None:
    """Drop a database."""
    with server.connect(APPLICATION, maintenance(server)) as conn:
        conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def written_since(server: Server, manifest: Manifest) -> list[tuple[str, int, int]]:
    """(table, rows then, rows now) of those tables whose number of rows is another one now."""
    found = []
    with server.connect(APPLICATION) as conn:
        for table, then in sorted(manifest.rows.items()):
            there = conn.execute("SELECT to_regclass(%s) IS NOT NULL", (table,)).fetchone()
            now = rows_of(conn, table) if there and there[0] else 0
            if now != then:
                found.append((table, then, now))
    return found


def swap(server: Server, live: str, new: str, old: str, wait_s: float = 30.0) -> None:
    """Two renames in one transaction: `live` becomes `old`, `new` becomes `live`. Sessions are ended until it works.

    The live database is never closed to connections outside of that transaction. Raises CannotRestore.
    """
    import time

    until = time.monotonic() + wait_s
    with server.connect(APPLICATION, maintenance(server)) as conn:
        renamed = False
        while not renamed:
            conn.execute(END, (live, new))
            try:
                with conn.transaction():
                    conn.execute("SET LOCAL lock_timeout = '5s'")
                    for before, after in ((live, old), (new, live)):
                        rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
                        conn.execute(rename.format(sql.Identifier(before), sql.Identifier(after)))
                renamed = True
            except (psycopg.errors.ObjectInUse, psycopg.errors.LockNotAvailable) as error:
                if time.monotonic() > until:
                    raise CannotRestore(
                        server.target,
                        f"sessions come back faster than they are ended: {error.diag.message_detail}",
                        "stop what connects (scale the application down), and run it again",
                    ) from None


def restorer(server: Server, store: Store, manifest: Manifest, name: str, jobs: int, progress: Progress) -> Restorer:
    """One that is ready to run: rights, extensions, roles and what else stands in the way were checked."""
    with server.connect(APPLICATION, maintenance(server)) as conn:
        [version] = conn.execute("SELECT current_setting('server_version_num')::int").fetchone() or (0,)
        check(conn, server, manifest, version, name)
    progress.total_bytes = manifest.size_bytes
    return Restorer(server, store, manifest, name, jobs, progress, clients(max(version, manifest.server)))


RIGHTS = "SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user"
MISSING_ROLES = "SELECT r FROM unnest(%s::text[]) r WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r)"
MISSING_EXTENSIONS = """
SELECT n || ' ' || v FROM unnest(%s::text[], %s::text[]) x (n, v)
 WHERE NOT EXISTS (SELECT FROM pg_available_extension_versions e
                    WHERE e.name = n AND (e.version = v OR n <> 'timescaledb'))"""
IN_THE_WAY = """
SELECT format('replication slot %%s is on it', slot_name), 'drop it first: SELECT pg_drop_replication_slot(…)'
  FROM pg_replication_slots WHERE database = %(name)s
UNION ALL
SELECT format('subscription %%s is in it', subname), 'drop or move it first: DROP SUBSCRIPTION'
  FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = %(name)s
UNION ALL
SELECT format('prepared transaction %%s is open in it', gid), 'end it first: COMMIT PREPARED or ROLLBACK PREPARED'
  FROM pg_prepared_xacts WHERE database = %(name)s"""


def check(conn: Any, server: Server, manifest: Manifest, version: int, name: str) -> None:
    """Raise CannotRestore for what stands in the way of making the new database."""
    superuser, creates = conn.execute(RIGHTS).fetchone() or (False, False)
    if not (superuser or creates):
        raise CannotRestore(
            server.target, "the role may not create databases", "connect as one with CREATEDB (ALTER ROLE … CREATEDB)"
        )
    if version // 10000 < manifest.server // 10000:
        raise CannotRestore(
            server.target,
            f"it is PostgreSQL {version // 10000}, and the backup of {manifest.server // 10000}",
            "restore on the same major version or a newer one",
        )
    if roles := [row[0] for row in conn.execute(MISSING_ROLES, (list(manifest.roles),))]:
        raise CannotRestore(
            server.target,
            f"roles are missing that the backup's objects name: {', '.join(roles)}",
            f"`tidelock backup show {manifest.id} --roles` prints the SQL that makes them",
        )
    wanted = manifest.extensions
    rows = conn.execute(MISSING_EXTENSIONS, (list(wanted), list(wanted.values())))
    if extensions := [row[0] for row in rows]:
        raise CannotRestore(
            server.target,
            f"extensions are missing: {', '.join(extensions)}",
            "install them on the server, same version",
        )
    if conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
        raise CannotRestore(server.target, f"there is a database {name} already", "choose another name: --into NAME")


def check_live(server: Server, name: str) -> None:
    """Raise CannotRestore for what keeps a live database from being renamed."""
    with server.connect(APPLICATION, maintenance(server)) as conn:
        owns = conn.execute(
            "SELECT pg_has_role(datdba, 'MEMBER') FROM pg_database WHERE datname = %s", (name,)
        ).fetchone()
        if owns is not None and not owns[0]:
            raise CannotRestore(server.target, f"the role does not own {name}", "connect as its owner, or a superuser")
        for why, hint in conn.execute(IN_THE_WAY, {"name": name}):
            raise CannotRestore(server.target, why, hint)


def dated(name: str, stamp: str) -> str:
    """The name under which the old database stays: `farm_before_20261124T220501`."""
    suffix = f"_before_{stamp}"
    return name.encode()[: NAME_BYTES - len(suffix)].decode(errors="ignore") + suffix
