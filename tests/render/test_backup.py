"""What is said before a live database is replaced."""

from __future__ import annotations

from tidelock.backup.store import StoreFailed
from tidelock.core.backups import Manifest
from tidelock.render.backup import question

FOUND = Manifest(
    id="20261124T220501Z-4f2a", database="farm", system="1", at="2026-11-24T22:05:01+00:00", took_s=1.0, tidelock="0",
    server=150000,
)  # fmt: skip


def test_the_question_says_what_becomes_of_the_live_database() -> None:
    kept = question(FOUND, "farm", "farm@db:5432", [])
    assert "stays under another name" in kept
    dropped = question(FOUND, "farm", "farm@db:5432", [], drop_old=True)
    assert ("is dropped at once" in dropped, "stays" in dropped) == (True, False)


def test_the_question_says_that_the_backup_is_of_another_server() -> None:
    assert "made on another server" in question(FOUND, "farm", "farm@db:5432", [], elsewhere=True)


def test_a_store_that_refuses_the_key_is_told_in_words() -> None:
    said = "response with status 403 Forbidden: <?xml?><Error><Code>InvalidAccessKeyId</Code><Resource>http://10.0.0.1/"
    told = str(StoreFailed("s3://farm", "writing a", OSError(said)))
    assert "the credentials were refused, or have no right to that (InvalidAccessKeyId)" in told
    assert "http://10" not in told
