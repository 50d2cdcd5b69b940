"""What the engine makes of files: findings in order, allowances, and what is no SQL."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.core.lint import examples

from tidelock.core.lint.edit import applied
from tidelock.core.report import Finding, Severity
from tidelock.core.source import BadDirective, SourceFile

TABLE = "CREATE TABLE parcels (id bigint PRIMARY KEY);\n"


def files(**texts: str) -> tuple[SourceFile, ...]:
    """Files by name: `a001_x` becomes 001_x.sql."""
    return tuple(SourceFile(f"{name[1:]}.sql", text.encode()) for name, text in texts.items())


def lint(text: str, **selected: tuple[str, ...]) -> list[Finding]:
    return examples.found(files(a001_it=text), **selected)


def said(found: list[Finding]) -> list[str]:
    return [f"{each.place} {each.code}" for each in found]


@pytest.mark.parametrize("example", ["farm", "telemetry"])
def test_no_rule_warns_of_an_example_not_even_of_the_rebuild_of_an_aggregate(example: str):
    folder = Path(__file__).parents[3] / "examples" / example / "migrations"
    sources = tuple(SourceFile(each.name, each.read_bytes()) for each in sorted(folder.glob("*.sql")))
    assert said([each for each in examples.found(sources) if each.severity is not Severity.NOTE]) == []


AGGREGATE = """CREATE TABLE IF NOT EXISTS r (time timestamptz NOT NULL, v float8);
SELECT create_hypertable('r', 'time', if_not_exists => true);
CREATE MATERIALIZED VIEW IF NOT EXISTS hourly WITH (timescaledb.continuous) AS
SELECT time_bucket('1 hour', time) AS bucket, avg(v) FROM r GROUP BY 1 WITH NO DATA;
"""
REBUILD = """DROP MATERIALIZED VIEW IF EXISTS hourly CASCADE;
CREATE MATERIALIZED VIEW hourly WITH (timescaledb.continuous) AS
SELECT time_bucket('1 hour', time) AS bucket, max(v) FROM r GROUP BY 1 WITH DATA;
"""


def test_a_rebuild_is_one_transaction_and_what_hangs_on_the_aggregate_comes_back():
    found = examples.found(files(a001_r=AGGREGATE, a002_rebuild=f"-- tidelock: rebuild hourly\n{REBUILD}"))
    assert [each.code for each in found if each.code in ("TX001", "DE012", "TS020", "TS040")] == []


def test_without_it_a_fill_is_a_part_of_its_own():
    found = examples.found(files(a001_r=AGGREGATE, a002_again=REBUILD))
    assert {"TX001", "DE012", "TS040"} <= {each.code for each in found}


def test_a_rebuild_that_apply_would_refuse_is_an_error_at_its_line():
    found = examples.found(files(a001_r=AGGREGATE, a002_rebuild=f"-- tidelock: rebuild hurly\n{REBUILD}"))
    assert "002_rebuild.sql:1:1 S044" in said(found)


# What is no SQL


def test_a_syntax_error_has_its_line_and_column():
    (found,) = lint("SELECT 1;\n\nCREATE TABEL parcels (id bigint);\n")
    assert (found.code, found.severity, str(found.place)) == ("HY000", Severity.ERROR, "001_it.sql:3:8")
    assert found.message == 'syntax error at or near "TABEL"'


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("CREATE TABEL parcels (id bigint)", "did you mean TABLE for “TABEL”?"),
        ("CREATE TABLE parcels (id bigint, name text,)", "take away the comma before the end"),
        ("SELECT id, FROM parcels", "take away the comma before FROM"),
        ("CREATE TABLE parcels (id bigint, name text", "the statement ends too early"),
        ("CREATE TABLE parcels (price numeric(10, 2) crop text)", "look for a comma that is missing before “crop”"),
        ("INSERT INTO parcels VALEUS (1)", "did you mean VALUES for “VALEUS”?"),
        ("PERFORM pg_notify('a', 'b')", "PERFORM is of plpgsql"),
        ("CREATE TABLE parcels (id int AUTO_INCREMENT)", "AUTO_INCREMENT is of MySQL"),
        ("CREATE TABLE `parcels` (id int)", "double quotes"),
    ],
)
def test_the_nearest_cause_is_named(text: str, hint: str):
    (found,) = lint(text, select=("HY000",))
    assert hint in found.hint


def test_the_statements_around_a_syntax_error_are_checked():
    assert said(lint(f"{TABLE}SELEKT 1;\nCREATE INDEX parcels_id ON parcels (id);\n", select=("HY000", "ID"))) == [
        "001_it.sql:1:1 ID001",
        "001_it.sql:2:1 HY000",
        "001_it.sql:3:1 ID002",
    ]


def test_files_behind_one_that_cannot_be_read_are_checked():
    found = examples.found(files(a001_it="\\gibberish\n", a002_parcels=TABLE), select=("HY000", "ID"))
    assert [each.code for each in found][1:] == ["ID001"]
    assert (found[0].severity, str(found[0].place)) == (Severity.ERROR, "001_it.sql:1:1")
    assert not found[0].message.startswith("001_it.sql")
    assert found[0].hint


def test_what_a_file_made_before_it_could_not_be_read_is_not_known():
    found = examples.found(files(a001_it=TABLE + "SELECT 'open;\n", a002_x="SELECT 1;\n"))
    assert [each.place.path for each in found if each.place] == ["001_it.sql"]


# Allowances


def test_an_allowance_above_a_statement_is_for_that_statement():
    text = f"SELECT 1;\n-- tidelock: allow ID001: made by hand\n{TABLE}CREATE TABLE crops (id bigint PRIMARY KEY);\n"
    assert said(lint(text)) == ["001_it.sql:4:1 ID001"]


def test_an_allowance_above_the_first_statement_is_for_the_file():
    text = f"-- tidelock: allow ID001: made by hand\n{TABLE}CREATE TABLE crops (id bigint PRIMARY KEY);\n"
    assert lint(text) == []


def test_an_allowance_within_a_statement_is_for_it():
    text = "SELECT 1;\nCREATE TABLE parcels (\n  -- tidelock: allow ID001: made by hand\n  id bigint PRIMARY KEY);\n"
    assert lint(text) == []


def test_an_allowance_is_for_its_code_alone():
    text = f"-- tidelock: allow ID002: no\n{TABLE}"
    assert sorted(each.code for each in lint(text)) == ["HY001", "ID001"]


def test_an_allowance_that_nothing_needs_is_a_finding():
    (found,) = lint("SELECT 1;\n-- tidelock: allow ID001: made by hand\nSELECT 2;\n")
    assert (found.code, str(found.place)) == ("HY001", "001_it.sql:2:1")
    assert found.message == "nothing here is found by ID001"


def test_an_allowance_of_a_rule_that_is_not_asked_is_none():
    assert lint("-- tidelock: allow ID001: made by hand\nSELECT 1;\n", ignore=("ID",)) == []


def test_an_allowance_of_no_rule_is_a_finding():
    (found,) = lint("-- tidelock: allow ID999: made by hand\nSELECT 1;\n")
    assert (found.code, found.message) == ("HY001", "there is no rule ID999")


def test_an_allowance_behind_a_statement_is_not_read_and_told():
    found = lint("CREATE TABLE parcels (id bigint PRIMARY KEY); -- tidelock: allow ID001: made by hand\n")
    assert sorted((each.code, str(each.place)) for each in found) == [
        ("HY001", "001_it.sql:1:1"),
        ("ID001", "001_it.sql:1:1"),
    ]
    assert "HY001" in {each.code for each in lint("CREATE TABLE t (a text DEFAULT 'x'); -- tidelock: allow ID001: y\n")}
    assert lint("SELECT 1;  -- see -- tidelock in the handbook\nSELECT '-- tidelock: allow ID001: x';\n") == []


@pytest.mark.parametrize("line", ["-- tidelock: allow ID001", "-- tidelock: allow ID001:", "-- tidelock: allow"])
def test_an_allowance_wants_a_reason(line: str):
    with pytest.raises(BadDirective, match=r"001_it\.sql:1:1: `allow` wants"):
        lint(f"{line}\n{TABLE}")


def test_an_allowance_covers_what_is_said_of_all_files_together():
    text = "-- tidelock: allow HY008: made by Terraform\nGRANT USAGE ON SCHEMA public TO dashboard;\n"
    assert lint(text) == []
    assert [each.code for each in lint(text.partition("\n")[2])] == ["HY008"]


def test_breaking_allows_what_destroys_and_nothing_else():
    text = "-- BREAKING: exported on Monday\nDROP TABLE parcels CASCADE;\n"
    assert [each.code for each in lint(text)] == ["ID013"]
    assert [each.code for each in lint(text.partition("\n")[2])] == ["DE001", "DE012", "ID013"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-- BREAKING:", "no reason is given"),
        ("-- BREAKING", "“-- BREAKING” is not read as an allowance"),
        ("-- BREAKING CHANGE: exported", "“-- BREAKING CHANGE: exported” is not read as an allowance"),
    ],
)
def test_breaking_wants_a_colon_and_a_reason(line: str, message: str):
    found = lint(f"{line}\nDROP TABLE IF EXISTS parcels;\n", select=("DE",))
    assert [each.code for each in found] == ["DE021", "DE001"]
    assert message in found[0].message


def test_other_comments_may_say_breaking():
    assert lint("-- Breaking down the parcels\n-- NOT BREAKING at all\nSELECT 1;\n") == []


# Selection and order


def test_findings_are_sorted_by_file_line_column_and_code():
    found = examples.found(
        files(
            a002_drop="DROP TABLE parcels CASCADE;\n",
            a001_it=f"SELECT 1;\n{TABLE}CREATE INDEX ON parcels (id);\n",
        )
    )
    assert said(found) == [
        "001_it.sql:2:1 ID001",
        "001_it.sql:3:1 ID002",
        "002_drop.sql:1:1 DE001",
        "002_drop.sql:1:1 DE012",
        "002_drop.sql:1:1 ID013",
    ]


def test_optional_rules_are_asked_when_they_are_named():
    text = "CREATE TABLE IF NOT EXISTS parcels (id bigserial PRIMARY KEY);\n"
    assert lint(text) == []
    assert [each.code for each in lint(text, extend=("HY015",))] == ["HY015"]
    assert [each.code for each in lint(text, select=("HY015",))] == ["HY015"]
    assert lint(text, select=("HY015",), ignore=("HY",)) == []


def test_a_place_is_the_statement_and_its_last_line():
    (found,) = lint("\n  CREATE TABLE parcels (\n  id bigint PRIMARY KEY\n);\n")
    assert (str(found.place), found.end_line) == ("001_it.sql:2:3", 4)


def test_changes_of_a_file_are_put_in_together():
    text = f"{TABLE}\n  CREATE UNIQUE INDEX parcels_id ON parcels (id); DROP VIEW v; -- é\nALTER TABLE parcels ADD crop text;\n"
    edits = [each.edit for each in lint(text, select=("ID",)) if each.edit]
    assert applied(text, edits) == (
        "CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY);\n\n"
        "  CREATE UNIQUE INDEX IF NOT EXISTS parcels_id ON parcels (id); DROP VIEW IF EXISTS v; -- é\n"
        "ALTER TABLE parcels ADD COLUMN IF NOT EXISTS crop text;\n"
    )
