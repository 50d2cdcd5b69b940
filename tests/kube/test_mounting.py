"""The Job waits for a mount that is still changing, and refuses another bundle."""

import threading
import time
from functools import partial

import pytest

from tidelock.app import mounting
from tidelock.app.mounting import BundleChanging, WrongBundle, wait_for
from tidelock.app.patience import Patience
from tidelock.cli.wiring import Asked, refuse_changed
from tidelock.core.bundle import Bundle
from tidelock.repo.directory import mounted


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
    wait_for(Bundle(files).digest, str(folder), partial(mounted, folder), patience, watching)
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


def test_another_bundle_that_stays_is_refused_with_both_digests(tmp_path):
    mount(tmp_path, {**NEW, "002.sql": b"B"}, 1)
    with pytest.raises(WrongBundle, match=r"3 files with digest sha256:.*meant is sha256:") as caught:
        wait(tmp_path, NEW, 0.5)
    assert caught.value.exit_code == 3


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
