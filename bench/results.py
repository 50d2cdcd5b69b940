"""Measurements → medians, ratios, aims and the page. Pure: no clock, no terminal, no files."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

APPLY, NOTHING = "apply", "nothing to do"
SETTINGS = ("on", "off")


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of one contender."""

    contender: str
    synchronous_commit: str
    task: str
    seconds: float
    peak_kib: int
    round: int = 1
    cpu_seconds: float = 0.0
    """Its own and its children's, without the server's."""


@dataclass(frozen=True, slots=True)
class Aim:
    """`task` of tidelock takes at most `factor` times what `against` takes."""

    task: str
    against: str
    factor: float


AIMS = (
    Aim(APPLY, "dbmate", 0.75),
    Aim(APPLY, "floor", 1.2),
    Aim(NOTHING, "yoyo", 0.6),
    Aim(NOTHING, "Alembic", 0.6),
    Aim(NOTHING, "dbmate", 8.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Everything one run of the benchmark found."""

    count: int
    """How many migrations."""
    changes: str
    """What they do, in a sentence."""
    rounds: int
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    absent: Mapping[str, str]
    """Contenders that could not take part, and why."""
    samples: Sequence[Sample] = field(default_factory=list)

    def seconds(self, contender: str, setting: str, task: str) -> float | None:
        """The median, None without a sample."""
        found = self._of(contender, setting, task)
        return median(each.seconds for each in found) if found else None

    def ratio(self, contender: str, against: str, setting: str, task: str) -> float | None:
        """How many times longer than `against`: the median over the rounds in which both ran."""
        mine, theirs = (self._by_round(each, setting, task) for each in (contender, against))
        both = mine.keys() & theirs.keys()
        return median(mine[each] / theirs[each] for each in both) if both else None

    def _by_round(self, contender: str, setting: str, task: str) -> dict[int, float]:
        found = self._of(contender, setting, task)
        return {
            number: median(each.seconds for each in found if each.round == number)
            for number in {each.round for each in found}
        }

    def runs(self, contender: str, setting: str, task: str) -> int:
        """How many samples that median is of."""
        return len(self._of(contender, setting, task))

    def peak_mib(self, contender: str, task: str) -> float | None:
        """The largest peak of its processes."""
        found = [each.peak_kib for each in self.samples if (each.contender, each.task) == (contender, task)]
        return max(found) / 1024 if found else None

    def cpu_seconds(self, contender: str, task: str) -> float | None:
        """The median over both settings: it tells less of the machine's other work than seconds do."""
        found = [each.cpu_seconds for each in self.samples if (each.contender, each.task) == (contender, task)]
        return median(found) if found else None

    def _of(self, contender: str, setting: str, task: str) -> list[Sample]:
        wanted = (contender, setting, task)
        return [each for each in self.samples if (each.contender, each.synchronous_commit, each.task) == wanted]

    def contenders(self) -> list[str]:
        """In the order in which they ran."""
        return list(dict.fromkeys(each.contender for each in self.samples))


INTRODUCTION = """\
{count} small migrations ({changes}, in turn) on a fresh database, then the same command again with nothing to do.
Seconds are medians of {rounds} interleaved rounds on one server with fsync on, side by side in one run of
`make bench`; ratios are medians of the ratios within each round. A number in brackets is how often a slow contender
ran, when that was less."""


def page(results: Results) -> str:
    """The results as Markdown."""
    parts = [
        "# Benchmarks",
        INTRODUCTION.format(count=results.count, changes=results.changes, rounds=results.rounds),
        _facts(results),
        "## Applying\n\n" + _table(results, APPLY),
        "## Nothing to do\n\n" + _table(results, NOTHING),
        "## Aims\n\n" + aims(results),
    ]
    if results.absent:
        lines = [f"- {name}: {reason}" for name, reason in results.absent.items()]
        parts.append("## Not taking part\n\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _facts(results: Results) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    lines = [f"- {name}: {value}" for name, value in results.machine.items()]
    return "\n".join([*lines, f"- versions: {versions}"])


def _table(results: Results, task: str) -> str:
    head = ["contender", *(f"synchronous_commit {each}" for each in SETTINGS), "× dbmate", "own CPU", "peak memory"]
    rows = [head, ["---", "---:", "---:", "---:", "---:", "---:"]]
    names = (name for name in results.contenders() if any(results.runs(name, each, task) for each in SETTINGS))
    rows += [_row(results, name, task) for name in names]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _row(results: Results, name: str, task: str) -> list[str]:
    cells = [name]
    ratios = []
    for setting in SETTINGS:
        seconds, ratio = results.seconds(name, setting, task), results.ratio(name, "dbmate", setting, task)
        runs = results.runs(name, setting, task)
        few = f" ({runs})" if 0 < runs < results.rounds else ""
        cells.append("–" if seconds is None else f"{seconds:.3f} s{few}")
        ratios.append("–" if ratio is None else f"{ratio:.2f}")
    peak, cpu = results.peak_mib(name, task), results.cpu_seconds(name, task)
    own = "–" if cpu is None else f"{cpu:.2f} s"
    return [*cells, " / ".join(ratios), own, "–" if peak is None else f"{peak:.0f} MiB"]


def aims(results: Results) -> str:
    """One line for each aim and setting: the ratio, and whether it is met."""
    lines = []
    for aim in AIMS:
        for setting in SETTINGS:
            ratio = results.ratio("tidelock", aim.against, setting, aim.task)
            verdict = "not measured" if ratio is None else "pass" if ratio <= aim.factor else "FAIL"
            shown = "–" if ratio is None else f"{ratio:.2f}"
            lines.append(
                f"- {verdict}: {aim.task}, synchronous_commit {setting}: {shown} × {aim.against} "
                f"(aim: at most {aim.factor})"
            )
    return "\n".join(lines)
