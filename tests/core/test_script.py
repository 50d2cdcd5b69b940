"""The script reader, told by example. That it agrees with psql is shown in psql_comparison."""

from __future__ import annotations

import re
import textwrap
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tidelock.core import script_faults as faults
from tidelock.core.model import Place
from tidelock.core.script import pieces_of, read, tokens_of
from tidelock.core.statement import Assign, Echo, Ending, Guard, Quit, Quote, Statement, Variable
from tidelock.repo.directory import load_beside

if TYPE_CHECKING:
    from pathlib import Path

    from tidelock.core.statement import Script


def script(text: str, **options: object) -> Script:
    return read("migrations/001_x.sql", textwrap.dedent(text), **options)  # type: ignore[arg-type]


def texts(text: str, **options: object) -> list[str]:
    return [each.text for each in script(text, **options).statements]


# Statements


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select 1; select 2;", ["select 1", "select 2"]),
        ("select 1", ["select 1"]),
        (";; ; -- nothing\n/* ; */ ;", []),
        ("select ';', 'it''s;' ; select 2", ["select ';', 'it''s;'", "select 2"]),
        ("select E'\\';' ; select 2", ["select E'\\';'", "select 2"]),
        ("select 'a\\' ; select 2", ["select 'a\\'", "select 2"]),
        ("select nE'\\' ; select 2", ["select nE'\\'", "select 2"]),
        ('select "a;""b" ; select 2', ['select "a;""b"', "select 2"]),
        ("select U&'\\' , b'1;', X'F;', n'\\' ; select 2", ["select U&'\\' , b'1;', X'F;', n'\\'", "select 2"]),
        ("select $$;$x$;$$, $x$;$$;$x$; select 2", ["select $$;$x$;$$, $x$;$$;$x$", "select 2"]),
        ("select a$b$;c$", ["select a$b$", "c$"]),
        ("select $1; select 1$$;$$", ["select $1", "select 1$$;$$"]),
        ("select 1 /* a /* ; */ ; */ + 1 -- ;\n; select 2", ["select 1 /* a /* ; */ ; */ + 1", "select 2"]),
        ("select 1 +-- ;\n2; select 1 */* ; */ 2", ["select 1 +-- ;\n2", "select 1 */* ; */ 2"]),
        ("create rule r as on insert to t do (select 1; select 2); select 3",
         ["create rule r as on insert to t do (select 1; select 2)", "select 3"]),
        ("select 1;\n)\nselect 2;", ["select 1", ")\nselect 2"]),
        ("no sql, at all; THIS neither", ["no sql, at all", "THIS neither"]),
        ("select 1\n\\g\n\\g\n", ["select 1", "select 1"]),
        ("select ( 1\n\\r\nselect 2;", ["select 2"]),
        ("select 1 \\gdesc\nselect 2;", ["select 2"]),
        ("select 1 \\g (format=csv title='a b') \\\\ select 2 \\gx\nselect 3 \\g ''", ["select 1", "select 2", "select 3"]),
        ("select 1, 2, 3 \\crosstabview 1 2\n", ["select 1, 2, 3"]),
        ("select 1 \\: 2;", ["select 1 : 2"]),
        ("/*+ SeqScan(t) */ select 1", ["/*+ SeqScan(t) */ select 1"]),
    ],
)  # fmt: skip
def test_statements_end_where_psql_ends_them(text: str, expected: list[str]) -> None:
    assert texts(text) == expected


def test_bodies_of_begin_atomic_stay_whole() -> None:
    function = "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END"
    procedure = "create procedure p(a int default (case when true then 1 end)) begin atomic select 1; end"
    assert texts(f"{function}; {procedure}; begin; select 1; end;") == [function, procedure, "begin", "select 1", "end"]


def test_a_very_long_atomic_body_is_read_once() -> None:
    body = "select 1; " * 20_000
    assert len(texts(f"create function f() returns int begin atomic {body} end; select 2;")) == 2


def test_statements_that_a_backslash_semicolon_joins_are_told_apart() -> None:
    found = script("select 1\\; select (2\\; 3);").statements
    assert [(each.text, each.ending) for each in found] == [
        ("select 1", Ending.SEPARATOR),
        ("select (2; 3)", Ending.SEMICOLON),
    ]


def test_the_script_may_turn_standard_strings_off_from_the_next_line_on() -> None:
    text = "set standard_conforming_strings = off; select 'a\\';\nselect 'b\\';';\nreset all;\nselect 'c\\';"
    assert texts(text)[1::2] == ["select 'a\\'", "reset all"]
    assert texts(text)[2] == "select 'b\\';'"


def test_set_config_turns_standard_strings_off_from_the_next_line_on() -> None:
    text = "select pg_catalog.set_config('Standard_Conforming_Strings', 'OFF', false);\nselect 'a\\';';\n"
    assert texts(text)[1:] == ["select 'a\\';'"]


def test_a_local_set_config_of_standard_strings_ends_with_its_statement_or_its_transaction() -> None:
    local = "select set_config('standard_conforming_strings', 'off', true);\n"
    assert texts(f"{local}select 'a\\';")[1:] == ["select 'a\\'"]
    assert texts(f"begin;\n{local}select '\\'';\ncommit;\nselect '\\';")[2:] == [
        "select '\\''",
        "commit",
        "select '\\'",
    ]


def test_rollback_restores_standard_strings() -> None:
    text = "begin;\nset standard_conforming_strings to off;\nselect '\\'';\nrollback;\nselect '\\';"
    assert texts(text)[2:] == ["select '\\''", "rollback", "select '\\'"]


def test_set_local_of_standard_strings_ends_with_its_transaction() -> None:
    text = "begin;\nset local standard_conforming_strings = off;\nselect '\\'';\ncommit;\nselect '\\';"
    assert texts(text)[2:] == ["select '\\''", "commit", "select '\\'"]


def test_crlf_and_a_byte_order_mark_are_nothing() -> None:
    plain = "select 1;\ncopy t from stdin;\n1\n\\.\nselect 'a\nb';\n"
    windows = "\ufeff" + plain.replace("\n", "\r\n")
    assert script(windows).tokens == script(plain).tokens
    assert script(windows).items == script(plain).items


# Places


def test_a_statement_knows_its_first_token_and_its_last_line() -> None:
    first, second = script("-- a\n  /* b */ select 1\n   + 1;\n\tselect 2;").statements
    assert (first.place, first.end_line) == (Place("migrations/001_x.sql", 2, 11), 3)
    assert (second.place, second.end_line) == (Place("migrations/001_x.sql", 4, 2), 4)


def test_every_character_leads_back_to_the_file() -> None:
    statement = script("\\set t sensors\nselect *\n  from :t,\n  other;\n").statements[0]
    text = statement.text
    assert statement.place_at(text.index("from")) == Place("migrations/001_x.sql", 3, 3)
    assert statement.place_at(text.index("sensors")) == Place("migrations/001_x.sql", 3, 8)
    assert statement.place_at(text.index(",")) == Place("migrations/001_x.sql", 3, 10)
    assert statement.place_at(text.index("other")) == Place("migrations/001_x.sql", 4, 3)


def test_places_stay_right_behind_data_that_is_read_ahead() -> None:
    found = script(
        "copy a from stdin; select 5; copy a from stdin; select 6\n1\n\\.\n2\n\\.\n+ 1; select 7;"
    ).statements
    assert [each.text for each in found] == [
        "copy a from stdin", "select 5", "copy a from stdin", "select 6\n+ 1", "select 7",
    ]  # fmt: skip
    assert [each.copy_data for each in found] == ["1\n", None, "2\n", None, None]
    assert found[3].place_at(found[3].text.index("+")).line == 6
    assert found[4].place == Place("migrations/001_x.sql", 6, 6)


# COPY


@pytest.mark.parametrize(
    "statement",
    [
        "COPY t FROM stdin",
        "copy public.t (a, b) from STDIN with (format csv, header true)",
        'COPY "from stdin" /* x */ FROM -- y\n STDIN',
        "copy t from stdin where a > 1",
        "copy binary t from stdin",
        "COPY t FROM STDIN CSV QUOTE ';'",
    ],
)
def test_data_follows_copy_from_stdin(statement: str) -> None:
    found = script(f"{statement};\n1;'\n\\N\n\\.\nselect 1;").statements
    assert [(each.text, each.copy_data) for each in found] == [(statement, "1;'\n\\N\n"), ("select 1", None)]


@pytest.mark.parametrize(
    "statement",
    ["copy t from '/tmp/x'", "copy t to stdout", "copy (select a from stdin) to stdout", 'copy t from "stdin"'],
)
def test_no_data_follows_another_copy(statement: str) -> None:
    assert texts(f"{statement};\nselect 1;") == [statement, "select 1"]


def test_data_ends_with_the_file() -> None:
    assert script("copy t from stdin;\n1\n2").statements[0].copy_data == "1\n2"
    assert script("copy t from stdin;\n1\n\\.").statements[0].copy_data == "1\n"
    assert script("copy t from stdin;\n\\.\nselect 1").statements[0].copy_data == ""
    assert script("copy t from stdin").statements[0].copy_data == ""


def test_copy_reads_a_file_beside_the_migration() -> None:
    asked = []

    def load(path: str) -> str:
        asked.append(path)
        return "a,b\n1,2\n"

    found = script("\\copy t (a, b) from 'data/t.csv' with (format csv, header)\nselect 1;", load=load).statements
    assert asked == ["migrations/data/t.csv"]
    assert found[0].text == "COPY t (a, b) FROM STDIN with (format csv, header)"
    assert found[0].copy_data == "a,b\n1,2\n"
    assert found[1].place.line == 2


LATIN1 = "id;name\n1;M\udcfcller\n"
"""As `load` gives what is not UTF-8."""


@pytest.mark.parametrize(
    "options", ["with (format csv, encoding LATIN1)", "(ENCODING 'latin1')", "csv encoding 'LATIN1'"]
)
def test_a_file_in_another_encoding_is_sent_as_it_is_when_copy_names_the_encoding(options: str) -> None:
    [found] = script(f"\\copy t from d.csv {options}", load=lambda _: LATIN1).statements
    assert (found.text, found.copy_data) == (f"COPY t FROM STDIN {options}", LATIN1)


@pytest.mark.parametrize("line", ["\\copy t from d.csv csv", "\\copy encoding from d.csv", "\\i d.sql"])
def test_a_file_in_another_encoding_is_refused_where_it_is_named(line: str) -> None:
    with pytest.raises(faults.IncludeRefused, match=r"001_x\.sql:2:3: migrations/d\.\w+:2 is not UTF-8") as caught:
        script(f"select 1;\n  {line}", load=lambda _: LATIN1)
    assert ("encoding 'LATIN1'" in caught.value.hint) == ("copy" in line)


def test_a_byte_order_mark_is_data_to_copy_and_nothing_to_the_digest() -> None:
    bare, marked = (script("\\copy t from d.csv csv", load=lambda _, text=text: text) for text in ("a\n", "\ufeffa\n"))
    assert [each.copy_data for each in (*bare.statements, *marked.statements)] == ["a\n", "\ufeffa\n"]
    assert bare.tokens == marked.tokens, "it was not loaded once, and files applied then have not changed"
    assert texts("\\i a.sql", load=lambda _: "\ufeffselect 1;") == ["select 1"]


def test_a_file_that_is_not_there_is_told_where_it_is_named(tmp_path: Path) -> None:
    for line in ("\\i gone.sql", "\\ir gone.sql", "\\copy t from gone.sql"):
        with pytest.raises(faults.IncludeRefused, match=r"1_a\.sql:2:1: .*gone\.sql cannot be read: No such file"):
            read(f"{tmp_path}/1_a.sql", f"select 1;\n{line}", load=partial(load_beside, tmp_path))


def test_copy_may_be_written_in_capitals_as_in_psql() -> None:
    assert texts("\\COPY t FROM 'x.csv' CSV\n", load=lambda _: "1") == ["COPY t FROM STDIN CSV"]
    with pytest.raises(faults.UnknownMetaCommand):
        script("\\ECHO x")


def test_copy_from_stdin_as_a_meta_command_reads_the_lines_below() -> None:
    found = script("\\copy t from stdin\n1\n\\.\nselect 1;").statements
    assert [(each.text, each.copy_data) for each in found] == [("COPY t FROM STDIN", "1\n"), ("select 1", None)]


# Variables


def test_variables_are_replaced_in_all_their_forms() -> None:
    text = "\\set v 'it''s' ' a\\\\b'\nselect :'v', :\"v\", :{?v}, :{?w}, :w, :'w', a::int, x[1:2], y := 1;"
    assert texts(text) == ["select  E'it''s a\\\\b', \"it's a\\b\", TRUE, FALSE, :w, :'w', a::int, x[1:2], y := 1"]


@pytest.mark.parametrize(
    "text",
    [
        "select :'v', :v, :\"v\"",
        "insert into t values (:w, :v)",
        ":both",
        "select 1 :v\n",
        "select :u",
        "update t set a = :'v' where b = $$:v$$",
    ],
)
def test_statements_are_shown_as_the_file_has_them(text: str) -> None:
    values = {"v": "secret", "w": "'secret', (1)", "both": "select :w, :v", "u": "'it is :v' || :w || 'secret'"}
    [statement] = read("a.sql", f"{text};", variables=values).statements
    assert "secret" in statement.text
    assert statement.shown == text.rstrip()


def test_nothing_is_replaced_in_quotes_and_comments() -> None:
    text = "select ':v', \":v\", $$:v$$ /* :v */"
    assert texts(text, variables={"v": "1"}) == [text.removesuffix(" /* :v */")]


def test_a_raw_variable_is_read_like_the_file() -> None:
    assert texts("select :v;", variables={"v": "1; select '2;', "}) == ["select 1", "select '2;',"]
    assert texts("select :a a;b ';", variables={"a": "'"}) == ["select ' a;b '"]


def test_a_variable_does_not_replace_itself() -> None:
    assert texts(":x;", variables={"x": "select :y", "y": ":x"}) == ["select :x"]


def test_psql_defines_some_variables() -> None:
    assert texts("select :'DBNAME', :'USER'", database="app", specials={"USER": "me"}) == ["select 'app', 'me'"]
    assert script("select :'HOST'").statements[0].pieces == ("select ", Variable("HOST", Quote.LITERAL))


def test_the_last_statement_never_failed() -> None:
    first, *others = script(
        "select 1;\nselect :'SQLSTATE', :'LAST_ERROR_MESSAGE', :'SQLSTATE';\n\\if :ERROR\n\\q\n\\endif"
    ).items
    assert [(each.name, each.parts) for each in others if isinstance(each, Assign)] == [
        ("SQLSTATE", ("00000",)), ("LAST_ERROR_MESSAGE", ("",)), ("ERROR", ("false",)),
    ]  # fmt: skip
    assert isinstance(first, Statement)
    assert others[-1] == Quit(place=Place("migrations/001_x.sql", 4), guards=(Guard((Variable("ERROR"),)),))


@pytest.mark.parametrize("name", ["ROW_COUNT", "SERVER_VERSION_NAME", "VERSION", "VERSION_NAME", "VERSION_NUM"])
def test_what_only_psql_would_know_is_refused_before_anything_runs(name: str) -> None:
    for spelled in (f":{name}", f":'{name}'", f':"{name}"'):
        with pytest.raises(
            faults.VariableRefused, match=rf"001_x\.sql:2:8: :{name} is a variable that psql sets"
        ) as caught:
            script(f"select 1;\nselect {spelled}, 2;")
        assert caught.value.hint
    assert texts(f"\\echo :{name}\nselect ':{name}x', :{name}_2;", variables={f"{name}_2": "2"}) == [
        f"select ':{name}x', 2"
    ]
    assert texts(f"select :{name};", variables={name: "7"}) == ["select 7"]


def test_unset_makes_a_variable_unknown() -> None:
    assert texts("\\unset v\nselect :v", variables={"v": "1"}) == ["select :v"]


def test_a_value_that_doubles_on_each_line_is_stopped() -> None:
    with pytest.raises(faults.ArgumentWrong):
        script("\\set a xxxxxxxxxx\n" + "\\set a :a:a\n" * 60)


# Conditions


def test_a_branch_that_is_not_taken_vanishes() -> None:
    text = """\
        \\if :{?prod}
        select 'prod';
        \\! rm -rf /
        \\elif yes
        select 'test';
        \\if off \\echo `date` \\else \\\\ select 'inner'; \\endif
        \\else
        select 'it';
        \\endif
        select 'end';
        """
    assert texts(text) == ["select 'test'", "select 'inner'", "select 'end'"]


def test_a_branch_may_be_part_of_a_statement() -> None:
    assert texts("select \\if false\n (1 \\else\n 2 \\endif\n;") == ["select \n 2"]


def test_copy_data_in_a_branch_that_is_not_taken_is_stepped_over() -> None:
    assert texts("\\if false\ncopy t from stdin;\nit's\n\\.\n\\endif\nselect 1;") == ["select 1"]


@pytest.mark.parametrize("below", ["", "select 2;\n\\if true\n\\else\nselect 3;\n\\endif\n"])
def test_a_copy_that_is_not_taken_needs_no_data(below: str) -> None:
    text = f"\\if false\ncopy t from stdin;\n{below}\\endif\ncopy u from stdin; -- data\n1\n\\.\nselect 1;"
    assert texts(text) == ["copy u from stdin", "select 1"]
    assert texts(f"\\if true\n\\else\ncopy t from stdin; \\endif\n{text}") == ["copy u from stdin", "select 1"]


@pytest.mark.parametrize("value", ["on", "ON", "tr", "TRUE", "y", "yes", "1"])
def test_true_is_spelt_as_psql_spells_it(value: str) -> None:
    assert texts(f"\\if {value}\nselect 1;\n\\else\nselect 2;\n\\endif") == ["select 1"]


@pytest.mark.parametrize("value", ["off", "of", "f", "FALSE", "n", "0"])
def test_false_is_spelt_as_psql_spells_it(value: str) -> None:
    assert texts(f"\\if {value}\nselect 1;\n\\else\nselect 2;\n\\endif") == ["select 2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\\if true\nselect 1;", "no \\endif"),
        ("\\endif", "no \\if"),
        ("\\else", "no \\if"),
        ("\\if true\n\\else\n\\elif true\n\\endif", "after \\else"),
        ("\\if true\n\\else\n\\else\n\\endif", "after \\else"),
        ("\\if :nope\n\\endif", "needs a boolean"),
        ("\\if 1 > 0\n\\endif", "needs a boolean"),
        ("\\if o\n\\endif", "needs a boolean"),
    ],
)
def test_a_broken_condition_is_an_error(text: str, message: str) -> None:
    with pytest.raises(faults.BrokenCondition) as caught:
        script(text)
    assert message in caught.value.message
    assert caught.value.hint


# Run time


def test_what_a_query_sets_is_known_at_run_time_alone() -> None:
    query, insert = script(
        "select 1 as one, 2 as two \\gset p_\ninsert into t values (:p_one, :'p_two', :other);"
    ).statements
    assert (query.ending, query.gset_prefix) == (Ending.GSET, "p_")
    assert insert.pieces == (
        "insert into t values (", Variable("p_one"), ", ", Variable("p_two", Quote.LITERAL), ", :other)",
    )  # fmt: skip
    assert insert.runtime
    assert insert.text == "insert into t values (:p_one, :'p_two', :other)"


def test_a_condition_on_a_query_guards_each_item_of_its_branches() -> None:
    text = "select true as a, 1 as b \\gset\n\\if :a\nselect 1;\n\\elif :b\n\\echo :b\n\\else\n\\q\n\\endif\nselect 3;"
    _, one, shown, left, three = script(text).items
    a, b = (Variable("a"),), (Variable("b"),)
    assert isinstance(one, Statement)
    assert one.guards == (Guard(a),)
    assert shown == Echo(parts=b, place=Place("migrations/001_x.sql", 5, 1), guards=(Guard(b, (a,)),))
    assert left == Quit(place=Place("migrations/001_x.sql", 7, 1), guards=(Guard(("true",), (a, b)),))
    assert isinstance(three, Statement)
    assert three.guards == ()


def test_guards_of_nested_conditions_add_up() -> None:
    text = "select 1 as a, 2 as b \\gset\n\\if :a\n\\if true\n\\if :b\nselect 1;\n\\endif\n\\endif\n\\endif"
    assert script(text).statements[1].guards == (Guard((Variable("a"),)), Guard((Variable("b"),)))


def test_a_known_variable_that_a_query_may_set_is_handed_over() -> None:
    text = "\\set a old\n\\set other kept\nselect 1 as a where false \\gset\nselect :a, :other;"
    handed, _, statement = script(text).items
    assert isinstance(handed, Assign)
    assert (handed.name, handed.parts) == ("a", ("old",))
    assert isinstance(statement, Statement)
    assert statement.pieces == ("select ", Variable("a"), ", kept")


def test_columns_that_cannot_be_told_leave_every_name_open() -> None:
    assert script("select * from t \\gset\nselect :x;").statements[1].pieces == ("select ", Variable("x"))
    assert script("select count(*) as n from t \\gset\nselect :x;").statements[1].pieces == ()
    assert script("select * from t \\gset p_\nselect :x, :p_x;").statements[1].pieces == (
        "select :x, ",
        Variable("p_x"),
    )


def test_set_under_a_condition_that_run_time_decides_is_an_item() -> None:
    text = "\\set a old\nselect 1 as b \\gset\n\\if :b\n\\set a new\n\\endif\nselect :a;"
    _, before, after, statement = script(text).items
    assert isinstance(before, Assign)
    assert isinstance(after, Assign)
    assert (before.parts, before.guards) == (("old",), ())
    assert (after.parts, after.guards) == (("new",), (Guard((Variable("b"),)),))
    assert isinstance(statement, Statement)
    assert statement.runtime


def test_gexec_is_kept_as_such() -> None:
    statement = script("select 'drop table ' || t from x \\gexec").statements[0]
    assert statement.ending is Ending.GEXEC
    assert statement.runtime


@pytest.mark.parametrize(
    "text",
    [
        "select 1 as a \\gset\nselect \\if :a\n1;\n\\endif",
        "select 1 as a \\gset\n\\if :a\nselect \n\\endif\n1;",
        "select 'x' as f \\gset\n\\i :f",
        "select 'x' as f \\gset\nselect 1 as a \\gset :f",
    ],
)
def test_what_must_be_known_while_reading_cannot_wait(text: str) -> None:
    with pytest.raises(faults.DecidedTooLate):
        script(text, load=lambda _: "")


# Files


FILES = {
    "migrations/a.sql": "select 'a';\n\\ir sub/b.sql\nselect 'unfinished'",
    "migrations/sub/b.sql": "select 'b';\n\\ir c.sql\n\\q\nselect 'not read';",
    "migrations/sub/c.sql": "select 'c' /* from",
    "migrations/circle.sql": "\\i circle.sql",
}


def test_included_files_are_read_in_their_place() -> None:
    files = {**FILES, "migrations/sub/c.sql": "select 'c';"}
    found = read("migrations/001.sql", "select 1 +\n\\i a.sql\n1;", load=files.__getitem__)
    assert [each.text for each in found.statements] == [
        "select 'a'", "select 'b'", "select 'c'", "select 'unfinished'", "select 1 +\n\n1",
    ]  # fmt: skip
    assert [each.place.path for each in found.statements][:3] == [
        "migrations/a.sql", "migrations/sub/b.sql", "migrations/sub/c.sql",
    ]  # fmt: skip
    assert set(found.sources) == {
        "migrations/001.sql", "migrations/a.sql", "migrations/sub/b.sql", "migrations/sub/c.sql",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name", ["../secret.sql", "/etc/passwd", "sub/../../x.sql", "~/x.sql", "circle.sql", "missing.sql"]
)
def test_a_file_that_may_not_be_included_is_an_error(name: str) -> None:
    with pytest.raises(faults.IncludeRefused):
        script(f"\\i '{name}'", load=FILES.__getitem__)


def test_a_file_in_the_directory_at_hand_needs_no_folder() -> None:
    assert read("001.sql", "\\i x.sql", load={"x.sql": "select 1"}.__getitem__).statements[0].place.path == "x.sql"


# Other commands


@pytest.mark.parametrize(
    "command",
    [
        "\\timing", "\\timing on", "\\x", "\\a", "\\t on", "\\H", "\\pset format aligned",
        "\\C 'title'", "\\d",
        "\\d+ t", "\\dt *.*", "\\dx", "\\df+ f", "\\conninfo", "\\l", "\\z t", "\\errverbose", "\\encoding UTF8",
        "\\encoding", "\\o", "\\set", "\\set ECHO all", "\\set VERBOSITY verbose", "\\set QUIET on",
        "\\set ON_ERROR_STOP on", "\\set ON_ERROR_STOP", "\\set ON_ERROR_ROLLBACK interactive", "\\p", "\\h select",
        "\\? variables", "\\f ','", "\\sf f", "\\copyright",
    ],
)  # fmt: skip
def test_display_commands_have_no_effect(command: str) -> None:
    assert texts(f"{command}\nselect 1;\n{command}\nselect 2") == ["select 1", "select 2"]


def test_two_backslashes_end_a_command() -> None:
    assert texts("\\timing \\x on \\\\ select 1; \\pset null x \\\\ select 2;") == ["select 1", "select 2"]


def test_echo_and_warn_speak_to_the_person() -> None:
    first, second = script("\\echo -n hello   'big  world' :v\n\\warn careful", variables={"v": "x"}).items
    assert isinstance(first, Echo)
    assert (first.parts, first.newline, first.warning) == (("hello big  world x",), False, False)
    assert isinstance(second, Echo)
    assert (second.parts, second.newline, second.warning) == (("careful",), True, True)


def test_q_ends_the_reading() -> None:
    assert texts("select 1;\n\\q\n\\if 'broken\n$$") == ["select 1"]


def test_pg_dumps_restriction_is_honoured() -> None:
    assert texts("\\restrict k3y\nselect 1;\n\\unrestrict k3y\n\\timing") == ["select 1"]
    for text in ("\\restrict a\n\\unrestrict b", "\\unrestrict a", "\\restrict a\n\\timing"):
        with pytest.raises(faults.RestrictMismatch):
            script(text)


@pytest.mark.parametrize(
    "command",
    [
        "\\c", "\\c -", "\\c app", '\\connect "app"', "\\c - - - -", "\\c :DBNAME", "\\c 'dbname=app'", "\\c postgresql:///app",
        "\\c -reuse-previous=on app",
    ],
)  # fmt: skip
def test_connecting_to_the_target_is_nothing(command: str) -> None:
    assert texts(f"{command}\nselect 1;", database="app") == ["select 1"]


TARGET = {"USER": "me", "HOST": "db", "PORT": "5432"}


@pytest.mark.parametrize(
    "command",
    [
        '\\c "dbname=app"', '\\c "host=db port=5432 user=me dbname=app"', "\\c 'user=me'", "\\c app me db 5432", '\\c - "me"',
        "\\c postgresql://me@db:5432/app", "\\c postgresql:///app?host=db", '\\c "app" - db',
    ],
)  # fmt: skip
def test_connecting_to_the_target_by_what_it_is_connected_by_is_nothing(command: str) -> None:
    assert texts(f"{command}\nselect 1;", database="app", specials=TARGET) == ["select 1"]
    assert texts(f"{command}\nselect 1;") == ["select 1"], "nobody knows yet what the target is"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ('\\c "dbname=other"', "(app)"),
        ('\\c "host=db port=5433 user=me dbname=app"', "it changes port"),
        ("\\c app you db", "it changes user"),
        ("\\c postgresql://me@[::1]:5432/app?sslmode=require", "it changes host, sslmode"),
        ("\\c postgresql://me@a:1,b:2/app", "it changes host"),
        ('\\c "user=me password=hunter2 dbname=app"', "it changes password"),
        ("\\c postgresql://me:hunter2@db/app", "it changes password"),
    ],
)
def test_connecting_elsewhere_says_what_would_change(command: str, message: str) -> None:
    with pytest.raises(faults.OtherDatabase) as caught:
        script(command, database="app", specials=TARGET)
    assert caught.value.message.endswith(message)
    assert re.search(r"\[databases\.\w+\]", caught.value.hint)
    assert "hunter2" not in caught.value.message + caught.value.detail


@pytest.mark.parametrize(
    "command",
    ["\\c other", "\\c app bob", "\\c - - otherhost", "\\c 'dbname=app host=h'", "\\c postgresql://u:secret@h/app"],
)
def test_connecting_elsewhere_is_an_error_that_names_the_way(command: str) -> None:
    with pytest.raises(faults.OtherDatabase) as caught:
        script(command, database="app")
    assert "[databases." in caught.value.hint
    assert "secret" not in caught.value.hint


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("\\frobnicate", faults.UnknownMetaCommand),
        ("\\timing;", faults.UnknownMetaCommand),
        ("\\! ls", faults.MetaCommandRefused),
        ("\\set x `date`", faults.MetaCommandRefused),
        ("\\echo `date`", faults.MetaCommandRefused),
        ("\\o out.txt", faults.MetaCommandRefused),
        ("\\o | cat", faults.MetaCommandRefused),
        ("select 1 \\g out.txt", faults.MetaCommandRefused),
        ("select 1 \\g | cat", faults.MetaCommandRefused),
        ("select 1 \\watch", faults.MetaCommandRefused),
        ("select 1 \\g (format=csv) |id", faults.MetaCommandRefused),
        ("select 1 \\gx ( format=csv  border=2 ) out.txt", faults.MetaCommandRefused),
        ("select 1 \\g (format=csv)out.txt", faults.ArgumentWrong),
        ("select 1 \\g (format=csv", faults.ArgumentWrong),
        ("select 1 \\g (format=csv) :file", faults.MetaCommandRefused),
        ("select 1 \\g (title=`id`)", faults.MetaCommandRefused),
        ("select $1 \\bind 1 \\g", faults.MetaCommandRefused),
        ("\\w x", faults.MetaCommandRefused),
        ("\\e", faults.MetaCommandRefused),
        ("\\password", faults.MetaCommandRefused),
        ("\\prompt x", faults.MetaCommandRefused),
        ("\\getenv x HOME", faults.MetaCommandRefused),
        ("\\copy t from program 'ls'", faults.MetaCommandRefused),
        ("\\copy t to 'x'", faults.CopyRefused),
        ("\\copy t from pstdin", faults.CopyRefused),
        ("\\copy t from 'x' (format binary)", faults.CopyRefused),
        ("\\copy nonsense", faults.CopyRefused),
        ("\\set ON_ERROR_STOP off", faults.ErrorStopOff),
        ("\\set ON_ERROR_STOP 0", faults.ErrorStopOff),
        ("\\unset ON_ERROR_STOP", faults.ErrorStopOff),
        ("\\set AUTOCOMMIT off", faults.VariableRefused),
        ("\\set ON_ERROR_ROLLBACK on", faults.VariableRefused),
        ("\\set SINGLELINE on", faults.VariableRefused),
        ("\\encoding latin1", faults.EncodingRefused),
        ("\\echo 'open", faults.ArgumentWrong),
        ("\\set a-b c", faults.ArgumentWrong),
        ("\\i", faults.ArgumentWrong),
        ("select 'open", faults.Unterminated),
        ("select $x$ open", faults.Unterminated),
        ("/* open", faults.Unterminated),
    ],
)
def test_what_cannot_be_honoured_is_refused(text: str, fault: type[faults.ScriptFault]) -> None:
    with pytest.raises(fault) as caught:
        script(f"select 1;\n  {text}", load=lambda _: "")
    assert caught.value.place.line == 2
    assert caught.value.message.startswith("migrations/001_x.sql:2:")
    assert caught.value.hint
    assert caught.value.detail.split("\n")[0].startswith("2 │   ")


def test_a_fault_shows_its_line_with_a_caret() -> None:
    with pytest.raises(faults.MetaCommandRefused) as caught:
        script("select 1;\n  \\! ls\n")
    assert caught.value.detail == "2 │   \\! ls\n  │   ^"


# Digests


SAME = [
    ("select 1", "SELECT\n 1 -- x"),
    ("select a+b", "select a + b"),
    ("select 1", "/* c */ select /* d */ 1;;"),
    ("select f(x)", "select f ( x )"),
    ("select 'a'\n'b'", "select 'a' -- c\n\n   'b'"),
    ("select a", "\\timing\n\\echo hi\nselect a"),
    ("select 1", "select :x"),
    ("select 1", "\\set x 1\nselect :x"),
]
DIFFERENT = [
    ("select 1", "select 2"),
    ("select a b", "select ab"),
    ("select 'a' 'b'", "select 'a'\n'b'"),
    ("select 'a' 'b'", "select 'a''b'"),
    ("select 'a'", "select 'A'"),
    ('select "a"', 'select "A"'),
    ("select e'a'", "select e 'a'"),
    ("select @-1", "select @ -1"),
    ("select 1; select 2", "select 1\\; select 2"),
    ("select 1", "select 1\\gexec"),
    ("select $$ a$$", "select $$a$$"),
    ("copy t from stdin;\n1\n", "copy t from stdin;\n2\n"),
    ("select 1;2", "select 12"),
    ("select é", "select É"),
]


@pytest.mark.parametrize(("one", "other"), SAME[:6])
def test_looks_do_not_change_the_digest(one: str, other: str) -> None:
    assert script(one).tokens == script(other).tokens
    assert script(one).statements[0].tokens == script(other).statements[0].tokens


@pytest.mark.parametrize(("one", "other"), SAME[6:])
def test_a_variable_enters_the_statements_digest_with_its_value(one: str, other: str) -> None:
    known = {"x": "1"}
    assert script(one).statements[0].tokens == script(other, variables=known).statements[0].tokens


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_a_change_of_meaning_changes_the_digest(one: str, other: str) -> None:
    assert script(one).tokens != script(other).tokens


def test_what_psql_defines_enters_the_digest_by_name() -> None:
    text = "\\set d :DBNAME\nselect :'DBNAME', :d;"
    assert script(text, database="dev").tokens == script(text, database="prod").tokens
    assert script(text, variables={"d": "x"}).tokens == script(text, variables={"d": "y"}).tokens
    assert script("select :d", variables={"d": "x"}).tokens != script("select :d", variables={"d": "y"}).tokens


def test_the_text_of_an_included_file_is_in_the_digest() -> None:
    text = "\\i x.sql"
    one, other = ({"migrations/x.sql": f"select {value}"}.__getitem__ for value in (1, 2))
    assert script(text, load=one).tokens != script(text, load=other).tokens


def test_tokens_of_reads_plain_sql() -> None:
    assert tokens_of("SELECT 1; -- x") == tokens_of("select\n1")
    assert tokens_of("select ':x'") != tokens_of("select ':y'")
    assert tokens_of("select \\x") != tokens_of("select x")


# Pieces


def test_a_file_comes_apart_into_pieces_that_rebuild_it() -> None:
    text = "-- a\nselect 1; \\timing \\\\ copy t from stdin;\n1\n\\.\nselect 2"
    assert pieces_of(text) == [
        ("gap", "-- a\n"),
        ("statement", "select 1"),
        ("gap", "; "),
        ("command", "\\timing \\\\"),
        ("gap", " "),
        ("statement", "copy t from stdin"),
        ("gap", ";\n"),
        ("data", "1\n\\.\n"),
        ("statement", "select 2"),
    ]


def test_replacing_the_place_leaves_the_statement_comparable() -> None:
    one = script("select 1;").statements[0]
    assert replace(one, place=one.place) == one
