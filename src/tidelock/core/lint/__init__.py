"""Lint: what is dangerous, repeats badly or loses data in migrations, found without a database.

    rule          what a rule is, and the register of all of them
    look          what a rule sees: one statement, what came before it, what the files have made so far
    known         the schema as the files so far have made it: tables, columns, hypertables, policies, roles; again
                  one file per noun
    engine        files → findings: every rule on every statement, allowances, what does not parse
    findings      remarks as findings, and what a file allows
    refusing      what TimescaleDB is certain to refuse of pending files, as far as rules know it
    edit          a rewritten statement, and the safe ones put into the file
    idempotence, locking, transactions, destruction, timescale, hygiene
                  the families of rules, one file or package each

A rule is registered once; its text is data; its page in `docs/rules/` and its tests are made from it and from
`bad.sql` and `good.sql` in `tests/core/lint/examples/CODE/`.
"""

from __future__ import annotations
