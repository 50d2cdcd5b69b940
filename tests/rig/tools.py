"""The other migration tools as their users have them: how each is installed, wants its files, is run."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bench.peers import (
    cargo_program,
    debian_program,
    go_program,
    java_libraries,
    maven_plugin,
    node_binary,
    python_tool,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WHO = "Ada <ada@example.org>"


def sql(number: int) -> str:
    return (
        f"CREATE TABLE m{number} (id bigint PRIMARY KEY, note text DEFAULT 'a;b');\nCREATE INDEX ON m{number} (note);\n"
    )


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool: where its program is, how it wants a migration, how it applies what is pending."""

    name: str
    install: Callable[[], Path]
    write: Callable[[Path, int], None]
    command: Callable[[Path, Path, str], list[str]]
    """Program, folder with the files, DSN → the command."""
    slow: bool = False
    sums: str = ""
    """The file of migration 5, for tools that keep checksums."""
    prepare: Callable[[Path], None] = lambda _: None
    servers: str = ""
    """The major versions of PostgreSQL that it works with, as '< 16'; empty: all."""
    baseline: tuple[str, ...] = ()
    """Options that have it take what is up to migration 3 as given, for tools that record a baseline."""

    def run(self, program: Path, folder: Path, dsn: str, *more: str) -> str:
        """Apply what is pending; returns what it printed. It must succeed."""
        url = dsn.replace("postgresql:", "postgresql+psycopg:") if self.name == "alembic" else dsn
        done = subprocess.run(
            [*self.command(program, folder, dsn), *more], cwd=folder, env={**os.environ, "URL": url}, capture_output=True, text=True,
            check=False, stdin=subprocess.DEVNULL, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def numbered(template: str, text: str) -> Callable[[Path, int], None]:
    return lambda folder, number: put(folder / template.format(n=number), text.format(sql=sql(number), n=number))


def alembic_env(folder: Path) -> None:
    put(folder / "alembic.ini", "[alembic]\nscript_location = %(here)s\nsqlalchemy.url = postgresql+psycopg://\n")
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


# Atlas: newer versions of its program are no Go module that can be had; this one reads a setting that 16 took away.
def atlas_command(program: Path, folder: Path, url: str) -> list[str]:
    both = '"$0" migrate hash "$1" "$2"; exec "$0" migrate apply "$@"'
    return ["sh", "-ec", both, str(program), "--dir", f"file://{folder}", "--url", f"{url}?sslmode=disable"]


# Flyway: of what is in the registry, its program for the command line lacks parts of itself; its Maven plugin is whole.
FLYWAY = "13.6.0"
POSTGRES_JDBC = "org.postgresql:postgresql:42.7.14"


def jdbc(url: str) -> tuple[str, str]:
    """URL and user, as Java's drivers want them."""
    parts = urlsplit(url)
    return f"jdbc:postgresql://{parts.hostname}:{parts.port}{parts.path}", parts.username or ""


def flyway_command(pom: Path, folder: Path, url: str) -> list[str]:
    where, user = jdbc(url)
    settings = {"url": where, "user": user, "locations": f"filesystem:{folder / 'sql'}"}
    options = [f"-Dflyway.{name}={value}" for name, value in settings.items()]
    return ["mvn", "--batch-mode", "--no-transfer-progress", "--file", str(pom), "flyway:migrate", *options]


# Liquibase 5 has another licence.
LIQUIBASE = "liquibase.integration.commandline.LiquibaseCommandLine"
ROOT = "db/changelog/root.yaml"


def liquibase_root(folder: Path) -> None:
    put(folder / ROOT, "databaseChangeLog:\n")


def liquibase_changeset(folder: Path, number: int) -> None:
    with (folder / ROOT).open("a") as root:
        root.write(f"- include: {{file: changes/{number:02}.sql, relativeToChangelogFile: true}}\n")
    text = f"--liquibase formatted sql\n\n--changeset ada:m{number}\n{sql(number)}--rollback DROP TABLE m{number};\n"
    put(folder / "db/changelog/changes" / f"{number:02}.sql", text)


def liquibase_command(jars: Path, folder: Path, url: str) -> list[str]:
    where, user = jdbc(url)
    options = [f"--url={where}", f"--username={user}", f"--search-path={folder}", f"--changelog-file={ROOT}"]
    return [
        "java",
        "-cp",
        f"{jars}/*",
        LIQUIBASE,
        "--show-banner=false",
        "--analytics-enabled=false",
        *options,
        "update",
    ]


TOOLS = {
    each.name: each
    for each in (
        Tool("dbmate", lambda: node_binary("dbmate"), numbered("{n:04}_m{n}.sql", "-- migrate:up\n{sql}\n-- migrate:down\nDROP TABLE m{n};\n"),
             lambda program, folder, url: [str(program), "--url", f"{url}?sslmode=disable", "--migrations-dir", str(folder), "--no-dump-schema", "migrate"]),
        Tool("yoyo", lambda: python_tool("yoyo", ["yoyo-migrations", "psycopg[binary]", "setuptools"]), numbered("{n:04}.m{n}.sql", "{sql}"),
             lambda program, folder, url: [str(program), "apply", "--batch", "--no-config-file", "--database", url.replace("postgresql:", "postgresql+psycopg:"), str(folder)]),
        Tool("alembic", lambda: python_tool("alembic", ["alembic", "psycopg[binary]"]), alembic_revision,
             lambda program, folder, _: [str(program), "-c", str(folder / "alembic.ini"), "upgrade", "head"], prepare=alembic_env),
        Tool("django", lambda: python_tool("django-admin", ["django", "psycopg[binary]"]), django_migration,
             lambda program, folder, _: [str(program.parent / "python"), str(folder / "manage.py"), "migrate"], prepare=django_project),
        Tool("sqitch", lambda: debian_program("sqitch", ["sqitch", "libdbd-pg-perl", "postgresql-client"]), sqitch_change,
             lambda program, folder, url: [str(program), "--chdir", str(folder), "deploy", url.replace("postgresql:", "db:pg:")],
             slow=True, sums="deploy/m5.sql", prepare=sqitch_project),
        Tool("goose", lambda: go_program("goose", "github.com/pressly/goose/v3@v3.29.0", "/cmd/goose", tags="no_clickhouse no_libsql no_mssql no_mysql no_sqlite3 no_vertica no_ydb"),
             numbered("{n:05}_m{n}.sql", "-- +goose Up\n{sql}\n-- +goose Down\nDROP TABLE m{n};\n"),
             lambda program, folder, url: [str(program), "-dir", str(folder), "postgres", url, "up"], slow=True),
        Tool("golang-migrate", lambda: go_program("migrate", "github.com/golang-migrate/migrate/v4@v4.20.1", "/cmd/migrate", tags="postgres"), numbered("{n:06}_m{n}.up.sql", "{sql}"),
             lambda program, folder, url: [str(program), "-path", str(folder), "-database", f"{url}?sslmode=disable", "up"], slow=True),
        Tool("tern", lambda: go_program("tern", "github.com/jackc/tern/v2@v2.3.4"), numbered("{n:03}_m{n}.sql", "{sql}\n---- create above / drop below ----\nDROP TABLE m{n};\n"),
             lambda program, folder, url: [str(program), "migrate", "--conn-string", url, "-m", str(folder)], slow=True),
        Tool("sqlx", lambda: cargo_program("sqlx-cli", "sqlx", "postgres,rustls"), numbered("{n:04}_m{n}.sql", "{sql}"),
             lambda program, folder, url: [str(program), "migrate", "run", "--source", str(folder), "--database-url", url], slow=True, sums="0005_m5.sql"),
        Tool("diesel", lambda: cargo_program("diesel_cli", "diesel", "postgres"), numbered("{n:014}_m{n}/up.sql", "{sql}"),
             lambda program, folder, url: [str(program), "migration", "run", "--migration-dir", str(folder), "--database-url", url], slow=True),
        Tool("atlas", lambda: go_program("atlas", "ariga.io/atlas/cmd/atlas@v0.13.1", newer=["golang.org/x/tools@v0.30.0"]),
             numbered("{n:014}_m{n}.sql", "{sql}"), atlas_command, slow=True, sums="00000000000005_m5.sql", servers="< 16",
             baseline=("--baseline", "00000000000003")),
        Tool("flyway", lambda: maven_plugin("flyway", f"org.flywaydb:flyway-maven-plugin:{FLYWAY}", [f"org.flywaydb:flyway-database-postgresql:{FLYWAY}", POSTGRES_JDBC], ["flyway:migrate", "-Dflyway.skip=true"]),
             numbered("sql/V{n}__m{n}.sql", "{sql}"), flyway_command, slow=True, sums="sql/V5__m5.sql",
             baseline=("-Dflyway.baselineOnMigrate=true", "-Dflyway.baselineVersion=3")),
        Tool("liquibase", lambda: java_libraries("liquibase", ["org.liquibase:liquibase-core:4.33.0", "info.picocli:picocli:4.7.7", POSTGRES_JDBC]),
             liquibase_changeset, liquibase_command, slow=True, sums="db/changelog/changes/05.sql", prepare=liquibase_root),
    )
}  # fmt: skip
