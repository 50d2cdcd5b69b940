"""Backups: pg_dump and pg_restore as streams into and out of an object store.

Knows obstore, zstandard, age and the clients of PostgreSQL, and nothing of `postgres`: what it asks a server for comes
through `app/ports.py` (Server). Imported only by the commands that need it.
"""
