"""Sqitch: sqitch.plan and deploy/<change>.sql; a change's id is a SHA-1 over its line and those above it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

from tidelock.core.adoption.original import Files, Original, base, text_of, words

LINE = re.compile(
    r"(?P<name>[^\s\[#@-][^\s\[]*)\s*(?:\[(?P<needs>[^\]]*)\])?\s+(?P<date>\d{4}-\d\d-\d\dT[\d:]+Z)\s+"
    r"(?P<planner>.*?<[^>]*>)\s*(?:#\s?(?P<note>.*))?"
)
TAG = re.compile(r"@(?P<tag>\S+)\s.*")
PRAGMA = re.compile(r"%(?P<name>[\w-]+)\s*=\s*(?P<value>\S+)")


@dataclass
class Change:
    """A line of the plan."""

    name: str
    needs: list[str]
    date: str
    planner: str
    note: str
    tags: list[str] = field(default_factory=list)
    """From here to the next time the same name is planned."""


def originals(files: Files) -> list[Original]:
    """The changes in the order of the plan. The checksum is SHA-1 of the deploy script's bytes."""
    plan = next((path for path in files if base(path) == "sqitch.plan"), None)
    if plan is None:
        return []
    folder = plan.rpartition("/")[0]
    pragmas, changes = read(text_of(files[plan]))
    found: list[Original] = []
    parent = ""
    for number, change in enumerate(changes):
        parent = change_id(change, pragmas, parent)
        reworked = any(later.name == change.name for later in changes[number + 1 :])
        script = f"{change.name}@{change.tags[0]}" if reworked and change.tags else change.name
        path = f"{folder}/deploy/{script}.sql".lstrip("/")
        data = files.get(path)
        found.append(
            Original(
                key=parent,
                path=path,
                description=words(script),
                sql=None if data is None else text_of(data),
                why_not="" if data is not None else "its deploy script is not there",
                sums=(hashlib.sha1(data, usedforsecurity=False).hexdigest(),) if data is not None else (),
            )
        )
    return found


def read(plan: str) -> tuple[dict[str, str], list[Change]]:
    """Pragmas and changes."""
    pragmas: dict[str, str] = {}
    changes: list[Change] = []
    for line in (each.strip() for each in plan.split("\n")):
        if found := PRAGMA.match(line):
            pragmas[found["name"]] = found["value"]
        elif (found := TAG.match(line)) and changes:
            latest = {change.name: change for change in changes}
            for change in latest.values():
                change.tags.append(found["tag"])
        elif found := LINE.fullmatch(line):
            changes.append(
                Change(
                    found["name"], (found["needs"] or "").split(), found["date"], found["planner"], found["note"] or ""
                )
            )
    return pragmas, changes


def change_id(change: Change, pragmas: dict[str, str], parent: str) -> str:
    """As App::Sqitch::Plan::Change makes it."""
    requires = [each for each in change.needs if not each.startswith("!")]
    conflicts = [each[1:] for each in change.needs if each.startswith("!")]
    lines = [
        f"project {pragmas.get('project', '')}",
        *([f"uri {pragmas['uri']}"] if "uri" in pragmas else []),
        f"change {change.name}",
        *([f"parent {parent}"] if parent else []),
        f"planner {change.planner}",
        f"date {change.date}",
        *(["requires", *(f"  + {each}" for each in requires)] if requires else []),
        *(["conflicts", *(f"  - {each}" for each in conflicts)] if conflicts else []),
        *(["", change.note] if change.note else []),
    ]
    text = "\n".join(lines).encode()
    return hashlib.sha1(f"change {len(text)}\0".encode() + text, usedforsecurity=False).hexdigest()
