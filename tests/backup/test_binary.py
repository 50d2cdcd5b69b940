"""Rows in COPY's binary form: of which tables, and that every value comes back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.backup.farm import schema, sums
from tests.backup.test_rows import copied, each_alone, quiet
from tidelock.backup import source
from tidelock.backup.create import Wanted, create
from tidelock.backup.seal import Seal
from tidelock.backup.store import Store
from tidelock.core import backups
from tidelock.postgres.address import address
from tidelock.postgres.server import PostgresServer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backup.conftest import Farm
    from tests.rig.installation import Installation
    from tests.rig.postgres import Server
    from tidelock.core.backups import Manifest

TYPES = """
CREATE TYPE mood AS ENUM ('glad', 'trüb, "so so"');
CREATE TYPE pair AS (l int, r int);
CREATE DOMAIN share AS numeric(6, 3) CHECK (VALUE >= 0);
CREATE DOMAIN tags AS text[] NOT NULL CHECK (cardinality(VALUE) < 9);
CREATE DOMAIN deep AS share;
CREATE DOMAIN address AS inet"""
# A column's type, and values of it beside NULL; what random text does not reach.
ALLOWED = {
    "bool": "true | false",
    "int2": "-32768 | 32767",
    "int4": "-2147483648 | 2147483647",
    "int8": "-9223372036854775808 | 0",
    "float4": "'NaN' | '-Infinity' | '-0' | 1e-45 | 3.4028235e38",
    "float8": "'NaN' | 'Infinity' | '-0' | 5e-324 | 1.7976931348623157e308 | 0.1::float8 + 0.2",
    "numeric": "'NaN' | 0.00 | -1.10 | repeat('9', 131072)::numeric | concat('0.', repeat('0', 16382), '1')::numeric",
    "numeric(7, 2)": "12345.67 | 'NaN'",
    "text": r"'' | E'\t\n\r\\.\b\x01\x7f' | '\\N' | '\N' | E'ü\u20ac\U0001F600' | 'PGCOPY' | repeat('x', 9000)",
    "varchar(4)": "'' | 'ümläu'::varchar(4) | '   '",
    "varchar": "'a'",
    "char(5)": "'' | 'ab' | 'ü'",
    "bytea": r"'' | '\x00ff0a0d5c' | decode(repeat('00', 5000), 'hex')",
    "uuid": "'00000000-0000-0000-0000-000000000000' | 'ffffffff-ffff-ffff-ffff-ffffffffffff'",
    "date": "'infinity' | '-infinity' | '4713-01-01 BC' | '5874897-12-31' | '1999-12-31'",
    "time": "'00:00' | '24:00' | '23:59:59.999999'",
    "time(2)": "'11:12:13.456'",
    "timetz": "'00:00+15:59' | '24:00-15:59' | '12:00:00.5+05:45:30'",
    "timestamp": "'infinity' | '-infinity' | '4713-01-01 BC' | '294276-12-31 23:59:59.999999'",
    "timestamptz": "'infinity' | '-infinity' | '0044-03-15 12:00 BC' | '2026-10-25 02:30+01'",
    "timestamptz(0)": "'2026-01-01 00:00:00.7+00'",
    "interval": "'-1 mon 3 days -0.000001 s' | '178000000 years' | '0'",
    "interval day to second": "'1 day 2 s'",
    "json": r""" '{"a" :  1,  "a":2}' | 'null' | '"\u00fc"' """,
    "jsonb": """ '{"b": [1, 2.50, null], "": "ü"}' | 'null' | '[]' """,
    "int4[]": "'{}' | '[2:3][-1:0]={{1,2},{3,NULL}}' | '{NULL}' | '{{{1}}}'",
    "text[]": r""" '{}' | '{"",NULL,"NULL","a,b\"{}"}' """,
    "timestamptz[]": "'{infinity,NULL}'",
    "numeric(5, 1)[]": "'{1.25,NaN}'",
    "jsonb[]": """ '{"{}"}' """,
    "mood": """ 'glad' | 'trüb, "so so"' """,
    "share": "0 | 999.999",
    "tags": "'{}' | '{a,ü}'",
}  # fmt: skip
REFUSED = [
    "oid", "regclass", "name", "money", "xml", "inet", "bit(3)", "int4range", "tsvector", "pair", "mood[]", "share[]",
    "deep", "address", '"char"', "point", "int2vector", "pg_lsn",
]  # fmt: skip


def always(monkeypatch: pytest.MonkeyPatch, *, binary: bool) -> None:
    """Whatever it packs to, binary where it can be, or never; each table is an object of its own."""
    monkeypatch.setattr("tidelock.backup.rows.HARDLY_LARGER", 1e9 if binary else 0)
    each_alone(monkeypatch)


def in_binary(made: Manifest) -> dict[str, bool]:
    """Table → whether its rows are."""
    return {each.tables[0]: each.binary for each in made.pieces if each.what == "rows"}


def the_same(programs: Installation, dsn: str, folder: Path) -> Manifest:
    """A backup that was restored: nothing is another than it was."""
    name = f"{dsn.rpartition('/')[2]}_copy"
    made = copied(dsn, name, folder)
    copy = dsn.replace(dsn.rpartition("/")[2], name)
    assert (sums(programs, copy), schema(programs, copy)) == (sums(programs, dsn), schema(programs, dsn))
    return made


@pytest.mark.every_server
def test_every_value_of_every_type_comes_back(
    local: Farm, programs: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    always(monkeypatch, binary=True)
    with psycopg.connect(local.project.dsn, autocommit=True) as conn:
        conn.execute(TYPES)
        for number, (kind, values) in enumerate(ALLOWED.items()):
            null = "NULL" if kind != "tags" else "'{}'"
            conn.execute(
                f'CREATE TABLE "t{number} ü" (gone int, "v ä" {kind}, g int GENERATED ALWAYS AS (7) STORED)'.encode()
            )
            conn.execute(f'ALTER TABLE "t{number} ü" DROP COLUMN gone'.encode())
            for value in (null, *values.split("|")):
                conn.execute(f'INSERT INTO "t{number} ü" VALUES ({value})'.encode())
        if conn.info.server_version >= 140000:
            conn.execute("CREATE TABLE endless AS SELECT unnest('{Infinity,-Infinity}'::numeric[]) AS n")
    assert set(in_binary(the_same(programs, local.project.dsn, tmp_path / "store")).values()) == {True}


def test_one_column_of_another_type_and_the_table_is_text(local: Farm) -> None:
    with psycopg.connect(local.project.dsn, autocommit=True) as conn:
        conn.execute(TYPES)
        for number, kind in enumerate([*REFUSED, *ALLOWED]):
            conn.execute(f'CREATE TABLE "{number}" (a int, v {kind})'.encode())
        found = {each.name: each.binary for each in source.look(conn).tables}
    kinds = dict(enumerate([*REFUSED, *ALLOWED]))
    assert {kinds[int(name)] for name, binary in found.items() if binary} == set(ALLOWED)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_text_in_another_encoding_is_not_binary(
    server: Server, programs: Installation, encoding: str, local: Farm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    always(monkeypatch, binary=True)
    name = f"in_{encoding.lower()}"
    with psycopg.connect(server.dsn, autocommit=True) as conn:
        conn.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'".encode()
        )
    with psycopg.connect(server.database(name), autocommit=True) as conn:
        conn.execute("CREATE TABLE words (w text)")
        conn.execute("INSERT INTO words SELECT convert_from('\\xfc41'::bytea, getdatabaseencoding())")
    made = copied(server.database(name), f"{name}_copy", tmp_path / "store")
    assert in_binary(made) == {'"public"."words"': False}
    digests = []
    for each in (name, f"{name}_copy"):
        with psycopg.connect(server.database(each)) as conn:
            digests.append(conn.execute("SELECT md5(w), octet_length(w) FROM words").fetchall())
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    ("columns", "binary"),
    [
        ("random() AS a, md5(i::text) AS b, now() + i * interval '3 s' AS c", True),
        ("'line ' || i AS a, ARRAY['GET', 'PUT', 'POST']::text[] AS b, i % 9 AS c", False),
        ("repeat(md5(i::text), 99) AS a", False),
    ],
    ids=["numbers", "words", "wide"],
)
def test_binary_is_taken_where_it_packs_hardly_larger(
    local: Farm, programs: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, columns: str, binary: bool
) -> None:
    each_alone(monkeypatch)
    with psycopg.connect(local.project.dsn, autocommit=True) as conn:
        conn.execute(f"CREATE TABLE t AS SELECT i, {columns} FROM generate_series(1, 5000) i".encode())
    made = the_same(programs, local.project.dsn, tmp_path / "store")
    assert in_binary(made) == {'"public"."t"': binary}


def test_a_backup_of_the_second_format_is_restored_and_one_of_the_third_is_refused_by_its_maker(
    local: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    always(monkeypatch, binary=False)
    monkeypatch.setattr(backups, "FORMAT", 2)
    with psycopg.connect(local.project.dsn, autocommit=True) as conn:
        conn.execute("CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 3000) i")
    where = PostgresServer(address(local.project.dsn))
    create(where, Store(str(local.place.objects)), Wanted(seal=Seal()), quiet())
    [path] = local.place.objects.rglob("manifest.json")
    data = json.loads(path.read_bytes())["manifest"]
    for each in data["pieces"]:
        assert not each.pop("binary")
    path.write_bytes(backups.sealed({**data, "format": 2}))
    local.well("backup", "verify", data["id"], "--restore")
    with pytest.raises(backups.BadManifest, match="its format 3 is of a newer Tidelock"):
        backups.read(backups.sealed({**data, "format": 3}), "here")
