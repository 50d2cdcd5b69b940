"""The last words of a container: the report as one line of JSON, held to what Kubernetes keeps. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidelock.render.json import line

if TYPE_CHECKING:
    from collections.abc import Callable

    Data = dict[str, Any]

MOST_BYTES = 4096
"""What Kubernetes keeps of a container's termination message."""


def last_words(data: Data) -> str:
    """As much as fits, always JSON and always with the exit code: what matters least goes first."""
    for shorten in (lambda all_of_it: all_of_it, *RULES):
        data = shorten(data)
        if len((text := line(data)).encode()) <= MOST_BYTES:
            return text
    return line(bare(data))


def without_remarks(data: Data) -> Data:
    """How many instead of which."""
    return {**data, "findings": [], "findings_count": len(data["findings"])}


def with_versions(data: Data) -> Data:
    """Of what was applied the versions."""
    return {**data, "applied": [], "applied_versions": [each["version"] for each in data["applied"]]}


def with_counts(data: Data) -> Data:
    """Of what was applied how many, and the last."""
    versions = data["applied_versions"]
    return {**data, "applied_versions": versions[-1:], "applied_count": len(versions)}


def with_fallen(data: Data) -> Data:
    """Of critical tables those that do not stand on their migration, without the reason."""
    fallen = [
        {"table": each["table"], "footing": each["footing"]}
        for each in data.get("critical", [])
        if each["footing"] != "migration"
    ]
    return {**data, "critical": fallen[:20]} if "critical" in data else data


def failure_of(**longest: int) -> Callable[[Data], Data]:
    """The failure's texts cut to so many characters each; of the detail the beginning, where the place stands."""

    def cut(data: Data) -> Data:
        failure = data["failure"]
        if failure is None:
            return data
        return {**data, "failure": {**failure, **{name: failure[name][:most] for name, most in longest.items()}}}

    return cut


RULES: tuple[Callable[[Data], Data], ...] = (
    without_remarks,
    with_versions,
    with_counts,
    failure_of(detail=1000),
    with_fallen,
    failure_of(detail=0, message=800, hint=400),
)
"""In this order, each on top of those before it."""


def bare(data: Data) -> Data:
    """What always fits."""
    failure = data["failure"]
    return {
        "schema": data["schema"],
        "command": data["command"][:40],
        "exit_code": data["exit_code"],
        "failure": failure and {"code": failure["code"], "message": failure["message"][:200]},
    }
