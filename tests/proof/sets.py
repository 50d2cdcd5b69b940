"""The migrations that are run and cut off. Every step leaves a row in `witness`, without any guard.

A step that is lost is a row too few, one that runs twice is a row too many: the key of `witness` hides neither.
Each set also says what tells, in the catalog, that a statement outside of a transaction has had its effect.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

WITNESS = "CREATE TABLE witness (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, file text NOT NULL);\n"
TABLE = "CREATE TABLE t (id int, v text);\nINSERT INTO t SELECT g, 'v' || g % 97 FROM generate_series(1, {rows}) g;\n"
BUILT = "SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('{name}') AND indisvalid AND indisready)"
DROPPED = "SELECT to_regclass('{name}') IS NULL"
VALID_ON = "SELECT count(*) = {count} FROM pg_index WHERE indrelid = to_regclass('{table}') AND indisvalid"
UNSEEN = ""
"""The catalog does not show it (VACUUM, REINDEX): the server's answer on the wire has to."""


@dataclass(frozen=True)
class MigrationSet:
    """Files, and for each lone statement (the beginning of its text) a query for its effect."""

    name: str
    about: str
    files: Mapping[str, str]
    effects: Mapping[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """Put the files into a folder of that name."""
        place = folder / self.name
        place.mkdir(parents=True)
        for name, text in self.files.items():
            (place / name).write_text(text)
        return place

    def effect(self, query: str) -> str | None:
        """The query that tells whether this statement, as it passed on the wire, had its effect; None for others."""
        return next((shows for begins, shows in self.effects.items() if query.startswith(begins)), None)


def witness(label: str) -> str:
    """A row that says that a step ran."""
    return f"INSERT INTO witness(file) VALUES ('{label}');\n"


CONCURRENT = MigrationSet(
    "concurrent-index",
    "lone statements: an index built concurrently, named and unnamed, and dropped concurrently",
    {
        "001_base.sql": WITNESS + TABLE.format(rows=3000) + witness("001"),
        "002_named.sql": witness("002.1") + "CREATE INDEX CONCURRENTLY t_v ON t (v);\n" + witness("002.3"),
        "003_unnamed.sql": "CREATE INDEX CONCURRENTLY ON t (id);\n" + witness("003.2"),
        "004_drop.sql": witness("004.1") + "DROP INDEX CONCURRENTLY t_v;\n",
        "005_guarded.sql": "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS t_id ON t (id);\n" + witness("005.2"),
    },
    {
        "CREATE INDEX CONCURRENTLY t_v": BUILT.format(name="t_v"),
        "CREATE INDEX CONCURRENTLY ON t": BUILT.format(name="t_id_idx"),
        "DROP INDEX CONCURRENTLY t_v": DROPPED.format(name="t_v"),
        "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS t_id": BUILT.format(name="t_id"),
    },
)

UPKEEP = MigrationSet(
    "upkeep",
    "lone statements whose effect no catalog shows: VACUUM and REINDEX CONCURRENTLY",
    {
        "001_base.sql": WITNESS + TABLE.format(rows=3000) + "CREATE INDEX t_v ON t (v);\n" + witness("001"),
        "002_vacuum.sql": "DELETE FROM t WHERE id % 10 = 0;\n" + witness("002.1") + "VACUUM t;\n" + witness("002.3"),
        "003_reindex.sql": "REINDEX INDEX CONCURRENTLY t_v;\n" + witness("003.2"),
        "004_more.sql": witness("004.1") + "REINDEX TABLE CONCURRENTLY t;\nVACUUM (ANALYZE) t;\n" + witness("004.4"),
    },
    {"VACUUM": UNSEEN, "REINDEX": UNSEEN},
)

OWN = MigrationSet(
    "own-transactions",
    "files with several transactions of their own, one of them rolled back, one serializable",
    {
        "001_base.sql": WITNESS + "CREATE TABLE a (n int);\n" + witness("001"),
        "002_own.sql": "BEGIN;\n"
        + witness("002.1")
        + "INSERT INTO a VALUES (1);\nCOMMIT;\nBEGIN;\n"
        + witness("002.2")
        + "INSERT INTO a VALUES (2);\nSELECT pg_sleep(0.05);\nROLLBACK;\nBEGIN ISOLATION LEVEL SERIALIZABLE;\n"
        + witness("002.3")
        + "UPDATE a SET n = n + 10;\nSELECT pg_sleep(0.05);\nCOMMIT;\n"
        + witness("002.4"),
        "003_mixed.sql": witness("003.1")
        + "BEGIN;\nALTER TABLE a ADD COLUMN x int DEFAULT 7;\n"
        + witness("003.2")
        + "END;\nCREATE INDEX CONCURRENTLY a_n ON a (n);\nBEGIN;\n"
        + witness("003.4")
        + "COMMIT;\n",
    },
    {"CREATE INDEX CONCURRENTLY a_n": BUILT.format(name="a_n")},
)

LINES = "".join(f"{number}\tline {number}\n" for number in range(400))
COPY = MigrationSet(
    "copy-data",
    "COPY data between other statements, so that transactions are sent piece by piece",
    {
        "001_base.sql": WITNESS + "CREATE TABLE c (n int, t text);\n" + witness("001"),
        "002_copy.sql": witness("002") + f"COPY c FROM stdin;\n{LINES}\\.\nSELECT pg_sleep(0.05);\nANALYZE c;\n",
        "003_copies.sql": f"BEGIN;\nCOPY c (n) FROM stdin;\n1\n2\n\\.\n{witness('003.1')}COMMIT;\n"
        f"COPY c (t, n) FROM stdin WITH (FORMAT csv);\none,1\n\\.\nUPDATE c SET t = upper(t);\n{witness('003.2')}",
        "004_after.sql": "CREATE INDEX CONCURRENTLY c_n ON c (n);\nCOPY c FROM stdin;\n9\tnine\n\\.\n"
        + witness("004.2"),
    },
    {"CREATE INDEX CONCURRENTLY c_n": BUILT.format(name="c_n")},
)

BIG = MigrationSet(
    "big-index",
    "an index built concurrently on 100,000 rows, one of two alone in its file",
    {
        "001_base.sql": WITNESS + TABLE.format(rows=100_000) + witness("001"),
        "002_index.sql": "CREATE INDEX CONCURRENTLY t_v_id ON t (v, id);\n" + witness("002.2"),
        "003_unique.sql": "CREATE UNIQUE INDEX CONCURRENTLY t_id ON t (id);\n",
        "004_after.sql": "ALTER TABLE t ADD CONSTRAINT t_key UNIQUE USING INDEX t_id;\n" + witness("004"),
    },
    {
        "CREATE INDEX CONCURRENTLY t_v_id": BUILT.format(name="t_v_id"),
        "CREATE UNIQUE INDEX CONCURRENTLY t_id": BUILT.format(name="t_id"),
    },
)

SEQUENCES = MigrationSet(
    "sequences",
    "sequences, serial and identity columns, whose values a rolled-back attempt uses up",
    {
        "001_base.sql": WITNESS
        + "CREATE SEQUENCE s START 10 INCREMENT 5;\nCREATE TABLE a (id serial PRIMARY KEY, w text);\n"
        + "CREATE TABLE b (id int GENERATED BY DEFAULT AS IDENTITY, n int DEFAULT nextval('s'), w text);\n"
        + witness("001"),
        "002_rows.sql": "INSERT INTO a (w) SELECT 'a' FROM generate_series(1, 20);\n"
        "INSERT INTO b (w) SELECT 'b' FROM generate_series(1, 20);\nSELECT pg_sleep(0.05);\n" + witness("002"),
        "003_change.sql": "ALTER SEQUENCE s INCREMENT 7;\nSELECT setval('s', 1000);\nINSERT INTO b (w) VALUES ('c');\n"
        + witness("003.1")
        + "CREATE INDEX CONCURRENTLY b_w ON b (w);\nALTER TABLE a ALTER COLUMN id TYPE bigint;\n"
        + witness("003.3"),
    },
    {"CREATE INDEX CONCURRENTLY b_w": BUILT.format(name="b_w")},
)

ENUM = MigrationSet(
    "enum",
    "enum values that are added and used in one file, which cuts it into steps",
    {
        "001_base.sql": WITNESS + "CREATE TYPE e AS ENUM ('a', 'z');\nCREATE TABLE u (v e);\n" + witness("001"),
        "002_add.sql": witness("002.1") + "ALTER TYPE e ADD VALUE 'b' BEFORE 'z';\nINSERT INTO u VALUES ('b');\n",
        "003_more.sql": "ALTER TYPE e ADD VALUE 'c';\nALTER TYPE e ADD VALUE 'd' AFTER 'c';\n"
        "INSERT INTO u VALUES ('c'), ('d');\nSELECT pg_sleep(0.05);\n" + witness("003.2"),
        "004_rename.sql": "ALTER TYPE e RENAME VALUE 'a' TO 'first';\n" + witness("004"),
    },
)

NO_TRANSACTION = MigrationSet(
    "no-transaction",
    "a file that asks for each of its statements to run on its own",
    {
        "001_base.sql": WITNESS + witness("001"),
        "002_each.sql": "-- tidelock: no-transaction\nCREATE TABLE n (id int);\n"
        + witness("002.2")
        + "INSERT INTO n SELECT generate_series(1, 500);\nCREATE INDEX CONCURRENTLY n_id ON n (id);\n"
        + witness("002.5")
        + "VACUUM n;\nALTER TABLE n ADD COLUMN x text;\n"
        + witness("002.8"),
        "003_after.sql": "UPDATE n SET x = 'y';\n" + witness("003"),
    },
    {"CREATE INDEX CONCURRENTLY n_id": BUILT.format(name="n_id"), "VACUUM n": UNSEEN},
)

SESSION = MigrationSet(
    "session",
    "search_path, a setting and a temporary table of step 1 that are used after a lone statement",
    {
        "001_base.sql": WITNESS + "CREATE SCHEMA s;\n" + witness("001"),
        "002_path.sql": "SELECT set_config('search_path', 's, public', false);\nSET work_mem = '1234kB';\n"
        "SELECT set_config('app.own', '7', false);\nCREATE TEMP TABLE kept (n int);\n"
        "INSERT INTO kept VALUES (42);\nCREATE TABLE in_s (n int, m text);\n"
        + witness("002.1")
        + "CREATE INDEX CONCURRENTLY in_s_n ON in_s (n);\n"
        + "INSERT INTO in_s SELECT n, current_setting('work_mem') || current_setting('app.own') FROM kept;\n"
        "CREATE TABLE also_in_s (n int);\n" + witness("002.3"),
        "003_fresh.sql": "CREATE TABLE in_public (m text);\n"
        "INSERT INTO in_public SELECT coalesce(to_regclass('kept')::text, 'fresh');\n" + witness("003"),
    },
    {"CREATE INDEX CONCURRENTLY in_s_n": BUILT.format(name="s.in_s_n")},
)

VARIABLES = MigrationSet(
    "variables",
    "\\gset variables of one step that decide what a later one does; \\gexec",
    {
        "001_base.sql": WITNESS + "CREATE TABLE t (id int, v text);\n" + witness("001"),
        "002_gset.sql": "SELECT 'it''s' AS word, 7 AS n, true AS yes \\gset x_\n"
        + witness("002.1")
        + "CREATE INDEX CONCURRENTLY t_id ON t (id);\nINSERT INTO t VALUES (:x_n, :'x_word');\n"
        + "\\if :x_yes\nINSERT INTO t VALUES (8, 'yes');\n\\else\nINSERT INTO t VALUES (8, 'no');\n\\endif\n"
        + witness("002.3"),
        "003_gexec.sql": "SELECT format('CREATE TABLE g%s (id int)', g) FROM generate_series(1, 3) g \\gexec\n"
        + witness("003"),
    },
    {"CREATE INDEX CONCURRENTLY t_id": BUILT.format(name="t_id")},
)

MANY = "".join(f"INSERT INTO m VALUES ({number});\n" for number in range(40))
SLOW = MigrationSet(
    "slow",
    "transactions that take their time, code, and one of more statements than are sent together",
    {
        "001_base.sql": WITNESS + "CREATE TABLE m (n int);\n" + witness("001") + "SELECT pg_sleep(0.1);\n",
        "002_many.sql": witness("002") + MANY + "SELECT pg_sleep(0.05);\n",
        "003_code.sql": "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.n := NEW.n + 1; "
        "RETURN NEW; END$$;\nCREATE TRIGGER m_f BEFORE INSERT ON m FOR EACH ROW EXECUTE FUNCTION f();\n"
        "DO $$BEGIN FOR i IN 1..3 LOOP INSERT INTO m VALUES (i * 100); PERFORM pg_sleep(0.03); END LOOP; END$$;\n"
        + witness("003"),
        "004_wait.sql": witness("004") + "ALTER TABLE m ADD COLUMN x int;\nSELECT pg_sleep(0.15);\n",
    },
)

ROWS = "INSERT INTO r SELECT {number}, g FROM generate_series(1, 20000) g;\n"
TOGETHER = MigrationSet(
    "together",
    "small files that share a query, each a transaction of its own, with one in the middle that runs by itself",
    {
        "001_base.sql": WITNESS + "CREATE TABLE r (n int, g int);\n" + witness("001"),
        **{
            f"{number:03}_rows.sql": witness(f"{number:03}") + ROWS.format(number=number)
            for number in range(2, 19)
            if number != 11
        },
        "011_set.sql": "SET work_mem = '5MB';\n" + witness("011") + ROWS.format(number=11),
    },
)

OWN_ROW = "INSERT INTO schema_migrations (version, description) VALUES ({}, 'own words')"
OWN_ROWS = MigrationSet(
    "own-rows",
    "files that write their own ledger row long before their end, as those of other runners do",
    {
        "001_base.sql": WITNESS + TABLE.format(rows=3000) + witness("001"),
        "002_early.sql": OWN_ROW.format(2)
        + " ON CONFLICT DO NOTHING;\n"
        + witness("002.1")
        + "CREATE INDEX CONCURRENTLY t_v ON t (v);\n"
        + witness("002.3"),
        "003_own.sql": f"BEGIN;\n{OWN_ROW.format(3)};\n{witness('003.1')}COMMIT;\n"
        f"BEGIN;\n{witness('003.2')}COMMIT;\nVACUUM t;\n{witness('003.4')}",
    },
    {"CREATE INDEX CONCURRENTLY t_v": BUILT.format(name="t_v"), "VACUUM": UNSEEN},
)

SETS = (
    CONCURRENT, UPKEEP, OWN, OWN_ROWS, COPY, BIG, SEQUENCES, ENUM, NO_TRANSACTION, SESSION, VARIABLES, SLOW, TOGETHER,
)  # fmt: skip
