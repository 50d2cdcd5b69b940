-- One of everything that a snapshot holds, for servers from PostgreSQL 15 on.
CREATE SCHEMA app;
CREATE SCHEMA "Odd Names";
COMMENT ON SCHEMA app IS 'what the application sees';

CREATE TYPE app.mood AS ENUM ('sad', 'ok', 'it''s fine');
CREATE TYPE app.pair AS (a integer, b text COLLATE "C");
CREATE DOMAIN app.positive AS integer DEFAULT 1 NOT NULL CONSTRAINT above_zero CHECK (VALUE > 0);
CREATE TYPE app.span AS RANGE (subtype = float8, subtype_diff = float8mi);
COMMENT ON TYPE app.mood IS 'how it goes';

CREATE SEQUENCE app.codes AS integer START 100 INCREMENT 5 MAXVALUE 9000 CACHE 10 CYCLE;
CREATE FUNCTION app.next_code() RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT 'c' || nextval('app.codes') $$;

CREATE TABLE app.sites (
    id bigint GENERATED ALWAYS AS IDENTITY (START 10) PRIMARY KEY,
    name text NOT NULL UNIQUE,
    code text NOT NULL DEFAULT app.next_code(),
    mood app.mood DEFAULT 'ok' NOT NULL,
    pairs app.pair[],
    size app.positive,
    reach app.span,
    area numeric(10, 4) CHECK (area > 0),
    twice numeric GENERATED ALWAYS AS (area * 2) STORED,
    note varchar(40) COLLATE "C",
    blob bytea,
    made timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT sites_area_size CHECK (area > size)
) WITH (fillfactor = 80, autovacuum_enabled = false);
ALTER TABLE app.sites ALTER COLUMN blob SET STORAGE EXTERNAL;
ALTER TABLE app.sites ALTER COLUMN name SET STATISTICS 500;
ALTER TABLE app.sites ALTER COLUMN area SET (n_distinct = -0.5);
COMMENT ON TABLE app.sites IS 'places';
COMMENT ON COLUMN app.sites.area IS 'hectares';
COMMENT ON CONSTRAINT sites_area_size ON app.sites IS 'sane';

CREATE TABLE app.readings (
    id serial,
    site bigint REFERENCES app.sites (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    at timestamptz NOT NULL,
    value double precision,
    during tstzrange,
    EXCLUDE USING gist (during WITH &&),
    PRIMARY KEY (id, at)
);
ALTER TABLE app.readings ADD CONSTRAINT readings_value CHECK (value < 1000) NOT VALID;
CREATE INDEX readings_recent ON app.readings (at DESC) INCLUDE (value) WHERE value IS NOT NULL;
CREATE INDEX readings_expression ON app.readings ((value * 2), lower(site::text) text_pattern_ops) WITH (fillfactor = 70);
CREATE UNIQUE INDEX readings_identity ON app.readings (site, at);
ALTER TABLE app.readings REPLICA IDENTITY USING INDEX readings_pkey;
CLUSTER app.readings USING readings_identity;
COMMENT ON INDEX app.readings_recent IS 'the chart';
CREATE STATISTICS app.readings_site_at (dependencies, ndistinct) ON site, at FROM app.readings;
ALTER STATISTICS app.readings_site_at SET STATISTICS 200;

CREATE TABLE app.events (at date NOT NULL, kind text NOT NULL, body jsonb, PRIMARY KEY (at, kind)) PARTITION BY RANGE (at);
CREATE INDEX events_kind ON app.events (kind);
CREATE TABLE app.events_2026 PARTITION OF app.events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE app.events_rest PARTITION OF app.events DEFAULT PARTITION BY LIST (kind);
CREATE TABLE app.events_rest_a PARTITION OF app.events_rest FOR VALUES IN ('a', 'b') WITH (fillfactor = 90);
ALTER TABLE app.events_2026 ADD CONSTRAINT own_check CHECK (kind <> '');

CREATE TABLE app.parent (a integer NOT NULL, b text DEFAULT 'x', CONSTRAINT parent_a CHECK (a > 0));
CREATE TABLE app.child (c integer) INHERITS (app.parent);
CREATE UNLOGGED TABLE app.scratch (a integer);
CREATE TABLE app.ring_a (id integer PRIMARY KEY, other integer);
CREATE TABLE app.ring_b (id integer PRIMARY KEY, other integer REFERENCES app.ring_a);
ALTER TABLE app.ring_a ADD FOREIGN KEY (other) REFERENCES app.ring_b;
CREATE TABLE "Odd Names"."A table, quoted" ("the ""id""" integer PRIMARY KEY, "select" text);

CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = app, pg_temp AS $$
BEGIN
    NEW.made := now();
    RETURN NEW;
END
$$;
CREATE FUNCTION app.of_row(app.sites) RETURNS text IMMUTABLE STRICT PARALLEL SAFE LANGUAGE sql AS $$ SELECT $1.name $$;
CREATE FUNCTION app.later(a integer, b integer DEFAULT 2, VARIADIC rest integer[] DEFAULT '{}') RETURNS TABLE (x integer, y text)
LANGUAGE sql COST 50 ROWS 7 BEGIN ATOMIC SELECT a + b, s.name FROM app.sites s; END;
CREATE PROCEDURE app.work(INOUT n integer) LANGUAGE plpgsql AS $$ BEGIN n := n + 1; END $$;
CREATE AGGREGATE app.total (integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '0', COMBINEFUNC = int4pl, PARALLEL = SAFE);
COMMENT ON FUNCTION app.touch() IS 'keeps made honest';

CREATE VIEW app.big_sites WITH (security_barrier = true) AS SELECT id, name, area AS hectares FROM app.sites WHERE area > 10 WITH LOCAL CHECK OPTION;
CREATE VIEW app.by_site AS
SELECT s.name, r.site, count(*) AS n, max(r.value) FILTER (WHERE r.at > '2026-01-01') AS top,
       (SELECT max(x.value) FROM app.readings x WHERE x.site = s.id) AS best
FROM app.sites s LEFT JOIN app.readings r ON r.site = s.id GROUP BY s.id, s.name, r.site;
CREATE VIEW app.grouped AS SELECT site, date_trunc('day', at) AS day, avg(value) AS mean FROM app.readings GROUP BY site, date_trunc('day', at) HAVING count(*) > 1 ORDER BY site;
CREATE VIEW app.united AS SELECT id FROM app.big_sites UNION ALL SELECT site FROM app.grouped;
CREATE VIEW app.nested AS SELECT q.name FROM (SELECT name, row_number() OVER (PARTITION BY mood ORDER BY id) AS n FROM app.sites) q WHERE q.n = 1;
CREATE VIEW app.numbers AS WITH RECURSIVE x (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM x WHERE n < 5) SELECT n FROM x;
CREATE MATERIALIZED VIEW app.summary AS SELECT site, sum(value) AS total FROM app.readings GROUP BY site;
CREATE UNIQUE INDEX summary_site ON app.summary (site);
COMMENT ON VIEW app.big_sites IS 'above ten';
COMMENT ON COLUMN app.big_sites.hectares IS 'area';
COMMENT ON MATERIALIZED VIEW app.summary IS 'sums';
ALTER VIEW app.big_sites ALTER COLUMN name SET DEFAULT 'none';
ALTER TABLE app.readings ADD COLUMN shown text DEFAULT app.of_row(NULL);
ALTER TABLE app.sites ADD CONSTRAINT sites_row CHECK (app.of_row(sites.*) <> '');

CREATE TRIGGER touch BEFORE UPDATE OF name, area ON app.sites FOR EACH ROW WHEN (OLD.name IS DISTINCT FROM NEW.name) EXECUTE FUNCTION app.touch();
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON app.readings DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE TRIGGER off BEFORE INSERT ON app.readings FOR EACH ROW EXECUTE FUNCTION app.touch();
ALTER TABLE app.readings DISABLE TRIGGER off;
CREATE TRIGGER each_event BEFORE INSERT ON app.events FOR EACH ROW EXECUTE FUNCTION app.touch();
COMMENT ON TRIGGER touch ON app.sites IS 'see touch()';
CREATE RULE protect AS ON DELETE TO app.big_sites DO INSTEAD NOTHING;

ALTER TABLE app.sites ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.sites FORCE ROW LEVEL SECURITY;
CREATE POLICY owners ON app.sites AS RESTRICTIVE FOR UPDATE TO pg_monitor USING (name = current_user) WITH CHECK (area > 1);
CREATE POLICY readers ON app.sites FOR SELECT USING (true);
COMMENT ON POLICY readers ON app.sites IS 'all';

GRANT USAGE ON SCHEMA app TO pg_monitor;
GRANT SELECT, INSERT ON app.sites TO pg_monitor WITH GRANT OPTION;
GRANT ALL ON app.readings TO pg_monitor;
GRANT SELECT (name, area) ON app.sites TO pg_read_all_stats;
GRANT SELECT ON app.big_sites TO PUBLIC;
GRANT USAGE ON SEQUENCE app.codes TO pg_monitor;
REVOKE EXECUTE ON FUNCTION app.touch() FROM PUBLIC;
REVOKE USAGE ON TYPE app.mood FROM PUBLIC;
REVOKE TRUNCATE ON app.parent FROM CURRENT_USER;
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO pg_monitor;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

CREATE FUNCTION app.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;
CREATE EVENT TRIGGER watch ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'DROP TABLE') EXECUTE FUNCTION app.on_ddl();
ALTER EVENT TRIGGER watch DISABLE;
CREATE PUBLICATION everything FOR TABLE app.sites (id, name) WHERE (area > 1), app.readings WITH (publish = 'insert, update');
CREATE PUBLICATION of_schema FOR TABLES IN SCHEMA app WITH (publish_via_partition_root = true);
CREATE FOREIGN DATA WRAPPER nowhere OPTIONS (note 'none');
CREATE SERVER far TYPE 'x' VERSION '1' FOREIGN DATA WRAPPER nowhere OPTIONS (host 'far.example', port '1');
CREATE FOREIGN TABLE app.remote (a integer OPTIONS (column_name 'A') NOT NULL, b text) SERVER far OPTIONS (table_name 'r');
GRANT USAGE ON FOREIGN SERVER far TO pg_monitor;
CREATE COLLATION app.plain (provider = libc, locale = 'C');
CREATE TABLE app.sorted (a text COLLATE app.plain);
CREATE FUNCTION app.mood_rank(app.mood) RETURNS integer IMMUTABLE LANGUAGE sql AS $$ SELECT 1 $$;
CREATE CAST (app.mood AS integer) WITH FUNCTION app.mood_rank(app.mood) AS ASSIGNMENT;
CREATE FUNCTION app.alike(app.pair, app.pair) RETURNS boolean LANGUAGE sql AS $$ SELECT $1.a = $2.a $$;
CREATE OPERATOR app.~~~ (FUNCTION = app.alike, LEFTARG = app.pair, RIGHTARG = app.pair, COMMUTATOR = OPERATOR(app.~~~));
COMMENT ON EVENT TRIGGER watch IS 'sees tables';
CREATE TYPE app.comp AS (a integer, b text, c date);
CREATE TABLE app.typed OF app.comp (PRIMARY KEY (a), b WITH OPTIONS DEFAULT 'x' NOT NULL, CHECK (b <> ''));
CREATE TABLE app.typed_plain OF app.comp;
CREATE TABLE app.lots (n integer, kind text) PARTITION BY LIST (kind);
CREATE TABLE app.lots_a PARTITION OF app.lots FOR VALUES IN ('a');
CREATE TABLE app.lots_b PARTITION OF app.lots FOR VALUES IN ('b');
CREATE INDEX lots_n ON ONLY app.lots (n);
CREATE INDEX lots_a_n ON app.lots_a (n);
ALTER INDEX app.lots_n ATTACH PARTITION app.lots_a_n;
ALTER TABLE app.events_2026 DISABLE TRIGGER each_event;
CREATE TABLE app.counted (a integer, double integer GENERATED ALWAYS AS (a * 2) STORED);
CREATE TABLE app.counted_too () INHERITS (app.counted);
DO $$ BEGIN
    EXECUTE format('ALTER DATABASE %I SET statement_timeout = ''90s''', current_database());
    EXECUTE format('ALTER DATABASE %I SET app.api_token = ''hush''', current_database());
    EXECUTE format('ALTER DATABASE %I SET search_path = app, public', current_database());
    EXECUTE format('ALTER ROLE CURRENT_USER IN DATABASE %I SET work_mem = ''64MB''', current_database());
    EXECUTE format('GRANT CREATE ON DATABASE %I TO pg_monitor', current_database());
END $$;
