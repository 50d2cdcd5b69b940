"""A directory of migrations: what is unpacked, and what cannot be read."""

from __future__ import annotations

import gzip
import os
from typing import TYPE_CHECKING

import pytest
import zstandard

from tidelock.config import BadSetting, load
from tidelock.repo import directory
from tidelock.repo.renumbering import mark

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PACKED: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "zst": zstandard.compress}
MANY = b"".join(b"INSERT INTO a VALUES (%d, '%s');\n" % (each, os.urandom(20).hex().encode()) for each in range(9000))
"""More than one block of either kind."""


def content(folder: Path, name: str, data: bytes) -> bytes:
    (folder / name).write_bytes(data)
    [found] = directory.files(folder)
    return found.data


@pytest.mark.parametrize("kind", PACKED)
def test_each_part_of_a_compressed_file_is_read(tmp_path: Path, kind: str):
    parts = [b"create table a();\n", b"", MANY, b"create table b();\n"]
    assert content(tmp_path, f"1_x.sql.{kind}", b"".join(map(PACKED[kind], parts))) == b"".join(parts)


def test_what_zstd_would_skip_is_skipped(tmp_path: Path):
    skippable = b"\x50\x2a\x4d\x18" + b"\x03\0\0\0" + b"any"
    assert content(tmp_path, "1_x.sql.zst", skippable + zstandard.compress(b"select 1;") + skippable) == b"select 1;"


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("kept", [6, 40, -3])
def test_a_compressed_file_that_was_cut_off_is_refused(tmp_path: Path, kind: str, kept: int):
    with pytest.raises(directory.Unreadable, match=rf"1_x\.sql\.{kind} cannot be read"):
        content(tmp_path, f"1_x.sql.{kind}", PACKED[kind](MANY)[:kept])


@pytest.mark.parametrize("kind", PACKED)
def test_a_compressed_file_with_something_behind_it_is_refused(tmp_path: Path, kind: str):
    with pytest.raises(directory.Unreadable, match=rf"1_x\.sql\.{kind} cannot be read"):
        content(tmp_path, f"1_x.sql.{kind}", PACKED[kind](b"select 1;") + b"drop")


@pytest.mark.parametrize("kind", PACKED)
def test_a_compressed_file_may_be_named_in_capitals(tmp_path: Path, kind: str):
    name = f"1_a.SQL.{kind.upper()}"
    assert content(tmp_path, name, PACKED[kind](b"select 1;")) == b"select 1;"
    mark(tmp_path / name, "2_a.sql")
    [marked] = directory.files(tmp_path)
    assert marked.data.endswith(b"select 1;")


def test_a_link_to_itself_is_told(tmp_path: Path):
    (tmp_path / "1_a.sql").symlink_to("1_a.sql")
    with pytest.raises(directory.Unreadable, match="Too many levels of symbolic links"):
        list(directory.files(tmp_path))
    with pytest.raises(directory.Unreadable, match="Too many levels of symbolic links"):
        directory.load_beside(tmp_path, str(tmp_path / "1_a.sql"))


def test_a_link_that_leads_out_of_the_directory_is_told(tmp_path: Path):
    (tmp_path / "m").mkdir()
    (tmp_path / "secret").write_text("x")
    (tmp_path / "m" / "inside.inc").symlink_to("../secret")
    with pytest.raises(directory.Unreadable, match="a link to what lies outside"):
        directory.load_beside(tmp_path / "m", str(tmp_path / "m" / "inside.inc"))


def test_a_pipe_is_told_and_nobody_waits_at_it(tmp_path: Path):
    os.mkfifo(tmp_path / "1_a.sql")
    with pytest.raises(directory.Unreadable, match=r"1_a\.sql cannot be read: not a regular file"):
        list(directory.files(tmp_path))


def test_a_folder_with_a_migrations_name_is_passed_over(tmp_path: Path):
    (tmp_path / "1_a.sql").mkdir()
    (tmp_path / "2_b.sql").symlink_to("1_a.sql")
    assert list(directory.files(tmp_path)) == []


def test_a_directory_that_cannot_be_listed_is_told(tmp_path: Path):
    folder = tmp_path / "m"
    folder.mkdir(mode=0o000)
    user = os.geteuid()
    os.seteuid(65534 if user == 0 else user)
    try:
        with pytest.raises(directory.NoDirectory, match="cannot be read: Permission denied"):
            list(directory.files(folder))
        with pytest.raises(directory.NoDirectory, match="cannot be read: Permission denied"):
            directory.refuse_cut_off(folder)
        with pytest.raises(BadSetting, match=r"tidelock\.toml: Permission denied"):
            load(None, start=folder)
    finally:
        os.seteuid(user)
    for look in (directory.refuse_cut_off, lambda path: list(directory.files(path))):
        with pytest.raises(directory.NoDirectory, match="cannot be read: File name too long"):
            look(tmp_path / ("x" * 300))
        with pytest.raises(directory.NoDirectory, match="there is no directory"):
            look(tmp_path / "none")
