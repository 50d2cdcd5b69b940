"""Tools whose migrations are Python, read without running it: Alembic, Django, yoyo."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

from tidelock.core.adoption.original import Files, Original, base, in_order, text_of, words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BY_THE_TOOL = "it is Python"


def constants(text: str) -> dict[str, Any]:
    """Names that a module, or its classes, set to literals."""
    found: dict[str, Any] = {}
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return found
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            value = literal(node.value)
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, value)
    return found


def literal(node: ast.expr) -> Any:
    """The value of a literal; of a list with other things in it those items that are literals; otherwise None."""
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        return literal_items(node)


def literal_items(node: ast.expr) -> list[Any] | None:
    """Django's dependencies may hold a call among them."""
    if not isinstance(node, ast.List | ast.Tuple):
        return None
    return [found for each in node.elts if (found := literal(each)) is not None]


def several(value: Any) -> tuple[str, ...]:
    """None, a string or a sequence of them."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(map(str, value))


# --- Alembic --------------------------------------------------------------------------------------------------------


def alembic(files: Files) -> list[Original]:
    """Revisions, each after its down_revision and depends_on: only the last ones stand in the database."""
    modules = {path: constants(text_of(data)) for path, data in sorted(files.items()) if path.endswith(".py")}
    revisions = {str(each["revision"]): (path, each) for path, each in modules.items() if each.get("revision")}
    labels = {label: key for key, (_, each) in revisions.items() for label in several(each.get("branch_labels"))}

    def resolved(name: str) -> str:
        known = labels.get(name, name)
        return next((key for key in revisions if key.startswith(known)), known)

    found = {}
    for key, (path, each) in revisions.items():
        after = (*several(each.get("down_revision")), *map(resolved, several(each.get("depends_on"))))
        name = base(path).removesuffix(".py").removeprefix(f"{key}_")
        found[key] = Original(key=key, path=path, description=words(name), why_not=BY_THE_TOOL, after=after)
    return in_order(found)


# --- Django ---------------------------------------------------------------------------------------------------------

DJANGO = re.compile(r"(?:.*/)?(?P<app>[^/]+)/migrations/(?P<name>\d\w*)\.py")


def django(files: Files) -> list[Original]:
    """Every app's migrations, each after its dependencies. Nothing but names stands in the database."""
    found: dict[str, Original] = {}
    before: dict[str, list[str]] = {}
    for path in sorted(files, key=lambda each: (base(each), each)):
        match = DJANGO.fullmatch(path)
        if match is None:
            continue
        known = constants(text_of(files[path]))
        key = f"{match['app']}.{match['name']}"
        for app, name in known.get("run_before") or ():
            before.setdefault(f"{app}.{name}", []).append(key)
        after = tuple(f"{app}.{name}" for app, name in known.get("dependencies") or ())
        found[key] = Original(
            key=key,
            path=path,
            description=words(f"{match['app']}_{match['name'].lstrip('0123456789_') or match['name']}"),
            why_not=BY_THE_TOOL,
            after=after,
        )
    return in_order({key: with_more(each, before.get(key, ())) for key, each in found.items()})


def with_more(original: Original, after: Any) -> Original:
    """The same, after some more."""
    from dataclasses import replace

    return replace(original, after=(*original.after, *after))


# --- yoyo -----------------------------------------------------------------------------------------------------------

DEPENDS = re.compile(r"^--\s*depends:\s*(.*)$", re.MULTILINE)
NOT_TRANSACTIONAL = re.compile(r"^--\s*transactional:\s*false\s*$", re.MULTILINE)


def yoyo(files: Files) -> list[Original]:
    """`*.sql` without `*.rollback.sql`, and Python; each after what it depends on. Content is never hashed."""
    found = {}
    for path in sorted(files, key=base):
        name, _, ending = base(path).rpartition(".")
        if ending not in ("sql", "py") or name.endswith(".rollback") or name.startswith(("_", "post-apply")):
            continue
        text = text_of(files[path])
        depends = DEPENDS.findall(text) if ending == "sql" else [" ".join(several(constants(text).get("__depends__")))]
        found[name] = Original(
            key=name,
            path=path,
            description=words(name.lstrip("0123456789")),
            sql=text if ending == "sql" else None,
            why_not="" if ending == "sql" else BY_THE_TOOL,
            transaction=NOT_TRANSACTIONAL.search(text) is None,
            after=tuple(word for line in depends for word in line.split()),
        )
    return in_order(found)


READERS: Mapping[str, Callable[[Files], list[Original]]] = {"alembic": alembic, "django": django, "yoyo": yoyo}
