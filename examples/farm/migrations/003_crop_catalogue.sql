-- The catalogue of crops, as data in the file. It goes through a table of the session, because COPY itself knows
-- no ON CONFLICT and the file has to be harmless when it is run again.

CREATE TABLE IF NOT EXISTS crops (
    code         text PRIMARY KEY,
    name         text NOT NULL,
    season_days  integer NOT NULL CHECK (season_days > 0),
    note         text
);

CREATE TEMPORARY TABLE crops_import (LIKE crops);

COPY crops_import (code, name, season_days, note) FROM stdin;
barley	Barley	110	\N
maize	Maize	140	needs water; lots of it
oat	Oat	120	\N
olive	Olive	240	perennial: the season is bloom to harvest
vine	Vine	200	C:\\bodega\\vine is where the old notes are
wheat	Wheat	230	winter wheat
\.

INSERT INTO crops (code, name, season_days, note)
SELECT code, name, season_days, note FROM crops_import
ON CONFLICT (code) DO UPDATE
    SET name = EXCLUDED.name, season_days = EXCLUDED.season_days, note = EXCLUDED.note;

DROP TABLE crops_import;

-- tidelock: allow LK015: nobody deletes a crop
ALTER TABLE parcels ADD COLUMN IF NOT EXISTS crop text REFERENCES crops (code);
