"""The ledger lives with what exists: tables of the seed documents, of other tools, of an older Tidelock."""

from __future__ import annotations

import pytest
from tests.postgres.test_apply import failed, ok
from tests.rig.project import Project

from tidelock.core.report import exit_code

SEED = """CREATE TABLE IF NOT EXISTS schema_migrations (
    version INTEGER PRIMARY KEY,
    description TEXT,
    applied_at TIMESTAMPTZ DEFAULT NOW()
);
"""
WITH_NAME = SEED.replace("description", "name")


def test_the_table_of_the_seed_document_is_taken_as_it_is(project: Project):
    project.query(SEED)
    project.query("INSERT INTO schema_migrations (version, description, applied_at) VALUES (1, 'First', '2026-01-01')")
    project.write("001_a.sql", "SELECT 1/0;")
    project.write("002_b.sql", "CREATE TABLE b (id int);")
    ok(project.apply())
    assert project.query("SELECT version, description FROM schema_migrations ORDER BY 1") == [(1, "First"), (2, "b")]
    assert project.one("SELECT applied_at::date::text FROM schema_migrations WHERE version = 1") == "2026-01-01"


def test_a_column_name_in_place_of_description_is_honoured(project: Project):
    project.query(WITH_NAME)
    project.write("001_add_humidity.sql", "SELECT 1;")
    ok(project.apply())
    assert project.query("SELECT version, name FROM schema_migrations") == [(1, "add humidity")]


@pytest.mark.parametrize("conflict", ["", " ON CONFLICT (version) DO NOTHING", " ON CONFLICT DO NOTHING"])
def test_files_may_write_their_own_row(project: Project, conflict: str):
    project.write(
        "004_humidity.sql",
        f"CREATE TABLE t (id int);\nINSERT INTO schema_migrations (version, description)\nVALUES (4, 'Add humidity column'){conflict};\n",
    )
    ok(project.apply())
    assert project.query("SELECT version, description, sha256 IS NOT NULL FROM schema_migrations") == [
        (4, "Add humidity column", True)
    ]
    assert ok(project.apply()).applied == ()


@pytest.mark.parametrize(
    "table", [SEED, WITH_NAME, SEED.replace("IF NOT EXISTS ", ""), WITH_NAME.replace("IF NOT EXISTS ", "")]
)
def test_files_may_create_the_table_themselves(project: Project, table: str):
    column = "name" if "name TEXT" in table else "description"
    project.write(
        "001_init.sql",
        f"{table}INSERT INTO schema_migrations (version, {column}) VALUES (1, 'Init');\nCREATE TABLE t (id int);",
    )
    project.write(
        "002_next.sql",
        f"CREATE TABLE u (id int);\nINSERT INTO schema_migrations (version, {column}) VALUES (2, 'Next') ON CONFLICT DO NOTHING;",
    )
    ok(project.apply())
    assert project.query(f"SELECT version, {column} FROM schema_migrations ORDER BY 1") == [(1, "Init"), (2, "Next")]
    assert ok(project.apply()).applied == ()


MAKES = "CREATE TABLE IF NOT EXISTS schema_migrations (version int PRIMARY KEY, description text)"
IN_A_BODY = f"DO $$BEGIN {MAKES}; IF to_regclass('w') IS NOT NULL THEN UPDATE w SET i = i + 100; END IF; END$$;"


def test_what_makes_the_ledger_beside_other_things_runs_in_its_turn(project: Project):
    project.write("001_a.sql", "CREATE TABLE w (i int); INSERT INTO w VALUES (1);")
    project.write("002_b.sql", IN_A_BODY)
    ok(project.apply())
    assert project.query("SELECT i FROM w") == [(101,)]


@pytest.mark.parametrize(("made", "inserted"), [
    ("CREATE UNLOGGED TABLE IF NOT EXISTS schema_migrations (version int PRIMARY KEY, description text);", ""),
    ("CREATE TABLE IF NOT EXISTS schema_migrations AS SELECT version, description FROM legacy;", ""),
    ("CREATE TEMP TABLE schema_migrations (version int PRIMARY KEY, description text);", ""),
    ("SET search_path = app; CREATE TABLE schema_migrations (version int PRIMARY KEY, author text);",
     "INSERT INTO app.schema_migrations VALUES (1, 'mine');"),
    ("CREATE TABLE app.schema_migrations (version int PRIMARY KEY, author text);",
     "INSERT INTO app.schema_migrations VALUES (1, 'mine');"),
    ("SET search_path = app; RESET search_path; CREATE TABLE schema_migrations (version int PRIMARY KEY, name text);",
     "INSERT INTO schema_migrations (version, name) VALUES (1, 'mine');"),
    ("SET search_path TO public, app; CREATE TABLE schema_migrations (version int PRIMARY KEY, name text);",
     "INSERT INTO schema_migrations (version, name) VALUES (1, 'mine');"),
])  # fmt: skip
def test_a_table_of_the_ledgers_name_is_what_the_file_says(project: Project, made: str, inserted: str):
    before = "CREATE SCHEMA app; CREATE TABLE legacy AS SELECT 7 AS version, 'x'::text AS description;"
    project.write("001_a.sql", f"{before} {made} {inserted}")
    ok(project.apply())
    assert project.versions("public.schema_migrations") == [1]
    assert (
        project.one("SELECT relpersistence::text FROM pg_class WHERE oid = 'public.schema_migrations'::regclass") == "p"
    )
    assert ok(project.apply()).applied == ()


def test_a_ledger_made_of_what_comes_later_is_refused_before_anything_runs(project: Project):
    project.write("001_a.sql", "CREATE DOMAIN words AS text;")
    project.write("002_b.sql", "CREATE TABLE schema_migrations (version int PRIMARY KEY, description words);")
    fault = failed(project.apply(), "L011", 4)
    assert "002_b.sql:1:1 makes it" in fault.message
    assert project.one("SELECT to_regtype('words') IS NULL")


def test_a_role_counts_for_a_body_that_makes_the_ledger(project: Project):
    role = f"owner_{project.one('SELECT current_database()')}"
    project.query(f'CREATE ROLE "{role}"; GRANT ALL ON SCHEMA public TO "{role}"')
    project.write("001_a.sql", f"DO $$BEGIN {MAKES}; CREATE TABLE k (i int); END$$;")
    try:
        assert project.tidelock("apply", "--role", role).returncode == 0
        assert project.one("SELECT relowner::regrole::text FROM pg_class WHERE relname = 'k'").strip('"') == role
    finally:
        project.query(f'DROP TABLE IF EXISTS k; DROP OWNED BY "{role}"; DROP ROLE "{role}"')


@pytest.mark.parametrize("statement", [
    "INSERT INTO schema_migrations (version, description) VALUES (3, 'x');",
    "INSERT INTO schema_migrations (version, description) VALUES (2, 'b'), (3, 'x');",
    "DO $$BEGIN INSERT INTO schema_migrations (version) VALUES (3); END$$;",
    "DO $$BEGIN EXECUTE 'INSERT INTO schema_' || 'migrations (version) VALUES (3)'; END$$;",
    "DELETE FROM schema_migrations WHERE version = 1;",
    "INSERT INTO schema_migrations (version) SELECT 3;",
    "UPDATE schema_migrations SET version = 50 WHERE version = 1;",
    "DO $$BEGIN EXECUTE 'UPDATE schema_' || 'migrations SET version = version + 50'; END$$;",
])  # fmt: skip
def test_a_file_that_records_another_version_is_refused(project: Project, statement: str):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    project.write("002_b.sql", f"CREATE TABLE b (id int);\n{statement}")
    fault = failed(project.apply(), "L013", 4)
    assert "002_b.sql" in fault.message
    assert project.versions() == [1]
    assert project.one("SELECT to_regclass('b') IS NULL")


@pytest.mark.parametrize("call", [
    "CALL pp();",
    "VACUUM; DO $$BEGIN EXECUTE 'INSERT INTO schema_migrations (version) VALUES (99)'; COMMIT; END$$;",
])  # fmt: skip
def test_a_lone_statement_that_records_another_version_stops_until_a_person_has_looked(project: Project, call: str):
    project.write(
        "001_a.sql",
        "CREATE PROCEDURE pp() LANGUAGE plpgsql AS $$BEGIN\n"
        "INSERT INTO schema_migrations (version, description) VALUES (99, 'x'); COMMIT; END$$;",
    )
    project.write("002_b.sql", call)
    project.write("099_z.sql", "CREATE TABLE z (id int);")
    fault = failed(project.apply(), "L013", 4)
    assert "002_b.sql:1:" in fault.message
    assert "outside of a transaction, so that stays: 99 is new" in fault.message
    assert exit_code(project.apply()) == 4
    project.query("DELETE FROM schema_migrations WHERE version = 99")
    assert project.tidelock("recover", "--mark-done").returncode == 0
    ok(project.apply())
    assert project.versions() == [1, 2, 99]
    assert project.one("SELECT to_regclass('z') IS NOT NULL")


SWALLOW = """
CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;
CREATE TRIGGER swallow BEFORE INSERT ON schema_migrations FOR EACH ROW EXECUTE FUNCTION swallow();"""

OWNED = """
ALTER TABLE schema_migrations ADD COLUMN team text NOT NULL DEFAULT '';
ALTER TABLE schema_migrations ALTER COLUMN team DROP DEFAULT;"""


@pytest.mark.parametrize(("damage", "said"), [
    (SWALLOW, "swallows or changes (a trigger or a rule on it) the row of 002 b"),
    (OWNED, "refuses the row of 002 b"),
    ("ALTER TABLE schema_migrations ALTER COLUMN path TYPE varchar(5) USING left(path, 5);", "refuses the row of 002 b"),
])  # fmt: skip
@pytest.mark.parametrize("files", [
    {"002_b.sql": "CREATE TABLE b (id int);"},
    {"002_b.sql": "CREATE TABLE b (id int);", "003_c.sql": "CREATE TABLE c (id int);"},
    {"002_b.sql": "SELECT 1; VACUUM schema_migrations;"},
], ids=["one", "several", "alone"])  # fmt: skip
def test_a_ledger_that_does_not_keep_the_row_is_to_blame_and_not_the_file(
    project: Project, damage: str, said: str, files: dict[str, str]
):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    project.query(damage)
    for name, text in files.items():
        project.write(name, text)
    fault = failed(project.apply(), "L011", 4)
    assert said in fault.message
    assert "mend the table" in fault.hint
    assert project.versions() == [1]
    assert project.one("SELECT to_regclass('b') IS NULL AND to_regclass('c') IS NULL")


RENUMBERED = """
CREATE FUNCTION renumber() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN new.version := new.version + 100; RETURN new; END$$;
CREATE TRIGGER renumber BEFORE INSERT ON schema_migrations FOR EACH ROW EXECUTE FUNCTION renumber();"""


@pytest.mark.parametrize("prepared", [False, True])
def test_a_ledger_that_gives_the_row_another_version_is_to_blame(project: Project, prepared: bool):
    project.query(f"{SEED} {RENUMBERED}")
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    if prepared:
        project.write("002_b.sql", "CREATE TABLE b (id int);")
    assert "swallows or changes" in failed(project.apply(), "L011", 4).message
    assert project.versions() == []
    assert project.one("SELECT to_regclass('a') IS NULL")


def test_a_ledger_that_is_published_without_a_key_is_identified_by_its_whole_row(project: Project):
    project.query("CREATE TABLE schema_migrations (version int, description text, applied_at timestamptz)")
    project.query("INSERT INTO schema_migrations VALUES (1, 'a')")
    project.query("CREATE PUBLICATION everything FOR ALL TABLES")
    project.write("001_a.sql", "SELECT 1;")
    project.write("002_b.sql", "INSERT INTO schema_migrations (version, description) VALUES (2, 'own');")
    ok(project.apply())
    assert project.versions() == [1, 2]
    project.query("ALTER TABLE schema_migrations REPLICA IDENTITY NOTHING")
    project.write("003_c.sql", "INSERT INTO schema_migrations (version, description) VALUES (3, 'own');")
    fault = failed(project.apply(), "L011", 4)
    assert "replica identity" in fault.detail
    assert "REPLICA IDENTITY" in fault.detail


def test_a_lone_statement_may_write_its_own_row(project: Project):
    project.write(
        "001_a.sql", "DO $$BEGIN INSERT INTO schema_migrations (version, description) VALUES (1, 'x'); COMMIT; END$$;"
    )
    ok(project.apply())
    assert project.query("SELECT version, description FROM schema_migrations") == [(1, "x")]


@pytest.mark.parametrize(("text", "steps"), [
    ("CALL pause();", {1: "applied"}),
    ("CALL pause(); VACUUM;", {1: "done", 2: "applied"}),
    ("BEGIN; SELECT pg_sleep(0.2); COMMIT; VACUUM;", {1: "done", 2: "applied"}),
])  # fmt: skip
def test_the_time_of_every_step_is_recorded(project: Project, text: str, steps: dict[int, str]):
    body = "BEGIN PERFORM pg_sleep(0.2); COMMIT; END"
    project.query(f"CREATE PROCEDURE pause() LANGUAGE plpgsql AS $${body}$$")
    project.write("001_a.sql", text)
    ok(project.apply())
    assert project.one("SELECT duration_ms >= 200 FROM schema_migrations")
    lines = "SELECT step, event, duration_ms >= 200 FROM schema_migrations_journal WHERE event IN ('done', 'applied')"
    assert project.query(f"{lines} ORDER BY step") == [(step, event, True) for step, event in steps.items()]


OWN = "INSERT INTO schema_migrations(version, description) VALUES (2, 'own words')"


@pytest.mark.parametrize(
    "text",
    [
        f"{OWN};\nVACUUM t;\nINSERT INTO t VALUES (1 / {{zero}});\n",
        f"{OWN} ON CONFLICT DO NOTHING;\nCREATE INDEX CONCURRENTLY t_i ON t (i);\nSELECT 1 / {{zero}};\nINSERT INTO t VALUES (1);\n",
        f"BEGIN;\n{OWN};\nCOMMIT;\nBEGIN;\nINSERT INTO t VALUES (1 / {{zero}});\nCOMMIT;\n",
        f"-- tidelock: no-transaction\n{OWN};\nINSERT INTO t VALUES (1 / {{zero}});\n",
        f"DO $$BEGIN {OWN}; COMMIT; END$$;\nINSERT INTO t VALUES (1 / {{zero}});\n",
    ],
    ids=["vacuum", "concurrently", "own transactions", "no transaction", "a lone DO"],
)
def test_a_file_that_writes_its_row_early_counts_when_it_has_run_to_its_end(project: Project, text: str):
    project.write("001_t.sql", "CREATE TABLE t (i int);\n")
    path = project.write("002_early.sql", text.format(zero=0))
    for _ in range(2):
        assert exit_code(project.apply()) == 5
        assert project.query("SELECT i FROM t") == []
    path.write_text(text.format(zero=1))
    report = project.apply()
    assert report.failure is None, report.failure.message
    assert project.query("SELECT i FROM t") == [(1,)]
    assert project.query("SELECT description, run_id IS NOT NULL FROM schema_migrations WHERE version = 2") == [
        ("own words", True)
    ]
    assert exit_code(project.apply()) == 0


def test_a_lone_statement_that_wrote_its_row_and_failed_is_not_applied(project: Project):
    project.write("001_t.sql", "CREATE TABLE t (i int);\n")
    project.write("002_do.sql", f"DO $$BEGIN {OWN}; COMMIT; PERFORM 1 / 0; END$$;\nINSERT INTO t VALUES (1);\n")
    assert exit_code(project.apply()) == 5
    assert exit_code(project.apply()) == 4
    assert project.tidelock("recover", "--mark-done").returncode == 0
    assert exit_code(project.apply()) == 0
    assert project.query("SELECT i FROM t") == [(1,)]


def test_a_dump_with_our_own_tables_is_told_how_to_leave_them_out(project: Project):
    project.write("001_dump.sql", "CREATE TABLE public.schema_migrations_journal (id int);\n")
    assert "pg_dump -T 'schema_migrations*'" in failed(project.apply(), "D010", 5).hint


def test_a_row_that_a_person_wrote_counts(project: Project):
    project.write("001_t.sql", "CREATE TABLE t (i int);\n")
    project.write("002_two.sql", "VACUUM t;\nINSERT INTO t VALUES (1 / 0);\n")
    assert exit_code(project.apply()) == 5
    project.query(OWN)
    assert exit_code(project.apply()) == 0


def test_the_version_column_grows_when_a_version_needs_it(project: Project):
    project.query(SEED)
    project.write("20260302081400_a.sql", "SELECT 1;")
    ok(project.apply())
    assert project.versions() == [20260302081400]


@pytest.mark.parametrize("foreign", [
    "CREATE TABLE schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL)",
    "CREATE TABLE schema_migrations (version varchar PRIMARY KEY)",
    "CREATE TABLE schema_migrations (version varchar(255) NOT NULL PRIMARY KEY)",
])  # fmt: skip
def test_another_tools_table_stays_untouched(project: Project, foreign: str):
    project.query(foreign)
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    assert ok(project.apply()).applied == ()
    assert project.versions("tidelock.schema_migrations") == [1]
    assert project.one("SELECT count(*) FROM public.schema_migrations") == 0
    assert (
        project.one(
            "SELECT count(*) FROM pg_attribute WHERE attrelid = 'public.schema_migrations'::regclass AND attnum > 0"
        )
        <= 2
    )


def test_a_table_that_cannot_be_the_ledger_is_refused(project: Project):
    project.query("CREATE TABLE schema_migrations (version text PRIMARY KEY, description text)")
    project.write("001_a.sql", "SELECT 1;")
    assert "version is text" in failed(project.apply(), "L011", 4).message


@pytest.mark.parametrize("kind", ["varchar(20)", "numeric", "text"])
def test_versions_of_another_type_are_kept_as_the_hint_says(project: Project, kind: str):
    project.query(f"CREATE TABLE schema_migrations (version {kind} PRIMARY KEY, description text)")
    project.query("INSERT INTO schema_migrations VALUES ('001', 'a')")
    project.write("001_a.sql", "SELECT 1/0;")
    hint = failed(project.apply(), "L011", 4).hint
    mending = "ALTER TABLE public.schema_migrations ALTER COLUMN version TYPE bigint USING version::bigint"
    assert mending in hint
    assert "tidelock adopt --up-to N" in hint
    project.query(mending)
    assert ok(project.apply()).applied == ()


def test_an_unlogged_ledger_is_refused(project: Project):
    project.query("CREATE UNLOGGED TABLE schema_migrations (version int PRIMARY KEY, description text)")
    project.write("001_a.sql", "SELECT 1;")
    fault = failed(project.apply(), "L011", 4)
    assert "UNLOGGED" in fault.message
    assert fault.hint == "ALTER TABLE public.schema_migrations SET LOGGED"
    project.query(fault.hint)
    ok(project.apply())


def test_a_ledger_whose_rows_are_hidden_is_refused(project: Project):
    role = f"hidden_{project.one('SELECT current_database()')}"
    project.query(f'CREATE ROLE "{role}" LOGIN; GRANT ALL ON SCHEMA public TO "{role}"; {SEED}')
    project.query(f"ALTER TABLE schema_migrations OWNER TO \"{role}\"; INSERT INTO schema_migrations VALUES (1, 'a')")
    project.query("ALTER TABLE schema_migrations ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    project.write("001_a.sql", "SELECT 1;")
    try:
        done = project.tidelock("status", "-U", role)
        assert (done.returncode, "row level security hides rows" in done.stderr) == (4, True), done.stderr
        project.query("ALTER TABLE schema_migrations NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY")
        assert project.tidelock("apply", "-U", role).returncode == 0
    finally:
        project.query(f'DROP OWNED BY "{role}"; DROP ROLE "{role}"')


@pytest.mark.parametrize(("there", "told"), [
    ("CREATE TABLE schema_migrations (version int PRIMARY KEY, description text, sha256 bytea)", "sha256 is bytea"),
    ("CREATE TABLE schema_migrations (version int PRIMARY KEY, description int)", "description is integer"),
    ("CREATE TABLE schema_migrations (version int PRIMARY KEY, name text, applied_at bigint)", "applied_at is bigint"),
    ("CREATE TABLE schema_migrations (version int PRIMARY KEY, name text, duration_ms text)", "duration_ms is text"),
    ("CREATE TABLE schema_migrations (version int UNIQUE, name text); INSERT INTO schema_migrations VALUES (NULL)",
     "a row without a version"),
    ("CREATE TABLE schema_migrations_journal (id int)", "cannot be made"),
    ("CREATE VIEW schema_migrations_lease AS SELECT 1 AS x", "cannot be made"),
    ("CREATE TYPE schema_migrations AS ENUM ('a')", "cannot be made"),
    (f"{SEED} CREATE RULE nothing AS ON INSERT TO schema_migrations DO INSTEAD NOTHING", "rules (nothing)"),
])  # fmt: skip
def test_what_is_in_the_way_of_the_ledger_is_told(project: Project, there: str, told: str):
    project.query(there)
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    fault = failed(project.apply(), "L011", 4)
    assert told in fault.message
    assert project.one("SELECT to_regclass('a') IS NULL")


@pytest.mark.parametrize(("table", "code", "told"), [
    ("nowhere.schema_migrations", "D004", 'CREATE SCHEMA "nowhere"'),
    ("a.b.c", "D004", 'CREATE SCHEMA "a.b"'),
    ("pg_temp.sm", "L011", "a schema that lasts"),
    ("public." + "long" * 15, "L011", "at most 55 bytes"),
])  # fmt: skip
def test_a_name_that_can_be_no_ledgers_is_refused_before_anything_runs(
    project: Project, table: str, code: str, told: str
):
    (project.folder / "tidelock.toml").write_text(f'[migrations]\ndir = "."\n[ledger]\ntable = "{table}"\n')
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    assert told in failed(project.apply(config=project.folder / "tidelock.toml"), code, 4 if code == "L011" else 5).hint
    assert project.one("SELECT to_regclass('a') IS NULL")


@pytest.mark.parametrize(("made", "told"), [
    ("CREATE VIEW schema_migrations AS SELECT 1::bigint AS version, ''::text AS description", "it is a view"),
    ("CREATE MATERIALIZED VIEW schema_migrations AS SELECT 1::bigint AS version", "it is a materialized view"),
    ("CREATE TABLE schema_migrations (version bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, description text)",
     "GENERATED ALWAYS"),
    ("CREATE TABLE schema_migrations (id int, version bigint GENERATED ALWAYS AS (id) STORED UNIQUE)",
     "GENERATED ALWAYS"),
])  # fmt: skip
def test_what_is_no_table_to_write_into_is_refused(project: Project, made: str, told: str):
    project.query(made)
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    assert told in failed(project.apply(), "L011", 4).message
    done = project.tidelock("status")
    assert done.returncode == 4, done.stderr
    assert "L011" in done.stderr
    assert project.one("SELECT to_regclass('a') IS NULL")


@pytest.mark.parametrize(("damage", "told", "mended"), [
    ("DELETE FROM schema_migrations_lease", "the rows of public.schema_migrations_lease are gone",
     "INSERT INTO public.schema_migrations_lease (part, format) VALUES ('holder', 1), ('pulse', 1)"),
    ("DELETE FROM schema_migrations_lease WHERE part = 'pulse'", "the rows of public.schema_migrations_lease are gone",
     "INSERT INTO public.schema_migrations_lease (part, format) VALUES ('pulse', 1)"),
    ("DROP TABLE schema_migrations_journal", "public.schema_migrations_journal, is gone",
     "DROP TABLE public.schema_migrations_lease"),
    ("ALTER TABLE schema_migrations DROP COLUMN content, DROP COLUMN run_id", "it has lost content, run_id",
     "ALTER TABLE public.schema_migrations ADD COLUMN content bytea, ADD COLUMN run_id text"),
])  # fmt: skip
def test_a_damaged_ledger_is_refused_and_mended_as_the_hint_says(project: Project, damage: str, told: str, mended: str):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    project.query(damage)
    project.write("002_b.sql", "CREATE TABLE b (id int);")
    fault = failed(project.apply(), "L011", 4)
    assert told in fault.message
    assert mended.partition(" VALUES")[0] in fault.hint
    assert project.one("SELECT to_regclass('b') IS NULL")
    project.query(mended)
    ok(project.apply())
    assert project.versions() == [1, 2]


def test_a_text_that_is_not_what_was_kept_keeps_nothing_from_being_told(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    project.query("UPDATE schema_migrations SET content = 'nonsense'")
    project.write("001_a.sql", "CREATE TABLE a (id bigint);")
    failed(project.apply(), "L002", 4)
    assert "L002" in project.tidelock("status").stdout


def test_a_version_column_that_cannot_grow_is_refused_before_anything_runs(project: Project):
    project.query(SEED)
    project.query("CREATE VIEW newest AS SELECT max(version) FROM schema_migrations")
    project.write("20260302081400_a.sql", "CREATE TABLE a (id int);")
    fault = failed(project.apply(), "L011", 4)
    assert "integer, too small for 20260302081400" in fault.message
    assert "view newest" in fault.message
    assert 'ALTER TABLE "public"."schema_migrations" ALTER COLUMN version TYPE bigint' in fault.hint
    assert project.one("SELECT to_regclass('a') IS NULL")
    project.query("DROP VIEW newest")
    ok(project.apply())


def test_a_search_path_that_leads_nowhere_is_said(project: Project):
    name = project.one("SELECT current_database()")
    project.query(f"ALTER DATABASE \"{name}\" SET search_path = ''")
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    fault = failed(project.apply(), "L012", 4)
    assert "leads to no schema" in fault.message
    assert "this database has" not in fault.message


def test_duplicate_versions_in_an_old_table_are_named(project: Project):
    project.query("CREATE TABLE schema_migrations (version int, description text)")
    project.query("INSERT INTO schema_migrations VALUES (1, 'a'), (1, 'b')")
    project.write("001_a.sql", "SELECT 1;")
    project.write("002_a.sql", "SELECT 1;")
    failed(project.apply(), "L011", 4)


def test_a_ledger_that_the_search_path_does_not_reach_is_not_doubled(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    project.query("CREATE SCHEMA other")
    name = project.one("SELECT current_database()")
    project.query(f'ALTER DATABASE "{name}" SET search_path = other')
    assert "public.schema_migrations" in failed(project.apply(), "L012", 4).message


def test_a_ledger_of_another_hand_that_the_search_path_does_not_reach_is_not_doubled(project: Project):
    project.query(f"CREATE SCHEMA app; SET search_path = app; {SEED} INSERT INTO schema_migrations VALUES (1, 'a')")
    project.write("001_a.sql", "SELECT 1/0;")
    fault = failed(project.apply(), "L012", 4)
    assert "has the ledger app.schema_migrations, and the search_path leads to public" in fault.message
    assert '"app.schema_migrations"' in fault.hint
    assert '"public.schema_migrations"' in fault.hint
    config = project.folder / "tidelock.toml"
    config.write_text('[migrations]\ndir = "."\n[ledger]\ntable = "app.schema_migrations"\n')
    assert ok(project.apply(config=config)).applied == ()


@pytest.mark.parametrize("table", [
    "CREATE TABLE app.schema_migrations AS SELECT 1::bigint AS version, false AS dirty",
    "CREATE TABLE app.schema_migrations AS SELECT '1'::varchar AS version",
    "CREATE TABLE app.schema_migrations (version int PRIMARY KEY, description text)",
])  # fmt: skip
def test_another_tools_table_or_an_empty_one_elsewhere_is_in_nobodys_way(project: Project, table: str):
    project.query(f"CREATE SCHEMA app; {table}")
    project.write("002_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    assert project.versions("public.schema_migrations") == [2]


def test_a_newer_ledger_is_refused(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    project.query("UPDATE schema_migrations_lease SET format = 99")
    assert "format 99" in failed(project.apply(), "L010", 4).message


def test_a_ledger_may_be_named(project: Project):
    (project.folder / "tidelock.toml").write_text('[migrations]\ndir = "."\n[ledger]\ntable = "app.history"\n')
    project.query("CREATE SCHEMA app")
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply(config=project.folder / "tidelock.toml"))
    assert project.versions("app.history") == [1]


def test_every_column_of_ours_says_what_it_holds(project: Project):
    project.write("001_a.sql", "SELECT 1;")
    ok(project.apply())
    silent = project.query(
        "SELECT attrelid::regclass::text, attname FROM pg_attribute WHERE attrelid IN ('schema_migrations'::regclass, 'schema_migrations_journal'::regclass, "
        "'schema_migrations_lease'::regclass) AND attnum > 0 AND NOT attisdropped AND attname <> 'description' AND col_description(attrelid, attnum) IS NULL"
    )
    assert silent == []


def test_adopting_records_without_running(project: Project):
    project.query("CREATE TABLE a (id int)")
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    project.write("002_b.sql", "CREATE TABLE b (id int);")
    done = project.tidelock("adopt", "--up-to", "1", "--yes")
    assert (done.returncode, "1 adopted" in done.stdout) == (0, True), done.stderr
    assert [each.version for each in ok(project.apply()).applied] == [2]
    project.write("001_a.sql", "CREATE TABLE a (id bigint);")
    failed(project.apply(), "L002", 4)


def test_adopting_runs_nothing_of_a_file(project: Project):
    project.query("CREATE TABLE w AS SELECT 1 AS i")
    project.write("001_a.sql", "SELECT 1;")
    project.write("002_b.sql", IN_A_BODY)
    done = project.tidelock("adopt", "--up-to", "2", "--yes")
    assert (done.returncode, "2 adopted" in done.stdout) == (0, True), done.stderr
    assert project.query("SELECT i FROM w") == [(1,)]


def test_adopting_asks_first(project: Project):
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    done = project.tidelock("adopt", "--up-to", "1")
    assert done.returncode == 2
    assert "--yes" in done.stderr


@pytest.mark.parametrize("takes", ["DROP SCHEMA public CASCADE;", "ALTER SCHEMA public RENAME TO gone;"])
def test_a_file_that_takes_the_ledger_away_is_told_so(project: Project, takes: str) -> None:
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    ok(project.apply())
    project.write("002_b.sql", f"{takes}\nCREATE SCHEMA public;\nCREATE TABLE b (id int);")
    fault = failed(project.apply(), "L011", 4)
    assert "002 b drops, renames or moves it, or its schema; nothing of it remains" in fault.message
    assert project.one("SELECT count(*) FROM schema_migrations") == 1


def test_a_last_file_that_drops_the_lease_is_told_so(project: Project) -> None:
    project.write("001_a.sql", "DROP TABLE schema_migrations_lease;")
    assert "its lease or its journal is gone" in failed(project.apply(), "L011", 4).message
    project.write("002_b.sql", "CREATE TABLE b (id int);")
    ok(project.apply())


@pytest.mark.parametrize(("there", "configured", "mended"), [
    (SEED, "public", 'ALTER TABLE "public"."schema_migrations" OWNER TO "{role}"'),
    ("", "tidelock", 'CREATE SCHEMA IF NOT EXISTS "tidelock"; GRANT USAGE, CREATE ON SCHEMA "tidelock" TO "{role}"'),
])  # fmt: skip
def test_a_ledger_that_the_role_may_not_make_is_had_as_the_hint_says(
    project: Project, there: str, configured: str, mended: str
):
    role = f"weak_{project.one('SELECT current_database()')}"
    (project.folder / "tidelock.toml").write_text(f'[ledger]\ntable = "{configured}.schema_migrations"\n')
    project.query(f'CREATE ROLE "{role}" LOGIN; GRANT ALL ON SCHEMA public TO "{role}"; {there}')
    if there:
        project.query(f'GRANT SELECT, INSERT ON schema_migrations TO "{role}"')
    project.write("001_a.sql", "CREATE TABLE a (id int);")
    try:
        done = project.tidelock("apply", "-U", role)
        assert (done.returncode, mended.format(role=role) in " ".join(done.stderr.split())) == (5, True), done.stderr
        project.query(mended.format(role=role))
        assert project.tidelock("apply", "-U", role).returncode == 0
    finally:
        project.query(f'DROP OWNED BY "{role}"; DROP ROLE "{role}"')
