"""What holds for every script: its pieces rebuild it, and each character leads back to the file."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tidelock.core.script import pieces_of, read, tokens_of
from tidelock.core.script_faults import ScriptFault

ANYTHING = st.text(st.sampled_from("ab1 \n\t;:'\"\\$(),.-/*+=@eEuU&éx[]{}?"), max_size=12)
TAG = st.sampled_from(["$$", "$x$", "$é_1$"])


def not_holding(*marks: str) -> st.SearchStrategy[str]:
    return ANYTHING.filter(lambda text: not any(mark in text for mark in marks))


@st.composite
def literals(draw: st.DrawFn) -> str:
    """A quoted token in any of PostgreSQL's ways, anything inside."""
    kind = draw(st.sampled_from(["'", "E'", "e'", "B'", "x'", "n'", "U&'", '"', 'U&"', "$"]))
    if kind == "$":
        tag = draw(TAG)
        return tag + draw(not_holding("$")) + tag
    quote = kind[-1]
    inside = draw(ANYTHING).replace(quote, quote * 2)
    if kind in ("E'", "e'"):
        inside = inside.replace("\\", "\\\\")
    if kind in ("B'", "x'"):
        inside = inside.replace("'", "")
    return kind + inside + quote


COMMENTS = st.one_of(
    not_holding("\n").map(lambda text: f"--{text}\n"),
    not_holding("/*", "*/")
    .filter(lambda text: not text.startswith(("/", "+")) and text[-1:] not in "/*")
    .map("/*{} */".format),
    not_holding("/*", "*/")
    .map("/* /* {} */ ; */".format)
    .filter(lambda text: "*//" not in text and text.count("*/") == 2),
)
BLANKS = st.one_of(st.sampled_from([" ", "\n", "\n\n", "\t", " \n "]), COMMENTS)
GAPS = st.lists(BLANKS, min_size=1, max_size=3).map("".join)
WORDS = st.sampled_from(
    [
        "select",
        "a",
        "_b9$",
        "é",
        "1",
        "1.5e10",
        "+",
        "->>",
        "::",
        ":=",
        "[1:2]",
        ",",
        "(a;b)",
        "(select 1;)",
        "<>",
        "@-1",
    ]
)
TOKENS = st.one_of(WORDS, literals())


@st.composite
def statements(draw: st.DrawFn) -> str:
    """Tokens with gaps between them."""
    first, *rest = draw(st.lists(TOKENS, min_size=1, max_size=6))
    return first + "".join(draw(GAPS) + token for token in rest)


@st.composite
def files(draw: st.DrawFn) -> list[tuple[str, str]]:
    """The pieces of a file: gaps, statements and semicolons."""
    pieces = [("gap", draw(st.one_of(st.just(""), GAPS)))]
    for statement in draw(st.lists(statements(), max_size=5)):
        pieces += [("statement", statement), ("gap", draw(GAPS) + ";" + draw(GAPS))]
    return [piece for piece in pieces if piece[1]]


@given(files())
@settings(max_examples=300, deadline=None)
def test_statements_and_gaps_rebuild_the_file(pieces: list[tuple[str, str]]) -> None:
    text = "".join(piece for _, piece in pieces)
    found = pieces_of(text)
    assert "".join(piece for _, piece in found) == text
    assert [piece for kind, piece in found if kind == "statement"] == [
        piece for kind, piece in pieces if kind == "statement"
    ]


@given(files())
@settings(max_examples=200, deadline=None)
def test_each_character_of_a_statement_leads_back_to_the_file(pieces: list[tuple[str, str]]) -> None:
    text = "".join(piece for _, piece in pieces)
    lines = text.split("\n")
    script = read("x.sql", text)
    assert [each.text for each in script.statements] == [piece for kind, piece in pieces if kind == "statement"]
    for statement in script.statements:
        for offset, char in enumerate(statement.text):
            place = statement.place_at(offset)
            line = lines[place.line - 1] + "\n"
            assert line[place.column - 1] == char


@given(st.lists(TOKENS, min_size=1, max_size=6), st.data())
@settings(max_examples=200, deadline=None)
def test_blanks_and_comments_between_tokens_are_not_in_the_digest(tokens: list[str], data: st.DataObject) -> None:
    one, other = (
        "".join(token + (gap if index else gap + " ") for index, token in enumerate(tokens))
        for gap in (" ", data.draw(GAPS.filter(lambda gap: "\n" not in gap)) + " ")
    )
    assert tokens_of(one) == tokens_of(other)


@given(ANYTHING, ANYTHING, ANYTHING)
@settings(max_examples=500, deadline=None)
def test_any_text_comes_apart_and_is_read_or_refused(one: str, two: str, three: str) -> None:
    text = f"{one} 'x' {two}\n{three}"
    assert "".join(piece for _, piece in pieces_of(text)) == text
    try:
        read("x.sql", text)
    except ScriptFault as error:
        fault = error
    else:
        return
    assert fault.hint
    assert 1 <= fault.place.line <= text.count("\n") + 1
