-- The ledger, the journal and the lease. {ledger}, {journal} and {lease} are filled in with schema and name.
-- Every statement can run again: an interrupted upgrade is taken up from its beginning.
CREATE TABLE IF NOT EXISTS {ledger} (
    version bigint PRIMARY KEY,
    description text,
    applied_at timestamptz DEFAULT now()
);

ALTER TABLE {ledger}
    ADD COLUMN IF NOT EXISTS applied_at timestamptz,
    ADD COLUMN IF NOT EXISTS sha256 text,
    ADD COLUMN IF NOT EXISTS tokens text,
    ADD COLUMN IF NOT EXISTS tokens_version integer,
    ADD COLUMN IF NOT EXISTS content bytea,
    ADD COLUMN IF NOT EXISTS path text,
    ADD COLUMN IF NOT EXISTS git_commit text,
    ADD COLUMN IF NOT EXISTS applied_by text,
    ADD COLUMN IF NOT EXISTS run_id text,
    ADD COLUMN IF NOT EXISTS duration_ms bigint,
    ADD COLUMN IF NOT EXISTS backup text;
ALTER TABLE {ledger} ALTER COLUMN applied_at SET DEFAULT now();

COMMENT ON TABLE {ledger} IS 'Tidelock: one row per applied migration';
COMMENT ON COLUMN {ledger}.version IS 'The number at the start of the file name';
COMMENT ON COLUMN {ledger}.applied_at IS 'Start of the transaction that applied it (its last one)';
COMMENT ON COLUMN {ledger}.sha256 IS 'SHA-256 of the file, hex; NULL when another hand wrote the row';
COMMENT ON COLUMN {ledger}.tokens IS 'SHA-256 of what counts in the file: comments and white space left out';
COMMENT ON COLUMN {ledger}.tokens_version IS 'Version of the algorithm behind tokens';
COMMENT ON COLUMN {ledger}.content IS 'The text that was applied, compressed with zlib';
COMMENT ON COLUMN {ledger}.path IS 'The file as it was named when it was applied';
COMMENT ON COLUMN {ledger}.git_commit IS 'The commit that was checked out, when known';
COMMENT ON COLUMN {ledger}.applied_by IS 'Who ran it: role and host or pod';
COMMENT ON COLUMN {ledger}.run_id IS 'The run, as in the journal';
COMMENT ON COLUMN {ledger}.backup IS 'The backup that was taken before its run; NULL when there was none';
COMMENT ON COLUMN {ledger}.duration_ms IS 'Milliseconds from its first statement to its record';

CREATE TABLE IF NOT EXISTS {journal} (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    run_id text NOT NULL,
    event text NOT NULL,
    version bigint,
    step integer,
    digest text,
    statement text,
    duration_ms bigint,
    lock_wait_ms bigint,
    detail jsonb
);
CREATE INDEX IF NOT EXISTS {journal_index} ON {journal} (version, step, id)
    WHERE event IN ('started', 'done', 'failed', 'retry');

COMMENT ON TABLE {journal} IS 'Tidelock: every start, step and failure, appended and never changed';
COMMENT ON COLUMN {journal}.id IS 'Order of writing';
COMMENT ON COLUMN {journal}.at IS 'Time of writing';
COMMENT ON COLUMN {journal}.run_id IS 'The run: one tidelock command';
COMMENT ON COLUMN {journal}.event IS 'run, started, done, row, applied, refused, failed, retry, output, recovered, adopted, snapshot, finished';
COMMENT ON COLUMN {journal}.version IS 'The migration that it is about';
COMMENT ON COLUMN {journal}.step IS 'The step within the migration, from 1';
COMMENT ON COLUMN {journal}.digest IS 'SHA-256 of the step''s statements: an edited step is recognised';
COMMENT ON COLUMN {journal}.statement IS 'The beginning of the statement that it is about';
COMMENT ON COLUMN {journal}.duration_ms IS 'Milliseconds that it took';
COMMENT ON COLUMN {journal}.lock_wait_ms IS 'Milliseconds of these spent waiting for table locks';
COMMENT ON COLUMN {journal}.detail IS 'What else is known: evidence before a step, error, output, who, where from';

CREATE TABLE IF NOT EXISTS {lease} (
    part text PRIMARY KEY CHECK (part IN ('holder', 'pulse')),
    run_id text,
    at timestamptz,
    pid integer,
    backend_start timestamptz,
    who text,
    format integer NOT NULL
);
INSERT INTO {lease} (part, format) VALUES ('holder', 1), ('pulse', 1) ON CONFLICT (part) DO NOTHING;

COMMENT ON TABLE {lease} IS 'Tidelock: who may run migrations now. Never delete these two rows';
COMMENT ON COLUMN {lease}.part IS 'holder: locked FOR SHARE by every transaction of the run that holds it; pulse: its sign of life';
COMMENT ON COLUMN {lease}.run_id IS 'The run that holds it; NULL when nobody does';
COMMENT ON COLUMN {lease}.at IS 'holder: since when; pulse: the last sign of life, by the server''s clock';
COMMENT ON COLUMN {lease}.pid IS 'Server process of the run, when no pooler stands between';
COMMENT ON COLUMN {lease}.backend_start IS 'Start of that process: a pid alone may be another''s by now';
COMMENT ON COLUMN {lease}.who IS 'Role and host or pod';
COMMENT ON COLUMN {lease}.format IS 'Version of these three tables; an older Tidelock refuses a newer one';
