"""What an encrypted backup shows to those without a key: no rows, no settings, no comments."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tidelock.core import backups

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backup.conftest import Farm

SECRET = "S3CRET-jwt-value"


@pytest.fixture
def keyed(local: Farm, tmp_path: Path) -> Farm:
    """A database with a secret in its settings and one in its comment, whose backups are encrypted."""
    import pyrage

    key = pyrage.x25519.Identity.generate()
    (tmp_path / "key").write_text(f"{key}\n")
    local.configure(f'encrypt_to = ["{key.to_public()}"]\n')
    local.place.env["TIDELOCK_AGE_KEY_FILE"] = str(tmp_path / "key")
    name = local.project.dsn.rpartition("/")[2]
    local.project.query(f"ALTER DATABASE {name} SET app.jwt_secret TO '{SECRET}'")
    local.project.query(f"COMMENT ON DATABASE {name} IS 'the key is {SECRET}'")
    local.project.query("CREATE TABLE a AS SELECT 1 AS i")
    return local


def secrets(farm: Farm) -> list[Any]:
    comment = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
    return [farm.project.one("SHOW app.jwt_secret"), farm.project.one(comment)]


def test_settings_and_comments_are_encrypted_and_come_back(keyed: Farm) -> None:
    made = keyed.run("backup", "create", "--json")
    assert made.returncode == 0, made.stderr
    shown = [keyed.run("backup", verb, "--json").stdout for verb in ("list", "show")]
    assert SECRET not in "".join([made.stdout, made.stderr, *shown])
    for path in keyed.place.objects.rglob("*"):
        assert not path.is_file() or SECRET not in path.read_bytes().decode(errors="replace"), path
    keyed.well("backup", "verify", "--restore")
    keyed.well("restore", "--yes", "--drop-old")
    assert secrets(keyed) == [SECRET, f"the key is {SECRET}"]


def test_a_key_is_missed_before_the_work(keyed: Farm) -> None:
    keyed.create()
    before = keyed.databases()
    refused = keyed.run("restore", "--yes", env={"TIDELOCK_AGE_KEY_FILE": "/nowhere"})
    assert (refused.returncode, "B005" in refused.stderr) == (6, True), refused.stderr
    assert keyed.databases() == before


def test_an_encrypted_backup_of_the_third_format_brings_its_settings_from_the_manifest(keyed: Farm) -> None:
    keyed.create()
    [path] = keyed.place.objects.rglob("manifest.json")
    data = json.loads(path.read_bytes())["manifest"]
    data["pieces"] = [each for each in data["pieces"] if each["what"] != "settings"]
    data |= {"format": 3, "comment": "old", "settings": ["ALTER DATABASE {database} SET app.jwt_secret TO 'old'"]}
    path.write_bytes(backups.sealed(data))
    keyed.well("restore", data["id"], "--yes", "--drop-old")
    assert secrets(keyed) == ["old", "old"]


def test_a_wrong_byte_is_told_from_a_wrong_key(keyed: Farm) -> None:
    keyed.create()
    before = keyed.databases()
    for path in sorted(keyed.place.objects.rglob("*.age")):
        whole = path.read_bytes()
        for content in (whole[:-1], b"", *(flipped(whole, at) for at in (30, len(whole) // 2, len(whole) - 1))):
            path.write_bytes(content)
            refused = keyed.run("restore", "--yes")
            assert (refused.returncode, "B006" in refused.stderr) == (6, True), f"{path.name}: {refused.stderr}"
        path.write_bytes(whole)
    assert keyed.databases() == before


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize("evil", [
    "CREATE ROLE evil SUPERUSER -- {database} SET ",
    "ALTER DATABASE {database} SET a.b TO '1'; CREATE ROLE evil SUPERUSER",
    "ALTER ROLE postgres; CREATE ROLE evil SUPERUSER; -- IN DATABASE {database} SET ",
])  # fmt: skip
def test_a_statement_that_somebody_wrote_into_a_manifest_is_not_run(local: Farm, evil: str) -> None:
    local.create()
    [path] = local.place.objects.rglob("manifest.json")
    data = json.loads(path.read_bytes())["manifest"]
    data["settings"].append(evil)
    path.write_bytes(backups.sealed(data))
    refused = local.run("backup", "verify", "--restore")
    assert refused.returncode != 0, refused.stdout
    assert local.project.query("SELECT FROM pg_roles WHERE rolname = 'evil'") == []
