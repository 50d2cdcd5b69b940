"""What is lost when a column's type changes."""

from __future__ import annotations

from tidelock.core.patterns import regex

TYPE = regex(r"(?P<name>.*?)(?:\((?P<sizes>[\d,-]+)\))?(?P<array>(?:\[\])*)")
SAME = {
    "serial": "int4",
    "serial4": "int4",
    "bigserial": "int8",
    "serial8": "int8",
    "smallserial": "int2",
    "serial2": "int2",
    "decimal": "numeric",
}
DIGITS = {"int2": 5, "int4": 10, "int8": 19}
FLOATS = {"float4": 6, "float8": 15}
TEXTS = ("text", "varchar", "bpchar", "citext", "name")
TIMES = ("timestamptz", "timestamp")
NO_LIMIT = 10**9


def lost(old: str, new: str) -> str:
    """What a change of type may lose, in words; empty when nothing, or when it is not known."""
    before, after = _parts(old), _parts(new)
    if before[2] != after[2]:
        return ""
    return (
        _of_integers(before, after)
        or _of_numbers(before, after)
        or _of_texts(before, after)
        or _of_times(before, after)
    )


Parts = tuple[str, tuple[int, ...], str]


def _parts(text: str) -> Parts:
    found = TYPE.fullmatch(text)
    if found is None:
        return text, (), ""
    sizes = tuple(map(int, found["sizes"].split(","))) if found["sizes"] else ()
    return SAME.get(found["name"], found["name"]), sizes, found["array"]


def _of_integers(old: Parts, new: Parts) -> str:
    if new[0] in DIGITS:
        if old[0] in DIGITS and DIGITS[new[0]] < DIGITS[old[0]]:
            return "larger numbers fail"
        if old[0] in FLOATS or (old[0] == "numeric" and (not old[1] or old[1][1:] != (0,))):
            return "fractions are rounded away, larger numbers fail"
    if new[0] == "bool" and old[0] in DIGITS:
        return "every number but 0 becomes true"
    return ""


def _of_numbers(old: Parts, new: Parts) -> str:
    if new[0] in FLOATS:
        if old[0] in FLOATS and FLOATS[new[0]] < FLOATS[old[0]]:
            return f"digits after the {FLOATS[new[0]]}th are lost"
        if old[0] == "numeric" or DIGITS.get(old[0], 0) > FLOATS[new[0]] + 1:
            return f"digits after the {FLOATS[new[0]]}th are lost"
    if new[0] == "numeric" and new[1]:
        scale = new[1][1] if len(new[1]) > 1 else 0
        whole = new[1][0] - scale
        if old[0] in FLOATS or (old[0] == "numeric" and not old[1]):
            return f"fractions are rounded to {scale} digits, more than {whole} digits before the point fail"
        if old[0] in DIGITS and whole < DIGITS[old[0]]:
            return f"numbers of more than {whole} digits fail"
        if old[0] == "numeric":
            old_scale = old[1][1] if len(old[1]) > 1 else 0
            if scale < old_scale:
                return f"fractions are rounded to {scale} digits"
            if whole < old[1][0] - old_scale:
                return f"more than {whole} digits before the point fail"
    return ""


def _of_texts(old: Parts, new: Parts) -> str:
    if old[0] not in TEXTS or new[0] not in ("varchar", "bpchar"):
        return ""
    before = old[1][0] if old[1] else 1 if old[0] == "bpchar" else NO_LIMIT
    after = new[1][0] if new[1] else 1 if new[0] == "bpchar" else NO_LIMIT
    return f"texts of more than {after} characters fail, and with USING are cut" if after < before else ""


def _of_times(old: Parts, new: Parts) -> str:
    if old[0] in TIMES and new[0] == "date":
        return "the time of day is lost"
    if old[0] in TIMES and new[0] in ("time", "timetz"):
        return "the date is lost"
    if old[0] == "timestamptz" and new[0] == "timestamp":
        return "the zone is lost, and the values depend on the session's TimeZone"
    if old[0] == "timetz" and new[0] == "time":
        return "the zone is lost"
    if old[0] == new[0] and old[0] in (*TIMES, "time", "timetz"):
        before, after = (each[1][0] if each[1] else 6 for each in (old, new))
        return f"fractions of a second are rounded to {after} digits" if after < before else ""
    return ""
