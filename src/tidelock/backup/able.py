"""Whether a backup can be restored on a server: asked before anything is done."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from tidelock.backup import missing
from tidelock.backup.clients import clients
from tidelock.backup.faults import CannotRestore
from tidelock.backup.leftovers import APPLICATION, maintenance, sweep
from tidelock.backup.restore import Restorer
from tidelock.backup.settings import complete, forbidden
from tidelock.core.backups import WHOLE

if TYPE_CHECKING:
    from tidelock.app.ports import Server
    from tidelock.backup.create import Progress
    from tidelock.backup.store import Store
    from tidelock.core.backups import Manifest


TIMEOUT_SINCE = 17
"""From then on pg_restore sets transaction_timeout, which an older server does not know."""


def restorer(server: Server, store: Store, manifest: Manifest, name: str, jobs: int, progress: Progress) -> Restorer:
    """One that is ready to run: rights, extensions, roles and what else stands in the way were checked."""
    manifest = complete(store, manifest, progress)
    with server.connect(APPLICATION, maintenance(server)) as conn:
        [version] = conn.execute("SELECT current_setting('server_version_num')::int").fetchone() or (0,)
        for left, why in sweep(conn, name).items():
            progress.tell(f"the database {left}, left by a restore that was killed, cannot be dropped: {why}", None)
        check(conn, server, manifest, version, name)
        room = room_bytes(conn)
    check_room(server, manifest, room, progress)
    progress.total_bytes = manifest.size_bytes
    programs = clients(max(version, manifest.server, manifest.client * 10000))
    newer = programs.major >= TIMEOUT_SINCE > version // 10000
    return Restorer(server, store, manifest, name, jobs, progress, programs, newer=newer)


# Only who may read all settings is told; the time of its start says that the server is the one of this machine.
WHERE = """
SELECT current_setting('data_directory'), extract(epoch FROM pg_postmaster_start_time())::bigint"""


def room_bytes(conn: Any) -> int | None:
    """What is free where the server keeps its data; None when that is another machine, or is not told."""
    try:
        folder, started = conn.execute(WHERE).fetchone()
        lines = (Path(folder) / "postmaster.pid").read_text().splitlines()
        if abs(int(lines[2]) - started) <= 2:
            return shutil.disk_usage(folder).free
    except (psycopg.Error, OSError, ValueError, IndexError):
        pass
    return None


def check_room(server: Server, manifest: Manifest, room: int | None, progress: Progress) -> None:
    """Raise CannotRestore when the database would not fit; say so when nobody can know."""
    wanted = manifest.database_bytes if manifest.scope == WHOLE else 0
    if room is None:
        progress.tell(f"room for {wanted / 1e6:,.0f} MB on the server: not checked, its disk is not here", None)
    elif room < wanted:
        raise CannotRestore(
            server.target,
            f"it has room for {room / 1e6:,.0f} MB, and the backup needs {wanted / 1e6:,.0f} MB beside what is there",
            "make room where its data directory is",
        )


RIGHTS = """
SELECT rolname, rolsuper OR rolcreatedb, quote_ident(rolname), rolsuper FROM pg_roles WHERE rolname = current_user"""
MISSING_ROLES = "SELECT r FROM unnest(%s::text[]) r WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r)"
MISSING_EXTENSIONS = """
SELECT n || ' ' || v FROM unnest(%s::text[], %s::text[]) x (n, v)
 WHERE NOT EXISTS (SELECT FROM pg_available_extension_versions e
                    WHERE e.name = n AND (e.version = v OR n <> 'timescaledb'))"""


def check(conn: Any, server: Server, manifest: Manifest, version: int, name: str) -> None:
    """Raise CannotRestore for what stands in the way of making the new database."""
    role, creates, quoted, superuser = conn.execute(RIGHTS).fetchone() or ("", False, "", False)
    if not creates:
        raise CannotRestore(
            server.target,
            f"the role {role} may not create databases, and a restore fills a new one",
            f"a superuser grants it: ALTER ROLE {quoted} CREATEDB; or connect as a role that has it",
        )
    if names := forbidden(conn, manifest.settings, version):
        allow = f"GRANT SET ON PARAMETER {names[0]} TO {quoted}; " if version >= 150000 else ""
        raise CannotRestore(
            server.target,
            f"the role {role} may not set {', '.join(names)}, which the database has by ALTER DATABASE … SET",
            f"a superuser restores it, or allows it: {allow}or takes it away before the next backup: ALTER DATABASE … "
            f"RESET {names[0]}",
        )
    if manifest.piece(missing.WHAT) and not superuser:
        raise CannotRestore(
            server.target,
            f"compressed chunks have columns that were added with a DEFAULT, and the role {role} is no superuser: "
            "only one may give the catalog that default",
            "restore as a superuser; or compress those chunks anew before the next backup: SELECT compress_chunk("
            "c, recompress => true) FROM show_chunks('…') c",
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
