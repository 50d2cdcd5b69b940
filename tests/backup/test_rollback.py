"""What `rollback` says before it asks: what is lost, who is connected, and what is there instead."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from tests.backup.conftest import Farm
    from tests.rig.postgres import Server


def test_new_tables_with_their_rows_and_what_cannot_be_told_are_named(local: Farm) -> None:
    local.project.query("CREATE TABLE u AS SELECT i AS a, i AS b FROM generate_series(1, 50) i")
    local.project.write("001_orders.sql", "ALTER TABLE u DROP COLUMN b; CREATE TABLE orders (i int);\n")
    local.well("apply")
    local.project.query("INSERT INTO orders SELECT generate_series(1, 1000)")
    local.project.query("CREATE TABLE side AS SELECT generate_series(1, 77) AS i")
    local.project.query("UPDATE u SET a = -a")
    refused = local.run("rollback")
    assert "public.orders: new, its 1,000 rows go" in refused.stdout
    assert "public.side: new, its 77 rows go" in refused.stdout
    assert "rows that were changed since cannot be told" in refused.stdout


def test_a_backup_of_some_tables_is_named_when_no_whole_one_precedes_the_run_or_only_an_older_one(local: Farm) -> None:
    local.configure('scope = "affected"\n')
    local.project.query("CREATE TABLE u AS SELECT i AS a, i AS b FROM generate_series(1, 50) i")
    local.project.write("001_drop.sql", "ALTER TABLE u DROP COLUMN b;\n")
    local.well("apply")
    [part] = local.ids()
    refused = local.run("rollback", "--yes")
    assert (refused.returncode, f"`tidelock restore {part} --into NAME`" in refused.stderr) == (6, True), refused.stderr
    whole = local.create()
    local.project.write("002_drop.sql", "DROP TABLE u;\n")
    local.well("apply")
    [newer] = set(local.ids()) - {part, whole}
    told = local.run("rollback").stdout
    assert f"Backup {whole}" in told
    assert f"`tidelock restore {newer} --into NAME`" in told


def asked(farm: Farm, *arguments: str) -> str:
    """What a command says at a terminal at which the answer is no."""
    ours, theirs = pty.openpty()
    os.write(ours, b"n\n")
    command = [sys.executable, "-m", "tidelock", *arguments, "--dir", str(farm.project.folder)]
    done = subprocess.run(
        [*command, "--database", farm.project.dsn],
        stdin=theirs, capture_output=True, text=True, check=True, cwd=farm.project.folder, timeout=60,
    )  # fmt: skip
    os.close(ours)
    os.close(theirs)
    return done.stdout + done.stderr


def test_our_own_session_is_not_among_those_that_will_be_ended(local: Farm) -> None:
    local.project.query("CREATE TABLE u AS SELECT 1 AS a")
    local.project.write("001_drop.sql", "DROP TABLE u;\n")
    local.well("apply")
    told = asked(local, "rollback", "--drop-old")
    assert "nobody is connected" in told
    assert "is dropped at once (--drop-old)" in told
    assert local.project.versions() == [1]


def test_row_level_security_that_hides_rows_is_told_before_the_dump(server: Server, local: Farm) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as conn:
        conn.execute("CREATE ROLE farmer LOGIN CREATEDB")
        conn.execute("CREATE DATABASE farm OWNER farmer")
    local.project.dsn = server.database("farm", user="farmer")
    local.project.query("CREATE TABLE a AS SELECT 1 AS i")
    local.project.query("ALTER TABLE a ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    refused = local.run("backup", "create")
    assert (refused.returncode, "B011" in refused.stderr) == (6, True), refused.stderr
    assert re.search(r'hide rows of "public"."a" from the role farmer', refused.stderr)
    assert 'ALTER ROLE "farmer" BYPASSRLS' in refused.stderr
    assert local.ids() == []


# --- nothing to take back --------------------------------------------------------------------------------------------


def refused(farm: Farm, why: str, *arguments: str) -> None:
    """A rollback that touches nothing, and says why."""
    before = farm.databases()
    done = farm.run(*(arguments or ("rollback", "--yes")))
    assert (done.returncode, "B021" in done.stderr, why in done.stderr) == (6, True, True), done.stdout + done.stderr
    assert farm.databases() == before


def test_without_a_run_there_is_nothing_to_take_back(local: Farm) -> None:
    local.project.query("CREATE TABLE a AS SELECT 1 AS i")
    local.create()
    local.project.query("INSERT INTO a VALUES (2)")
    refused(local, "there was no run yet")
    assert local.project.one("SELECT count(*) FROM a") == 2


def test_a_run_that_was_refused_is_not_taken_back_nor_the_one_before_it(local: Farm) -> None:
    local.project.query("CREATE TABLE a AS SELECT 1 AS i, 2 AS v, 3 AS w")
    local.project.write("001_drop.sql", "ALTER TABLE a DROP COLUMN v;\n")
    local.well("apply")
    local.project.write("002_drop.sql", "ALTER TABLE a DROP COLUMN w; ALTER TABLE a DROP COLUMN nowhere;\n")
    assert local.run("apply").returncode == 5
    refused(local, "was refused at version 2 and changed nothing")
    local.well("rollback", "--to", "1", "--yes", "--drop-old")
    assert local.project.one("SELECT v FROM a") == 2


def test_a_rollback_that_is_tried_again_takes_back_no_run_more(local: Farm) -> None:
    local.project.query("CREATE TABLE a AS SELECT 1 AS i, 2 AS v, 3 AS w")
    for version, column in ((1, "v"), (2, "w")):
        local.project.write(f"00{version}_drop.sql", f"ALTER TABLE a DROP COLUMN {column};\n")
        local.well("apply")
    local.well("rollback", "--yes", "--drop-old")
    refused(local, "was rolled back to")
    refused(local, "version 2 was never begun here; the newest that is applied is 1", "rollback", "--to", "2", "--yes")
    assert local.project.versions() == [1]
    local.well("rollback", "--to", "1", "--yes", "--drop-old")
    assert local.project.one("SELECT v FROM a") == 2


def test_a_version_that_nobody_knows_is_neither_rolled_back_to_nor_restored(local: Farm) -> None:
    local.project.query("CREATE TABLE a AS SELECT 1 AS i")
    local.project.write("001_drop.sql", "DROP TABLE a;\n")
    local.well("apply")
    for command in (("rollback", "--to", "99"), ("restore", "--before", "99")):
        refused(local, "version 99 was never begun here", *command, "--yes")
    local.well("restore", "--before", "1", "--yes", "--drop-old")
    assert local.project.one("SELECT i FROM a") == 1


def test_an_empty_name_is_none_and_leaves_the_live_database_alone(local: Farm) -> None:
    local.project.query("CREATE TABLE a AS SELECT 1 AS i")
    local.create()
    before = local.databases()
    for command in (("restore", "--latest", "--into", ""), ("restore", ""), ("restore", "--store", "")):
        done = local.run(*command, "--yes")
        assert (done.returncode, "is empty" in done.stderr) == (2, True), done.stdout + done.stderr
    assert local.databases() == before
