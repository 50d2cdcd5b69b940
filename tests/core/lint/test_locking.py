"""What the rules of locks and transactions tell apart, and what their rewrites are worth."""

from __future__ import annotations

import pytest
from tests.core.lint import examples

from tidelock.core.lint.compose import named, quoted, with_ending
from tidelock.core.report import Finding
from tidelock.core.source import SourceFile

OURS = [code for code in examples.codes() if code.startswith(("LK", "TX"))]
START = (
    "CREATE TABLE crops (code text PRIMARY KEY);\nCREATE TABLE parcels (id bigint PRIMARY KEY, crop text, area int);\n"
)
HYPERTABLE = START + "SELECT create_hypertable('parcels', 'id');\n"


def found(*texts: str) -> list[Finding]:
    """Findings of LK and TX in the last of some files."""
    files = tuple(SourceFile(f"{number:03}_x.sql", text.encode()) for number, text in enumerate(texts, start=1))
    last = [each for each in examples.found(files) if each.place and each.place.path == files[-1].path]
    return [each for each in last if each.code.startswith(("LK", "TX", "S"))]


def codes(*texts: str) -> list[str]:
    return [each.code for each in found(*texts)]


def has_rewrite(code: str) -> bool:
    return examples.mended(code) is not None


@pytest.mark.parametrize("code", [code for code in OURS if has_rewrite(code)])
def test_a_rewrite_is_not_found_again(code: str):
    mended = examples.mended(code)
    assert mended is not None
    assert [each.message for each in examples.found(mended, select=(code,))] == []


def test_most_rules_have_a_rewrite():
    """The others need to know what no file says, or a decision."""
    without = {code for code in OURS if not has_rewrite(code)}
    assert without - set(examples.ADVICE) == {
        *(
            "LK007",
            "LK008",
            "LK012",
            "LK014",
            "LK017",
            "LK020",
            "LK024",
            "LK026",
            "LK031",
            "LK032",
            "LK034",
            "LK035",
            "LK036",
        ),
        *("LK037", "LK039", "LK040", "LK041", "LK043"),
        *("TX001", "TX002", "TX003", "TX004", "TX005", "TX006", "TX008", "TX010", "TX011"),
        *("TX012", "TX013"),
    }


# Whom a lock bothers


@pytest.mark.parametrize(
    "change",
    [
        "CREATE INDEX i ON parcels (area);",
        "ALTER TABLE parcels ADD CHECK (area > 0);",
        "ALTER TABLE parcels ADD COLUMN k serial;",
        "ALTER TABLE parcels ALTER COLUMN area TYPE bigint;",
        "ALTER TABLE parcels ALTER COLUMN crop SET NOT NULL;",
        "UPDATE parcels SET area = 1;",
        "LOCK TABLE parcels;",
        "ALTER TABLE parcels SET UNLOGGED;",
    ],
)
def test_a_table_that_the_same_file_creates_bothers_nobody(change: str):
    assert codes(START + change) == []
    assert codes(START, change) != []


def test_what_no_file_has_created_is_taken_to_be_in_use():
    assert codes("CREATE INDEX i ON somewhere (x);") == ["LK001"]


def test_advice_that_fails_on_hypertables_is_not_given_there():
    assert codes(HYPERTABLE, "CREATE INDEX i ON parcels (area);") == []
    assert codes(HYPERTABLE, "ALTER TABLE parcels ADD UNIQUE (id, area);") == []
    assert codes(HYPERTABLE, "REINDEX TABLE parcels;") == []


def test_advice_that_works_on_hypertables_is_given_until_they_have_columnstore():
    check = "ALTER TABLE parcels ADD CHECK (area > 0);"
    assert codes(HYPERTABLE, check) == ["LK010"]
    assert codes(HYPERTABLE + "ALTER TABLE parcels SET (timescaledb.compress);\n", check) == []


def test_a_materialized_view_is_not_written_to():
    view = START + "CREATE MATERIALIZED VIEW v AS SELECT * FROM parcels;\n"
    assert codes(view, "CREATE UNIQUE INDEX i ON v (id);") == []
    assert codes(view + "REFRESH MATERIALIZED VIEW v;") == []
    assert codes(view, "REFRESH MATERIALIZED VIEW v;") == ["LK038"]


def test_what_a_do_block_does_counts_and_is_not_rewritten():
    (only,) = found(START, "DO $$ BEGIN ALTER TABLE parcels ADD CHECK (area > 0); END $$;")
    assert (only.code, only.rewrite) == ("LK010", "")


def test_a_table_that_came_and_went_bothers_nobody():
    text = "CREATE TEMPORARY TABLE import (LIKE crops);\nDROP TABLE import;\nALTER TABLE parcels ADD COLUMN a int;\n"
    assert codes(START, text) == []


# What is known of columns


def test_a_column_that_is_known_to_be_not_null_is_not_searched():
    assert codes(START, "ALTER TABLE parcels ALTER COLUMN id SET NOT NULL;") == []
    proved = "ALTER TABLE parcels ADD CONSTRAINT c CHECK (crop IS NOT NULL) NOT VALID;"
    change = "ALTER TABLE parcels ALTER COLUMN crop SET NOT NULL;"
    assert codes(START, proved, change) == ["LK013"], "it is not validated"
    assert codes(START, proved, "ALTER TABLE parcels VALIDATE CONSTRAINT c;", change) == []
    assert codes(START, change, change) == []
    assert codes(START, change, "ALTER TABLE parcels ALTER COLUMN crop DROP NOT NULL;", change) == ["LK013"]


def test_a_type_that_no_file_gave_is_a_warning():
    (only,) = found("ALTER TABLE somewhere ALTER COLUMN x TYPE varchar(50);")
    assert (only.code, only.severity) == ("LK021", "warning")
    assert "unless it was text or varchar of at most 50 characters" in only.message


def test_a_column_is_added_once():
    again = "ALTER TABLE parcels ADD COLUMN IF NOT EXISTS k serial;"
    assert codes(START, again) == ["LK024"]
    assert codes(START, again, again) == []


# Foreign keys and their indexes


@pytest.mark.parametrize(
    ("index", "served"),
    [
        ("CREATE INDEX i ON fields (parcel, number);", True),
        ("CREATE INDEX i ON fields (number, parcel);", False),
        ("CREATE INDEX i ON fields (parcel) WHERE number > 0;", False),
        ("CREATE INDEX i ON fields USING brin (parcel);", False),
        ("ALTER TABLE fields ADD UNIQUE (parcel);", True),
    ],
)
def test_an_index_serves_a_foreign_key_when_it_begins_with_its_columns(index: str, served: bool):
    fields = START + "CREATE TABLE fields (number int, parcel bigint REFERENCES parcels);\n"
    assert ("LK015" not in codes(fields + index)) is served


def test_an_index_in_a_later_file_serves_too():
    files = (
        SourceFile("001_x.sql", f"{START}CREATE TABLE fields (parcel bigint REFERENCES parcels);".encode()),
        SourceFile("002_x.sql", b"CREATE INDEX CONCURRENTLY i ON fields (parcel);"),
    )
    assert examples.found(files, select=("LK015",)) == []
    assert len(examples.found(files[:1], select=("LK015",))) == 1


def test_indexes_of_a_table_that_no_file_created_are_not_known():
    assert codes("ALTER TABLE somewhere ADD FOREIGN KEY (x) REFERENCES crops NOT VALID;") == []


# One transaction


def test_a_change_of_the_catalog_after_a_lock_is_no_long_statement():
    assert codes(START, "ALTER TABLE parcels ADD COLUMN a int;\nINSERT INTO crops VALUES ('oat');") == []
    assert codes(START, "ALTER TABLE parcels ADD COLUMN a int;\nSELECT count(*) FROM crops;") == ["LK040"]


def test_several_tables_are_told_once():
    three = "".join(f"ALTER TABLE t{number} ADD COLUMN a int;\n" for number in range(3))
    assert codes(three) == ["LK041"]
    assert codes(
        three.replace(";\n", ";\nCOMMIT;\nBEGIN;\n").replace("ALTER TABLE t0", "BEGIN;\nALTER TABLE t0") + "COMMIT;"
    ) == ["TX001"]


def test_alters_are_put_together_with_their_text():
    (only,) = found(
        START, "ALTER TABLE parcels ADD COLUMN a int;\nALTER TABLE parcels ADD COLUMN b text DEFAULT 'x;y';"
    )
    assert only.rewrite == "ALTER TABLE parcels\n    ADD COLUMN a int,\n    ADD COLUMN b text DEFAULT 'x;y';"


@pytest.mark.parametrize(
    "second", ["VALIDATE CONSTRAINT later", "RENAME COLUMN area TO size", "RENAME TO fields", "SET SCHEMA archive"]
)
def test_what_cannot_stand_with_others_is_left_alone(second: str):
    text = f"ALTER TABLE parcels ADD COLUMN a int;\nALTER TABLE parcels {second};"
    assert "LK042" not in codes(START, text)


def test_not_null_and_the_drop_of_its_proof_stay_apart():
    text = "ALTER TABLE parcels ALTER COLUMN crop SET NOT NULL;\nALTER TABLE parcels DROP CONSTRAINT c;"
    assert "LK042" not in codes(START, text)


# Rewrites


def test_a_constraint_gets_a_name_to_be_validated_by():
    only, index = found(START, "ALTER TABLE parcels ADD FOREIGN KEY (crop) REFERENCES crops")
    assert (only.code, index.code) == ("LK011", "LK015")
    assert "IF NOT EXISTS (SELECT FROM pg_constraint" in only.rewrite
    added = "ALTER TABLE parcels ADD CONSTRAINT parcels_crop_fkey FOREIGN KEY (crop) REFERENCES crops NOT VALID;"
    block = ("DO", "BEGIN", "IF", "END", "$$")
    assert [line.strip() for line in only.rewrite.splitlines() if not line.strip().startswith(block)] == [
        added,
        "-- in the next file, so that this one's locks are gone:",
        "ALTER TABLE parcels VALIDATE CONSTRAINT parcels_crop_fkey;",
    ]


def test_a_default_comes_afterwards():
    (only,) = found(START, "ALTER TABLE parcels ADD COLUMN u uuid NOT NULL DEFAULT gen_random_uuid()")
    assert only.rewrite.splitlines() == [
        "ALTER TABLE parcels ADD COLUMN u uuid;",
        "ALTER TABLE parcels ALTER COLUMN u SET DEFAULT gen_random_uuid();",
        "-- then fill u of the old rows, in batches",
    ]


def test_names_are_quoted_where_they_must_be():
    assert [quoted(each) for each in ("t", "s.t", "Order", "user", "s.a b", "value")] == [
        "t",
        "s.t",
        '"Order"',
        '"user"',
        's."a b"',
        "value",
    ]


def test_a_name_is_as_long_as_postgresql_allows():
    assert len(named("t" * 80, ("c",), "check")) == 63


def test_words_do_not_end_up_in_a_comment():
    assert with_ending("ALTER TABLE t -- why", "NOT VALID") == "ALTER TABLE t -- why\nNOT VALID"


# Transactions


def test_a_set_of_the_files_own_transaction_can_be_made_local():
    change = "SET work_mem = '64MB';\nUPDATE parcels SET area = 2 WHERE id = 1;"
    (only,) = found(START, f"BEGIN;\n{change}\nCOMMIT;")
    assert (only.code, only.rewrite) == ("TX009", "SET LOCAL work_mem = '64MB'")
    assert codes(START, change) == []


def test_a_local_setting_outside_of_the_files_own_transaction_is_in_vain():
    change = "SET LOCAL work_mem = '64MB';\nUPDATE parcels SET area = 2 WHERE id = 1;"
    assert codes(START, change) == ["TX010"]
    assert codes(START, f"BEGIN;\n{change}\nCOMMIT;") == []


def test_a_set_for_several_steps_has_to_be_one():
    assert codes(START, "SET work_mem = '64MB';\nCREATE INDEX CONCURRENTLY i ON parcels (area);") == []


def test_an_enum_made_in_the_same_transaction_may_be_used():
    new = "BEGIN;\nCREATE TYPE m AS ENUM ('a');\nALTER TYPE m ADD VALUE 'b';\nSELECT 'b'::m;\nCOMMIT;"
    assert "TX006" not in codes(new)


def test_deferred_constraints_of_an_earlier_file_cut_a_later_one():
    deferred = START + "ALTER TABLE parcels ADD FOREIGN KEY (crop) REFERENCES crops INITIALLY DEFERRED;\n"
    change = "UPDATE parcels SET crop = 'x' WHERE id = 1;\nALTER TABLE parcels ADD COLUMN a int;\n"
    assert codes(deferred, change) == ["TX001"]
    assert codes(deferred, f"BEGIN;\n{change}COMMIT;") == ["TX007"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("BEGIN;\nSELECT 1;", "S040"),
        ("BEGIN;\nVACUUM parcels;\nCOMMIT;", "S041"),
        ("BEGIN;\nSELECT 1;\nPREPARE TRANSACTION 'x';", "S043"),
    ],
)
def test_what_cannot_be_cut_is_a_fault_of_the_script_and_no_second_finding(text: str, code: str):
    assert codes(START, text) == [code]


DOMAINS = """-- file: 001_a.sql
CREATE DOMAIN plain AS int;
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN small AS positive;
CREATE DOMAIN later AS int;
ALTER DOMAIN later ADD CONSTRAINT c CHECK (VALUE > 0);
CREATE TABLE t (id int PRIMARY KEY, name text, code text);
CREATE INDEX t_name ON t (name);
-- file: 002_b.sql
"""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ALTER TABLE t ADD COLUMN a plain;", []),
        ("ALTER TABLE t ADD COLUMN a positive;", ["LK026"]),
        ("ALTER TABLE t ADD COLUMN a public.small;", ["LK026"]),
        ("ALTER TABLE t ADD COLUMN a later DEFAULT 1;", ["LK026"]),
        ('ALTER TABLE t ALTER COLUMN name TYPE text COLLATE "C";', ["LK021"]),
        ('ALTER TABLE t ALTER COLUMN code TYPE text COLLATE "C";', []),
        ("ALTER TYPE addr ALTER ATTRIBUTE zip TYPE int CASCADE;", ["LK021"]),
        ("ALTER TYPE addr ALTER ATTRIBUTE zip TYPE int;", []),
    ],
)
def test_domains_collations_and_attributes(text: str, found: list[str]):
    asked = ("LK020", "LK021", "LK026")
    assert [each.code for each in examples.found(examples.parted(DOMAINS + text), select=asked)] == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("DO $$ BEGIN CREATE INDEX CONCURRENTLY x ON t (name); END $$;", ["TX012"]),
        ("DO $$ BEGIN EXECUTE 'VACUUM t'; END $$;", ["TX012"]),
        (
            (
                "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DROP INDEX CONCURRENTLY t_name; END $$; "
                "SELECT f();"
            ),
            ["TX012"],
        ),
        ("CREATE INDEX CONCURRENTLY x ON t (name);", []),
        ("SELECT 1;\n\\c other\nSELECT 2;", ["TX013"]),
        ("\\c other\nSELECT 2;", []),
        ("SELECT 1;\n\\c -\nSELECT 2;", []),
        ("SELECT 1;\nSELECT '\n\\c other\n';", []),
    ],
)
def test_what_no_block_can_hold(text: str, found: list[str]):
    assert [each.code for each in examples.found(examples.parted(DOMAINS + text), select=("TX012", "TX013"))] == found
