"""Hints in a Job's log: in a pod nobody types a command. Who deploys reads them. Pure."""

from __future__ import annotations

import re

SAYINGS = (
    (re.compile(r"run `tidelock apply` again"), "deploy again (`tidelock kube deploy`, or a commit)"),
    (re.compile(r"`tidelock apply --wait (\w+)`"), r'[kube] wait = "\1"'),
    (re.compile(r"`tidelock apply`"), "`tidelock kube deploy`"),
)
"""What the command line says → what who deploys does."""


def for_deployer(hint: str) -> str:
    """The same hint with the commands of who deploys."""
    for pattern, words in SAYINGS:
        hint = pattern.sub(words, hint)
    return hint
