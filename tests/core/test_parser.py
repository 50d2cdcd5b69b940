"""The door to libpg_query."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tidelock.core import parser
from tidelock.core.facts.tree import PLACES
from tidelock.core.parser import Unreadable


def test_a_statement_is_wrapped_in_its_node_type() -> None:
    (statement,) = parser.parse("SELECT 1")
    assert list(statement) == ["SelectStmt"]


def test_comments_alone_are_no_statement() -> None:
    assert parser.parse("-- nothing\n/* nor /* here */ */") == []


def test_what_the_grammar_refuses_is_unreadable_and_says_where_in_characters() -> None:
    with pytest.raises(Unreadable, match='syntax error at or near "selec"') as caught:
        parser.parse("/* üß 🐘 */ selec 1")
    assert caught.value.offset == len("/* üß 🐘 */ ")


def test_an_error_at_the_end_points_behind_the_text() -> None:
    with pytest.raises(Unreadable, match="at end of input") as caught:
        parser.parse("SELECT 1 +")
    assert caught.value.offset == len("SELECT 1 +")


@pytest.mark.parametrize("text", ["SELECT 1\0; DROP TABLE t", "SELECT '\ud800'"])
def test_text_that_no_server_takes_is_unreadable_and_never_cut_short(text: str) -> None:
    with pytest.raises(Unreadable):
        parser.parse(text)


@pytest.mark.parametrize(
    "text",
    ["SELECT " + " || ".join(["'a\\\"{},'"] * 5_000), "INSERT INTO t " + " UNION ALL ".join(["SELECT 1, 'x'"] * 3_000)],
    ids=["||", "UNION ALL"],
)
def test_trees_may_be_as_deep_as_they_like(text: str) -> None:
    assert len(parser.parse(text)) == 1


def test_a_deep_tree_is_read_as_json_reads_it() -> None:
    text = b'{"a": [1, -2.5, true, null, "x \\" {},: \\u00fc"], "b": {}, "c": {"d": [[], [{}]], "": 0}}'
    assert parser._read_deep(text) == json.loads(text)


def test_what_the_parser_has_no_memory_for_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="memory exhausted"):
        parser.parse("SELECT " + "(" * 20_000 + "1" + ")" * 20_000)


def test_a_long_chain_of_ands_is_flat() -> None:
    assert parser.parse("SELECT 1 WHERE " + " AND ".join(f"a = {i}" for i in range(5_000)))


def test_the_bodies_of_do_and_functions_are_parsed() -> None:
    (body,) = parser.parse_plpgsql("DO $$ BEGIN COMMIT; END $$")
    assert "PLpgSQL_stmt_commit" in str(body)


def test_trigger_functions_are_parsed_although_libpg_query_writes_a_brace_too_many_for_them() -> None:
    (body,) = parser.parse_plpgsql(
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.a := now(); RETURN new; END $$"
    )
    assert "new.a := now()" in str(body)


def test_a_body_that_is_not_plpgsql_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        parser.parse_plpgsql("DO $$ SELECT 1 $$")


def test_importing_facts_imports_neither_the_parser_nor_protobuf_and_parsing_no_protobuf() -> None:
    program = """
import sys
from typing import Any
from tidelock.core.facts import facts_of
before = [name for name in sys.modules if name.startswith(("postgast", "google", "ctypes.util"))]
facts_of("SELECT 1")
print(before, [name for name in sys.modules if name.startswith(("postgast", "google"))])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[] []\n"


def without_places(tree: Any) -> Any:
    """A tree as it would be at any place of a text."""
    if isinstance(tree, list):
        return [without_places(each) for each in tree]
    if isinstance(tree, dict):
        return {key: without_places(value) for key, value in tree.items() if key not in PLACES}
    return tree


def test_the_statements_of_a_file_are_what_each_is_by_itself() -> None:
    texts = [
        "SELECT 'ß🐘' IN ('a', 'b')",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END",
        "SELECT 3",
    ]
    file = "-- ü\n{} ;\n/* a; b */ {};;\n\n{}\n".format(*texts)
    found = parser.parse_file(file)
    assert list(found) == texts
    for text in texts:
        assert without_places([found[text]]) == without_places(parser.parse(text))


@pytest.mark.parametrize("file", ["SELECT 1; selec 2", "SELECT :x;", "SELECT 1;" * parser.LARGEST])
def test_a_file_that_cannot_be_parsed_as_a_whole_has_no_statements(file: str) -> None:
    assert parser.parse_file(file) == {}


def test_a_blank_that_belongs_to_a_name_stays_with_it() -> None:
    assert list(parser.parse_file("SELECT 1 AS x\u00a0;")) == ["SELECT 1 AS x\u00a0"]
