"""What the TS rules know of earlier files, and what they leave alone."""

from __future__ import annotations

import pytest
from tests.core.lint import examples

from tidelock.core.lint.timescale.sight import per_chunk
from tidelock.core.report import Finding

READINGS = """
CREATE TABLE readings (time timestamptz NOT NULL, device int NOT NULL, celsius double precision);
SELECT create_hypertable('readings', 'time');
"""
HOURLY = """
CREATE MATERIALIZED VIEW hourly WITH (timescaledb.continuous) AS
SELECT time_bucket('1 hour', time) AS bucket, device, avg(celsius) AS celsius FROM readings GROUP BY 1, 2 WITH NO DATA;
"""
KEEP = "SELECT add_retention_policy('readings', INTERVAL '30 days');\n"
REFRESH = "SELECT add_continuous_aggregate_policy('hourly', INTERVAL '{}', INTERVAL '1 hour', INTERVAL '1 hour');\n"
DROP = "DROP MATERIALIZED VIEW hourly;\n"


def found(*texts: str, select: str = "TS") -> list[Finding]:
    """Findings in the last of some files."""
    named = "".join(f"\n-- file: {number:03}_file.sql\n{text}" for number, text in enumerate(texts, start=1))
    sources = examples.parted(named)
    return [
        each for each in examples.found(sources, select=(select,)) if each.place and each.place.path == sources[-1].path
    ]


def codes(*texts: str) -> list[str]:
    return [each.code for each in found(*texts)]


def test_history_is_what_raw_data_no_longer_gives():
    assert codes(READINGS, HOURLY, DROP) == []
    assert codes(READINGS, HOURLY, KEEP, DROP) == ["TS042"]
    assert codes(READINGS, HOURLY, "SELECT drop_chunks('readings', INTERVAL '1 day');", DROP) == ["TS042"]


def test_a_policy_that_was_removed_has_dropped_rows_all_the_same():
    gone = "SELECT remove_retention_policy('readings');"
    assert codes(READINGS, HOURLY, KEEP, gone, DROP) == ["TS042"]


def test_the_loss_says_how_much_and_since_when():
    [one] = found(READINGS, HOURLY, KEEP, REFRESH.format("3 days"), DROP + HOURLY)
    assert "30 days (003_file.sql)" in one.message
    assert "made again" in one.message
    assert "1 refresh policy" in one.hint


@pytest.mark.parametrize(
    ("line", "again"),
    [("-- tidelock: accept-loss hourly: kept in the archive", ""), ("-- tidelock: rebuild hourly", HOURLY)],
)
def test_a_loss_that_is_accepted_or_prevented_is_none(line: str, again: str):
    assert codes(READINGS, HOURLY, KEEP, f"{line}\n{DROP}{again}") == []


def test_a_renamed_aggregate_keeps_what_is_known_of_it():
    renamed = "ALTER MATERIALIZED VIEW hourly RENAME TO hourly_old;"
    assert codes(READINGS, HOURLY, KEEP, renamed, "DROP MATERIALIZED VIEW hourly_old;") == ["TS042"]
    assert codes(READINGS, HOURLY, KEEP, renamed, DROP) == []


def test_erosion_is_found_at_whichever_policy_comes_second():
    assert codes(READINGS, HOURLY, REFRESH.format("45 days"), KEEP) == ["TS074"]
    assert codes(READINGS, HOURLY, KEEP, REFRESH.format("45 days")) == ["TS074"]
    assert codes(READINGS, HOURLY, KEEP, REFRESH.format("30 days")) == []


def test_erosion_reaches_up_the_hierarchy():
    daily = HOURLY.replace("hourly", "daily").replace("readings", "hourly").replace("'1 hour', time", "'1 day', bucket")
    keep = KEEP.replace("readings", "hourly")
    policy = REFRESH.format("45 days").replace("hourly", "daily")
    assert codes(READINGS, HOURLY, daily, REFRESH.format("3 days"), keep, policy) == ["TS074"]


def test_a_start_offset_of_null_is_everything():
    null = REFRESH.replace("INTERVAL '{}'", "NULL")
    [one] = found(READINGS, HOURLY, KEEP, null)
    assert one.code == "TS074"
    assert "NULL (everything)" in one.message


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ("NULL, NULL", ["TS048"]),
        ("now() - INTERVAL '31 days', now()", ["TS048"]),
        ("now() - INTERVAL '30 days', NULL", []),
        ("'2026-01-01', '2026-02-01'", []),
    ],
)
def test_a_refresh_may_start_where_raw_data_starts(window: str, expected: list[str]):
    call = f"CALL refresh_continuous_aggregate('hourly', {window});"
    assert codes(READINGS, HOURLY, KEEP, call) == expected
    assert codes(READINGS, HOURLY, call) == []


def test_a_refresh_is_mended_at_its_start_and_not_at_its_end():
    call = "CALL refresh_continuous_aggregate('hourly', NULL, NULL);"
    [one] = found(READINGS, HOURLY, KEEP, call)
    assert one.rewrite == "CALL refresh_continuous_aggregate('hourly', now() - INTERVAL '30 days', NULL)"


def test_the_same_definition_in_other_lines_is_the_same():
    again = HOURLY.replace("MATERIALIZED VIEW", "MATERIALIZED VIEW IF NOT EXISTS").replace(", ", ",\n    ")
    assert codes(READINGS, HOURLY, again) == []
    [one] = found(READINGS, HOURLY, again.replace("1 hour", "2 hours"))
    assert (one.code, "buckets of 1 hour, not 2 hours" in one.message) == ("TS047", True)


def test_the_same_interval_in_other_words_is_the_same():
    again = "SELECT add_retention_policy('readings', drop_after => INTERVAL '720 hours', if_not_exists => true);"
    assert codes(READINGS, KEEP, again) == []
    assert codes(READINGS, KEEP, again.replace("720", "700")) == ["TS070"]


def test_row_security_and_columnstore_in_either_order():
    store = "ALTER TABLE readings SET (timescaledb.compress);"
    security = "ALTER TABLE readings ENABLE ROW LEVEL SECURITY;"
    assert codes(READINGS, store, security) == ["TS025"]
    assert codes(READINGS, security, store) == ["TS025"]


def test_a_hypertable_that_was_made_with_options_has_columnstore_and_its_policy():
    made = "CREATE TABLE t (time timestamptz NOT NULL, n int) WITH (tsdb.hypertable, tsdb.partition_column = 'time');"
    assert codes(made, "CALL add_columnstore_policy('t', INTERVAL '1 day');") == ["TS071"]
    assert codes(made, "ALTER TABLE t ENABLE ROW LEVEL SECURITY;") == ["TS025"]
    without = made.replace("tsdb.hypertable,", "tsdb.hypertable, tsdb.columnstore = false,")
    assert codes(without, "ALTER TABLE t ENABLE ROW LEVEL SECURITY;") == []


def test_a_key_is_found_when_the_table_becomes_a_hypertable():
    table = "CREATE TABLE t (id bigint PRIMARY KEY, time timestamptz NOT NULL);"
    assert codes(table, "SELECT create_hypertable('t', by_range('time'));") == ["TS007", "TS018"]
    assert codes(table, "CREATE UNIQUE INDEX t_id ON t (id);") == []


def test_a_key_needs_every_dimension():
    space = "SELECT add_dimension('readings', 'device', number_partitions => 4);"
    assert codes(READINGS, space, "ALTER TABLE readings ADD UNIQUE (time);") == ["TS007"]
    assert codes(READINGS, space, "ALTER TABLE readings ADD UNIQUE (time, device);") == []


def test_a_do_block_is_seen_into_and_not_rewritten():
    block = "DO $$ BEGIN CREATE INDEX CONCURRENTLY i ON readings (device); END $$;"
    [one] = found(READINGS, block)
    assert (one.code, one.rewrite, one.edit) == ("TS001", "", None)


def test_tables_without_timescaledb_are_left_alone():
    plain = "CREATE TABLE t (id int PRIMARY KEY, time timestamptz, n int);"
    text = """
    CREATE INDEX CONCURRENTLY t_n ON t (n);
    ALTER TABLE t ADD COLUMN k int NOT NULL, ENABLE ROW LEVEL SECURITY, ALTER COLUMN n TYPE bigint;
    CREATE MATERIALIZED VIEW m AS SELECT * FROM t;
    CREATE UNIQUE INDEX m_id ON m (id);
    REFRESH MATERIALIZED VIEW m;
    DROP MATERIALIZED VIEW m;
    """
    assert codes(plain, text) == []


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("CREATE INDEX ON t(a);", "CREATE INDEX ON t(a) WITH (timescaledb.transaction_per_chunk);"),
        (
            "CREATE INDEX CONCURRENTLY i ON t (a, lower(b)) INCLUDE (c) WHERE d = ')'",
            "CREATE INDEX IF NOT EXISTS i ON t (a, lower(b)) INCLUDE (c) WITH (timescaledb.transaction_per_chunk) WHERE d = ')'",
        ),
        (
            "create index i on t using btree (a) with (fillfactor=70) tablespace s",
            "create index IF NOT EXISTS i on t using btree (a) with (timescaledb.transaction_per_chunk, fillfactor=70) tablespace s",
        ),
    ],
)
def test_an_index_is_written_to_be_built_chunk_by_chunk(given: str, made: str):
    assert per_chunk(given) == made


QUOTED = """CREATE TABLE "My Readings" (time timestamptz NOT NULL, device int NOT NULL);
SELECT create_hypertable('public."My Readings"', 'time');
ALTER TABLE "My Readings" SET (timescaledb.compress);
"""


def test_a_name_in_double_quotes_is_the_hypertable_of_that_name():
    assert codes(QUOTED) == []
    assert codes(QUOTED, 'CREATE INDEX CONCURRENTLY IF NOT EXISTS x ON "My Readings" (device);') == ["TS001"]
    assert codes(QUOTED, 'CREATE UNIQUE INDEX x ON "My Readings" (device);') == ["TS002", "TS007"]
    other = "CREATE TABLE t (time timestamptz NOT NULL); SELECT create_hypertable('T', 'time');"
    assert codes(other, "CREATE INDEX CONCURRENTLY IF NOT EXISTS x ON t (time);") == ["TS001"]


def test_a_key_of_an_expression_is_written_as_one():
    [_, one] = found(READINGS, "CREATE UNIQUE INDEX x ON readings (device, (device + 1));")
    assert "(device, …)" in one.message


def test_the_index_that_a_hypertable_comes_with_is_known():
    assert codes(READINGS, "REINDEX INDEX readings_time_idx;") == ["TS006"]
    without = READINGS.replace("'time');", "'time', create_default_indexes => false);")
    assert codes(without, "REINDEX INDEX readings_time_idx;") == []


def test_a_policy_that_the_same_block_removes_is_not_passed_over():
    block = """DO $$ BEGIN
        PERFORM remove_retention_policy('readings', if_exists => true);
        PERFORM add_retention_policy('readings', INTERVAL '3 days', if_not_exists => true);
    END $$;"""
    assert codes(READINGS, KEEP, block) == []
    refreshed = REFRESH.format("7 days")
    assert codes(READINGS, HOURLY, KEEP, refreshed, block) == ["TS074"]


def test_a_hypertable_is_rewritten_like_any_table():
    assert [each.code for each in found(READINGS, "VACUUM FULL readings;", select="LK")] == ["LK030"]
    assert [each.code for each in found(READINGS, "CLUSTER readings USING x;", select="LK")] == ["LK030"]
