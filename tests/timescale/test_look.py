"""A look at a real TimescaleDB's catalog, and what exists in an aggregate alone."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from tidelock.core.aggregates import History, Interval, Span, moment
from tidelock.timescale import history, look

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidelock.core.aggregates import Aggregate

    Connection = psycopg.Connection[Any]


@pytest.fixture
def conn(timescale_dsn: str) -> Iterator[Connection]:
    with closing(psycopg.connect(timescale_dsn, autocommit=True)) as found:
        found.execute("SET client_min_messages = error")
        yield found


def do(conn: Connection, *statements: str) -> None:
    for each in statements:
        conn.execute(each.encode())


def only(conn: Connection) -> Aggregate:
    [found] = look.take(conn).aggregates
    return found


def hypertable(kind: str, interval: str, rows: str, name: str = "r") -> list[str]:
    return [
        f"CREATE TABLE {name} (at {kind} NOT NULL, d int, v double precision)",
        f"SELECT create_hypertable('{name}', by_range('at', {interval}))",
        f"INSERT INTO {name} SELECT {rows}",
    ]


def hourly(*, bucket: str = "time_bucket('1 hour', at)", name: str = "h", source: str = "r") -> list[str]:
    return [
        (
            f"CREATE MATERIALIZED VIEW {name} WITH (timescaledb.continuous) AS "
            f"SELECT {bucket} AS b, d, sum(v) AS s, count(*) AS n FROM {source} GROUP BY 1, 2 WITH NO DATA"
        ),
        f"CALL refresh_continuous_aggregate('{name}', NULL, NULL)",
    ]


TEN_DAYS = (
    "t, d, 1 FROM generate_series('2026-01-01'::timestamptz, '2026-01-10 23:00', '1 hour') t, generate_series(1, 2) d"
)


def shown(found: History | None) -> tuple[int, int, str] | None:
    return (found.buckets, found.rows, str(found.span)) if found else None


def test_nothing_is_lost_while_the_raw_rows_are_there(conn: Connection):
    do(conn, *hypertable("timestamptz", "INTERVAL '1 day'", TEN_DAYS), *hourly())
    found = only(conn)
    assert (found.name, found.hypertable, found.bucket, found.kind) == (
        "public.h",
        "public.r",
        "01:00:00",
        "timestamptz",
    )
    assert str(found.materialized) == "2026-01-01 to 2026-01-11"
    assert history.of(conn, found) is None
    assert shown(history.of(conn, found, rootless=True)) == (240, 480, "2026-01-01 to 2026-01-11")


def test_dropped_chunks_leave_buckets_that_exist_nowhere_else(conn: Connection):
    do(conn, *hypertable("timestamptz", "INTERVAL '1 day'", TEN_DAYS), *hourly())
    do(conn, "SELECT drop_chunks('r', older_than => '2026-01-06'::timestamptz)")
    assert shown(history.of(conn, only(conn))) == (120, 240, "2026-01-01 to 2026-01-06")
    span = Span(start=1767312000000000, end=1767398400000000, kind="timestamptz")  # 2026-01-02
    assert shown(history.of(conn, only(conn), within=span)) == (24, 48, "2026-01-02 to 2026-01-03")


def test_a_late_row_does_not_vouch_for_its_bucket(conn: Connection):
    do(conn, *hypertable("timestamptz", "INTERVAL '1 day'", TEN_DAYS), *hourly())
    do(conn, "SELECT drop_chunks('r', older_than => '2026-01-06'::timestamptz)")
    do(conn, "INSERT INTO r VALUES ('2026-01-03 05:30', 1, 1), ('2026-01-05 23:30', 2, 1)")
    assert shown(history.of(conn, only(conn))) == (120, 240, "2026-01-01 to 2026-01-06")


def test_rows_that_are_not_refreshed_yet_are_no_history(conn: Connection):
    do(conn, *hypertable("timestamptz", "INTERVAL '30 days'", TEN_DAYS), *hourly())
    do(conn, "INSERT INTO r VALUES ('2026-01-05 05:30', 1, 1)")
    assert history.of(conn, only(conn)) is None


def test_a_bucket_that_a_dropped_chunk_cuts_exists_nowhere_else(conn: Connection):
    rows = "t, 1, 1 FROM generate_series('2026-01-01'::timestamptz, '2026-04-30', '1 day') t"
    do(conn, *hypertable("timestamptz", "INTERVAL '1 day'", rows), *hourly(bucket="time_bucket('1 month', at)"))
    do(conn, "SELECT drop_chunks('r', older_than => '2026-02-11'::timestamptz)")
    assert shown(history.of(conn, only(conn))) == (2, 2, "2026-01-01 to 2026-03-01")


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
def test_the_session_s_time_zone_changes_nothing(conn: Connection, zone: str):
    rows = "t, 1, 1 FROM generate_series('2026-01-01'::timestamptz, '2026-04-30', '1 hour') t"
    do(conn, "SET timezone = 'UTC'", *hypertable("timestamptz", "INTERVAL '1 day'", rows))
    do(
        conn,
        *hourly(bucket="time_bucket('1 month', at)"),
        "SELECT drop_chunks('r', older_than => '2026-04-01'::timestamptz)",
    )
    do(conn, f"SET timezone = '{zone}'")
    assert shown(history.of(conn, only(conn))) == (3, 3, "2026-01-01 to 2026-04-01")


def test_buckets_of_a_time_zone_end_there(conn: Connection):
    rows = "t, 1, 1 FROM generate_series('2026-03-20'::timestamptz, '2026-04-05', '1 hour') t"
    do(conn, *hypertable("timestamptz", "INTERVAL '1 day'", rows))
    do(conn, *hourly(bucket="time_bucket('1 day', at, 'Europe/Berlin')"))
    do(conn, "SELECT drop_chunks('r', older_than => '2026-03-30'::timestamptz)")
    found = only(conn)
    assert found.timezone == "Europe/Berlin"
    # The bucket of 29 March has 23 hours; that of the 30th begins at 22:00 of the 29th and is there in part.
    assert shown(history.of(conn, found)) == (11, 11, "2026-03-19 23:00 to 2026-03-30 22:00")


@pytest.mark.parametrize("kind", ["smallint", "integer", "bigint"])
def test_time_may_be_a_number(conn: Connection, kind: str):
    rows = "t, 1, 1 FROM generate_series(0, 999) t"
    do(
        conn,
        *hypertable(kind, "100", rows),
        f"CREATE FUNCTION clock() RETURNS {kind} LANGUAGE sql STABLE AS 'SELECT 1000::{kind}'",
        "SELECT set_integer_now_func('r', 'clock')",
        *hourly(bucket=f"time_bucket(10::{kind}, at)"),
        f"SELECT drop_chunks('r', older_than => 500::{kind})",
        f"SELECT add_retention_policy('r', drop_after => 500::{kind})",
    )
    found = only(conn)
    assert (found.kind, found.bucket, found.retention, str(found.raw)) == (kind, "10", 500, "500 to 1000")
    assert shown(history.of(conn, found)) == (50, 50, "0 to 500")


def test_numbers_may_be_as_large_as_their_type_allows(conn: Connection):
    do(conn, *hypertable("smallint", "1000", "t, 1, 1 FROM generate_series(30000, 32767, 50) t"))
    do(
        conn,
        "CREATE FUNCTION clock() RETURNS smallint LANGUAGE sql STABLE AS 'SELECT 32767::smallint'",
        "SELECT set_integer_now_func('r', 'clock')",
        *hourly(bucket="time_bucket(100::smallint, at)"),
        "SELECT drop_chunks('r', older_than => 31000::smallint)",
    )
    assert shown(history.of(conn, only(conn))) == (10, 10, "30000 to 31000")


@pytest.mark.parametrize("kind", ["date", "timestamp"])
def test_time_may_be_without_a_zone(conn: Connection, kind: str):
    rows = "t, 1, 1 FROM generate_series('2026-01-01'::timestamp, '2026-01-31', '1 day') t"
    do(conn, "SET timezone = 'Asia/Tokyo'", *hypertable(kind, "INTERVAL '7 days'", rows))
    do(
        conn,
        *hourly(bucket="time_bucket(INTERVAL '1 day', at)"),
        f"SELECT drop_chunks('r', older_than => '2026-01-15'::{kind})",
    )
    found = only(conn)
    assert found.kind == kind
    # Chunks of seven days begin on Thursdays: the one with the 15th is whole.
    assert shown(history.of(conn, found)) == (14, 14, "2026-01-01 to 2026-01-15")


@pytest.mark.timescale(">= 2.24")
def test_time_may_be_in_a_uuid(conn: Connection):
    rows = "to_uuidv7(t), 1, 1 FROM generate_series('2026-01-01'::timestamptz, '2026-01-09 23:00', '1 hour') t"
    do(conn, *hypertable("uuid", "INTERVAL '1 day'", rows), *hourly())
    do(conn, "SELECT drop_chunks('r', older_than => '2026-01-05'::timestamptz)")
    assert shown(history.of(conn, only(conn))) == (96, 96, "2026-01-01 to 2026-01-05")


def test_an_aggregate_of_an_aggregate_reads_its_parent(conn: Connection):
    do(conn, *hypertable("timestamptz", "INTERVAL '1 day'", TEN_DAYS), *hourly())
    do(
        conn,
        "CREATE MATERIALIZED VIEW daily WITH (timescaledb.continuous) AS SELECT time_bucket('1 day', b) AS day, sum(s) AS s FROM h GROUP BY 1 WITH NO DATA",
        "CALL refresh_continuous_aggregate('daily', NULL, NULL)",
        "SELECT drop_chunks('r', older_than => '2026-01-06'::timestamptz)",
    )
    hour, day = look.take(conn).aggregates
    assert (day.parent, day.hypertable, day.source) == ("public.h", "public.r", hour.relation)
    assert look.take(conn).above(hour) == (day,)
    assert history.of(conn, day) is None, "its parent has all that it was made of"
    do(conn, "SELECT drop_chunks('h', older_than => '2026-01-20'::timestamptz)")
    day = look.take(conn).aggregates[1]
    assert shown(history.of(conn, day)) == (10, 10, "2026-01-01 to 2026-01-11")


def test_partitions_by_hash_and_quoted_names_are_seen(conn: Connection):
    do(
        conn,
        'CREATE SCHEMA "Höfe & Co"',
        'CREATE TABLE "Höfe & Co"."Maß%" ("Zeit" timestamptz NOT NULL, "Gerät" int, v double precision)',
        """SELECT create_hypertable('"Höfe & Co"."Maß%"', by_range('Zeit', INTERVAL '1 day'))""",
        """SELECT add_dimension('"Höfe & Co"."Maß%"', by_hash('Gerät', 4))""",
        f"""INSERT INTO "Höfe & Co"."Maß%" SELECT {TEN_DAYS}""",
        'CREATE MATERIALIZED VIEW "Höfe & Co"."Stündlich" WITH (timescaledb.continuous) AS SELECT time_bucket(\'1 hour\', "Zeit") AS "Stunde %", "Gerät", sum(v) FROM "Höfe & Co"."Maß%" GROUP BY 1, 2 WITH NO DATA',
        """CALL refresh_continuous_aggregate('"Höfe & Co"."Stündlich"', NULL, NULL)""",
        """SELECT drop_chunks('"Höfe & Co"."Maß%"', older_than => '2026-01-04'::timestamptz)""",
    )
    stock = look.take(conn, sizes=True)
    [table], [found] = stock.hypertables, stock.aggregates
    assert (table.name, table.time, str(table.span)) == ('"Höfe & Co"."Maß%"', "Zeit", "2026-01-04 to 2026-01-11")
    assert table.size_bytes > 0 < found.size_bytes
    assert shown(history.of(conn, found)) == (72, 144, "2026-01-01 to 2026-01-04")


def test_an_empty_aggregate_has_nothing(conn: Connection):
    do(conn, *hypertable("timestamptz", "INTERVAL '1 day'", TEN_DAYS), hourly()[0])
    found = only(conn)
    assert found.materialized is None
    assert found.raw is not None
    assert history.of(conn, found) is None
    do(conn, "TRUNCATE r")
    assert only(conn).raw is None


def test_compressed_chunks_count_as_others(conn: Connection):
    do(conn, *hypertable("timestamptz", "INTERVAL '1 day'", TEN_DAYS), *hourly())
    do(conn, "ALTER TABLE r SET (timescaledb.enable_columnstore, timescaledb.segmentby = 'd')")
    do(conn, "ALTER MATERIALIZED VIEW h SET (timescaledb.enable_columnstore = true)")
    do(conn, "SELECT compress_chunk(c) FROM show_chunks('r') c", "SELECT compress_chunk(c) FROM show_chunks('h') c")
    do(conn, "SELECT drop_chunks('r', older_than => '2026-01-06'::timestamptz)")
    [table] = look.take(conn).hypertables
    assert (table.chunks, table.compressed, table.columnstore) == (5, 5, True)
    assert shown(history.of(conn, only(conn))) == (120, 240, "2026-01-01 to 2026-01-06")


def test_renamed_columns_are_compared_by_their_new_names(conn: Connection):
    do(conn, *hypertable("timestamptz", "INTERVAL '1 day'", TEN_DAYS), *hourly())
    do(conn, "ALTER MATERIALIZED VIEW h RENAME COLUMN s TO total", "ALTER TABLE r RENAME COLUMN v TO watts")
    do(
        conn,
        "SELECT drop_chunks('r', older_than => '2026-01-06'::timestamptz)",
        "INSERT INTO r VALUES ('2026-01-03 05:30', 1, 1)",
    )
    assert shown(history.of(conn, only(conn))) == (120, 240, "2026-01-01 to 2026-01-06")


def test_jobs_come_with_their_offsets(conn: Connection):
    do(conn, *hypertable("timestamptz", "INTERVAL '1 day'", TEN_DAYS), *hourly())
    do(
        conn,
        "SELECT add_continuous_aggregate_policy('h', '1 month 3 days', '01:30', '1 day', initial_start => '2026-01-01', timezone => 'Europe/Berlin')",
        "SELECT add_retention_policy('r', INTERVAL '2 years')",
        "CREATE PROCEDURE mine(int, jsonb) LANGUAGE sql AS 'SELECT 1'",
        """SELECT add_job('mine', '1 hour', config => '{"start_offset": "whenever"}')""",
    )
    stock = look.take(conn)
    [refresh] = stock.aggregates[0].jobs
    assert refresh.offsets == {"start_offset": Interval(1, 3), "end_offset": Interval(us=5_400_000_000)}
    assert (refresh.timezone, stock.aggregates[0].retention) == ("Europe/Berlin", Interval(24))
    assert [each.proc for each in stock.jobs] == ["public.mine"]


def test_what_a_role_may_not_read_is_named(conn: Connection):
    do(conn, *hypertable("timestamptz", "INTERVAL '1 day'", TEN_DAYS), *hourly())
    do(conn, "CREATE SCHEMA hidden", *hypertable("timestamptz", "INTERVAL '1 day'", TEN_DAYS, name="hidden.x"))
    name = sql.Identifier(f"reader_{conn.info.dbname}")
    conn.execute(sql.SQL("CREATE ROLE {}").format(name))
    try:
        conn.execute(sql.SQL("SET ROLE {}").format(name))
        found = only(conn)
        assert set(found.unread) == {found.relation, "public.r", found.direct}
        assert found.materialized is None is found.raw
        assert [each.name for each in look.take(conn, sizes=True).hypertables] == ["hidden.x", "public.r"]
        do(conn, "RESET ROLE")
        conn.execute(sql.SQL("GRANT SELECT ON h TO {}").format(name))
        conn.execute(sql.SQL("SET ROLE {}").format(name))
        assert only(conn).unread == ("public.r",)
        assert history.of(conn, only(conn)) == history.of(conn, only(conn), rootless=True), "nobody can say"
    finally:
        do(conn, "RESET ROLE")
        conn.execute(sql.SQL("DROP OWNED BY {}").format(name))
        conn.execute(sql.SQL("DROP ROLE {}").format(name))


def test_a_thousand_chunks_take_no_second_and_few_locks(conn: Connection):
    rows = "t, 1, 1 FROM generate_series('2023-01-01'::timestamptz, '2025-09-26', '6 hours') t"
    do(conn, *hypertable("timestamptz", "INTERVAL '1 day'", rows), *hourly())
    do(conn, "SELECT drop_chunks('r', older_than => '2023-02-01'::timestamptz)")
    look.take(conn)
    with conn.transaction():
        started = time.monotonic()
        found = only(conn)
        took = time.monotonic() - started
        [locks] = conn.execute("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()").fetchone() or (0,)
    assert took < 1
    assert locks < 100
    assert shown(history.of(conn, found)) == (124, 124, "2023-01-01 to 2023-01-31 19:00")


def test_a_point_beyond_python_s_calendar_can_be_told():
    assert moment(2**62, "timestamptz") == "infinity"
    assert moment(-(2**62), "date") == "-infinity"
