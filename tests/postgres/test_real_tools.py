"""Each tool that a registry has is really run: 19 migrations applied, the 20th pending, and then Tidelock takes over.

Those from pip and npm run always. The others take minutes to build: `TIDELOCK_TEST_TOOLS=all` runs them too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from bench.peers import CACHE, PeerMissing, debian_program, node_binary, python_tool
from tests.rig.project import Project
from tests.rig.requirement import missing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COUNT = 20
WHO = "Ada <ada@example.org>"


def sql(number: int) -> str:
    return (
        f"CREATE TABLE m{number} (id bigint PRIMARY KEY, note text DEFAULT 'a;b');\nCREATE INDEX ON m{number} (note);\n"
    )


@dataclass(frozen=True)
class Real:
    """A tool: where its program is, how it wants a migration, how it is run."""

    name: str
    install: Callable[[], Path]
    write: Callable[[Path, int], None]
    command: Callable[[Path, Path, str], list[str]]
    slow: bool = False
    sums: str = ""
    """The file of migration 5, for tools that keep checksums."""
    prepare: Callable[[Path], None] = lambda _: None


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def numbered(template: str, text: str) -> Callable[[Path, int], None]:
    return lambda folder, number: put(folder / template.format(n=number), text.format(sql=sql(number), n=number))


def go(package: str, program: str, *tags: str) -> Callable[[], Path]:
    def install() -> Path:
        path = CACHE / "go" / program
        if not path.exists():
            if shutil.which("go") is None:
                raise PeerMissing("go is not installed")
            environment = {**os.environ, "GOBIN": str(CACHE / "go")}
            done = subprocess.run(
                ["go", "install", *tags, package],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=900,
            )
            if done.returncode:
                raise PeerMissing(done.stderr.strip().splitlines()[-1][:200])
        return path

    return install


def cargo(crate: str, program: str, *options: str) -> Callable[[], Path]:
    def install() -> Path:
        path = CACHE / "cargo" / "bin" / program
        if not path.exists():
            if shutil.which("cargo") is None:
                raise PeerMissing("cargo is not installed")
            done = subprocess.run(
                ["cargo", "install", "--quiet", "--root", str(CACHE / "cargo"), *options, crate],
                capture_output=True, text=True, check=False, timeout=1800,
            )  # fmt: skip
            if done.returncode:
                raise PeerMissing(done.stderr.strip().splitlines()[-1][:200])
        return path

    return install


def alembic_env(folder: Path) -> None:
    put(folder / "alembic.ini", f"[alembic]\nscript_location = {folder}\nsqlalchemy.url = postgresql+psycopg://\n")
    put(
        folder / "env.py",
        "import os\nfrom alembic import context\nfrom sqlalchemy import create_engine, pool\n"
        "if context.is_offline_mode():\n    context.configure(dialect_name='postgresql', literal_binds=True)\n"
        "    with context.begin_transaction():\n        context.run_migrations()\n"
        "else:\n    with create_engine(os.environ['URL'], poolclass=pool.NullPool).connect() as connection:\n"
        "        context.configure(connection=connection, transaction_per_migration=True)\n"
        "        with context.begin_transaction():\n            context.run_migrations()\n",
    )


def alembic_revision(folder: Path, number: int) -> None:
    before = repr(f"r{number - 1:02}") if number > 1 else "None"
    put(
        folder / "versions" / f"r{number:02}_m{number}.py",
        f"from alembic import op\nrevision = 'r{number:02}'\ndown_revision = {before}\n"
        f"def upgrade():\n    op.execute({sql(number)!r})\n",
    )


def django_project(folder: Path) -> None:
    put(
        folder / "manage.py",
        "import os, sys\nfrom urllib.parse import urlsplit\nfrom django.conf import settings\n"
        "u = urlsplit(os.environ.get('URL', 'postgresql://x@127.0.0.1:1/x'))\n"
        "settings.configure(INSTALLED_APPS=['shop'], DATABASES={'default': {'ENGINE': 'django.db.backends.postgresql',"
        " 'NAME': u.path[1:], 'USER': u.username, 'HOST': u.hostname, 'PORT': u.port}})\n"
        "from django.core.management import execute_from_command_line\nexecute_from_command_line(sys.argv)\n",
    )
    put(folder / "shop" / "__init__.py", "")
    put(folder / "shop" / "migrations" / "__init__.py", "")


def django_migration(folder: Path, number: int) -> None:
    before = f"[('shop', '{number - 1:04}_m{number - 1}')]" if number > 1 else "[]"
    put(
        folder / "shop" / "migrations" / f"{number:04}_m{number}.py",
        "from django.db import migrations\nclass Migration(migrations.Migration):\n"
        f"    dependencies = {before}\n    operations = [migrations.RunSQL({sql(number)!r})]\n",
    )


def sqitch_project(folder: Path) -> None:
    put(folder / "sqitch.conf", "[core]\n\tengine = pg\n[user]\n\tname = Ada\n\temail = ada@example.org\n")
    put(folder / "sqitch.plan", "%syntax-version=1.0.0\n%project=shop\n\n")


def sqitch_change(folder: Path, number: int) -> None:
    with (folder / "sqitch.plan").open("a") as plan:
        plan.write(f"m{number} 2026-01-{number:02}T00:00:00Z {WHO} # change {number}\n")
    put(folder / "deploy" / f"m{number}.sql", f"BEGIN;\n{sql(number)}COMMIT;\n")


REAL = {
    each.name: each
    for each in (
        Real("dbmate", lambda: node_binary("dbmate"), numbered("{n:04}_m{n}.sql", "-- migrate:up\n{sql}\n-- migrate:down\nDROP TABLE m{n};\n"),
             lambda program, folder, url: [str(program), "--url", f"{url}?sslmode=disable", "--migrations-dir", str(folder), "--no-dump-schema", "migrate"]),
        Real("yoyo", lambda: python_tool("yoyo", ["yoyo-migrations", "psycopg[binary]", "setuptools"]), numbered("{n:04}.m{n}.sql", "{sql}"),
             lambda program, folder, url: [str(program), "apply", "--batch", "--no-config-file", "--database", url.replace("postgresql:", "postgresql+psycopg:"), str(folder)]),
        Real("alembic", lambda: python_tool("alembic", ["alembic", "psycopg[binary]"]), alembic_revision,
             lambda program, folder, _: [str(program), "-c", str(folder / "alembic.ini"), "upgrade", "head"], prepare=alembic_env),
        Real("django", lambda: python_tool("django-admin", ["django", "psycopg[binary]"]), django_migration,
             lambda program, folder, _: [str(program.parent / "python"), str(folder / "manage.py"), "migrate"], prepare=django_project),
        Real("sqitch", lambda: debian_program("sqitch", ["sqitch", "libdbd-pg-perl", "postgresql-client"]), sqitch_change,
             lambda program, folder, url: [str(program), "--chdir", str(folder), "deploy", url.replace("postgresql:", "db:pg:")],
             slow=True, sums="deploy/m5.sql", prepare=sqitch_project),
        Real("goose", go("github.com/pressly/goose/v3/cmd/goose@v3.29.0", "goose", "-tags=no_clickhouse no_libsql no_mssql no_mysql no_sqlite3 no_vertica no_ydb"),
             numbered("{n:05}_m{n}.sql", "-- +goose Up\n{sql}\n-- +goose Down\nDROP TABLE m{n};\n"),
             lambda program, folder, url: [str(program), "-dir", str(folder), "postgres", url, "up"], slow=True),
        Real("golang-migrate", go("github.com/golang-migrate/migrate/v4/cmd/migrate@v4.20.1", "migrate", "-tags=postgres"), numbered("{n:06}_m{n}.up.sql", "{sql}"),
             lambda program, folder, url: [str(program), "-path", str(folder), "-database", f"{url}?sslmode=disable", "up"], slow=True),
        Real("tern", go("github.com/jackc/tern/v2@v2.3.4", "tern"), numbered("{n:03}_m{n}.sql", "{sql}\n---- create above / drop below ----\nDROP TABLE m{n};\n"),
             lambda program, folder, url: [str(program), "migrate", "--conn-string", url, "-m", str(folder)], slow=True),
        Real("sqlx", cargo("sqlx-cli", "sqlx", "--no-default-features", "--features", "postgres,rustls"), numbered("{n:04}_m{n}.sql", "{sql}"),
             lambda program, folder, url: [str(program), "migrate", "run", "--source", str(folder), "--database-url", url], slow=True, sums="0005_m5.sql"),
        Real("diesel", cargo("diesel_cli", "diesel", "--no-default-features", "--features", "postgres"), numbered("{n:014}_m{n}/up.sql", "{sql}"),
             lambda program, folder, url: [str(program), "migration", "run", "--migration-dir", str(folder), "--database-url", url], slow=True),
    )
}  # fmt: skip


def ready(tool: Real) -> Path:
    if tool.slow and os.environ.get("TIDELOCK_TEST_TOOLS") != "all":
        pytest.skip(f"building {tool.name} takes minutes: TIDELOCK_TEST_TOOLS=all runs it")
    try:
        return tool.install()
    except PeerMissing as reason:
        missing(tool.name, str(reason), package=not tool.slow)


@pytest.fixture(params=list(REAL))
def taken(request: pytest.FixtureRequest, project: Project) -> tuple[Real, Project, Path]:
    """A database to which the tool has applied 19, and the folder with 20."""
    tool: Real = REAL[request.param]
    program = ready(tool)
    folder = project.folder / "theirs"
    folder.mkdir(parents=True)
    tool.prepare(folder)
    for number in range(1, COUNT):
        tool.write(folder, number)
    environment = {
        **os.environ,
        "URL": project.dsn.replace("postgresql:", "postgresql+psycopg:") if tool.name == "alembic" else project.dsn,
    }
    done = subprocess.run(
        tool.command(program, folder, project.dsn), cwd=folder, env=environment, capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.one("SELECT count(*) FROM pg_class WHERE relname ~ '^m[0-9]+$'") == COUNT - 1
    tool.write(folder, COUNT)
    return tool, project, program


def adopt(tool: Real, project: Project, program: Path, *more: str) -> Any:
    path = {"PATH": f"{program.parent}:{os.environ['PATH']}", "URL": project.dsn}
    theirs, ours = project.folder / "theirs", project.folder / "ours"
    where = ["--dir", str(theirs), "--write", str(ours), "--database", project.dsn]
    return project.tidelock("adopt", "--from", "--yes", *where, *more, where=False, env=path, timeout=180)


def test_nineteen_are_taken_over_and_exactly_one_runs(taken: tuple[Real, Project, Path]):
    tool, project, program = taken
    done = adopt(tool, project, program)
    assert done.returncode == 0, done.stdout + done.stderr
    ours = Project(project.folder / "ours", project.dsn)
    assert "19 applied, 1 pending" in ours.tidelock("status").stdout
    applied = ours.tidelock("apply")
    assert "Applied 1 in" in applied.stdout, applied.stdout + applied.stderr
    assert project.one("SELECT to_regclass('m20') IS NOT NULL")
    assert "Nothing to do" in ours.tidelock("apply").stdout


def test_a_file_that_was_edited_is_named_and_no_other(taken: tuple[Real, Project, Path]):
    tool, project, program = taken
    if not tool.sums:
        assert "checksum equal" not in adopt(tool, project, program).stdout
        return
    path = project.folder / "theirs" / tool.sums
    path.write_text(path.read_text().replace("a;b", "edited"))
    done = adopt(tool, project, program)
    assert done.returncode == 4
    named = [line for line in done.stderr.splitlines() if "edited since" in line]
    assert len(named) == 1
    assert "m5" in named[0]
