"""What asks for a backup: facts, not words."""

from __future__ import annotations

import pytest

from tidelock.core.danger import danger
from tidelock.core.facts import facts_of
from tidelock.core.made import Made
from tidelock.core.model import Place
from tidelock.core.script import read
from tidelock.core.statement import Statement


def whys(text: str) -> list[str]:
    """Why a file asks, all of its statements in one plan."""
    made, found = Made(), []
    for each in read("a.sql", text, facts=facts_of).statements:
        found += [one.why for one in danger(each, made)]
        made.learn(each)
    return found


PURGE = "CREATE FUNCTION purge() RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM c; RETURN 1; END $$;"
AUDIT = "CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (now()); RETURN NEW; END $$;"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("DROP TABLE a", "drops table a"),
        ("DROP SCHEMA s CASCADE", "drops schema s"),
        ("DROP DOMAIN d CASCADE", "drops domain d"),
        ("DROP COLLATION d CASCADE", "drops other d"),
        ("DROP VIEW v CASCADE", "drops view v"),
        ("DROP FUNCTION f CASCADE", "drops function f"),
        ("CREATE OR REPLACE VIEW v AS SELECT 1; DROP VIEW v CASCADE", "drops view v"),
        ("DROP OPERATOR + (int, int) CASCADE", "drops operator +"),
        ("DROP SEQUENCE s", "drops sequence s"),
        ("DROP OWNED BY r", "drops what is owned by r"),
        ("ALTER TABLE a DROP COLUMN b", "drops column b"),
        ("TRUNCATE a, b", "empties a, b"),
        ("DELETE FROM a WHERE i > 3", "deletes from a"),
        ("UPDATE a SET i = 1", "updates a"),
        ("MERGE INTO a USING b ON a.i = b.i WHEN MATCHED THEN DELETE", "changes a"),
        ("INSERT INTO a VALUES (1) ON CONFLICT (i) DO UPDATE SET v = EXCLUDED.v", "may overwrite rows of a"),
        ("WITH gone AS (DELETE FROM a RETURNING *) SELECT count(*) FROM gone", "may change rows of a"),
        ("WITH gone AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM gone", "may change rows of a"),
        ("DO $$ BEGIN DELETE FROM a; END $$", "may change rows of a"),
        ("DO $$ BEGIN EXECUTE 'DROP TABLE ' || quote_ident('a'); END $$", "nobody knows what it does"),
        ("ALTER TABLE a SET UNLOGGED", "leaves to the next crash a"),
        ("SELECT setval('s', 1)", "sets s"),
        ("ALTER SEQUENCE s RESTART", "restarts s"),
        ("ALTER TABLE a ALTER i RESTART WITH 1", "restarts a_i_seq"),
        ("SELECT drop_chunks('a', older_than => now())", "drops chunks of a"),
        ("SELECT drop_chunks(format('%s', 'a')::regclass, now())", "drops chunks of"),
        ("COPY a FROM PROGRAM 'psql -c …'", "calls a program, and nobody knows what it does"),
    ],
)
def test_what_takes_something_away_is_a_danger(text: str, why: str) -> None:
    assert why in whys(text)


@pytest.mark.parametrize(
    "change",
    [
        "ALTER i TYPE smallint",
        "ALTER i TYPE bigint",
        "ALTER n TYPE numeric(10,1)",
        "ALTER ts TYPE timestamptz(0)",
        "ALTER ts TYPE date",
        "ALTER v TYPE text USING 'x'",
        "ALTER v TYPE text USING w",
        "ALTER v TYPE text USING v::varchar(3)::text",
        "ALTER v TYPE varchar USING NULL",
        "ALTER v TYPE varchar(60) USING 'gone'",
        "ALTER v TYPE varchar(60)",
        "ALTER v TYPE mood USING NULL",
        "ADD COLUMN z int, ALTER v TYPE smallint",
    ],
)
def test_a_type_that_may_not_hold_each_value_is_a_danger(change: str) -> None:
    assert "changes the type in a" in whys(f"ALTER TABLE a {change}")
    assert whys(f"CREATE TABLE a (i int); ALTER TABLE a {change}") == []


@pytest.mark.parametrize(
    "change",
    ["ALTER v TYPE text", "ALTER v TYPE varchar", "ALTER v TYPE text USING v::text", "ALTER v TYPE text USING v"],
)
def test_text_holds_each_value(change: str) -> None:
    assert whys(f"ALTER TABLE a {change}") == []


@pytest.mark.parametrize(
    "text",
    [
        "CALL purge()",
        "SELECT purge()",
        "SELECT * FROM purge()",
        "SELECT 1 WHERE purge() = 1",
        "VALUES (purge())",
        "INSERT INTO a SELECT purge()",
        "CREATE TABLE z AS SELECT purge()",
        "ALTER TABLE a ADD COLUMN z int DEFAULT purge()",
        "ALTER TABLE a ADD CHECK (purge() = 1)",
        "CREATE VIEW v AS SELECT purge(); SELECT * FROM v",
        "CREATE VIEW v AS SELECT purge(); CREATE VIEW w AS SELECT * FROM v; SELECT * FROM w",
        "CREATE TABLE z (i int DEFAULT purge()); INSERT INTO z DEFAULT VALUES",
        "DECLARE x CURSOR FOR SELECT purge()",
        "DO $$ BEGIN PERFORM purge(); END $$",
        "DO $$ DECLARE x int; BEGIN x := purge(); END $$",
        "DO $$ BEGIN IF purge() = 1 THEN NULL; END IF; END $$",
        "DO $$ DECLARE x int DEFAULT purge(); BEGIN NULL; END $$",
        "CREATE TRIGGER t AFTER INSERT ON a FOR EACH ROW EXECUTE FUNCTION purge(); INSERT INTO a VALUES (1)",
        "CREATE TRIGGER t AFTER INSERT ON a FOR EACH ROW EXECUTE FUNCTION purge(); COPY a FROM STDIN",
        (
            "CREATE TABLE a (i int); CREATE TRIGGER t AFTER UPDATE ON a FOR EACH ROW EXECUTE FUNCTION purge(); "
            "INSERT INTO a VALUES (1) ON CONFLICT (i) DO UPDATE SET i = 1"
        ),
    ],
)
def test_a_call_does_what_its_body_says_and_without_one_nobody_knows(text: str) -> None:
    assert whys(text) == ["calls purge, and nobody knows what it does"]
    assert whys(PURGE + text) == ["may change rows of c"]
    assert whys("CREATE TABLE c (i int);" + PURGE + text) == []


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("LANGUAGE sql AS 'DELETE FROM c'", "deletes from c"),
        ("LANGUAGE sql AS 'SELECT 1; DELETE FROM c'", "may change rows of c"),
        ("LANGUAGE sql BEGIN ATOMIC DELETE FROM c; END", "may change rows of c"),
        ("LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DROP TABLE k'; END $$", "drops table k"),
        ("LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DELETE '||'FROM c'; END $$", "may change rows of c"),
        (
            "LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DELETE FROM '||quote_ident('c'); END $$",
            "calls f, and nobody knows what it does",
        ),
        ("LANGUAGE plpython3u AS $$ pass $$", "calls f, and nobody knows what it does"),
        ("LANGUAGE plpgsql AS $$ BEGIN PERFORM g(); END $$", "calls g, and nobody knows what it does"),
    ],
)
def test_a_body_in_the_plan_is_read_where_it_is_called(body: str, why: str) -> None:
    made = f"CREATE FUNCTION f() RETURNS void {body};"
    assert whys(made) == []
    assert whys(f"{made} SELECT f()") == [why]


@pytest.mark.parametrize(
    ("call", "why"),
    [
        ("add_retention_policy('c', INTERVAL '30 days')", "lets a policy drop old chunks of c"),
        ("add_retention_policy('s.c', drop_after => INTERVAL '30 days')", "lets a policy drop old chunks of s.c"),
        ('alter_job(1000, config => \'{"drop_after": "1 day"}\')', "changes what a job does"),
    ],
)
def test_a_policy_takes_old_rows_minutes_later(call: str, why: str) -> None:
    assert whys(f"SELECT {call}") == [why]
    assert whys("SELECT alter_job(1000, scheduled => false)") == []


@pytest.mark.parametrize("name", ["lo_unlink", "pg_catalog.lo_unlink", "lo_put", "lo_truncate", "app.now", "run_job"])
def test_a_function_that_takes_or_is_not_known(name: str) -> None:
    assert whys(f"SELECT {name}(1)") == [f"calls {name}, and nobody knows what it does"]


def test_a_rule_runs_with_the_statements_on_its_table() -> None:
    rule = "CREATE TABLE a (i int); CREATE RULE r AS ON INSERT TO a DO ALSO DELETE FROM c;"
    assert whys(rule) == []
    assert whys(f"{rule} GRANT SELECT ON a TO r; CREATE VIEW v AS SELECT * FROM a") == []
    assert whys(f"{rule} INSERT INTO a VALUES (1)") == ["calls a rule, and nobody knows what it does"]


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE a (i int)",
        "CREATE TABLE a (i uuid DEFAULT gen_random_uuid(), at timestamptz DEFAULT now(), u uuid DEFAULT mine())",
        "ALTER TABLE a ADD COLUMN b int",
        "ALTER TABLE a ADD COLUMN b timestamptz NOT NULL DEFAULT clock_timestamp()",
        "ALTER TABLE a ADD CONSTRAINT c FOREIGN KEY (b) REFERENCES d",
        "ALTER TABLE a SET (fillfactor = 70)",
        "INSERT INTO a VALUES (1)",
        "INSERT INTO a VALUES (1, uuid_generate_v4(), format('%s', 1)) ON CONFLICT DO NOTHING",
        "INSERT INTO a SELECT count(*), max(i), gen_random_uuid() FROM b",
        "INSERT INTO schema_migrations (version) VALUES (7) ON CONFLICT (version) DO UPDATE SET applied_at = now()",
        "COPY a FROM STDIN",
        "CREATE INDEX ON a (i)",
        "CREATE INDEX ON a (mine(i))",
        "CREATE MATERIALIZED VIEW m AS SELECT date_trunc('day', at), avg(i) FROM a GROUP BY 1",
        "REFRESH MATERIALIZED VIEW m",
        "SELECT 1",
        "SELECT set_config('search_path', '', false), to_regclass('a')",
        "SELECT pg_advisory_lock(1), pg_advisory_unlock(1)",
        "SELECT 'a' SIMILAR TO 'b', COLLATION FOR ('a'), CURRENT_TIMESTAMP AT TIME ZONE 'UTC', EXTRACT(year FROM now())",
        "SELECT coalesce(NULL, 1), greatest(1, 2), xmlforest(1 AS a), 'a' LIKE 'b', OVERLAY('a' PLACING 'b' FROM 1)",
        "DROP VIEW v",
        "DROP INDEX i",
        "DROP FUNCTION f()",
        "GRANT SELECT ON a TO b",
        "COMMENT ON TABLE a IS 'DROP TABLE a; DELETE FROM a'",
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_class) THEN CREATE TABLE a (i int); END IF; END $$",
        "DO $$ BEGIN INSERT INTO a VALUES (1); RAISE NOTICE '%', format('%s', now()); END $$",
        PURGE,
        f"{PURGE} CREATE TRIGGER t AFTER INSERT ON a FOR EACH ROW EXECUTE FUNCTION purge();",
        "CREATE TRIGGER t BEFORE UPDATE ON a FOR EACH ROW EXECUTE FUNCTION touch(); INSERT INTO a VALUES (1)",
        f"{AUDIT} CREATE TRIGGER t AFTER INSERT ON a FOR EACH ROW EXECUTE FUNCTION audit(); INSERT INTO a VALUES (1)",
        "CREATE TABLE a (i int); INSERT INTO a VALUES (1) ON CONFLICT (i) DO UPDATE SET i = 1",
        "CREATE TABLE a (i serial); INSERT INTO a VALUES (1); SELECT setval('a_i_seq', 1)",
        "CREATE TABLE a (i serial); SELECT setval(pg_get_serial_sequence('a', 'i'), (SELECT max(i) FROM a))",
        "CREATE TABLE a (i int GENERATED ALWAYS AS IDENTITY); ALTER TABLE a ALTER i RESTART WITH 100",
        "CREATE SEQUENCE s; SELECT setval('s', 100)",
        "CREATE TABLE a (i int); SELECT create_hypertable('a', 'i'); SELECT add_retention_policy('a', 10)",
        "SELECT add_compression_policy('a', INTERVAL '7 days')",
        (
            "CREATE MATERIALIZED VIEW g WITH (timescaledb.continuous) AS SELECT 1 WITH NO DATA; "
            "CALL refresh_continuous_aggregate('g', NULL, NULL)"
        ),
    ],
)
def test_what_adds_is_none(text: str) -> None:
    assert whys(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE a (i int); DELETE FROM a; DROP TABLE a",
        "CREATE TABLE a (i int); ALTER TABLE a RENAME TO b; UPDATE b SET i = 1; DROP TABLE b",
        "CREATE TABLE a (i int); CREATE SCHEMA s; ALTER TABLE a SET SCHEMA s; DROP TABLE s.a; DROP SCHEMA s",
        "CREATE TEMP TABLE a (i int); DELETE FROM a; DROP TABLE a",
        "ALTER TABLE a ADD COLUMN b int; ALTER TABLE a DROP COLUMN b",
        "SET search_path TO s; CREATE TABLE a (i int); SET search_path=s; DELETE FROM a",
        "CREATE TABLE s.a (i int); SET search_path TO s; DELETE FROM s.a",
        "CREATE TABLE a (i int); SET search_path TO s; RESET search_path; DELETE FROM a",
        "CREATE TABLE a (i int); CREATE TABLE b (i int REFERENCES a); DELETE FROM a",
        (
            "CREATE TABLE a (i int) PARTITION BY LIST (i); CREATE TABLE b (i int); "
            "ALTER TABLE a ATTACH PARTITION b FOR VALUES IN (1); DROP TABLE a"
        ),
        "CREATE TYPE t AS ENUM ('a'); DROP TYPE t",
    ],
)
def test_what_the_plan_itself_made_is_nobodys_loss(text: str) -> None:
    assert whys(text) == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("CREATE TABLE IF NOT EXISTS a (i int); DELETE FROM a", "deletes from a"),
        ("CREATE TABLE q (a int); DROP TABLE q; ALTER TABLE k RENAME TO q; DROP TABLE q", "drops table q"),
        (
            "CREATE TABLE x (i int); ALTER TABLE x RENAME TO y; ALTER TABLE k RENAME TO x; DROP TABLE y; DROP TABLE x",
            "drops table x",
        ),
        (
            (
                "ALTER TABLE k RENAME TO k3; CREATE TABLE k (a int); ALTER TABLE k RENAME TO k4; "
                "ALTER TABLE k3 RENAME TO k; DROP TABLE k"
            ),
            "drops table k",
        ),
        (
            "CREATE SCHEMA n; SET search_path=n,public; CREATE TABLE k (i int); SET search_path=public; DROP TABLE k",
            "drops table k",
        ),
        ("SET search_path TO s; CREATE TABLE c (a int); RESET search_path; TRUNCATE c", "empties c"),
        ("SET ROLE s; CREATE TABLE c (a int); RESET ROLE; TRUNCATE c", "empties c"),
        ("CREATE TABLE c (a int); SELECT set_config('search_path', 's', false); TRUNCATE c", "empties c"),
        ("BEGIN; SET LOCAL search_path TO s; CREATE TABLE c (a int); COMMIT; TRUNCATE c", "empties c"),
        ("BEGIN; CREATE TABLE c (a int); ROLLBACK; TRUNCATE c", "empties c"),
        ("DO $$ BEGIN CREATE TABLE c (a int); EXCEPTION WHEN OTHERS THEN NULL; END $$; TRUNCATE c", "empties c"),
        ("CREATE SCHEMA g; ALTER TABLE k SET SCHEMA g; DROP SCHEMA g CASCADE", "drops schema g"),
        (
            (
                "CREATE TABLE n (d int) PARTITION BY LIST (d); ALTER TABLE p DETACH PARTITION p1; "
                "ALTER TABLE n ATTACH PARTITION p1 FOR VALUES IN (1); DROP TABLE n"
            ),
            "drops table n",
        ),
        ("CREATE TABLE n (a int); ALTER TABLE child INHERIT n; TRUNCATE n", "empties n"),
        ("CREATE TABLE n (a int); ALTER TABLE c ADD FOREIGN KEY (a) REFERENCES n; TRUNCATE n CASCADE", "empties n"),
        (
            "CREATE TYPE mood AS ENUM ('a'); ALTER TABLE m ALTER x TYPE mood USING x::text::mood; DROP TYPE mood CASCADE",
            "changes the type in m",
        ),
        (
            "CREATE TABLE a (i int); DO $$ BEGIN ALTER TABLE a RENAME TO b; ALTER TABLE k RENAME TO a; END $$; DELETE FROM a",
            "deletes from a",
        ),
        (
            (
                "CREATE TABLE a (i int); CREATE FUNCTION f() RETURNS void LANGUAGE sql AS "
                "'ALTER TABLE a RENAME TO b; ALTER TABLE k RENAME TO a'; SELECT f(); DELETE FROM a"
            ),
            "deletes from a",
        ),
        ("CREATE SCHEMA c; DROP TABLE c", "drops table c"),
        ("ALTER TABLE a ADD COLUMN c int; DROP TABLE c", "drops table c"),
        ("SELECT create_hypertable('c', 'ts'); DROP TABLE c", "drops table c"),
    ],
)
def test_a_name_that_means_something_older_is_a_danger(text: str, why: str) -> None:
    assert whys(text) == [why]


def test_what_is_decided_at_run_time_made_nothing() -> None:
    text = "SELECT 1 AS x \\gset\n\\if :x\nCREATE TABLE c (i int);\n\\endif\nDROP TABLE c;"
    assert whys(text)[-1] == "drops table c"


def test_a_function_with_settings_of_its_own_means_other_tables() -> None:
    text = "CREATE TABLE c (i int); CREATE FUNCTION f() RETURNS void LANGUAGE sql {} AS 'DELETE FROM c'; SELECT f()"
    assert whys(text.format("")) == []
    assert whys(text.format("SET search_path = s")) == ["deletes from c"]
    assert whys(text.format("SET search_path = s").replace(" c", " s.c")) == []


def test_a_place_is_named() -> None:
    [found] = danger(Statement(text="DROP TABLE a", place=Place("a.sql", 3, 1), facts=facts_of("DROP TABLE a")), Made())
    assert (found.place, found.tables) == (Place("a.sql", 3, 1), ("a",))
