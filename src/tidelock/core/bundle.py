"""A bundle: the files of one directory under one digest, and how they are shared out over ConfigMaps. Pure."""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidelock.errors import ClusterFault

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

MOST_BYTES = 20 << 20
"""Bytes of SQL that are carried in ConfigMaps; beyond it an image is the better carrier."""
PART_BYTES = 900 << 10
"""Bytes of names and contents in one ConfigMap. Kubernetes allows 1 MiB of contents, etcd 1.5 MiB for the object with
its metadata and the record of its fields' owners, so there is room for both."""
FILE_BYTES = PART_BYTES - 1024
"""Bytes of one file, which leaves room for its name."""
MOST_KEY = 253
"""Characters of a key."""
KEY = re.compile(r"[-._a-zA-Z0-9]+")
ODD = re.compile(r"[^-._a-zA-Z0-9]")
UNSAFE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]")
"""Characters that a tool on the way may take for the end of a line, or drop: kustomize does so with U+0085."""


class FileTooLarge(ClusterFault):
    """One file does not fit into a ConfigMap, not even compressed."""

    code = "K001"

    def __init__(self, name: str, size_bytes: int, packed_bytes: int) -> None:
        packed = f", compressed {packed_bytes:,}" if packed_bytes != size_bytes else ""
        super().__init__(
            f"{name} has {size_bytes:,} bytes{packed}, and a ConfigMap of a bundle takes {FILE_BYTES:,}",
            hint="split the file, or put the migrations into an image (`COPY migrations /migrations`) and leave the "
            "bundle out",
        )


class BundleTooLarge(ClusterFault):
    """All files together are more than ConfigMaps should carry."""

    code = "K002"

    def __init__(self, size_bytes: int, files: int) -> None:
        super().__init__(
            f"the {files} files of the bundle have {size_bytes:,} bytes; ConfigMaps carry up to {MOST_BYTES:,}",
            hint="put the migrations into an image (`COPY migrations /migrations`), or compress large files (.sql.gz)",
        )


class SettingsTooLarge(ClusterFault):
    """tidelock.toml and the fallbacks do not fit into one ConfigMap."""

    code = "K005"

    def __init__(self, size_bytes: int) -> None:
        super().__init__(
            f"tidelock.toml and the fallbacks have {size_bytes:,} bytes, and their ConfigMap takes {PART_BYTES:,}",
            hint="make the fallbacks smaller: a script that makes an empty table is enough to start an application",
        )


class UnusableName(ClusterFault):
    """A file's name that cannot stand in a mounted volume."""

    code = "K003"

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name!r} cannot be mounted from a ConfigMap: {why}", hint="rename the file (`git mv`)")


@dataclass(frozen=True, slots=True)
class Bundle:
    """Files as they are mounted: name (a path below the directory, with /) → bytes."""

    files: Mapping[str, bytes]
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    """Name → SHA-256 (hex) of those whose content is not at hand."""

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in order of their bytes."""
        return tuple(sorted({*self.files, *self.elsewhere}, key=str.encode))

    @property
    def digest(self) -> str:
        """`sha256:` and 64 hex digits over the names and contents, in order of the names' bytes.

        What `sha256sum * | LC_ALL=C sort -k2 | sha256sum` prints in the directory, so that anyone can check it.
        """
        return f"sha256:{hashlib.sha256(''.join(self.lines()).encode()).hexdigest()}"

    @property
    def short(self) -> str:
        """The first 16 hex digits of the digest: what fits a label and tells bundles apart."""
        return self.digest.removeprefix("sha256:")[:16]

    @property
    def size_bytes(self) -> int:
        """Of all contents."""
        return sum(map(len, self.files.values()))

    def lines(self) -> Iterator[str]:
        """`<sha256 of the content>  <name>` of each file, as sha256sum prints it."""
        for name in self.names:
            yield f"{self.elsewhere.get(name) or hashlib.sha256(self.files[name]).hexdigest()}  {name}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file in a ConfigMap."""

    key: str
    path: str
    """Where it is mounted, below the directory; the key itself unless the name cannot be one."""
    data: bytes

    @property
    def text(self) -> str | None:
        """The content as `data` holds it; None for what belongs into `binaryData`."""
        try:
            text = self.data.decode()
        except UnicodeDecodeError:
            return None
        return None if UNSAFE.search(text) else text

    @property
    def weight(self) -> int:
        """Bytes that it takes of a ConfigMap."""
        return len(self.key) + len(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one ConfigMap holds."""

    number: int
    """From 1."""
    count: int
    entries: tuple[Entry, ...]

    @property
    def plain(self) -> bool:
        """Each file is mounted under its key, so that the volume needs no list of them."""
        return all(each.key == each.path for each in self.entries)

    def name(self, bundle: str) -> str:
        """The ConfigMap's name: the bundle's for the first, with a number for those after it."""
        return bundle if self.number == 1 else f"{bundle}-{self.number}"


def mountable(files: Mapping[str, bytes], fixed: Container[str] = ()) -> Bundle:
    """The bundle of files that fits ConfigMaps: one that is too large by itself becomes `NAME.gz`.

    `fixed`: names that other files use, and that stay. Raises FileTooLarge, BundleTooLarge or UnusableName.
    """
    for name in files:
        refuse_name(name)
    if (size := sum(map(len, files.values()))) > MOST_BYTES:
        raise BundleTooLarge(size, len(files))
    return Bundle(dict(fitting(name, files[name], name in fixed) for name in sorted(files, key=str.encode)))


def refuse_name(name: str) -> None:
    """Raise UnusableName for what Kubernetes would not mount, or sha256sum would print otherwise."""
    if "\\" in name or any(character < " " for character in name):
        raise UnusableName(name, "it has a backslash or a control character")
    if name.startswith("/") or any(each in ("", ".", "..") or each.startswith("..") for each in name.split("/")):
        raise UnusableName(name, "it is not a path below the directory")


def fitting(name: str, data: bytes, fixed: bool) -> tuple[str, bytes]:
    """The file as a ConfigMap can hold it."""
    if len(data) <= FILE_BYTES:
        return name, data
    packed = data if fixed or name.lower().endswith((".gz", ".zst")) else gzipped(data)
    if len(packed) > FILE_BYTES:
        raise FileTooLarge(name, len(data), len(packed))
    return (name, data) if packed is data else (f"{name}.gz", packed)


def gzipped(data: bytes) -> bytes:
    """The content as a .gz without name, time or system in it: the same bytes each time."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = deflate.compress(data) + deflate.flush()
    head = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
    return head + body + struct.pack("<LL", zlib.crc32(data), len(data) & 0xFFFFFFFF)


def keys(names: Iterable[str]) -> dict[str, str]:
    """Name → its key in a ConfigMap: the name itself, or where that cannot be one, the name with `-` for what is odd.

    A key takes letters, digits, `-`, `_` and `.`. Of two names that would share a key the later gets a digest to it.
    """
    ordered = sorted(names, key=str.encode)
    found = {name: name for name in ordered if KEY.fullmatch(name) and len(name) <= MOST_KEY}
    taken = set(found)
    for name in ordered:
        if name not in found:
            key = ODD.sub("-", name)[: MOST_KEY - 9]
            if key in taken:
                key = f"{key}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
            found[name] = key
            taken.add(key)
    return found


def parts(bundle: Bundle) -> tuple[Part, ...]:
    """The files shared out in order of their names, so that a new one at the end changes the last ConfigMap alone."""
    key_of = keys(bundle.files)
    shares: list[list[Entry]] = [[]]
    filled = 0
    for name in sorted(bundle.files, key=str.encode):
        entry = Entry(key=key_of[name], path=name, data=bundle.files[name])
        if shares[-1] and filled + entry.weight > PART_BYTES:
            shares.append([])
            filled = 0
        shares[-1].append(entry)
        filled += entry.weight
    return tuple(Part(number=number, count=len(shares), entries=tuple(each)) for number, each in enumerate(shares, 1))
