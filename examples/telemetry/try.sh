#!/bin/sh
# Shows that redefining energy_hourly loses nothing. Needs a TimescaleDB (community edition) in which the database that
# DATABASE_URL names may be filled: one made for this, and thrown away afterwards.
#
#   docker run -d -p 127.0.0.1:5432:5432 -e POSTGRES_PASSWORD=secret timescale/timescaledb:latest-pg17
#   DATABASE_URL=postgresql://postgres:secret@127.0.0.1:5432/postgres examples/telemetry/try.sh
set -eu
cd "$(dirname "$0")"
: "${DATABASE_URL:?set DATABASE_URL to a database that may be filled}"
now=$(mktemp -d)
trap 'rm -rf "$now"' EXIT
count() {
    psql "$DATABASE_URL" -qAtc "SELECT count(*) || ' hours, ' || round(sum(kwh)::numeric, 1) || ' kWh' FROM energy_hourly" \
        -c "SELECT count(*) || ' days, ' || round(sum(kwh)::numeric, 1) || ' kWh' FROM energy_daily"
}

echo "1. The schema as of last year: everything but 009"
cp migrations/00[1-8]_*.sql "$now"
tidelock apply --database "$DATABASE_URL" --dir "$now"

echo "2. Half a year of readings, of which 90 days are kept"
psql "$DATABASE_URL" -q -v ON_ERROR_STOP=1 -f fill.sql
before=$(count)
echo "$before"

echo "3. Redefining energy_hourly as everybody does it: refused"
sed '/tidelock: rebuild/d' migrations/009_*.sql > "$now/009_energy_hourly_with_minimum.sql"
tidelock apply --database "$DATABASE_URL" --dir "$now" && exit 1

echo "4. The same with -- tidelock: rebuild energy_hourly"
cp migrations/009_*.sql "$now"
tidelock apply --database "$DATABASE_URL" --dir "$now"
after=$(count)
echo "$after"
[ "$before" = "$after" ] && echo "Nothing is lost."
