"""The Job waits for a mount that is still changing, and refuses another bundle."""

import threading
import time
from functools import partial

import pytest

from tidelock.app import mounting
from tidelock.app.mounting import BundleChanging, MountLate, WrongBundle, wait_for
from tidelock.app.patience import Patience
from tidelock.cli.verbs import run_or_fallback
from tidelock.cli.wiring import Asked, refuse_changed, settled, targets
from tidelock.core.bundle import Bundle
from tidelock.repo.directory import is_volume, mounted


class Watching:
    def __init__(self):
        self.events = []

    def emit(self, event):
        self.events.append(event.text)

    def close(self):
        pass


def mount(folder, files, number):
    """What a kubelet does: a new directory beside, and one rename of the link that all names lead through."""
    fresh = folder / f"..{number}"
    for name, data in files.items():
        (fresh / name).parent.mkdir(parents=True, exist_ok=True)
        (fresh / name).write_bytes(data)
    (folder / "..data_tmp").symlink_to(fresh.name)
    (folder / "..data_tmp").replace(folder / "..data")
    for name in {each.partition("/")[0] for each in files}:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")


OLD, NEW = {"001.sql": b"a"}, {"001.sql": b"a", "002.sql": b"b", "common/x.sql": b"c"}


def wait(folder, files, wait_s=5.0):
    watching, patience = Watching(), Patience(wait_s)
    wait_for(Bundle(files).digest, str(folder), partial(mounted, folder), patience, watching, lags=is_volume(folder))
    return watching.events, patience


def test_the_bundle_that_is_meant_is_taken_at_once(tmp_path):
    mount(tmp_path, NEW, 1)
    assert wait(tmp_path, NEW)[1].spent_s == 0


def test_a_mount_that_lags_behind_is_waited_for(tmp_path):
    mount(tmp_path, OLD, 1)
    threading.Timer(0.6, mount, (tmp_path, NEW, 2)).start()
    events, patience = wait(tmp_path, NEW)
    assert "is not the bundle" in events[0]
    assert patience.spent_s < 4


def test_another_bundle_that_stays_is_refused_with_both_digests(tmp_path, monkeypatch):
    mount(tmp_path, {**NEW, "002.sql": b"B"}, 1)
    monkeypatch.setattr(mounting, "SETTLED_S", 0.4)
    with pytest.raises(WrongBundle, match=r"3 files with digest sha256:.*meant is sha256:") as caught:
        wait(tmp_path, NEW, 0.5)
    assert caught.value.exit_code == 3


def test_one_that_may_only_be_old_is_left_to_the_next_attempt_which_is_told_to_wait_longer(tmp_path):
    mount(tmp_path, OLD, 1)
    with pytest.raises(MountLate, match="may show an old one for 120 s") as caught:
        wait(tmp_path, NEW, 0.5)
    assert caught.value.exit_code == 75
    assert "raise --wait" in caught.value.hint


def test_a_directory_that_no_kubelet_fills_is_not_old_but_another_one(tmp_path):
    (tmp_path / "001.sql").write_bytes(b"a")
    with pytest.raises(WrongBundle):
        wait(tmp_path, NEW, 0.5)


def test_a_mount_that_goes_on_changing_is_left_to_the_next_attempt(tmp_path):
    mount(tmp_path, OLD, 1)
    threading.Timer(0.2, mount, (tmp_path, {"001.sql": b"b"}, 2)).start()
    with pytest.raises(BundleChanging) as caught:
        wait(tmp_path, NEW, 1.0)
    assert caught.value.exit_code == 75


def test_no_mount_is_waited_for_beyond_what_a_kubelet_needs(tmp_path, monkeypatch):
    mount(tmp_path, OLD, 1)
    monkeypatch.setattr(mounting, "SETTLED_S", 0.5)
    began = time.monotonic()
    with pytest.raises(WrongBundle):
        wait(tmp_path, NEW, 60.0)
    assert time.monotonic() - began < 5


def test_files_that_were_read_while_the_mount_changed_are_not_run(tmp_path):
    mount(tmp_path, OLD, 1)
    asked = Asked(directory=tmp_path, bundle=Bundle(OLD).digest)
    refuse_changed(asked)
    mount(tmp_path, NEW, 2)
    with pytest.raises(BundleChanging) as caught:
        refuse_changed(asked)
    assert caught.value.exit_code == 75


INCLUDING = {"001_a.sql": b"\\i common/x.sql\n", "common/x.sql": b"SELECT 1;\n"}


def test_a_file_that_is_included_later_is_the_one_that_was_looked_at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "migrations"
    mount(folder, INCLUDING, 1)
    asked = settled(Asked(directory=folder, bundle=Bundle(INCLUDING).digest), Watching)
    (target,) = targets(asked)
    run = run_or_fallback(target, asked, Watching(), "apply", reads=True)
    (file,) = run.files
    assert "SELECT 1" in run.reader.script(file).sources["migrations/common/x.sql"]
    run = run_or_fallback(target, asked, Watching(), "apply", reads=True)
    mount(folder, {**INCLUDING, "common/x.sql": b"DROP TABLE a;\n"}, 2)
    with pytest.raises(BundleChanging):
        run.reader.script(file)


def test_so_is_a_fallback(tmp_path, monkeypatch):
    folder = tmp_path / "etc"
    files = {"tidelock.toml": b"", "fallback/a.sql": b"CREATE TABLE a ();"}
    mount(folder, files, 1)
    monkeypatch.setenv("TIDELOCK_SETTINGS", Bundle(files).digest)
    asked = settled(Asked(directory=tmp_path, config=folder / "tidelock.toml"), Watching)
    (target,) = targets(asked)
    run = run_or_fallback(target, asked, Watching(), "apply", reads=True)
    assert run.fallback(str(folder / "fallback/a.sql")) == files["fallback/a.sql"]
    mount(folder, {**files, "fallback/a.sql": b"DROP TABLE a;"}, 2)
    with pytest.raises(BundleChanging):
        run.fallback(str(folder / "fallback/a.sql"))
