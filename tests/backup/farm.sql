-- What schemas/rich.sql has no rows of, under names that want quotes.
CREATE SCHEMA "Größen";
CREATE TABLE "Größen"."Maß ""x""" (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "Länge" numeric NOT NULL,
    doppelt numeric GENERATED ALWAYS AS ("Länge" * 2) STORED, note text);
COMMENT ON COLUMN "Größen"."Maß ""x"""."Länge" IS 'in "Metern"; nicht ''Fuß''';
INSERT INTO "Größen"."Maß ""x""" ("Länge", note)
SELECT i / 3.0, repeat(md5(i::text), 4) FROM generate_series(1, 30000) i;
CREATE TABLE "Größen".teile (id int, maß bigint REFERENCES "Größen"."Maß ""x""", wann date) PARTITION BY RANGE (wann);
CREATE TABLE "Größen".teile_25 PARTITION OF "Größen".teile FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE "Größen".teile_rest PARTITION OF "Größen".teile DEFAULT;
INSERT INTO "Größen".teile SELECT i, i, date '2024-12-01' + i % 700 FROM generate_series(1, 9000) i;
CREATE TABLE "Größen".eltern (a int, b text);
CREATE TABLE "Größen".kinder (c jsonb) INHERITS ("Größen".eltern);
INSERT INTO "Größen".eltern VALUES (1, 'eins'), (2, NULL), (NULL, E'tab\tnew\nline \\ slash');
INSERT INTO "Größen".kinder VALUES (3, 'drei', '{"ä": [1, 2.50]}');
CREATE TABLE "Größen".zähler (n bigint);
INSERT INTO "Größen".zähler VALUES (0);
CREATE FUNCTION "Größen".zählt() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN UPDATE "Größen".zähler SET n = n + 1; RETURN NULL; END $$;
CREATE TRIGGER zählt AFTER INSERT ON "Größen".teile FOR EACH STATEMENT EXECUTE FUNCTION "Größen".zählt();
ALTER TABLE "Größen".eltern ENABLE ROW LEVEL SECURITY;
CREATE POLICY nur_eins ON "Größen".eltern USING (a = 1);
CREATE MATERIALIZED VIEW "Größen".summe AS SELECT count(*) AS n, sum("Länge") AS s FROM "Größen"."Maß ""x""";
CREATE SEQUENCE "Größen".nummer START 7 INCREMENT 3;
SELECT nextval('"Größen".nummer'), nextval('"Größen".nummer');
SELECT lo_from_bytea(0, decode(repeat('00ff80', 2000), 'hex')), lo_from_bytea(0, 'zwei');
GRANT SELECT ON "Größen".eltern TO pg_monitor;
