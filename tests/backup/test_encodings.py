"""Databases in encodings other than UTF-8, and settings that make a client speak another one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import psycopg
import pytest
import zstandard
from psycopg import sql

if TYPE_CHECKING:
    from tests.backup.conftest import Farm
    from tests.rig.postgres import Server

WORDS = {"LATIN1": ("tä ß", "é"), "WIN1252": ("tä€", "ÿ"), "EUC_JP": ("日本", "テスト"), "UTF8": ("tä 日", "é")}
SUMS = "SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {} t"


def in_encoding(server: Server, farm: Farm, encoding: str) -> None:
    """A database in an encoding; the project's."""
    with psycopg.connect(server.dsn, autocommit=True) as conn:
        statement = sql.SQL("CREATE DATABASE enc TEMPLATE template0 ENCODING {} LOCALE 'C'")
        conn.execute(statement.format(sql.Literal(encoding)))
    farm.project.dsn = server.database("enc")


def sums(farm: Farm, table: str) -> list[tuple[object, ...]]:
    with psycopg.connect(farm.project.dsn, client_encoding="UTF8") as conn:
        return conn.execute(sql.SQL(SUMS).format(sql.Identifier(table))).fetchall()


def fill(farm: Farm, encoding: str) -> str:
    """A large table and a small one with names and rows beyond ASCII. Returns the name of the large one."""
    table, word = WORDS[encoding]
    with psycopg.connect(farm.project.dsn, client_encoding="UTF8", autocommit=True) as conn:
        for name, rows in ((table, 60000), (f"{table} 2", 10)):
            made = sql.SQL("CREATE TABLE {} AS SELECT {} || i AS {} FROM generate_series(1, {}) i")
            conn.execute(made.format(sql.Identifier(name), word, sql.Identifier(word), rows))
        conn.execute(sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(*map(sql.Identifier, (table, word))))
        conn.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(sql.Identifier(table), word))
        conn.execute(
            sql.SQL("CREATE VIEW {} AS SELECT {} AS {}").format(sql.Identifier(f"v{word}"), word, sql.Identifier(word))
        )
    return table


@pytest.mark.parametrize("encoding", WORDS)
def test_names_and_rows_beyond_ascii_come_back_and_are_kept_once(server: Server, local: Farm, encoding: str) -> None:
    in_encoding(server, local, encoding)
    table = fill(local, encoding)
    local.project.query("ALTER DATABASE enc SET client_encoding TO sql_ascii")
    before = sums(local, table), sums(local, f"{table} 2")
    local.create()
    [rest] = local.place.objects.rglob("01-rest.dump.zst")
    with rest.open("rb") as file:
        assert b"59999" not in zstandard.ZstdDecompressor().stream_reader(file).read()
    local.well("backup", "verify", "--restore")
    local.well("restore", "--yes", "--drop-old")
    assert (sums(local, table), sums(local, f"{table} 2")) == before


def test_rows_of_a_database_in_sql_ascii_may_have_any_bytes(server: Server, local: Farm) -> None:
    in_encoding(server, local, "SQL_ASCII")
    for name, rows in (("large", 60000), ("small", 3)):
        local.project.query(
            f"CREATE TABLE {name} AS SELECT E'\\xff\\xe4'::text || i AS a FROM generate_series(1, {rows}) i"
        )
    known = "SELECT md5(string_agg(a, '|' ORDER BY a)) FROM {}"
    before = [local.project.one(known.format(name)) for name in ("large", "small")]
    local.create()
    local.well("backup", "verify", "--restore")
    local.well("restore", "--yes", "--drop-old")
    assert [local.project.one(known.format(name)) for name in ("large", "small")] == before


@pytest.mark.parametrize(
    "what", ["CREATE TABLE {name} (i int)", "CREATE TABLE t (i int); COMMENT ON TABLE t IS '{text}'"]
)
def test_names_that_nobody_can_read_keep_a_backup_from_being_begun(server: Server, local: Farm, what: str) -> None:
    in_encoding(server, local, "SQL_ASCII")
    statement = what.format(name='"t\xe4"', text="\xe4").encode("latin1")
    with psycopg.connect(local.project.dsn, client_encoding="SQL_ASCII", autocommit=True) as conn:
        conn.execute(statement)
    refused = local.run("backup", "create", "--json")
    assert refused.returncode == 6, refused.stderr
    failure = json.loads(refused.stdout)["failure"]
    assert (failure["code"], "its encoding is SQL_ASCII" in failure["message"]) == ("B011", True), failure
    assert not list(local.place.objects.rglob("*.*"))
