"""Locking (LK): what keeps readers or writers waiting, for how long, and how to do without.

    use             which tables others use, and what a statement does to those
    indexes         building and dropping indexes, and the constraints that build one
    constraints     CHECK, foreign key, NOT NULL, domains
    columns         types, defaults, generated columns
    rewriting       whether a change of type rewrites the table
    tables          VACUUM FULL, CLUSTER, partitions, triggers, materialized views
    together        what stands in one transaction

A table that the same file creates is not locked for anyone.
"""

from __future__ import annotations

from tidelock.core.lint.locking import columns, constraints, indexes, tables, together

__all__ = ["columns", "constraints", "indexes", "tables", "together"]
