"""Names, versions, directives and checksums of migration files."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from tidelock.core import source
from tidelock.core.source import SourceFile, migrations

if TYPE_CHECKING:
    from tidelock.core.model import Migration


def read(*pairs: tuple[str, str | bytes]) -> tuple[Migration, ...]:
    return migrations(SourceFile(path, text if isinstance(text, bytes) else text.encode()) for path, text in pairs)


@pytest.mark.parametrize(
    ("name", "version", "description"),
    [
        ("001_add_users.sql", 1, "add_users"),
        ("1_a.sql", 1, "a"),
        ("0042-with-dashes.sql", 42, "with-dashes"),
        ("20260302081400_timestamp.sql", 20260302081400, "timestamp"),
        ("007.sql", 7, ""),
        ("008_Upper.SQL", 8, "Upper"),
        ("009_zipped.sql.gz", 9, "zipped"),
    ],
)
def test_a_number_and_words_make_a_migration(name: str, version: int, description: str):
    [found] = read((f"m/{name}", "SELECT 1;"))
    assert (found.version, found.description) == (version, description)


def test_what_is_not_sql_is_passed_over():
    assert read(("README.md", "x"), ("001_a.sql.example", "x"), (".002_b.sql", "x"), ("notes.txt", "x")) == ()


def test_files_are_in_numeric_order():
    assert [each.version for each in read(("10_a.sql", "x"), ("9_b.sql", "x"), ("002_c.sql", "x"))] == [2, 9, 10]


def test_a_file_without_a_number_is_named():
    with pytest.raises(source.NoNumber, match=r"m/init\.sql") as caught:
        read(("m/init.sql", "x"), ("001_a.sql", "x"))
    assert "tidelock renumber" in caught.value.hint


def test_two_files_with_one_version_are_both_named():
    with pytest.raises(source.DuplicateVersion, match=r"m/002_a\.sql, m/002_b\.sql"):
        read(("m/002_a.sql", "x"), ("m/002_b.sql", "x"))


def test_leading_zeros_make_no_difference():
    with pytest.raises(source.DuplicateVersion, match="leading zeros"):
        read(("2_a.sql", "x"), ("002_b.sql", "x"))


def test_a_number_of_more_than_18_digits_is_refused():
    with pytest.raises(source.VersionTooLong, match="19 digits"):
        read(("1234567890123456789_a.sql", "x"))


@pytest.mark.parametrize("text", ["", " \r\n\t", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(text: str | bytes):
    with pytest.raises(source.EmptyFile, match=r"001_a\.sql is empty"):
        read(("001_a.sql", text))


def test_in_part_what_is_right_is_read_and_each_mistake_is_told():
    found, faults = source.in_part(
        SourceFile(name, text)
        for name, text in (
            ("10_z.sql", b"x"), ("2_b.sql", b"x"), ("02_c.sql", b"x"), ("3_d.sql", b" "), ("4_e.sql", b"\xf1"),
            ("5_f.down.sql", b"x"), ("none.sql", b"x"), ("1_a.sql", b"x"), ("readme.md", b"x"),
        )
    )  # fmt: skip
    assert [each.version for each in found] == [1, 10]
    assert [each.code for each in faults] == ["S001", "S007", "S005", "S004", "S002"]


def test_a_file_of_comments_is_a_migration():
    assert len(read(("001_a.sql", "-- nothing to do here\n"))) == 1


def test_bytes_that_are_not_utf8_are_placed():
    with pytest.raises(source.NotUtf8, match=r"001_a\.sql:2: byte 0xf1 at offset 5") as caught:
        read(("001_a.sql", b"-- a\n\xf1"))
    assert "iconv -f LATIN1" in caught.value.hint


def test_utf16_is_recognised():
    with pytest.raises(source.NotUtf8) as caught:
        read(("001_a.sql", "SELECT 1".encode("utf-16")))
    assert "UTF-16" in caught.value.hint


def test_a_nul_byte_is_placed():
    with pytest.raises(source.NulByte, match=r"001_a\.sql:2: a NUL byte"):
        read(("001_a.sql", b"SELECT\n'\0'"))


def test_a_byte_order_mark_is_not_part_of_the_text():
    assert read(("001_a.sql", b"\xef\xbb\xbfSELECT 1;"))[0].text == "SELECT 1;"


def test_line_ends_stay_as_they_are():
    assert read(("001_a.sql", "SELECT 1;\r\n"))[0].text == "SELECT 1;\r\n"


def test_a_down_migration_is_refused():
    with pytest.raises(source.DownMigration, match=r"001_a\.down\.sql"):
        read(("001_a.down.sql", "DROP TABLE a;"))


def test_the_checksum_is_the_sha256_of_the_bytes():
    assert read(("001_a.sql", "SELECT 1;"))[0].checksum == hashlib.sha256(b"SELECT 1;").hexdigest()


def test_directives_are_read_with_value_and_reason():
    [found] = read(
        ("001_a.sql", "-- tidelock: lock-timeout 10s\n-- tidelock: allow LK001: the table is empty\n-- BREAKING: old\n")
    )
    assert [(each.name, each.value, each.reason) for each in found.directives] == [
        ("lock-timeout", "10s", ""),
        ("allow", "LK001", "the table is empty"),
        ("BREAKING", "", "old"),
    ]


@pytest.mark.parametrize("name", ['"Öl Werk"."Tag ""x"".y"', '"a: b"', 's."a b"', "energy_hourly", "s.energy_hourly"])
def test_the_name_of_an_aggregate_may_have_blanks_colons_and_quotes(name: str):
    [found] = read(("001_a.sql", f"-- tidelock: rebuild {name}\n-- tidelock: accept-loss {name} : why: so\n"))
    assert [(each.value, each.reason) for each in found.directives] == [(name, ""), (name, "why: so")]


@pytest.mark.parametrize(
    "line", ["rebuild a b", 'rebuild "a', "accept-loss a b: why", 'accept-loss "a" b: why', "accept-loss a"]
)
def test_what_is_no_name_is_refused(line: str):
    with pytest.raises(source.BadDirective):
        read(("001_a.sql", f"-- tidelock: {line}\n"))


def test_an_unknown_directive_names_the_nearest_one():
    with pytest.raises(source.UnknownDirective, match=r"001_a\.sql:2:1: unknown directive “no-transation”") as caught:
        read(("001_a.sql", "-- x\n-- tidelock: no-transation\n"))
    assert "no-transaction" in caught.value.hint


@pytest.mark.parametrize("line", ["tidelock: NO-TRANSACTION", "Tidelock: no-transaction", "TIDELOCK: No-Transactions"])
def test_a_directive_in_capitals_is_not_passed_over(line: str):
    with pytest.raises(source.UnknownDirective, match=r"001_a\.sql:1:1") as caught:
        read(("001_a.sql", f"-- {line}\nSELECT 1;"))
    assert caught.value.hint == "did you mean `-- tidelock: no-transaction`?"


@pytest.mark.parametrize("line", ["tidelock: ALLOW LK001: small", "Tidelock: allow LK001: small"])
def test_what_allows_in_capitals_is_not_passed_over_below_a_statement(line: str):
    with pytest.raises(source.UnknownDirective, match=r"001_a\.sql:2:1") as caught:
        read(("001_a.sql", f"SELECT 1;\n-- {line}\n"))
    assert caught.value.hint == "did you mean `-- tidelock: allow`?"


def test_a_remark_about_tidelock_is_a_remark():
    [found] = read(("001_a.sql", "-- Tidelock: see https://example.org\nSELECT 1;\n-- Tidelock: as above"))
    assert found.directives == ()


@pytest.mark.parametrize(
    "line",
    [
        "lock-timeout 999999999h",
        "statement-timeout 597h",
        "lock-timeout soon",
        "allow LK001",
        "requires >= 2",
        "no-transaction please",
    ],
)
def test_a_directive_with_a_value_that_cannot_be_read_is_refused(line: str):
    with pytest.raises(source.BadDirective, match=line.split()[0]):
        read(("001_a.sql", f"-- tidelock: {line}\n"))


@pytest.mark.parametrize(
    ("text", "seconds"), [("10s", 10), ("500ms", 0.5), ("5m", 300), ("1.5h", 5400), ("2 min", 120)]
)
def test_durations_carry_their_unit(text: str, seconds: float):
    assert source.seconds(text) == seconds


def test_the_bundle_digest_changes_with_names_and_contents():
    one = source.bundle_digest(read(("001_a.sql", "SELECT 1;")))
    assert one != source.bundle_digest(read(("001_b.sql", "SELECT 1;")))
    assert one != source.bundle_digest(read(("001_a.sql", "SELECT 2;")))


def test_a_directive_that_steers_stands_at_the_top():
    with pytest.raises(source.DirectiveBelow, match=r"001_a\.sql:2:1: `no-transaction` steers the whole file"):
        read(("001_a.sql", "SELECT 1;\n-- tidelock: no-transaction\n"))
    [found] = read(
        (
            "001_a.sql",
            "/* why */ -- and how\n\n-- tidelock: no-transaction\nSELECT 1;\n-- tidelock: allow LK001: small\n",
        )
    )
    assert [each.name for each in found.directives] == ["no-transaction", "allow"]


def test_what_looks_like_a_directive_in_data_is_none():
    [found] = read(("001_a.sql", "COPY a FROM stdin;\n-- tidelock: whatever\n\\.\n"))
    assert found.directives == ()
