"""Background jobs of TimescaleDB as values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import sql

from tidelock.core.aggregates import Interval, Job

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[Any]

# A running job and its parallel workers share their application_name, by which job_stats joins pg_stat_activity: there
# a job is as many rows as it has backends. An interval in a config is read by the server, which wrote it.
JOBS = """
SELECT DISTINCT ON (j.job_id) j.job_id,
       CASE WHEN j.proc_schema ~ '^_timescaledb' THEN j.proc_name
            ELSE format('%I.%I', j.proc_schema, j.proc_name) END,
       CASE WHEN j.hypertable_name IS NULL THEN '' ELSE format('%I.%I', j.hypertable_schema, j.hypertable_name) END,
       coalesce(j.config, '{}'),
       j.schedule_interval::text, j.scheduled, CASE WHEN isfinite(j.next_start) THEN j.next_start END,
       CASE WHEN isfinite(s.last_successful_finish) THEN s.last_successful_finish END, coalesce(s.last_run_status, ''),
       coalesce(s.job_status = 'Running', false), coalesce(s.total_failures, 0),
       coalesce((SELECT e.err_message FROM timescaledb_information.job_errors e
                  WHERE e.job_id = j.job_id AND s.last_run_status = 'Failed' ORDER BY e.start_time DESC LIMIT 1), ''),
       (SELECT coalesce(json_object_agg(c.key, CASE
                 WHEN c.value ~ '^-?[0-9]+$' THEN json_build_array(c.value::bigint)
                 ELSE json_build_array(extract(year FROM c.value::interval) * 12
                                       + extract(month FROM c.value::interval),
                                       extract(day FROM c.value::interval),
                                       extract(hour FROM c.value::interval) * 3600000000
                                       + extract(minute FROM c.value::interval) * 60000000
                                       + extract(microseconds FROM c.value::interval)) END), '{}')
          FROM jsonb_each_text(coalesce(j.config, '{}')) c
         WHERE c.key IN ('start_offset', 'end_offset', 'drop_after', 'compress_after') AND c.value IS NOT NULL
           AND j.proc_schema ~ '^_timescaledb'),
       coalesce(b.timezone, '')
  FROM timescaledb_information.jobs j LEFT JOIN timescaledb_information.job_stats s USING (job_id)
  LEFT JOIN _timescaledb_config.bgw_job b ON b.id = j.job_id
 WHERE j.job_id >= 1000 ORDER BY j.job_id, s.job_status = 'Running' DESC"""
AGE = "SELECT (extract(epoch FROM now() - make_interval(months => %s, days => %s, secs => %s)) * 1000000)::bigint"
MAY_CALL = "SELECT has_function_privilege(to_regproc(%s), 'EXECUTE')"


def take(conn: Connection) -> list[Job]:
    """Policies and users' actions; not TimescaleDB's own housekeeping."""
    found = []
    for *plain, offsets, timezone in conn.execute(JOBS).fetchall():
        names = list(Job.__dataclass_fields__)[: len(plain)]
        read = {name: interval(parts) for name, parts in offsets.items()}
        found.append(Job(**dict(zip(names, plain, strict=True)), offsets=read, timezone=timezone))
    return found


def interval(parts: list[float]) -> Interval | int:
    """What JOBS makes of an offset: its three parts, or the one number of a hypertable over integers."""
    if len(parts) == 1:
        return int(parts[0])
    months, days, us = map(int, parts)
    return Interval(months, days, us)


def aged(conn: Connection, job: Job | None, clock: str, integers: bool) -> int | None:
    """The point before which a retention policy drops; None without one, and when its clock cannot be asked."""
    age = job.offsets.get("drop_after") if job else None
    if isinstance(age, Interval):
        row = conn.execute(AGE, (age.months, age.days, age.us / 1_000_000)).fetchone()
        return row[0] if row else None
    if age is None or not integers or not clock or conn.execute(MAY_CALL, (clock,)).fetchone() != (True,):
        return None
    row = conn.execute(sql.SQL("SELECT {}()").format(sql.SQL(clock))).fetchone()  # quoted by the catalog
    return int(row[0]) - age if row else None
