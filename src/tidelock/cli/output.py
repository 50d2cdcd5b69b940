"""Where results go: text or JSON on stdout, progress on stderr or a terminal, a summary for Kubernetes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidelock.core.values import record

if TYPE_CHECKING:
    from tidelock.app.ports import Sink
    from tidelock.cli.terminal import Live
    from tidelock.core.report import Event, Report
    from tidelock.errors import TidelockError

IN_A_JOB = "TIDELOCK_BUNDLE"
"""The variable that a Job has which `tidelock kube` made."""
TERMINATION_LOG = Path("/dev/termination-log")


@record(frozen=True, slots=True)
class Output:
    """How the person, or the machine, wants to see it."""

    json: bool = False
    json_logs: bool = False

    @property
    def terminal(self) -> bool:
        """A person looks, and the terminal can show colours and tables."""
        plain = os.environ.get("TERM") == "dumb" or "NO_COLOR" in os.environ
        return not self.json and not plain and sys.stdout.isatty()

    def sink(self) -> Sink:
        """Whoever watches a run."""
        from tidelock.cli.console import JsonLines, Plain, Quiet

        if self.json_logs:
            return JsonLines()
        if self.json:
            return Quiet()
        if self.terminal:
            return OnDemand()
        return Plain()

    def show(self, shown: str, data: dict[str, Any]) -> None:
        """A result, in the form that was asked for."""
        if self.json:
            from tidelock.render.json import dumps

            shown = dumps(data)
        sys.stdout.write(shown.rstrip("\n") + "\n")
        sys.stdout.flush()

    def end(self, report: Report) -> None:
        """The end of a run: results to stdout, a failure to stderr."""
        from tidelock.core.report import exit_code
        from tidelock.render import text

        if IN_A_JOB in os.environ and report.failure is not None:
            from tidelock.render.deployer import for_deployer

            report.failure.hint = for_deployer(report.failure.hint)
        if self.json:
            from tidelock.render.json import report as data

            self.show("", data(report))
        elif report.failure is not None and self.json_logs:
            from tidelock.cli.console import log_failure

            log_failure(report.failure)
        elif report.failure is not None or exit_code(report):
            print(colour(text.summary(report), "31"), file=sys.stderr, flush=True)
        else:
            self.show(text.summary(report), {})
        last_words(report)

    def fail(self, error: TidelockError, command: str, target: str = "") -> int:
        """A failure before there was a run."""
        from tidelock.core.report import Report

        self.end(Report(command=command, target=target, failure=error))
        return error.exit_code


class OnDemand:
    """A live terminal that is imported when something happens: a run with nothing to do needs none of it."""

    def __init__(self) -> None:
        self._live: Live | None = None

    def emit(self, event: Event) -> None:
        """Pass it on."""
        if self._live is None:
            from tidelock.cli.terminal import Live

            self._live = Live()
        self._live.emit(event)

    def close(self) -> None:
        """Give the terminal back."""
        if self._live is not None:
            self._live.close()


def colour(shown: str, code: str) -> str:
    """The first line in colour, on a terminal that wants it."""
    if not sys.stderr.isatty() or "NO_COLOR" in os.environ:
        return shown
    first, _, rest = shown.partition("\n")
    return f"\x1b[{code}m{first}\x1b[0m\n{rest}"


def last_words(report: Report) -> None:
    """In a pod, the summary as JSON for `kubectl describe`."""
    in_a_pod = "KUBERNETES_SERVICE_HOST" in os.environ or TERMINATION_LOG.exists()
    if not in_a_pod and "TIDELOCK_TERMINATION_LOG" not in os.environ:
        return
    from tidelock.render import termination
    from tidelock.render.json import report as as_data

    path = Path(os.environ.get("TIDELOCK_TERMINATION_LOG", str(TERMINATION_LOG)))
    try:
        path.write_text(termination.last_words(as_data(report)), encoding="utf-8")
    except OSError:
        return  # not a pod after all, or without the file: the report is on stdout in any case
