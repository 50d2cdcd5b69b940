"""Facts: what a statement creates, locks and rewrites, whether a transaction may hold it, whether it may run twice.

The only package that knows the node types of the parse tree; it reduces them to `model.Facts`, and no rule, planner
or recovery ever sees a node. One file per noun:

    statement   the text of one statement, or of a file's → Facts; the only entry
    draft       Facts while they are collected
    tree        reading names, options and constants from nodes
    functions   what is known of functions: which ones leave nothing behind
    queries     SELECT, INSERT, UPDATE, DELETE, MERGE, COPY
    tables      CREATE TABLE, ALTER TABLE and what else changes a relation
    indexes     CREATE INDEX, REINDEX; the definition of an index
    objects     every other CREATE, ALTER and DROP; GRANT, COMMENT
    sessions    SET, DISCARD, cursors, prepared statements; BEGIN, COMMIT, SAVEPOINT
    upkeep      VACUUM, ANALYZE, CLUSTER, LOCK, ALTER SYSTEM
    code        DO, CALL, function bodies
    built       texts that are put together while they run
    actions     what a statement does, one thing at a time, for the checks; again one file per noun
    timescale   hypertables, continuous aggregates, policies
"""

from __future__ import annotations

from tidelock.core.facts.indexes import IndexDefinition, index_definition
from tidelock.core.facts.statement import facts_in, facts_of, facts_sent_on, transaction_control

__all__ = ["IndexDefinition", "facts_in", "facts_of", "facts_sent_on", "index_definition", "transaction_control"]
