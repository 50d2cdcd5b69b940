"""A run that was cut off goes on with what its first part had left in the session: on a real server."""

from __future__ import annotations

import time

import psycopg
import pytest
from tests.postgres.test_apply import failed, ok
from tests.rig.project import Project

from tidelock.core.report import Happening, Report, exit_code

CUT = "CREATE INDEX CONCURRENTLY i ON t (id);\n"


def cut_off(project: Project, before: str, after: str, cut: str = CUT) -> None:
    """Run a file whose lone statement waits in vain, and then, with nobody in its way, once more."""
    project.write("001_t.sql", "CREATE TABLE t (id int); CREATE TABLE found (what text); CREATE SCHEMA s;")
    assert project.apply().failure is None
    project.write("002_cut.sql", f"-- tidelock: build-limit 1s\n{before}{cut}{after}")
    with psycopg.connect(project.dsn) as holder:
        holder.execute("LOCK TABLE t IN SHARE ROW EXCLUSIVE MODE")
        assert exit_code(project.apply(wait="1s")) == 75
    report = project.apply()
    assert report.failure is None, f"{report.failure.message}\n{report.failure.detail}"


def test_rows_of_a_temporary_table_are_there_again(project: Project) -> None:
    cut_off(
        project,
        "CREATE TEMP TABLE kept (n int);\nINSERT INTO kept VALUES (1);\nCOPY kept FROM stdin;\n2\n\\.\n"
        "ALTER TABLE kept ADD COLUMN x text DEFAULT 'x';\nUPDATE kept SET n = n * 10;\n",
        "INSERT INTO found SELECT n || x FROM kept;\n",
    )
    assert project.query("SELECT what FROM found ORDER BY 1") == [("10x",), ("20x",)]


@pytest.mark.parametrize(
    "before",
    [
        "CREATE TEMP TABLE kept AS SELECT id AS n FROM l;\n{cut}UPDATE l SET id = id + 1;\n",
        "CREATE TEMP TABLE kept (n int);\nINSERT INTO kept SELECT id FROM l;\n{cut}DELETE FROM l;\n",
        "CREATE TEMP TABLE kept (n int);\nSELECT 7 AS n \\gset x_\nINSERT INTO kept VALUES (:x_n);\n",
        "CREATE TEMP TABLE kept (n int);\nWITH k AS (INSERT INTO kept VALUES (1) RETURNING n) INSERT INTO l SELECT n FROM k;\n",
    ],
)
def test_a_temporary_table_whose_rows_cannot_be_had_again_is_not_made_up(project: Project, before: str) -> None:
    project.write("000_l.sql", "CREATE TABLE l (id int); INSERT INTO l VALUES (1);")
    before = before.format(cut="CREATE INDEX CONCURRENTLY l_i ON l (id);\n")
    with pytest.raises(AssertionError, match="temporary table kept is gone"):
        cut_off(project, before, "INSERT INTO found SELECT n FROM kept;\n")
    assert project.query("SELECT what FROM found") == []


def test_a_temporary_table_that_nobody_wants_any_more_holds_nothing_up(project: Project) -> None:
    before = "CREATE TEMP TABLE kept AS SELECT id AS n FROM t;\nUPDATE t SET id = id + 1;\n"
    cut_off(project, before, "INSERT INTO found VALUES ('on');\n")
    assert project.query("SELECT what FROM found") == [("on",)]


def test_a_temporary_table_is_made_again_from_a_table_that_only_got_an_index(project: Project) -> None:
    project.write("000_l.sql", "CREATE TABLE l (id int); INSERT INTO l VALUES (1);")
    before = "CREATE TEMP TABLE kept AS SELECT id AS n FROM l;\nCREATE INDEX CONCURRENTLY l_i ON l (id);\n"
    cut_off(project, before, "INSERT INTO found SELECT n FROM kept;\n")
    assert project.query("SELECT what FROM found") == [("1",)]


def test_a_temporary_table_of_one_transaction_does_not_come_back(project: Project) -> None:
    cut_off(
        project,
        "BEGIN;\nCREATE TEMP TABLE brief (n int) ON COMMIT DROP;\nINSERT INTO brief VALUES (1);\nCOMMIT;\n",
        "INSERT INTO found SELECT coalesce(to_regclass('brief')::text, 'gone');\n",
    )
    assert project.query("SELECT what FROM found") == [("gone",)]


def test_a_setting_of_a_transaction_that_was_rolled_back_does_not_come_back(project: Project) -> None:
    cut_off(
        project,
        "SET search_path = s, public;\nBEGIN;\nSET search_path = public;\nROLLBACK;\n",
        "CREATE TABLE here (id int);\n",
    )
    assert project.one("SELECT relnamespace::regnamespace::text FROM pg_class WHERE relname = 'here'") == "s"


PATH = "SELECT relnamespace::regnamespace::text FROM pg_class WHERE relname = 'here'"


@pytest.mark.parametrize(
    "left",
    [
        "SELECT pg_catalog.set_config('search_path', 's', false);\n",
        "DO $$BEGIN PERFORM set_config('search_path', 's', false); END$$;\n",
        "DO $$BEGIN EXECUTE 'SET search_path = s'; END$$;\n",
        "SELECT to_s();\n",
        "SELECT 'SET search_path = s' \\gexec\n",
        "SELECT 's' AS name \\gset\nSET search_path = :name;\n",
        "SELECT true AS ok \\gset\n\\if :ok\nSET search_path = s;\n\\endif\n",
        "SET search_path = s;\nBEGIN;\nSAVEPOINT a;\nSET search_path = public;\nROLLBACK TO a;\nCOMMIT;\n",
        "SET search_path = s;\nBEGIN;\nSET LOCAL search_path = public;\nCREATE TABLE other (id int);\nCOMMIT;\n",
    ],
)
def test_a_setting_is_there_again_whoever_has_made_it(project: Project, left: str) -> None:
    project.write(
        "000_to_s.sql",
        "CREATE FUNCTION to_s() RETURNS void LANGUAGE plpgsql AS "
        "$$BEGIN PERFORM set_config('search_path', 's', false); END$$;",
    )
    cut = CUT.replace("ON t", "ON public.t")
    cut_off(project, f"{left}VACUUM public.t;\n", "CREATE TABLE here (id int);\n", cut)
    assert project.one(PATH) == "s"


def test_other_settings_and_the_role_are_there_again(project: Project) -> None:
    cut_off(
        project,
        "SELECT set_config('app.k', 'it''s', false);\nDO $$BEGIN PERFORM set_config('work_mem', '1234', false); END$$;\n"
        "SET lock_timeout = '1234ms';\nSET timezone = 'Asia/Tokyo';\nCREATE ROLE resumed_{0};\nGRANT ALL ON t, found TO"
        " resumed_{0};\nGRANT CREATE ON SCHEMA public TO resumed_{0};\nSET ROLE resumed_{0};\n"
        "CREATE TABLE first (id int);\n".format(token := project.one("SELECT current_database()")),
        "CREATE TABLE here (id int);\nINSERT INTO found SELECT current_setting(s) FROM unnest("
        "array['app.k', 'work_mem', 'lock_timeout', 'timezone']) AS s;\n",
        "RESET ROLE;\n" + CUT,
    )
    assert project.query("SELECT what FROM found") == [("it's",), ("1234kB",), ("1234ms",), ("Asia/Tokyo",)]
    assert project.one("SELECT relowner::regrole::text FROM pg_class WHERE relname = 'first'") == f"resumed_{token}"


@pytest.mark.parametrize("cut", [CUT, "COMMIT;\n"], ids=["lone statement", "transaction"])
def test_recover_says_what_apply_will_say(project: Project, cut: str) -> None:
    project.write("000_l.sql", "CREATE TABLE l (id int); INSERT INTO l VALUES (1);")
    before = "CREATE TEMP TABLE kept AS SELECT id AS n FROM l;\nUPDATE l SET id = id + 1;\n"
    after = "INSERT INTO found SELECT n FROM kept;\n"
    if cut == CUT:
        with pytest.raises(AssertionError, match="temporary table kept is gone"):
            cut_off(project, before, after)
    else:
        project.write("001_t.sql", "CREATE TABLE t (id int); CREATE TABLE found (what text);")
        assert project.apply().failure is None
        with psycopg.connect(project.dsn) as holder:
            holder.execute("LOCK TABLE found")
            project.write("002_cut.sql", f"BEGIN;\n{before}COMMIT;\nBEGIN;\n{after}COMMIT;\n")
            assert exit_code(project.apply(wait="1s")) == 75
    shown = project.tidelock("recover")
    assert shown.returncode == 4
    assert "L021" in shown.stderr
    assert "temporary table kept is gone" in shown.stderr
    failed(project.apply(), "L021", 4)


SETS = "BEGIN PERFORM set_config('app.k', 'x', false); END"


@pytest.mark.parametrize(
    ("body", "change"),
    [
        (SETS, "SELECT f();"),
        (SETS, "SELECT g();"),
        ("BEGIN EXECUTE 'SET app.k = x'; END", "SELECT f();"),
        ("BEGIN SET app.k = 'x'; END", "SELECT f();"),
        ("BEGIN CREATE TEMP TABLE k (); END", "SELECT f();"),
        (SETS.replace("END", "RETURN NEW; END"), "INSERT INTO t VALUES (1);"),
    ],
)
def test_what_a_function_had_set_before_anybody_looked_is_not_lost_without_a_word(
    project: Project, body: str, change: str
) -> None:
    returns = "trigger" if "NEW" in body else "void"
    trigger = "CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();" if "NEW" in body else ""
    project.write(
        "001_t.sql",
        f"CREATE TABLE t (id int); CREATE TABLE found (what text);\n"
        f"CREATE FUNCTION f() RETURNS {returns} LANGUAGE plpgsql AS $b${body}$b$;\n"
        f"CREATE FUNCTION g() RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM f(); END';\n{trigger}",
    )
    ok(project.apply())
    fault = failed(lost_before_the_look(project, change), "L021", 4)
    assert "what f() had set is gone" in fault.message
    assert project.query("SELECT what FROM found") == []


def test_recover_leaves_a_run_that_is_at_work_alone(project: Project) -> None:
    project.write(
        "001_t.sql",
        "BEGIN; CREATE TEMP TABLE k (); COMMIT;\nBEGIN; SELECT pg_sleep(4) FROM k; SELECT pg_sleep(4); COMMIT;",
    )
    process = project.start("apply")
    time.sleep(2)
    shown = project.tidelock("recover")
    assert (shown.returncode, "nothing was interrupted" in shown.stdout) == (0, True), shown.stderr
    process.communicate(timeout=20)
    assert process.returncode == 0


def lost_before_the_look(project: Project, change: str) -> Report:
    """Run a file whose connection breaks when its first step is committed, before the session is asked what it has."""
    from tests.rig.proxy import Proxy, sends

    use = "INSERT INTO found SELECT coalesce(current_setting('app.k', true), '')"
    project.write("002_two.sql", f"BEGIN;\n{change}\nCOMMIT;\nBEGIN;\n{use};\nCOMMIT;\n")
    port = int(psycopg.conninfo.conninfo_to_dict(project.dsn)["port"] or 5432)
    direct = project.dsn
    with Proxy(port) as proxy:
        proxy.before(sends("pg_my_temp_schema"), lambda seen: seen.connection.cut())
        project.dsn = proxy.dsn(direct)
        try:
            return project.apply()
        finally:
            project.dsn = direct


@pytest.mark.parametrize(
    "body",
    [
        "BEGIN UPDATE t SET id = 1; END",
        "BEGIN PERFORM set_config('app.k', 'x', true); END",
        "BEGIN PERFORM id FROM t; END",
    ],
)
def test_a_function_that_leaves_nothing_holds_nothing_up(project: Project, body: str) -> None:
    project.write(
        "001_t.sql",
        f"CREATE TABLE t (id int); CREATE TABLE found (what text);\n"
        f"CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $b${body}$b$;",
    )
    ok(project.apply())
    ok(lost_before_the_look(project, "SELECT f();"))
    assert project.query("SELECT what FROM found") == [("",)]


def test_variables_of_gset_are_there_again(project: Project) -> None:
    cut_off(project, "SELECT 7 AS n, 'it''s' AS word \\gset x_\n", "INSERT INTO found VALUES (:x_n || :'x_word');\n")
    assert project.query("SELECT what FROM found") == [("7it's",)]


@pytest.mark.parametrize("question", ["pg_index WHERE indrelid = to_regclass", "relnamespace FROM pg_class"])
def test_a_connection_that_breaks_at_a_question_to_the_catalog_is_made_again(project: Project, question: str) -> None:
    from tests.rig.proxy import Proxy, sends

    project.write("001_t.sql", f"CREATE TABLE t (id int);\n{CUT}INSERT INTO t VALUES (1);\n")
    port = int(psycopg.conninfo.conninfo_to_dict(project.dsn)["port"] or 5432)
    with Proxy(port) as proxy:
        proxy.before(sends(question), lambda seen: seen.connection.cut())
        direct, project.dsn = project.dsn, proxy.dsn(project.dsn)
        report = project.apply()
        assert report.failure is None, report.failure.message
        project.dsn = direct
    assert project.query("SELECT id FROM t") == [(1,)]


def test_a_lone_statement_that_failed_is_not_said_to_have_been_cut_off(project: Project):
    project.write("001_a.sql", "VACUUM nowhere;")
    failed(project.apply(), "D010", 5)
    project.write("001_a.sql", "VACUUM;")
    ok(project.apply())
    [said] = project.heard.texts(Happening.RECOVERED)
    assert said.startswith("001 a failed on ")
    project.write("002_b.sql", "DO $$BEGIN COMMIT; PERFORM 1/0; END$$;")
    failed(project.apply(), "D010", 5)
    fault = failed(project.apply(), "L020", 4)
    assert "step 1 failed on " in fault.message
    assert "nobody" not in fault.message


@pytest.mark.parametrize(
    ("before", "wants"),
    [
        ("CREATE TEMP TABLE kept AS SELECT * FROM wr() AS n;\n", "kept"),
        ("CREATE TEMP TABLE kept (n int);\nINSERT INTO kept SELECT * FROM wr();\n", "kept"),
        ("SELECT wr() AS n INTO TEMP kept;\n", "kept"),
        ("CREATE TEMP TABLE kept AS WITH d AS (DELETE FROM l RETURNING id) SELECT id AS n FROM d;\n", "kept"),
        ("CREATE TEMP TABLE kept AS SELECT id AS n FROM v;\nDELETE FROM l;\n", "kept"),
        ("CREATE TEMP TABLE kept AS SELECT id AS n FROM rd() AS id;\nDELETE FROM l;\n", "kept"),
        ("CREATE TEMP TABLE kept AS SELECT id AS n FROM child;\nDELETE FROM l;\n", "kept"),
        ("CREATE TEMP TABLE kept AS SELECT id AS n FROM l;\nSELECT wipe();\n", "kept"),
        ("CREATE TEMP TABLE kept AS SELECT id AS n FROM parted;\nDELETE FROM part;\n", "kept"),
        ("CREATE TEMP TABLE k AS SELECT id AS n FROM l;\nCREATE TEMP VIEW kept AS TABLE k;\nDELETE FROM l;\n", "kept"),
        ("SELECT 'CREATE TEMP TABLE kept AS SELECT id AS n FROM l' \\gexec\nDELETE FROM l;\n", "kept"),
        ("SELECT 'kept' AS name \\gset\nCREATE TEMP TABLE :name AS SELECT id AS n FROM l;\nDELETE FROM l;\n", "kept"),
        ("BEGIN;\nDECLARE kept CURSOR WITH HOLD FOR SELECT id FROM l;\nCOMMIT;\nDELETE FROM l;\n", "kept"),
    ],
)
def test_what_the_session_held_is_not_made_up(project: Project, before: str, wants: str) -> None:
    project.write(
        "000_l.sql",
        "CREATE TABLE l (id int PRIMARY KEY, x int); INSERT INTO l VALUES (1); CREATE VIEW v AS SELECT id FROM l;\n"
        "CREATE TABLE child (id int REFERENCES l ON DELETE CASCADE); INSERT INTO child VALUES (1);\n"
        "CREATE TABLE parted (id int) PARTITION BY LIST (id); CREATE TABLE part PARTITION OF parted DEFAULT;\n"
        "INSERT INTO parted VALUES (1); CREATE TABLE log (id serial, x int);\n"
        "CREATE FUNCTION wr() RETURNS SETOF int LANGUAGE sql AS 'INSERT INTO log (x) VALUES (1) RETURNING id';\n"
        "CREATE FUNCTION rd() RETURNS SETOF int LANGUAGE sql AS 'SELECT id FROM l';\n"
        "CREATE FUNCTION wipe() RETURNS void LANGUAGE sql AS 'DELETE FROM l';\n",
    )
    after = "INSERT INTO found SELECT n FROM kept;\n"
    if "DECLARE" in before:
        after = (
            "DO $$DECLARE c refcursor := 'kept'; n int; BEGIN FETCH c INTO n; INSERT INTO found VALUES (n); END$$;\n"
        )
    with pytest.raises(AssertionError, match=rf"its (temporary \w+|cursor)? ?{wants} is gone with its session"):
        cut_off(project, before, after)
    assert project.query("SELECT what FROM found") == []
    assert project.one("SELECT count(*) FROM log") == ("wr()" in before)


@pytest.mark.parametrize(
    "before",
    [
        "CREATE TEMP TABLE s (i int);\nINSERT INTO public.s VALUES (1);\nINSERT INTO s VALUES (2);\n",
        "CREATE TEMP TABLE s AS SELECT 1 AS i;\nINSERT INTO public.s VALUES (1);\nUPDATE s SET i = i + 1;\n",
        "CREATE TEMP TABLE s (i int);\nINSERT INTO s VALUES (2);\nDROP TABLE s;\nINSERT INTO s VALUES (1);\n",
        "CREATE TEMP TABLE s (i int);\nINSERT INTO s VALUES (2);\nALTER TABLE s RENAME TO r;\nINSERT INTO s VALUES (1);\n",
        "BEGIN;\nCREATE TEMP TABLE s (i int) ON COMMIT DROP;\nCOMMIT;\nINSERT INTO s VALUES (1);\n",
        "CREATE TEMP TABLE s (i int);\nDISCARD TEMP;\nINSERT INTO s VALUES (1);\n",
    ],
)
def test_an_ordinary_table_is_not_taken_for_a_temporary_one_of_that_name(project: Project, before: str) -> None:
    project.write("000_s.sql", "CREATE TABLE s (i int);")
    cut_off(project, before, "INSERT INTO found SELECT i FROM s;\n")
    assert project.query("SELECT i FROM public.s") == [(1,)]
    assert project.query("SELECT what FROM found") == [("2" if "DROP" not in before and "public.s" in before else "1",)]


def test_a_value_of_currval_is_not_made_up(project: Project) -> None:
    project.write("000_u.sql", "CREATE TABLE u (id serial, x int);")
    with pytest.raises(AssertionError, match=r"the value that currval\(\) gave is gone with its session"):
        cut_off(project, "INSERT INTO u (x) VALUES (1);\n", "INSERT INTO found VALUES (currval('u_id_seq'));\n")


def test_a_sequence_that_the_rest_of_the_file_moves_by_itself_holds_nothing_up(project: Project) -> None:
    project.write("000_u.sql", "CREATE TABLE u (id serial, x int);")
    cut_off(project, "", "INSERT INTO u (x) VALUES (1);\nINSERT INTO found VALUES (currval('u_id_seq'));\n")
    assert project.query("SELECT what FROM found") == [("1",)]


def test_another_table_that_was_changed_does_not_matter(project: Project) -> None:
    project.write("000_l.sql", "CREATE TABLE l (id int); INSERT INTO l VALUES (1); CREATE TABLE o (id int);")
    before = "CREATE TEMP TABLE kept AS SELECT id AS n FROM l;\nINSERT INTO o VALUES (1);\n"
    cut_off(project, before, "INSERT INTO found SELECT n FROM kept;\n")
    assert project.query("SELECT what FROM found") == [("1",)]


def test_a_cursor_of_one_transaction_does_not_come_back(project: Project) -> None:
    project.write(
        "000_f.sql",
        "CREATE TABLE log (x int);"
        "CREATE FUNCTION f() RETURNS SETOF int LANGUAGE sql AS 'INSERT INTO log VALUES (1) RETURNING x';",
    )
    before = "BEGIN;\nDECLARE c CURSOR FOR SELECT f();\nFETCH c;\nCLOSE c;\nCOMMIT;\n"
    cut_off(project, before, "INSERT INTO found SELECT c FROM (VALUES ('on')) AS v (c);\n")
    assert (project.query("SELECT what FROM found"), project.one("SELECT count(*) FROM log")) == ([("on",)], 1)
