"""tidelock.toml: what it says, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tidelock.config import BadSetting, load

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, text: str) -> Path:
    path = folder / "tidelock.toml"
    path.write_text(text)
    return path


def test_without_a_file_there_are_defaults(tmp_path: Path):
    [target], path = load(None, start=tmp_path)
    assert path is None
    assert (str(target.directory), target.wait_s, target.lock_timeout_s) == ("migrations", 60, 2)


def test_the_nearest_file_upwards_counts_and_its_paths_are_its_own(tmp_path: Path):
    write(tmp_path, '[migrations]\ndir = "sql"\n')
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    [target], path = load(None, start=below)
    assert path == tmp_path / "tidelock.toml"
    assert target.directory == tmp_path / "sql"


def test_several_databases_have_their_own_directories(tmp_path: Path):
    path = write(
        tmp_path,
        '[limits]\nlock_timeout = "5s"\n[databases.farm]\nurl = "dbname=farm"\n'
        '[databases.telemetry]\nurl = "dbname=t"\ndir = "ts/migrations"\nlock_timeout = "1s"\n',
    )
    farm, telemetry = load(path)[0]
    assert (farm.name, farm.directory, farm.lock_timeout_s) == ("farm", tmp_path / "farm", 5)
    assert (telemetry.name, telemetry.directory, telemetry.lock_timeout_s) == (
        "telemetry",
        tmp_path / "ts/migrations",
        1,
    )


def test_the_environment_fills_secrets_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write(tmp_path, '[database]\nurl = "postgresql://u:${SECRET}@h/d"\n')
    with pytest.raises(BadSetting, match="the environment has no SECRET"):
        load(path)
    monkeypatch.setenv("SECRET", "x")
    assert load(path)[0][0].url == "postgresql://u:x@h/d"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[migratons]\n", "unknown key migratons", "did you mean migrations"),
        ('[database]\nurll = "x"\n', "unknown key database.urll", "did you mean database.url"),
        ('[limits]\nwait = "soon"\n', "“soon” is not a duration", "500ms"),
        ("[limits]\nwait = 60\n", "60 has no unit", '"60s"'),
        ("[migrations]\nout_of_order = 1\n", "1 is not true or false", "true or false"),
        ("[database]\nurl = 5\n", "its value is not a text", "text in quotes"),
        ('migrations = "x"\n', "it is not a table", "[migrations]"),
        ("[x\n", "not valid TOML", "mend it"),
        ('[database]\nurl = "a"\n[databases.x]\nurl = "b"\n', "stands beside [databases", "move it"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(tmp_path: Path, text: str, message: str, hint: str):
    with pytest.raises(BadSetting) as caught:
        load(write(tmp_path, text))
    assert message in caught.value.message
    assert "tidelock.toml" in caught.value.message
    assert hint in caught.value.hint


SEKRIT = ("postgresql://app:sekrit77@h/db", "host=h password=sekrit77", "postgres://u@h/d?password=sekrit77")


@pytest.mark.parametrize("secret", SEKRIT)
@pytest.mark.parametrize(
    "key",
    [
        "migrations.dir",
        "migrations.out_of_order",
        "database.role",
        "ledger.table",
        "snapshot.dir",
        "limits.wait",
        "limits.lock_timeout",
        "backup.before",
        "backup.jobs",
        "backup.namespace",
        "lint.severity",
        "lint.select",
        "timescale.refresh",
        "prove.target",
    ],
)
def test_a_connection_string_under_a_wrong_key_is_refused_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, secret: str
):
    section, _, name = key.rpartition(".")
    monkeypatch.setenv("WHOLE", secret)
    quoted = [f'"{secret}"', f'["{secret}"]', *(['"${WHOLE}"'] if name in ("dir", "role", "table") else [])]
    for value in quoted:
        with pytest.raises(BadSetting) as caught:
            load(write(tmp_path, f"[{section}]\n{name} = {value}\n"))
        assert key in caught.value.message
        assert "connection string" in caught.value.message
        assert "sekrit77" not in caught.value.message + caught.value.hint


def test_a_command_may_have_a_connection_string(tmp_path: Path):
    [target], _ = load(write(tmp_path, "[prove]\nsmoke = \"psql postgresql://app:x@h/db -c 'select 1'\"\n"))
    assert "psql" in target.smoke


def test_a_password_in_a_key_is_masked(tmp_path: Path):
    with pytest.raises(BadSetting) as caught:
        load(write(tmp_path, '[database]\n"postgresql://app:sekrit77@h/db" = 1\n'))
    assert "sekrit77" not in caught.value.message + caught.value.hint
