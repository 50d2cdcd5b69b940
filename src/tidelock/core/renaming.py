"""Which objects of two snapshots are the same under another name, and the second one under the old names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tidelock.core.snapshot import PART_OF, Snapshot, defining, key_of, reference, wholes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from tidelock.core.snapshot import Attributes, Key

KINDS = (
    "schema",
    "table",
    "view",
    "materialized view",
    "continuous aggregate",
    "column",
    "type",
    "domain",
    "collation",
    "sequence",
    "function",
    "procedure",
    "aggregate",
    "constraint",
    "index",
    "trigger",
    "rule",
    "policy",
    "statistics",
)
"""What can be renamed, wholes before their parts."""
MOST = 40
"""So many removed and added objects of one kind are compared pair by pair; more were not renamed by hand."""


def renamings(first: Snapshot, second: Snapshot) -> tuple[dict[Key, str], Snapshot]:
    """Old key → new name, and the second snapshot under the old names."""
    found: dict[Key, str] = {}
    for kind in KINDS:
        gone = [key for key in first.objects if key[0] == kind and key not in second.objects]
        new = [key for key in second.objects if key[0] == kind and key not in first.objects]
        if not gone or not new or max(len(gone), len(new)) > MOST:
            continue
        for old, name in pairs(first, second, gone, new):
            found[old] = name
            second = under(second, (kind, name), old)
    return found, jobs_by_procedure(first, second)


def jobs_by_procedure(first: Snapshot, second: Snapshot) -> Snapshot:
    """The second snapshot with each job under its old name: that has the configuration in it, which may change."""
    gone = [key for key in first.objects if key[0] == "job" and key not in second.objects]
    new = [key for key in second.objects if key[0] == "job" and key not in first.objects]
    objects = dict(second.objects)
    for old in gone:
        proc = first.objects[old]["proc"]
        alike = [key for key in new if second.objects[key]["proc"] == proc]
        if len(alike) == 1 and sum(first.objects[key]["proc"] == proc for key in gone) == 1:
            objects[old] = objects.pop(alike[0])
    return Snapshot(objects, second.format)


def pairs(first: Snapshot, second: Snapshot, gone: Collection[Key], new: Collection[Key]) -> list[tuple[Key, str]]:
    """Those that are alike but for their names, and like no other."""
    alike = [(old, key) for old in gone for key in new if same(first, second, old, key)]
    return [
        (old, key[1])
        for old, key in alike
        if sum(each == old for each, _ in alike) == 1 and sum(each == key for _, each in alike) == 1
    ]


def same(first: Snapshot, second: Snapshot, old: Key, new: Key) -> bool:
    """An object of the second snapshot is one of the first under another name."""
    kind = old[0]
    if kind == "schema":
        rewrite = rewriting(new, old, near=False)
        within = {(each, rewrite(name)) for each, name in names_within(second, new[1])}
        return within == names_within(first, old[1]) != set()
    if kind == "column" and place(first, old) != place(second, new):
        return False
    rewrite = rewriting(new, old, near=True)
    if kind not in ("table", "view", "materialized view", "continuous aggregate") and unnamed(old) != unnamed(new):
        return False
    if defining(first.objects[old]) != rewritten(defining(second.objects[new]), rewrite):
        return False
    if kind != "table":
        return True
    fed = ("default", "identity") if split(old[1])[0] != split(new[1])[0] else ()  # its sequences moved along
    before, after = columns(first, old, without=fed), columns(second, new, without=fed)
    return before == {rewrite(name): rewritten(value, rewrite) for name, value in after.items()}


def unnamed(key: Key) -> str:
    """What a name is below: the table of a column or constraint. Empty for what has only a schema."""
    if key[0] in ("column", "constraint", "trigger", "rule", "policy"):
        return key[1].rpartition(".")[0]
    return key[1].partition("(")[2] if key[0] in ("function", "procedure", "aggregate") else ""


def names_within(snapshot: Snapshot, schema: str) -> set[Key]:
    """What lies in a schema. Settings look as if they did: `app.tenant`."""
    return {key for key in snapshot.objects if key[1].startswith(f"{schema}.") and key[0] != "setting"}


def place(snapshot: Snapshot, column: Key) -> tuple[str, int]:
    """The table of a column and its number in it."""
    table, _, _ = split(column[1])
    order = snapshot.objects.get(("column order", table), {}).get("columns", [])
    name = column[1][len(table) + 1 :]
    return table, order.index(name) if name in order else -1


def columns(snapshot: Snapshot, table: Key, *, without: Collection[str]) -> dict[str, Attributes]:
    """Name → attributes of a table's columns."""
    return {
        key[1]: {name: each for name, each in defining(value).items() if name not in without}
        for key, value in snapshot.objects.items()
        if key[0] == "column" and table in wholes(value)
    }


IDENTIFIER = r'(?:"(?:[^"]|"")+"|[^".]+)'


def split(name: str) -> tuple[str, str, str]:
    """`schema.table.column` → (`schema.table`, `table`, `column`); for shorter names the last is their last part."""
    parts = re.findall(IDENTIFIER, name)
    return ".".join(parts[:-1]), parts[-2] if len(parts) > 1 else "", parts[-1]


def rewriting(new: Key, old: Key, *, near: bool) -> Callable[[str], str]:
    """A function that puts the old name where the new one stands.

    `near`: the text belongs to the object or to what needs it, and may call it by its bare name.
    """
    kind = new[0]
    end = r"(?=\.)" if kind == "schema" else r"(?![\w$\"])"
    patterns = [(rf'(?<![\w$".]){re.escape(stem(new[1]))}{end}', stem(old[1]))]
    bare_new, bare_old = split(stem(new[1]))[2], split(stem(old[1]))[2]
    if near and kind != "schema":
        patterns.append((rf'(?<![\w$"]){re.escape(bare_new)}(?![\w$"])', bare_old))
    if kind == "schema":  # by itself, as the whole of a value and in keys: `schema u`, `tables in u to …`
        name = re.escape(new[1])
        patterns.append((rf"^{name}$|(?<=^schema ){name}(?= |$)|(?<= in ){name}(?= )", old[1]))
    if kind in ("table", "view"):  # views go on to call it by its old name: FROM u AS t
        patterns.append((rf'{re.escape(old[1])} {re.escape(bare_old)}(?![\w$"])', old[1]))
    compiled = [(re.compile(pattern), to) for pattern, to in patterns]

    def rewrite(text: str) -> str:
        for pattern, to in compiled:
            text = pattern.sub(lambda _, to=to: to, text)  # type: ignore[misc]  # mypy does not see the default
        return text

    return rewrite


def stem(name: str) -> str:
    """The name of a function without its arguments."""
    return name.partition("(")[0]


def rewritten(value: Any, rewrite: Callable[[str], str]) -> Any:
    """A JSON value with every text in it rewritten, but for comments."""
    if isinstance(value, str):
        return rewrite(value)
    if isinstance(value, list):
        return [rewritten(each, rewrite) for each in value]
    if isinstance(value, dict):
        return {rewrite(name): each if name == "text" else rewritten(each, rewrite) for name, each in value.items()}
    return value


def under(snapshot: Snapshot, new: Key, old: Key) -> Snapshot:
    """A snapshot in which an object bears its old name, wherever it is named."""
    far, near = (rewriting(new, old, near=each) for each in (False, True))
    own, below = reference(new), reference(("column", f"{new[1]}."))
    objects: dict[Key, Attributes] = {}
    for key, attributes in snapshot.objects.items():
        if key[0] == "setting":
            objects[key] = attributes
            continue
        related = [*attributes.get("needs", ()), *attributes.get(PART_OF, ())]
        close = key == new or any(each == own or each.startswith(below) for each in related)
        close = close or (new[0] == "column" and key == ("column order", split(new[1])[0]))
        relations = {
            name: [reference(renamed(key_of(each), new, old, far)) for each in attributes[name]]
            for name in ("needs", PART_OF)
            if name in attributes
        }
        objects[renamed(key, new, old, far)] = (
            rewritten(defining(attributes), near if close else far) | relations  # relations name whole paths
        )
    return Snapshot(objects, snapshot.format)


def renamed(key: Key, new: Key, old: Key, far: Callable[[str], str]) -> Key:
    """A key in which the old name stands: also `public.u.a`, which lies below the table `public.u`."""
    if key == new:
        return old
    if new[0] in ("index", "constraint", "trigger", "rule", "policy", "statistics") and key[0] not in (
        "comment",
        "grant",
    ):
        return key  # nothing lies below these
    return key[0], far(key[1])
