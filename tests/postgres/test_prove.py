"""What `tidelock prove` proves, and each proof failing where it should."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tidelock.cli import proving, wiring
from tidelock.cli.wiring import Asked
from tidelock.core.critical import Critical
from tidelock.core.proof import Outcome, Proof
from tidelock.core.report import Severity
from tidelock.postgres.shadow import PREFIX
from tidelock.postgres.snapshot import take
from tidelock.render import proof as render

if TYPE_CHECKING:
    from tests.rig.postgres import Server
    from tests.rig.project import Project

    from tidelock.core.proof import Proven, Result
    from tidelock.core.report import Finding

EXAMPLES = Path(__file__).parents[2] / "examples"
PER_FILE = "fresh,rerun,interrupted,locks"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TIDELOCK_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@dataclass
class Bench:
    """A directory of migrations, and a server to prove them on."""

    folder: Path
    dsn: str

    def prove(self, *texts: str, only: str = PER_FILE, jobs: int = 2, source: str | None = None, **more: Any) -> Proven:
        for number, text in enumerate(texts, 1):
            (self.folder / f"{number:03}_m.sql").write_text(text)
        asked = Asked(directory=self.folder)
        [target] = wiring.targets(asked)
        options = proving.Options(shadow=self.dsn, jobs=jobs, source=source)
        return proving.proven(replace(target, **more), asked, Deaf(), options, proving.proofs(only))


class Deaf:
    def emit(self, event: Any) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def bench(tmp_path: Path, cluster: Server) -> Bench:
    folder = tmp_path / "proved"
    folder.mkdir()
    return Bench(folder, cluster.dsn)


def found(proven: Proven, severity: Severity = Severity.ERROR) -> list[tuple[str, int | None]]:
    """(code, line) of each finding."""
    return [
        (each.code, each.place.line if each.place else None) for each in proven.findings if each.severity is severity
    ]


def one(proven: Proven, code: str) -> Finding:
    [finding] = [each for each in proven.findings if each.code == code]
    return finding


def result(proven: Proven, proof: Proof, version: int | None = None) -> Result:
    [only] = [each for each in proven.results if each.proof is proof and (version is None or each.version == version)]
    return only


def shadows(dsn: str) -> list[str]:
    with psycopg.connect(dsn) as conn:
        return [name for (name,) in conn.execute("SELECT datname FROM pg_database") if name.startswith(PREFIX)]


GOOD = (
    "CREATE TABLE IF NOT EXISTS a (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE, at timestamptz);",
    "INSERT INTO a (name, at) SELECT 'x', clock_timestamp() WHERE NOT EXISTS (SELECT FROM a WHERE name = 'x');",
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS a_at ON a (at);",
    "-- tidelock: no-transaction\nALTER TABLE a ADD COLUMN IF NOT EXISTS n int;\nUPDATE a SET n = 1 WHERE n IS NULL;",
)


# --- all is well ------------------------------------------------------------------------------------------------


def test_good_files_are_proved_and_nothing_is_left(bench: Bench):
    proven = bench.prove(*GOOD)
    assert proven.findings == ()
    assert {each.outcome for each in proven.results} == {Outcome.PROVED}
    assert len(proven.results) == 16
    assert proven.exit_code == 0
    assert shadows(bench.dsn) == []


def test_the_farm_is_proved(project: Project, cluster: Server):
    shutil.copytree(EXAMPLES / "farm", project.folder / "farm")
    ended = project.tidelock(
        "prove", "--shadow", cluster.dsn, "--config", str(project.folder / "farm" / "tidelock.toml"), where=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "4 of 4 fallback scripts" in ended.stdout
    assert "Nothing refuted" in ended.stdout


def test_the_telemetry_is_proved_on_timescaledb(timescale_dsn: str, project: Project):
    shutil.copytree(EXAMPLES / "telemetry", project.folder / "telemetry")
    ended = project.tidelock(
        "prove", "--shadow", make_conninfo(timescale_dsn, dbname="postgres"),
        "--config", str(project.folder / "telemetry" / "tidelock.toml"), where=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "9 of 9 change nothing" in ended.stdout
    assert "Nothing refuted" in ended.stdout


def test_a_policy_with_other_arguments_changes_something_the_second_time_on_timescaledb(
    timescale_dsn: str, bench: Bench
):
    bench.dsn = make_conninfo(timescale_dsn, dbname="postgres")
    proven = bench.prove(
        "CREATE EXTENSION IF NOT EXISTS timescaledb;\nCREATE TABLE IF NOT EXISTS r (t timestamptz NOT NULL, v int);\n"
        "SELECT create_hypertable('r', 't', if_not_exists => true);",
        "SELECT add_retention_policy('r', interval '30 days');",
        only="fresh,rerun",
    )
    assert found(proven) == [("P002", 1)]


# --- fresh ------------------------------------------------------------------------------------------------------------


def test_fresh_finds_a_file_that_wants_what_no_file_makes(bench: Bench):
    proven = bench.prove(
        "CREATE TABLE a (i int);", "SELECT 1;\nALTER TABLE made_by_hand ADD COLUMN j int;", only="fresh"
    )
    assert found(proven) == [("P001", 2)]
    assert "made_by_hand" in one(proven, "P001").detail
    assert proven.exit_code == 1


def test_fresh_finds_files_in_the_wrong_order_and_goes_on(bench: Bench):
    proven = bench.prove(
        "CREATE TABLE b (a int REFERENCES a (id));", "CREATE TABLE a (id int PRIMARY KEY);", "ALTER TABLE b ADD COLUMN c int;",
        only="fresh",
    )  # fmt: skip
    assert found(proven) == [("P001", 1)]
    assert result(proven, Proof.FRESH, 2).outcome is Outcome.PROVED
    assert "comes after 001 m" in result(proven, Proof.FRESH, 3).evidence


def test_what_the_server_lacks_is_said_by_name_and_is_no_finding(bench: Bench):
    proven = bench.prove(
        "CREATE EXTENSION IF NOT EXISTS postgis;\nCREATE TABLE g (i int);",
        "-- tidelock: requires timescaledb >= 2.18\nSELECT 1;",
        "ALTER TABLE g ADD COLUMN j int;",
        "CREATE TABLE other (i int);",
        "DO $$ BEGIN EXECUTE 'CREATE EXTENSION postgis'; END $$;",
        "GRANT CONNECT ON DATABASE farm TO public;",
    )
    assert proven.findings == () or found(proven) == [("P002", 1)]
    said = [result(proven, Proof.FRESH, version).evidence for version in (1, 2, 3, 5, 6)]
    assert "CREATE EXTENSION postgis" in said[0]
    assert "timescaledb" in said[1]
    assert "comes after 001 m" in said[2]
    assert "postgis" in said[3]
    assert "names a database" in said[4]
    assert result(proven, Proof.FRESH, 4).outcome is Outcome.PROVED


def test_what_is_not_proved_counts_when_it_is_strict_and_is_said_in_any_case(bench: Bench):
    extension = "CREATE EXTENSION IF NOT EXISTS postgis;"
    proven = bench.prove(extension, only="fresh")
    assert proven.exit_code == 0
    assert "1 of 1 not proved" in render.text(proven)
    assert "does not count: `--strict` makes it exit 1" in render.text(proven)
    strict = replace(proven, strict=True)
    assert (strict.exit_code, render.text(strict).splitlines()[-1]) == (1, "  exit 1")


def test_strict_may_stand_in_the_settings(bench: Bench):
    assert bench.prove("CREATE EXTENSION IF NOT EXISTS postgis;", only="fresh", strict=True).exit_code == 1


# --- rerun --------------------------------------------------------------------------------------------------------------


def test_rerun_finds_a_trigger_without_a_guard(bench: Bench):
    proven = bench.prove(
        "CREATE TABLE IF NOT EXISTS a (i int);",
        "SELECT 1;\nCREATE TRIGGER t BEFORE UPDATE ON a FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();",
    )
    assert found(proven) == [("P002", 2)]
    assert "42710" in one(proven, "P002").message


def test_rerun_finds_rows_that_double_and_names_the_statement(bench: Bench):
    proven = bench.prove("CREATE TABLE IF NOT EXISTS a (i int);\nSELECT 1;\nINSERT INTO a VALUES (1), (2);")
    assert found(proven) == [("P003", 3)]
    assert "public.a has 4 rows, not 2" in one(proven, "P003").message


BIG = "CREATE TABLE IF NOT EXISTS big (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int, pad text);"


@pytest.mark.parametrize(
    ("again", "words"),
    [
        (
            "INSERT INTO big (pad) SELECT repeat('x', 900) FROM generate_series(1, 12000) ON CONFLICT DO NOTHING;",
            "public.big has 24,000 rows, not 12,000",
        ),
        ("UPDATE big SET n = coalesce(n, 0) + 1;", "public.big has other values in n"),
    ],
)
def test_a_table_of_many_megabytes_is_compared_as_well(bench: Bench, again: str, words: str):
    fill = "INSERT INTO big (pad) SELECT repeat('x', 900) FROM generate_series(1, 12000) WHERE NOT EXISTS (SELECT FROM big);"
    proven = bench.prove(*((BIG, fill, again) if "UPDATE" in again else (BIG, again)), only="rerun")
    assert [code for code, _ in found(proven)] == ["P003"]
    assert words in one(proven, "P003").message


@pytest.mark.parametrize(
    "culprit",
    ["UPDATE a SET n = n + 1;", "INSERT INTO a VALUES (2, 2);", "DELETE FROM a WHERE i = (SELECT max(i) FROM a);"],
)
def test_a_guarded_insert_is_not_blamed_for_another_statement(bench: Bench, culprit: str):
    proven = bench.prove(
        "CREATE TABLE IF NOT EXISTS a (i int, n int, was serial);\nINSERT INTO a VALUES (3, 0), (4, 1);",
        "INSERT INTO a SELECT 1, 1 WHERE NOT EXISTS (SELECT FROM a WHERE i = 1);\nSELECT 1;\n" + culprit,
        only="rerun",
    )
    assert [line for code, line in found(proven) if code == "P003" and line][-1] == 3


def test_rerun_finds_a_timestamp_that_moves(bench: Bench):
    proven = bench.prove(
        "CREATE TABLE IF NOT EXISTS a (i int PRIMARY KEY, at timestamptz);\n"
        "INSERT INTO a VALUES (1, clock_timestamp()) ON CONFLICT (i) DO UPDATE SET at = EXCLUDED.at;",
    )
    assert found(proven) == [("P003", 2)]
    assert "other values in at" in one(proven, "P003").message


def test_an_upsert_that_writes_what_is_right_already_moves_what_a_trigger_sets_and_a_guard_mends_it(bench: Bench):
    made = (
        "CREATE TABLE IF NOT EXISTS a (i int PRIMARY KEY, n int, updated_at timestamptz);\n"
        "CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS\n"
        "$$ BEGIN NEW.updated_at := clock_timestamp(); RETURN NEW; END $$;\n"
        "CREATE OR REPLACE TRIGGER touch BEFORE INSERT OR UPDATE ON a FOR EACH ROW EXECUTE FUNCTION touch();"
    )
    upsert = "INSERT INTO a VALUES (1, 2) ON CONFLICT (i) DO UPDATE SET n = EXCLUDED.n"
    proven = bench.prove(made, f"{upsert};", only="rerun")
    assert "other values in updated_at" in one(proven, "P003").message
    assert "IS DISTINCT FROM" in one(proven, "P003").hint
    assert bench.prove(made, f"{upsert} WHERE a.n IS DISTINCT FROM EXCLUDED.n;", only="rerun").findings == ()


def test_rerun_finds_a_definition_that_changes(bench: Bench):
    proven = bench.prove(
        "CREATE TABLE IF NOT EXISTS a (i int);\nALTER TABLE a ALTER COLUMN i TYPE bigint;\n"
        "DO $$ BEGIN EXECUTE format('COMMENT ON TABLE a IS %L', clock_timestamp()); END $$;",
        only="rerun",
    )
    assert {code for code, _ in found(proven)} == {"P003"}


def test_numbers_that_are_drawn_for_nothing_are_a_warning(bench: Bench):
    proven = bench.prove(
        "CREATE TABLE IF NOT EXISTS a (id serial, name text UNIQUE);\n"
        "INSERT INTO a (name) VALUES ('x') ON CONFLICT DO NOTHING;",
    )
    assert found(proven) == []
    assert found(proven, Severity.WARNING) == [("P009", 1)]
    assert proven.exit_code == 0


def test_a_file_may_allow_it_with_a_reason(bench: Bench):
    proven = bench.prove("-- tidelock: allow P002: it runs once\nCREATE TABLE a (i int);")
    assert proven.exit_code == 0
    assert one(proven, "P002").severity is Severity.NOTE
    assert "it runs once" in one(proven, "P002").hint


# --- interrupted ----------------------------------------------------------------------------------------------------------


def test_interrupted_finds_a_statement_of_which_nobody_can_tell_whether_it_ran(bench: Bench):
    proven = bench.prove(
        "CREATE TABLE a (i int);\nCREATE PROCEDURE fill() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO a VALUES (1); COMMIT; END $$;",
        "CALL fill();",
        only="interrupted",
    )
    assert found(proven) == [("P004", 1)]
    assert "L020" in one(proven, "P004").message


def test_interrupted_finds_a_temporary_table_that_is_gone(bench: Bench):
    proven = bench.prove(
        "CREATE TABLE a (i int);\nINSERT INTO a VALUES (1);",
        "-- tidelock: no-transaction\nCREATE TEMP TABLE kept AS SELECT * FROM a;\nDELETE FROM a;\nINSERT INTO a SELECT * FROM kept;",
        only="interrupted",
    )
    assert {code for code, _ in found(proven)} == {"P004"}
    assert "L021" in proven.findings[0].message


def test_interrupted_finds_another_end(bench: Bench):
    proven = bench.prove("CREATE SEQUENCE s;", "CREATE TABLE r AS SELECT nextval('s') AS n;", only="interrupted")
    assert found(proven) == [("P004", 1)]
    assert "ends otherwise: table public.r has other values in n" in one(proven, "P004").message


def test_clocks_and_identities_are_no_other_end(bench: Bench):
    proven = bench.prove(
        "CREATE TABLE a (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz DEFAULT clock_timestamp());\n"
        "CREATE TABLE b (a bigint REFERENCES a, r uuid DEFAULT gen_random_uuid());",
        "INSERT INTO a DEFAULT VALUES;\nINSERT INTO b (a) SELECT max(id) FROM a;",
        "INSERT INTO a DEFAULT VALUES;",
        only="interrupted",
    )
    assert proven.findings == ()


def test_every_step_is_cut_off(bench: Bench):
    proven = bench.prove(GOOD[0], GOOD[3], "CREATE INDEX CONCURRENTLY ON a (name);", only="interrupted")
    assert [each.count for each in sorted(proven.results, key=lambda each: each.version or 0)] == [2, 4, 1]
    assert proven.findings == ()


# --- locks ----------------------------------------------------------------------------------------------------------------


def test_locks_tells_what_was_locked_rewritten_and_scanned(bench: Bench):
    proven = bench.prove(
        "CREATE TABLE a (i int, t text);\nINSERT INTO a VALUES (1, '1');",
        "ALTER TABLE a ALTER COLUMN i TYPE bigint;",
        "ALTER TABLE a ADD CHECK (i > 0);",
        "CREATE INDEX CONCURRENTLY ON a (t);",
        only="locks",
    )
    assert "public.a: AccessExclusive, rewritten" in result(proven, Proof.LOCKS, 2).evidence
    assert "public.a: AccessExclusive, scanned" in result(proven, Proof.LOCKS, 3).evidence
    assert "outside a transaction, not measured" in result(proven, Proof.LOCKS, 4).evidence
    assert proven.findings == ()


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("DROP INDEX a_t;", "claimed no lock, and the server took AccessExclusive"),
        ("ALTER TABLE a ALTER COLUMN t TYPE varchar(9);", "claimed no rewrite, and the server rewrote it"),
    ],
)
def test_locks_finds_what_the_text_does_not_tell(bench: Bench, statement: str, words: str):
    proven = bench.prove("CREATE TABLE a (t text);\nCREATE INDEX a_t ON a (t);", statement, only="locks")
    assert found(proven, Severity.WARNING) == [("P007", 1)]
    assert words in one(proven, "P007").message


def test_partitions_are_covered_by_what_is_claimed_of_their_table(bench: Bench):
    proven = bench.prove(
        "CREATE TABLE a (i int) PARTITION BY RANGE (i);\nCREATE TABLE a1 PARTITION OF a FOR VALUES FROM (1) TO (9);",
        "ALTER TABLE a ADD COLUMN j int;",
        only="locks",
    )
    assert proven.findings == ()


# --- fallback ---------------------------------------------------------------------------------------------------------------

TABLE = "CREATE TABLE IF NOT EXISTS jobs (id int PRIMARY KEY, status text);"


def fallen(bench: Bench, script: str, *texts: str) -> Proven:
    path = bench.folder.parent / "fallback.sql"
    path.write_text(script)
    critical = (Critical(table="jobs", migration=1, fallback=str(path)),)
    return bench.prove(*(texts or (TABLE,)), only="fallback", critical=critical)


def test_a_fallback_that_makes_the_same_is_proved(bench: Bench):
    proven = fallen(bench, TABLE)
    assert proven.findings == ()
    assert "on an empty database" in result(proven, Proof.FALLBACK).evidence


@pytest.mark.parametrize(
    ("script", "migration", "words"),
    [
        ("CREATE TABLE jobs (id int PRIMARY KEY);", TABLE, "column public.jobs.status removed"),
        (
            "CREATE TABLE IF NOT EXISTS jobs (id int);",
            "CREATE TABLE jobs (id int);",
            "after it, on an empty database: D010",
        ),
        ("CREATE TABLE jobs (id no_such_type);", TABLE, "it fails on an empty database"),
    ],
)
def test_fallback_finds_what_does_not_do(bench: Bench, script: str, migration: str, words: str):
    proven = fallen(bench, script, migration)
    assert [code for code, _ in found(proven)] == ["P006"]
    assert words in proven.findings[0].message


def test_a_fallback_may_want_the_tables_of_earlier_files(bench: Bench):
    path = bench.folder.parent / "fallback.sql"
    text = "CREATE TABLE IF NOT EXISTS jobs (tenant int REFERENCES tenants);"
    path.write_text(text)
    critical = (Critical(table="jobs", migration=2, fallback=str(path)),)
    proven = bench.prove("CREATE TABLE tenants (id int PRIMARY KEY);", text, only="fallback", critical=critical)
    assert proven.findings == ()
    assert "where 002 m has failed" in result(proven, Proof.FALLBACK).evidence


# --- upgrade ------------------------------------------------------------------------------------------------------------------


def test_upgrade_applies_what_is_pending_to_the_schema_of_a_live_database(bench: Bench, project: Project):
    project.write("001_m.sql", "CREATE TABLE a (i int);\n")
    assert project.apply().failure is None
    proven = bench.prove(
        "CREATE TABLE a (i int);\n", "ALTER TABLE a ADD COLUMN j int;", only="upgrade", source=project.dsn
    )
    assert proven.findings == ()
    assert result(proven, Proof.UPGRADE).evidence == "1 applied there, 1 pending"


@pytest.mark.parametrize("by_hand", ["ALTER TABLE a ADD COLUMN j text", "ALTER TABLE a RENAME TO b"])
def test_upgrade_finds_what_the_live_schema_does_not_take(bench: Bench, project: Project, by_hand: str):
    project.write("001_m.sql", "CREATE TABLE a (i int);\n")
    assert project.apply().failure is None
    project.query(by_hand)
    proven = bench.prove(
        "CREATE TABLE a (i int);\n", "ALTER TABLE a ADD COLUMN j int;", only="upgrade", source=project.dsn
    )
    assert [code for code, _ in found(proven)] == ["P005"]
    assert project.versions() == [1], "nothing was written to the live database"


def test_upgrade_begins_from_a_stored_snapshot(bench: Bench, project: Project, tmp_path: Path):
    project.query("CREATE TABLE a (i int)")
    with psycopg.connect(project.dsn, autocommit=True) as conn:
        (tmp_path / "schema.json").write_bytes(take(conn).to_json())
    texts = ("CREATE TABLE a (i int);", "ALTER TABLE a ADD COLUMN j int;")
    proven = bench.prove(*texts, only="upgrade", source=f"{tmp_path}/schema.json@1")
    assert result(proven, Proof.UPGRADE).evidence == "1 applied there, 1 pending"
    assert proven.findings == ()
    wrong = bench.prove(texts[0], "ALTER TABLE a ADD COLUMN i int;", only="upgrade", source=f"{tmp_path}/schema.json@1")
    assert [code for code, _ in found(wrong)] == ["P005"]


# --- the code of before -----------------------------------------------------------------------------------------------------

READS = f"{sys.executable} -c \"import os, psycopg; psycopg.connect(os.environ['DATABASE_URL']).execute('SELECT old FROM a')\""


def test_previous_code_works_until_the_file_that_takes_something_away(bench: Bench):
    texts = (
        "CREATE TABLE a (old int);",
        "ALTER TABLE a ADD COLUMN new int;",
        "-- BREAKING: nobody reads it now\nALTER TABLE a DROP COLUMN old;",
    )
    proven = bench.prove(*texts, only="previous", smoke=READS)
    assert result(proven, Proof.PREVIOUS).evidence == "exit 0 before 003 m"
    assert proven.findings == ()


def test_previous_finds_something_taken_away_too_early(bench: Bench):
    texts = (
        "CREATE TABLE a (old int);",
        "ALTER TABLE a RENAME COLUMN old TO new;",
        "-- BREAKING: x\nALTER TABLE a DROP COLUMN new;",
    )
    proven = bench.prove(*texts, only="previous", smoke=READS)
    assert found(proven) == [("P008", 1)]
    assert 'column "old" does not exist' in one(proven, "P008").detail


def test_previous_runs_at_the_end_when_nothing_is_taken_away(bench: Bench):
    proven = bench.prove("CREATE TABLE a (new int);", only="previous", smoke=READS)
    assert found(proven) == [("P008", None)]


# --- cache, roles, killed runs --------------------------------------------------------------------------------------------------


def test_what_has_not_changed_is_not_proved_again(bench: Bench):
    bench.prove(*GOOD)
    again = bench.prove(*GOOD)
    assert all(each.cached for each in again.results)
    edited = bench.prove(*GOOD[:3], f"{GOOD[3]}\nCOMMENT ON TABLE a IS 'x';")
    assert {each.version for each in edited.results if not each.cached} == {4}
    earlier = bench.prove(f"{GOOD[0]}\n-- a word", *GOOD[1:])
    assert not any(each.cached for each in earlier.results)
    assert {each.outcome for each in earlier.results} == {Outcome.PROVED}


def test_what_was_refuted_is_proved_again(bench: Bench):
    for _ in range(2):
        assert found(bench.prove("CREATE TABLE a (i int);")) == [("P002", 1)]


ROLES = (
    "CREATE ROLE prove_reader;\nCREATE TABLE IF NOT EXISTS a (i int);\nGRANT SELECT ON a TO prove_reader;",
    "CREATE TABLE IF NOT EXISTS b (i int);\nGRANT SELECT ON b TO prove_reader;",
)


def roles(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as conn:
        return {name for (name,) in conn.execute("SELECT rolname FROM pg_roles WHERE rolname ~ '^prove_'")}


def test_roles_of_migrations_do_not_collide_and_are_gone_afterwards(bench: Bench, tmp_path: Path):
    other = Bench(tmp_path / "other", bench.dsn)
    other.folder.mkdir()
    ended: list[Proven] = []
    threads = [threading.Thread(target=lambda each=each: ended.append(each.prove(*ROLES))) for each in (bench, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ended) == 2
    for proven in ended:
        assert found(proven) == [("P002", 1)]
        assert result(proven, Proof.INTERRUPTED, 2).outcome is Outcome.PROVED
    assert roles(bench.dsn) == set()


def test_a_role_that_is_on_the_server_already_is_said_by_name(bench: Bench):
    with psycopg.connect(bench.dsn, autocommit=True) as conn:
        conn.execute("CREATE ROLE prove_there")
        try:
            proven = bench.prove("CREATE ROLE prove_there;", only="fresh")
        finally:
            conn.execute("DROP ROLE prove_there")
    assert "prove_there, which was on the shadow server before" in result(proven, Proof.FRESH, 1).evidence


def test_a_killed_run_leaves_nothing_after_the_next(bench: Bench, project: Project):
    for number in range(1, 30):
        project.write(f"{number:03}_t.sql", f"CREATE TABLE t{number} (i int);\n")
    process = project.start("prove", "--shadow", bench.dsn)
    ends = time.monotonic() + 20
    while not shadows(bench.dsn):
        assert time.monotonic() < ends
        time.sleep(0.01)
    process.kill()
    process.communicate()
    while any_session(bench.dsn):
        assert time.monotonic() < ends
        time.sleep(0.01)
    bench.prove(*GOOD[:1], only="fresh")
    assert shadows(bench.dsn) == []


def any_session(dsn: str) -> bool:
    with psycopg.connect(dsn) as conn:
        query = "SELECT FROM pg_stat_activity WHERE application_name ~ '^tidelock shadow'"
        return conn.execute(query).fetchone() is not None


SLOW = "CREATE ROLE prove_cut;\nCREATE TABLE IF NOT EXISTS a (i int);\nGRANT SELECT ON a TO prove_cut;\n"
WORKING = "SELECT pid FROM pg_stat_activity WHERE starts_with(datname, %s) AND query ~ %s AND state = 'active'"


def working(dsn: str, text: str) -> list[int]:
    with psycopg.connect(dsn) as conn:
        return [pid for (pid,) in conn.execute(WORKING, (PREFIX, text))]


def interrupted(process: subprocess.Popen[str], dsn: str, number: int = signal.SIGINT) -> str:
    """Its words, after a signal in the middle of a statement."""
    try:
        ends = time.monotonic() + 50
        while not working(dsn, "pg_sleep"):
            assert time.monotonic() < ends
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        sent = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=10)
    finally:
        process.kill()
    assert (process.returncode, time.monotonic() - sent < 5.5) == (75, True), err
    return err


@pytest.mark.parametrize(
    ("number", "texts"),
    [
        (signal.SIGTERM, ("SELECT pg_sleep(60);",)),
        (signal.SIGINT, (SLOW, "SELECT pg_sleep(60);")),
        (signal.SIGINT, (f"BEGIN;\n{SLOW}COMMIT;\nSELECT pg_sleep(60);",)),
    ],
)
def test_a_signal_leaves_no_database_and_no_role(bench: Bench, project: Project, number: int, texts: tuple[str, ...]):
    for place, text in enumerate(texts, 1):
        project.write(f"{place:03}_m.sql", text)
    err = interrupted(project.start("prove", "--shadow", bench.dsn), bench.dsn, number)
    assert (shadows(bench.dsn), roles(bench.dsn)) == ([], set())
    assert "T030 interrupted" in err
    assert "Nothing was changed in your databases" in err


@pytest.mark.parametrize("command", ["drift", "snapshot"])
def test_a_signal_to_drift_and_snapshot_leaves_none_either(bench: Bench, project: Project, command: str):
    project.query(
        "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, description text, applied_at timestamptz);\n"
        "INSERT INTO schema_migrations VALUES (1, 'm', now());"
    )
    project.write("001_m.sql", f"{SLOW}SELECT pg_sleep(60);")
    err = interrupted(project.start(command, "--shadow", bench.dsn), bench.dsn)
    assert (shadows(bench.dsn), roles(bench.dsn)) == ([], set())
    assert "T030 interrupted" in err


def test_what_cannot_be_dropped_in_time_is_named_with_its_sql(bench: Bench, project: Project):
    project.write("001_m.sql", "SELECT pg_sleep(60);")
    process = project.start("prove", "--shadow", bench.dsn)
    ends = time.monotonic() + 50
    while not (pids := working(bench.dsn, "pg_sleep")):
        assert time.monotonic() < ends
        time.sleep(0.01)
    os.kill(pids[0], signal.SIGSTOP)
    try:
        err = interrupted(process, bench.dsn)
    finally:
        os.kill(pids[0], signal.SIGCONT)
    assert "T035" in err
    assert f'DROP DATABASE IF EXISTS "{PREFIX}' in err


# --- the command --------------------------------------------------------------------------------------------------------------


def test_the_command_proves_on_the_embedded_server_and_says_what_is_wrong(project: Project, tmp_path: Path):
    for each in (tmp_path, *list(tmp_path.parents)[:3]):
        each.chmod(each.stat().st_mode | 0o055)
    project.write("001_a.sql", "CREATE TABLE a (i int);\n")
    project.write("tidelock.toml", "[prove]\ntarget = 16\n")
    ended = project.tidelock(
        "prove", "--dir", str(project.folder), "--config", str(project.folder / "tidelock.toml"),
        env={"TIDELOCK_CACHE_DIR": os.environ["TIDELOCK_CACHE_DIR"]}, where=False,
    )  # fmt: skip
    assert ended.returncode == 1, ended.stderr
    assert "proved on 18, target 16" in ended.stdout
    assert "P002" in ended.stdout
    assert "1 │ CREATE TABLE a (i int);" in ended.stdout


def test_an_unknown_proof_is_refused(project: Project):
    assert project.tidelock("prove", "--only", "fresh,everything").returncode == 2
