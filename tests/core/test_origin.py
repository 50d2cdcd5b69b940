"""Which migration an object was last made or changed by."""

from __future__ import annotations

import pytest

from tidelock.core.facts import facts_of
from tidelock.core.origin import Origins

STATEMENTS = (
    (1, "CREATE TABLE parcels (id int PRIMARY KEY, area int, CONSTRAINT positive CHECK (area > 0))"),
    (1, 'CREATE TABLE app."Odd.Name" (a int)'),
    (2, "ALTER TABLE parcels ALTER COLUMN area TYPE numeric"),
    (3, "CREATE INDEX parcels_area ON parcels (area)"),
    (4, "CREATE OR REPLACE FUNCTION touch(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'"),
    (5, "CREATE TRIGGER t BEFORE UPDATE ON parcels FOR EACH ROW EXECUTE FUNCTION touch()"),
    (6, "ALTER TABLE parcels RENAME COLUMN id TO parcel_id"),
    (7, "ALTER TABLE other.parcels ADD COLUMN area int"),
    (8, "CREATE MATERIALIZED VIEW sums AS SELECT sum(area) FROM parcels"),
)


@pytest.mark.parametrize(
    ("kind", "name", "version"),
    [
        ("table", "public.parcels", 6),
        ("column", "public.parcels.area", 2),
        ("column", "other.parcels.area", 7),
        ("column", "public.parcels.parcel_id", 6),
        ("constraint", "public.parcels.positive", 1),
        ("constraint", "public.parcels.parcels_pkey", 1),
        ("column", 'app."Odd.Name".a', 1),
        ("index", "public.parcels_area", 3),
        ("function", "public.touch(a integer)", 4),
        ("trigger", "public.parcels.t", 5),
        ("materialized view", "public.sums", 8),
        ("table", "public.unknown", None),
        ("setting", "work_mem", None),
    ],
)
def test_the_last_statement_that_names_it_counts_and_else_the_one_that_made_its_table(
    kind: str, name: str, version: int | None
):
    origins = Origins()
    for number, text in STATEMENTS:
        origins.learn(number, facts_of(text))
    assert origins.of((kind, name)) == version
