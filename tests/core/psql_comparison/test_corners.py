"""Corners of psql's lexer that are rare in real files, told by a real psql."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.core.psql_comparison.compare import Outcome, groups, match_all, reading, record
from tests.core.psql_comparison.recorder import Recorder

if TYPE_CHECKING:
    from pathlib import Path

    from tests.rig.installation import Installation
    from tests.rig.postgres import Server

CORNERS = {
    "a backslash before \\q": "select 1 \\q\nselect 2;\n",
    "COPY twice on one line": (
        "create temp table t(a text); copy t from stdin; select 5; copy t from stdin; select 6\n"
        "d1\n\\.\nd2\n\\.\n;select 7;"
    ),
    "COPY within statements sent together": (
        "create temp table t(a text);\nselect 1\\; copy t from stdin\\; copy t from stdin\\; select 2;\n"
        "d1\n\\.\nd2\n\\.\nselect 7;"
    ),
    "a branch within a statement": "select \\if false\n 1 ( \\else\n 2 \\endif\n;\nselect 3;",
    "the same query again": "select 1;\n\\g\n\\g\nselect 2 \\g \\g\n",
    "statements in a variable": "\\set x 'select 1; select '\n:x 2;\n\\set c '-- hi'\nselect :c 3\n;\n",
    "a variable in itself": "\\set x 'select :y'\n\\set y ':x'\n:x;\n",
    "a quote in a variable": "\\set q '\\''\nselect :q a;b ' ;select 2;\n",
    "strings with backslashes": (
        "set standard_conforming_strings=off; select 'a\\';\nselect 'b\\';';\nbegin;\nset standard_conforming_strings=on;\n"
        "select 'c\\';\nrollback;\nselect 'd\\';';\nreset standard_conforming_strings;\nselect 'e\\';\n"
        "select set_config('standard_conforming_strings', 'off', false);\nselect 'f\\';';\n"
    ),
    "separators": "select 1\\; select (2\\; 3); select 4\\;\n select 5;\n\\;\\;select 6;;\n",
    "colons": "select 1 \\: 2, a::int, b:=c, :'x', [1:2], :{?x}, :{x, :\"x;\" ;\n",
    "comments": "/* lead */ -- x\nselect /* in */ 1 -- in2;\n + 2 /* t; */ ; -- after\n\nselect\n\n3;\n/* only */\n",
    "nested comments": "select /* a /* ; */ ; */ 1; select /*/ ; */ 2; select /**/ 3; /***/ select 4;/*/**/;*/select 5;",
    "comments in operators": "select 1 +-- c;\n2;\nselect 1 */* ; */ 2;\nselect @-/* ; */1;\nselect 1-/*;*/-1;",
    "parentheses": "select (1;\nselect 2);\nselect 3;)\nselect 4;",
    "bodies": (
        "create function begin_f() returns int begin atomic; select 1; end; select 2;\n"
        "create or replace procedure x.f() language sql begin atomic select case when true then 1 end; end;\n"
        "create function f(a int default (case when true then 1 end)) language sql begin atomic select 1; end;select 9;\n"
        "begin; select 1; end; create table begin (a int); create view v as select case when true then 1 end; select 3;\n"
        'create function "begin"() returns int as $$ begin; $$; select 4; create /* or */ function f() begin select; end;\n'
    ),
    "dollars": "select $$a;b$$, $x$;$$;$x$, a$b$;c$, $1;select 2;$$;\n$$; select 1$$;$$; select $a$ $a $$;$a$ ;$ $;",
    "prefixes": (
        "select U&'d\\0061;' ,U&\"x;\"\"y\" uescape '!', n'a\\';\nselect b'1;', X'1;F';select 1e'a\\';\nselect xe'\\';"
        "\nselect e'\\';' ;select E'a''\\';' ;select u & 'a\\';"
    ),
    "strings continued on the next line": "select 'a'\n'b;';\nselect E'a'\n  'b';\nselect 'a' -- x\n 'b';\n",
    "carriage returns": "select 1,\r\n 'a\r\nb';\r\n\\echo hi\r\nselect 2;\r\n",
    "commands on one line": "\\pset format aligned \\\\ select 1;\n\\timing \\x \\echo a 'b' \\\\ select 2;\n",
    "resetting": "select 1 (\n\\r\nselect 2;\n",
    "\\g with options": "select 1 \\g (format=csv)\nselect 2 \\gx\nselect 3 \\g (format=csv) \\\\ select 4;\n",
    "booleans": "\\if yes\nselect 1;\n\\elif garbage\nselect 2;\n\\endif\n\\if f\n\\elif on\nselect 3;\n\\endif\n",
    "names of variables": "\\set é 5\n\\set a_1 6\nselect :é, :a_1, :a_1x, :a_1.b, :1, a:a_1;\n",
    "values of variables": (
        "select a=:x;\n\\set x 'it''s'\nselect :'x', :\"x\", :{?x}, :{?y};\n\\set y '\\\\b' '\\101\\x41\\n\\q' :x\nselect :'y';\n"
        "\\set z\nselect :'z' :z;\n\\unset z\nselect :z;"
    ),
    "results in variables": "select 1 as a \\gset\nselect :a;\nselect 2 as b\n\\gset p_\nselect :p_b, :'p_b';\n",
    "the table of a COPY in a variable": "\\set t tab\ncopy :t from stdin;\n1\n\\.\nselect 1;\n",
    "data to the end of the file": "copy t from stdin;\n1\n2\n\\.",
    "pg_dump's restriction": "\\restrict abc\nselect 1;\n\\unrestrict abc\nselect 2;\n",
    "tabs and form feeds": "select\f1;\tselect\v2\f;",
}


@pytest.mark.every_server
@pytest.mark.parametrize("text", CORNERS.values(), ids=CORNERS)
def test_a_corner_is_read_as_psql_reads_it(text: str, programs: Installation, cluster: Server, tmp_path: Path) -> None:
    file = tmp_path / "script.sql"
    file.write_text(text, encoding="utf-8", newline="")
    statements, fault, _ = reading("script.sql", text)
    assert fault is None or "boolean" in fault.message
    with Recorder(cluster.port) as recorder:
        recording = record(programs, recorder, file, variables={})
    outcome = Outcome("script.sql")
    match_all(groups(statements), recording, outcome)
    assert outcome.difference == ""
    assert outcome.same
