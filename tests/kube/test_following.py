"""The log of a pod is passed on line by line, each once, also when the stream breaks."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from tidelock.core.rollout import Attempt
from tidelock.kube import following
from tidelock.kube.following import Follower, LogEnded

LINES = [f"line {number}" for number in range(1, 8)]


class Breaking:
    """A log of seven lines, four of which are there at first; a stream that is followed breaks after the fifth."""

    namespace = "farm"

    def __init__(self) -> None:
        self.followed = 0

    def log(self, _pod: str, _container: str, *, follow: bool) -> Any:
        if not follow:
            yield from LINES[:4]
            return
        self.followed += 1
        if self.followed == 1:
            yield from LINES[:5]
            raise httpx2.ReadError("the connection broke")
        yield from LINES


def passed_on(monkeypatch: pytest.MonkeyPatch, tail: int | None) -> list[str]:
    monkeypatch.setattr(following, "RECONNECT_S", 0.0)
    cluster: Any = Breaking()
    follower = Follower(cluster, "db-migration", "u", show=lambda _: None, tell=lambda _: None, tail=tail)
    follower._pass_on(Attempt(pod="db-migration-x", uid="p"), "migrate")
    news = [follower._news.get_nowait() for _ in range(follower._news.qsize())]
    assert news.pop() == LogEnded("p")
    return [str(each) for each in news]


@pytest.mark.parametrize(("tail", "first"), [(None, 1), (2, 3), (0, 5), (99, 1)])
def test_each_line_is_shown_once_also_after_a_stream_that_broke(
    monkeypatch: pytest.MonkeyPatch, tail: int | None, first: int
) -> None:
    assert passed_on(monkeypatch, tail) == LINES[first - 1 :]
