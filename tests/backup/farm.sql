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
CREATE TYPE "Größen".farbe AS ENUM ('rot', 'grün');
CREATE TYPE "Größen".paar AS (l text, r float8);
CREATE DOMAIN "Größen".anteil AS float8 CHECK (VALUE BETWEEN 0 AND 1);
CREATE TABLE "Größen".arten (
    weg int, f8 float8, f4 float4, n numeric, b bytea, z timestamptz, i interval, a text[], r int4range, e "Größen".farbe,
    p "Größen".paar, d "Größen".anteil, t tsvector, c regclass, m bit varying, s inet, j json);
ALTER TABLE "Größen".arten DROP COLUMN weg;
INSERT INTO "Größen".arten VALUES
    (0.1 + 0.2, 1e-45, 'NaN', '\x005cff0a', 'infinity', '-1 mon 3.5 s', '{"a\\.","",NULL,"\"ü"}', '(,5]', 'grün',
     ROW('\.', '-Infinity'), 0.1, 'a:1 ''b c'':2', '"Größen".kinder', '101', '::1/64', '{"a" : 1,  "a":2}'),
    ('-0', 3.4028235e38, 1e-400, '', '4713-01-01 BC', '1 y -1 d', '{}', 'empty', 'rot', NULL, 1, '', NULL, '', NULL, NULL);
CREATE TABLE "Größen".nur_erzeugt (g int GENERATED ALWAYS AS (1 + 1) STORED);
INSERT INTO "Größen".nur_erzeugt SELECT FROM generate_series(1, 3);
CREATE TABLE "Größen".gestreut (f "Größen".farbe, n int) PARTITION BY HASH (f);
CREATE TABLE "Größen".gestreut_0 PARTITION OF "Größen".gestreut FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE "Größen".gestreut_1 PARTITION OF "Größen".gestreut FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO "Größen".gestreut SELECT CASE WHEN i % 3 = 0 THEN 'rot' ELSE 'grün' END::"Größen".farbe, i FROM generate_series(1, 90) i;
CREATE FUNCTION "Größen".gibt_es(i int) RETURNS bool IMMUTABLE LANGUAGE sql AS
$$ SELECT EXISTS (SELECT FROM "Größen"."Maß ""x""" m WHERE m.id = i) $$;
CREATE INDEX ON "Größen".teile (id) WHERE "Größen".gibt_es(id);
CREATE STATISTICS "Größen".beide ON id, maß FROM "Größen".teile_25;
