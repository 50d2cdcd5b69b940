"""`tidelock operator run`."""

from __future__ import annotations

import os
import socket
import sys
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING

from tidelock.cli.deploying import Where, connect
from tidelock.config import BadSetting, duration
from tidelock.errors import TidelockError, UsageFault

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightkube import Client

    from tidelock.cli.output import Output

WHAT = "tidelock operator run"
MOST_PORT = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line said."""

    all_namespaces: bool = False
    listen: str = ":8080"
    lease: str = "15s"


class NoOperatorParts(UsageFault):
    """The operator needs an extra."""

    code = "U050"

    def __init__(self) -> None:
        super().__init__(
            f"{WHAT} needs lightkube and prometheus-client, which are not installed",
            hint="pip install 'tidelock[operator]', then run it again",
        )


def run(where: Where, out: Output, wanted: Wanted) -> int:
    """Until a signal comes."""
    try:
        if find_spec("lightkube") is None or find_spec("prometheus_client") is None:
            raise NoOperatorParts
        host, port = address(wanted.listen)
        lease_s = duration(wanted.lease, "--lease")
        where = Where(
            kubeconfig=where.kubeconfig,
            context=where.context,
            namespace=where.namespace or os.environ.get("POD_NAMESPACE"),
        )
        home = connect(where, WHAT).namespace
    except TidelockError as error:
        return out.fail(error, "operator run")
    from tidelock.operator.running import Operator

    def client() -> Client:
        return connect(where, WHAT).client

    operator = Operator(
        connect=client,
        namespace="*" if wanted.all_namespaces else home,
        home=home,
        identity=os.environ.get("POD_NAME") or f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}",
        lease_s=lease_s,
        tell=teller(out),
    )
    try:
        operator.run((host, port))
    except KeyboardInterrupt:
        return 0
    except TidelockError as error:
        return out.fail(error, "operator run")
    return 0


def address(listen: str) -> tuple[str, int]:
    """`HOST:PORT` or `:PORT`. Raises BadSetting."""
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > MOST_PORT:
        raise BadSetting("--listen", f"“{listen}” is not HOST:PORT", "write --listen :8080")
    return host, int(port)


def teller(out: Output) -> Callable[[str], None]:
    """Lines on stderr, as text or as JSON."""

    def tell(text: str) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if out.json_logs:
            from tidelock.render.json import line

            print(line({"time": now, "event": "operator", "text": text}), file=sys.stderr, flush=True)
        else:
            print(f"{now}  {text}", file=sys.stderr, flush=True)

    return tell
