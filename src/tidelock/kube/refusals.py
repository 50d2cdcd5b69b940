"""What the API server, or the way to it, says instead of an answer → a fault of ours, or that time mends it."""

from __future__ import annotations

import json
import subprocess
import traceback
from typing import TYPE_CHECKING

import httpx2
import msgspec
from lightkube import ApiError

from tidelock.kube.faults import NoNamespace, NotAllowed, NotSignedIn, Rejected

if TYPE_CHECKING:
    from tidelock.errors import TidelockError
    from tidelock.kube.client import Cluster

BUSY = (429, 500, 502, 503, 504)
MISSING = 404
NOT_OURS = (401, 403)
"""Not signed in, not allowed: no waiting mends it."""
FOREIGN = (OSError, subprocess.SubprocessError, json.JSONDecodeError, msgspec.DecodeError)
"""A credential plugin that is not there or says something else than it should; an answer that is no JSON."""
MEND = "see that server and certificate-authority in the kubeconfig are those of a Kubernetes API server"

PLUGIN = "run the command of the user's `exec` in the kubeconfig, and see what it prints; or give that user a token"


def reason_of(error: Exception) -> str:
    """Why a stream broke, in a few words."""
    said = str(error.status.message or error) if isinstance(error, ApiError) else str(error)
    return said or type(error).__name__


def of_plugin(error: BaseException) -> bool:
    """It came up where lightkube reads what a credential plugin has printed: there it expects a token as given."""
    traces = traceback.extract_tb(error.__traceback__)
    return bool(traces) and traces[-1].name in ("sync_auth_flow", "_prepare")


def lasting(error: httpx2.HTTPError) -> bool:
    """No time mends it: a certificate that is not trusted, an address that is none, another kind of server."""
    if isinstance(error, httpx2.HTTPStatusError):
        return error.response.status_code not in BUSY
    return isinstance(error, httpx2.UnsupportedProtocol) or "CERTIFICATE_VERIFY_FAILED" in str(error)


def fault(error: ApiError, where: str, doing: str, cluster: Cluster) -> TidelockError:
    """What the API server refused, as a fault of ours."""
    status = error.status
    why = str(status.message or status.reason or error)
    if status.code == 401:
        return NotSignedIn(cluster.server, why)
    causes = {each.reason for each in (status.details.causes if status.details else None) or []}
    if "NamespaceTerminating" in causes:
        return NoNamespace(cluster.namespace, "it is being deleted")
    if status.code == 403 and 'User "' in why and " cannot " in why:
        return NotAllowed(where, doing, why)
    if status.code == MISSING and status.details and status.details.kind == "namespaces":
        return NoNamespace(cluster.namespace, "it is not there")
    return Rejected(where, doing, why, status=status.code or 0)
