"""What a schema is, as plain data in one order: the same schema gives the same bytes, whatever made it."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidelock.errors import SourceFault

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FORMAT = 1
"""Version of the JSON form."""

PART_OF = "part_of"
"""Attribute: what it comes and goes with, as references. Dropping any of them drops it as well."""
NEEDS = "needs"
"""Attribute: what has to be there before it, as references."""
RELATIONS = (PART_OF, NEEDS)

Key = tuple[str, str]
"""(kind, qualified name), as in ("column", "public.t.a")."""
Attributes = dict[str, Any]


class SnapshotUnreadable(SourceFault):
    """A text that is no snapshot of ours, or one of a newer Tidelock."""

    code = "S050"

    def __init__(self, where: str, why: str) -> None:
        super().__init__(
            f"{where} cannot be read: {why}",
            hint="write it anew: `tidelock snapshot`; a newer format wants the newer Tidelock",
        )


def reference(key: Key) -> str:
    """A key as one text: `column public.t.a`."""
    return f"{key[0]}:{key[1]}"


def key_of(text: str) -> Key:
    """The key that a reference means."""
    kind, _, name = text.partition(":")
    return kind, name


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every object of a schema with its attributes, which are JSON: texts, numbers, flags, lists, tables.

    An attribute that has its default is absent, so that servers of other versions say the same.
    """

    objects: Mapping[Key, Attributes]
    format: int = FORMAT

    def to_json(self) -> bytes:
        """Canonical: sorted, indented for review, with a line feed at its end."""
        kinds: dict[str, dict[str, Attributes]] = {}
        for (kind, name), attributes in self.objects.items():
            kinds.setdefault(kind, {})[name] = attributes
        data = {"format": self.format, "objects": kinds}
        return (json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()

    def parts(self) -> dict[Key, list[Key]]:
        """Each object → what is part of it."""
        found: dict[Key, list[Key]] = {}
        for key, attributes in self.objects.items():
            for whole in wholes(attributes):
                found.setdefault(whole, []).append(key)
        return found

    def without(self, keys: Iterable[Key]) -> Snapshot:
        """The same without some objects."""
        dropped = set(keys)
        return Snapshot({key: value for key, value in self.objects.items() if key not in dropped}, self.format)


def from_json(text: bytes, where: str = "the snapshot") -> Snapshot:
    """The snapshot that `to_json` wrote. Raises SnapshotUnreadable."""
    try:
        data = json.loads(text)
        format_, kinds = data["format"], data["objects"]
        objects = {(kind, name): attributes for kind, named in kinds.items() for name, attributes in named.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SnapshotUnreadable(where, "it is not the JSON of a snapshot") from None
    if format_ != FORMAT:
        raise SnapshotUnreadable(where, f"its format is {format_}, this Tidelock knows {FORMAT}")
    return Snapshot(objects, format_)


def packed(snapshot: Snapshot) -> str:
    """The JSON, compressed, as text."""
    return base64.b64encode(zlib.compress(snapshot.to_json(), 9)).decode()


def unpacked(text: str) -> Snapshot:
    """The snapshot that was packed."""
    return from_json(zlib.decompress(base64.b64decode(text)), "the snapshot in the journal")


def wholes(attributes: Attributes) -> list[Key]:
    """What an object is part of."""
    return [key_of(each) for each in attributes.get(PART_OF, ())]


def needs(attributes: Attributes) -> list[Key]:
    """What an object needs."""
    return [key_of(each) for each in attributes.get(NEEDS, ())]


def defining(attributes: Attributes) -> Attributes:
    """The attributes that say what an object is, without its relations to others."""
    return {name: value for name, value in attributes.items() if name not in RELATIONS}
