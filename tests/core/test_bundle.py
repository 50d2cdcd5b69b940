"""A bundle: its digest, and how it is shared out over ConfigMaps."""

import gzip
import random
import subprocess

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidelock.core.bundle import (
    FILE_BYTES,
    MOST_BYTES,
    PART_BYTES,
    Bundle,
    BundleTooLarge,
    FileTooLarge,
    UnusableName,
    gzipped,
    keys,
    mountable,
    parts,
)

SLOW = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
"""A busy machine is no failure."""
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\\/"), min_size=1)
FILES = st.dictionaries(NAMES.filter(lambda name: not name.startswith(".")), st.binary(max_size=40), max_size=8)


def numbered(count, size):
    return {f"{number:03}_file.sql": bytes([number % 256]) * size for number in range(1, count + 1)}


def test_the_digest_is_what_sha256sum_prints(tmp_path):
    files = {"002_b.sql": b"select 2;\n", "001_a.sql": b"select 1;\n", "010_c.sql": b"", "001-a.sql": b"x"}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    shown = subprocess.run(
        "sha256sum * | LC_ALL=C sort -k2 | sha256sum", shell=True, cwd=tmp_path, capture_output=True, check=True
    )
    assert Bundle(files).digest == f"sha256:{shown.stdout.decode().split()[0]}"


def test_one_changed_byte_is_another_digest():
    assert Bundle({"1.sql": b"a"}).digest != Bundle({"1.sql": b"b"}).digest
    assert Bundle({"1.sql": b"a"}).digest != Bundle({"2.sql": b"a"}).digest


def test_what_fits_stays_in_one_config_map_under_the_bundles_name():
    (part,) = parts(mountable(numbered(74, 5_300)))
    assert (part.name("postgresql-migrations"), part.count, len(part.entries)) == ("postgresql-migrations", 1, 74)


def test_what_does_not_fit_is_shared_out_with_room_left_in_each():
    found = parts(mountable(numbered(50, 100_000)))
    assert [each.name("b") for each in found] == ["b", "b-2", "b-3", "b-4", "b-5", "b-6"]
    assert all(sum(entry.weight for entry in each.entries) <= PART_BYTES for each in found)
    assert [entry.path for each in found for entry in each.entries] == sorted(numbered(50, 1))


def test_a_file_at_the_end_changes_the_last_config_map_alone():
    before, after = (parts(mountable(numbered(count, 100_000))) for count in (49, 50))
    assert [each.entries for each in before[:-1]] == [each.entries for each in after[: len(before) - 1]]


def test_a_file_that_is_too_large_is_compressed_and_unpacks_to_the_same():
    text = b"INSERT INTO t VALUES (1, 'some words');\n" * 60_000
    bundle = mountable({"001_seed.sql": text})
    assert list(bundle.files) == ["001_seed.sql.gz"]
    assert gzip.decompress(bundle.files["001_seed.sql.gz"]) == text


def test_compressing_twice_gives_the_same_bytes():
    assert gzipped(b"a" * 1000) == gzipped(b"a" * 1000)
    assert gzip.decompress(gzipped(b"")) == b""


def test_a_file_that_stays_too_large_is_refused_with_both_sizes():
    noise = random.Random(7).randbytes(FILE_BYTES + 1)
    with pytest.raises(FileTooLarge, match=f"{len(noise):,} bytes.*{FILE_BYTES:,}") as caught:
        mountable({"001.sql.gz": noise})
    assert "image" in caught.value.hint


def test_a_bundle_beyond_20_mib_is_refused():
    with pytest.raises(BundleTooLarge, match=f"{MOST_BYTES:,}"):
        mountable(numbered(30, 800_000))


@pytest.mark.parametrize("name", ["a\\b.sql", "a\nb.sql", "../1.sql", "/1.sql", "a//1.sql", "..1.sql"])
def test_a_name_that_cannot_be_mounted_is_refused(name):
    with pytest.raises(UnusableName):
        mountable({name: b""})


def test_a_name_that_cannot_be_a_key_keeps_its_path():
    assert keys(["007_índices.sql", "007_-ndices.sql", "common/x.sql"]) == {
        "007_-ndices.sql": "007_-ndices.sql",
        "007_índices.sql": "007_-ndices.sql-6ddaab9c",
        "common/x.sql": "common-x.sql",
    }


@SLOW
@given(FILES)
def test_every_file_has_a_key_of_its_own_that_kubernetes_takes(files):
    found = keys(files)
    assert set(found) == set(files)
    assert len(set(found.values())) == len(files)
    assert all(
        set(key) <= set("-._abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") for key in found.values()
    )
    assert all(0 < len(key) <= 253 for key in found.values())


@SLOW
@given(FILES)
def test_nothing_is_lost_on_the_way_into_config_maps(files):
    bundle = Bundle(files)
    assert {entry.path: entry.data for part in parts(bundle) for entry in part.entries} == files


@pytest.mark.parametrize("data", [b"\xff", b"a\0", "a\x85b".encode(), "a\u2028b".encode(), b"\x1b[0m"])
def test_what_a_tool_on_the_way_could_change_is_carried_as_binary(data):
    (part,) = parts(Bundle({"1.sql": data}))
    assert part.entries[0].text is None
