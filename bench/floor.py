"""The floor: one connection that sends each file together with its ledger row as one simple query.

    python floor.py DSN DIRECTORY

It reads the files, asks the ledger once, and knows nothing of locks, crashes, statements or changed files.
"""

from __future__ import annotations

import sys
from pathlib import Path

import psycopg
from psycopg import sql

LEDGER = """CREATE TABLE IF NOT EXISTS schema_migrations (
    version integer PRIMARY KEY, description text, applied_at timestamptz DEFAULT now())"""
RECORD = sql.SQL("{text}\nINSERT INTO schema_migrations (version, description) VALUES ({version}, {description})")


def main(dsn: str, directory: str) -> None:
    """Apply what the ledger does not have."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        if connection.execute("SELECT to_regclass('schema_migrations')").fetchone() == (None,):
            connection.execute(LEDGER)
        applied = {row[0] for row in connection.execute("SELECT version FROM schema_migrations")}
        for path in sorted(Path(directory).glob("*.sql")):
            number, _, description = path.stem.partition("_")
            if int(number) not in applied:
                text = sql.SQL(path.read_text())
                connection.execute(RECORD.format(text=text, version=int(number), description=description))


if __name__ == "__main__":
    main(*sys.argv[1:])
