"""`tidelock lint`: the files of each target, checked without a database; with --database also against a live one."""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tidelock.app.lint import Linted, Live, Request
from tidelock.app.lint import lint as checked
from tidelock.app.reading import Reader
from tidelock.cli import wiring
from tidelock.config import BadSetting
from tidelock.core.lint.engine import Selection
from tidelock.core.lint.reading import of_fault
from tidelock.core.lint.rule import RULES
from tidelock.core.report import Finding, Severity
from tidelock.core.source import SourceFile, name_of, number_of
from tidelock.core.values import record
from tidelock.errors import TidelockError, UsageFault
from tidelock.repo import critical, directory, git

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidelock.cli.output import Output
    from tidelock.cli.wiring import Asked
    from tidelock.config import Target
    from tidelock.core.model import Migration

ORDER = tuple(Severity)
"""From the worst to the least."""


@record(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line said of linting itself."""

    form: str = "text"
    severity: str | None = None
    select: Sequence[str] = ()
    extend: Sequence[str] = ()
    ignore: Sequence[str] = ()
    changed_since: str | None = None
    main: str = ""
    """The commit that stands for the main branch; empty looks for it."""
    fix: bool = False


class UnknownRule(UsageFault):
    """--select, --extend or --ignore name a rule that is not there."""

    code = "U022"

    def __init__(self, code: str) -> None:
        from difflib import get_close_matches

        families = sorted({each.rstrip("0123456789") for each in RULES})
        near = get_close_matches(code.upper(), [*RULES, *families], n=3, cutoff=0.5)
        super().__init__(
            f"there is no rule “{code}”",
            hint=f"did you mean {', '.join(near)}?" if near else f"name a rule, or a family: {', '.join(families)}",
        )


def lint(asked: Asked, out: Output, wanted: Wanted) -> int:
    """Check, mend when asked to, and show."""
    began = time.monotonic()
    gc.disable()  # what is read stays until the end of the process, which is soon, also in processes forked from it
    gc.freeze()
    try:
        targets = wiring.targets(asked)
        results = [linted(each, wanted, live_of(each, asked, out)) for each in targets]
        if wanted.fix:
            mended = sum(mend(each) for each in results)
            if mended:
                results = [linted(each, wanted, live_of(each, asked, out)) for each in targets]
    except TidelockError as error:
        return out.fail(error, "lint")
    show(results, out, wanted.form, time.monotonic() - began)
    threshold = min(ORDER.index(Severity(wanted.severity or each.severity)) for each in targets)
    return int(any(ORDER.index(one.severity) <= threshold for each in results for one in each.findings))


def live_of(target: Target, asked: Asked, out: Output) -> Live | None:
    """What the live database has, when --database names one: its schema as SQL, read as a file would be."""
    if not asked.database:
        return None
    from tidelock.core.ddl import document

    database = wiring.database_of(target, asked, sink := out.sink())
    try:
        applied = frozenset(database.observe().applied)
        schema = Reader((), load=str, detailed=True).beside("the database", document.text(database.snapshot()))
        return Live(schema=schema, rows=database.sizes(), applied=applied)
    finally:
        sink.close()
        database.close()


def linted(target: Target, wanted: Wanted, live: Live | None) -> Linted:
    """One directory."""
    where = target.directory
    files, faults = directory.in_part(where)
    if not files and not faults:
        from tidelock.core.planner import NoMigrations  # and with it all that a plan needs

        raise NoMigrations(str(where))
    fallbacks, unfit = fallbacks_of(target)
    unfit += critical.unfit_migrations(target.critical, [int(number_of(each.path) or 0) for each in files])
    wrong = [of_fault(each, each.path) for each in faults] + [unfit_entry(each) for each in unfit]
    entries = {critical.place_of(each): each.table for each in target.critical}
    if wanted.changed_since == "":
        raise BadSetting("--changed-since", "it is empty", "name a branch, tag or commit, or leave it out")
    commit = git.base(where, wanted.changed_since) if wanted.changed_since else None
    return checked(
        Request(
            directory=str(where),
            files=files,
            reader=lambda migrations: Reader(
                migrations,
                load=lambda path: directory.load_beside(where, path),
                variables=target.variables,
                detailed=True,
                digests=False,
                on_recreate=target.on_recreate,
            ),
            found=wrong,
            fallbacks=fallbacks,
            critical=entries,
            selection=selection(target, wanted),
            changed=None if commit is None else spoken_of(target, commit, [each.path for each in (*files, *fallbacks)]),
            main_branch=lambda migrations: on_main(where, commit or wanted.main, migrations),
            live=live,
        )
    )


def fallbacks_of(target: Target) -> tuple[list[SourceFile], list[critical.Unfit]]:
    """The fallback scripts that can be used, and what is wrong with the entries of others."""
    unfit = list(critical.unfit_scripts(target.critical))
    left_out = {each.critical.fallback for each in unfit}
    paths = dict.fromkeys(each.fallback for each in target.critical if each.fallback)
    fit = [path for path in paths if path not in left_out]
    return [SourceFile(wiring.shown(path), directory.content(path, path)) for path in fit], unfit


def unfit_entry(unfit: critical.Unfit) -> Finding:
    """What `apply` would refuse before it runs anything."""
    place, code = critical.place_of(unfit.critical), critical.CriticalUnfit.code
    return Finding(code=code, severity=Severity.ERROR, message=str(unfit), hint=unfit.remedy, place=place)


def spoken_of(target: Target, commit: str, paths: Sequence[str]) -> frozenset[str]:
    """Those that differ from a commit; fallbacks lie beside the directory."""
    folders = {target.directory, *(Path(each.project) for each in target.critical)}
    changed = {path for each in folders for path in git.changed_since(each, commit)}
    return frozenset(each for each in paths if resolved(each) in changed)


def resolved(path: str) -> Path:
    """As git names it: the link, not what it leads to."""
    return Path(path).parent.resolve() / name_of(path)


def on_main(where: Path, commit: str | None, migrations: Sequence[Migration]) -> Mapping[str, str]:
    """path → SHA-256 of what the main branch has."""
    commit = commit or git.main_branch(where)
    if commit is None:
        return {}
    shown = directory.shown_path(where)
    now = {name_of(each.path): each.checksum for each in migrations}
    return {f"{shown}/{name}": then for name, then in git.digests(where, commit, now).items()}


def selection(target: Target, wanted: Wanted) -> Selection:
    """The command line's word over the file's. Raises UnknownRule."""
    chosen = Selection(
        select=codes(wanted.select, "--select") or target.select,
        extend=(*target.extend, *codes(wanted.extend, "--extend")),
        ignore=(*target.ignore, *codes(wanted.ignore, "--ignore")),
    )
    families = {each.rstrip("0123456789") for each in RULES}
    for code in (*chosen.select, *chosen.extend, *chosen.ignore):
        if code not in RULES and code not in families:
            raise UnknownRule(code)
    return chosen


def codes(given: Sequence[str], option: str) -> tuple[str, ...]:
    """`LK001,TS` repeated or listed, in upper case. Raises BadSetting when nothing is in it."""
    found = tuple(code.strip().upper() for each in given for code in each.split(",") if code.strip())
    if given and not found:
        raise BadSetting(option, "it names no rule", "name rules or families, or leave it out")
    return found


def mend(result: Linted) -> int:
    """Write the safe changes into the files: how many findings they were for. Compressed files are left alone."""
    from tidelock.core.lint.edit import applied

    mended = 0
    for path, text in result.texts.items():
        edits = [each.edit for each in result.findings if each.edit and each.place and each.place.path == path]
        if edits and path.endswith(".sql"):
            mark = "\ufeff" if Path(path).read_bytes().startswith(b"\xef\xbb\xbf") else ""
            Path(path).write_text(mark + applied(text, edits), encoding="utf-8", newline="")
            mended += len(edits)
    return mended


def show(results: Sequence[Linted], out: Output, form: str, took_s: float) -> None:
    """In the form that was asked for. Each is imported by itself: they are a tenth of the time of a small run."""
    form = "json" if out.json else form
    findings = [one for each in results for one in each.findings]
    if form == "text":
        from tidelock.render import lint

        shown = lint.text(results, took_s, coloured=out.terminal)
    elif form == "json":
        from tidelock.render import lint
        from tidelock.render.json import dumps

        shown = dumps(lint.data(results, took_s))
    else:
        shown = FORMS[form](findings, results)
    print(shown.encode(errors="replace").decode().rstrip("\n"))  # a file's name need not be text


def github_text(findings: Sequence[Finding], _: Sequence[Linted]) -> str:
    """Annotations."""
    from tidelock.render import github

    return github.text(findings)


def gitlab_text(findings: Sequence[Finding], _: Sequence[Linted]) -> str:
    """Code quality."""
    from tidelock.render import gitlab
    from tidelock.render.json import dumps

    return dumps(gitlab.data(findings))


def sarif_text(findings: Sequence[Finding], _: Sequence[Linted]) -> str:
    """SARIF."""
    from tidelock.render import sarif
    from tidelock.render.json import dumps

    return dumps(sarif.data(findings))


def junit_text(findings: Sequence[Finding], results: Sequence[Linted]) -> str:
    """JUnit."""
    from tidelock.render import junit

    paths = {path for each in results for path in each.texts}
    return junit.text(findings, sorted(paths | {one.place.path for one in findings if one.place}))


FORMS = {"github": github_text, "gitlab": gitlab_text, "sarif": sarif_text, "junit": junit_text}
