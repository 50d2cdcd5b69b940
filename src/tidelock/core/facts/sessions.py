"""SET, DISCARD, cursors, prepared statements, LISTEN; and BEGIN, COMMIT, SAVEPOINT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.facts.search import look
from tidelock.core.statement import Kind

if TYPE_CHECKING:
    from tidelock.core.facts.draft import Draft
    from tidelock.core.parser import Node

_TRANSACTION: dict[str, tuple[Kind, str]] = {
    "TRANS_STMT_BEGIN": (Kind.BEGIN, "BEGIN"),
    "TRANS_STMT_START": (Kind.BEGIN, "START TRANSACTION"),
    "TRANS_STMT_COMMIT": (Kind.COMMIT, "COMMIT"),
    "TRANS_STMT_ROLLBACK": (Kind.ROLLBACK, "ROLLBACK"),
    "TRANS_STMT_SAVEPOINT": (Kind.SAVEPOINT, "SAVEPOINT"),
    "TRANS_STMT_RELEASE": (Kind.SAVEPOINT, "RELEASE SAVEPOINT"),
    "TRANS_STMT_ROLLBACK_TO": (Kind.SAVEPOINT, "ROLLBACK TO SAVEPOINT"),
    "TRANS_STMT_PREPARE": (Kind.TWO_PHASE, "PREPARE TRANSACTION"),
    "TRANS_STMT_COMMIT_PREPARED": (Kind.TWO_PHASE, "COMMIT PREPARED"),
    "TRANS_STMT_ROLLBACK_PREPARED": (Kind.TWO_PHASE, "ROLLBACK PREPARED"),
}


def transaction(draft: Draft, node: Node) -> None:
    """BEGIN … ROLLBACK PREPARED. AND CHAIN is part of the command."""
    draft.kind, draft.command = _TRANSACTION[node["kind"]]
    if node.get("chain"):
        draft.command += " AND CHAIN"
    if node["kind"].endswith("_PREPARED"):
        draft.alone = f"{draft.command} cannot run inside a transaction block"


def set_variable(draft: Draft, node: Node) -> None:
    """SET LOCAL and SET TRANSACTION end with the transaction; everything else stays in the session.

    `sets` is the setting's name: `role` also for SET SESSION AUTHORIZATION, `transaction` for SET TRANSACTION,
    `session characteristics` for the session's default, `all` for RESET ALL.
    """
    name = node.get("name", "").lower()
    local = bool(node.get("is_local")) or name in ("transaction", "transaction snapshot")
    draft.kind = Kind.SESSION
    draft.sets = _SETTINGS.get(name, name) or "all"
    draft.command = _verb(node, name, local=local)
    draft.session = not local
    draft.keeps = "" if local else f"{draft.command} {draft.sets}"
    draft.session_only = draft.rerunnable = True


_SETTINGS = {"session_authorization": "role", "transaction snapshot": "transaction"}


def _verb(node: Node, name: str, *, local: bool) -> str:
    if "RESET" in node["kind"]:
        return "RESET"
    if node["kind"] == "VAR_SET_MULTI":
        return f"SET {name.upper()}"
    return "SET LOCAL" if local else "SET"


def show(draft: Draft, node: Node) -> None:
    """SHOW reads."""
    del node
    draft.kind, draft.command, draft.rerunnable = Kind.QUERY, "SHOW", True


def set_constraints(draft: Draft, node: Node) -> None:
    """SET CONSTRAINTS ends with the transaction."""
    del node
    draft.kind, draft.command, draft.sets = Kind.SESSION, "SET CONSTRAINTS", "constraints"
    draft.rerunnable = draft.session_only = True


def discard(draft: Draft, node: Node) -> None:
    """DISCARD ALL is refused inside of a transaction block; PLANS, SEQUENCES and TEMP are not."""
    what = node["target"].removeprefix("DISCARD_")
    _session(draft, f"DISCARD {what}")
    draft.rerunnable = True
    if what == "ALL":
        draft.alone = "DISCARD ALL cannot run inside a transaction block"


def prepare(draft: Draft, node: Node) -> None:
    """PREPARE stores a statement and takes no lock that stays… but those of its analysis, until commit."""
    look(draft, node.get("query", {}), reads=True, runs=False, literals=True)
    _session(draft, "PREPARE")


def execute(draft: Draft, node: Node) -> None:
    """EXECUTE runs what PREPARE stored; that is not known here."""
    look(draft, node, literals=True)
    draft.kind, draft.command, draft.session = Kind.UNKNOWN, "EXECUTE", True


def declare(draft: Draft, node: Node) -> None:
    """DECLARE reads as its query does; WITH HOLD (0x20) outlives the transaction."""
    look(draft, node.get("query", {}), reads=True, literals=True)
    functions_stay = draft.session
    _session(draft, "DECLARE CURSOR")
    draft.session = functions_stay or bool(node.get("options", 0) & 0x20)
    draft.session_only = not draft.unrepeatable


def listen(draft: Draft, node: Node) -> None:
    """LISTEN."""
    del node
    _session(draft, "LISTEN")
    draft.rerunnable = True


def unlisten(draft: Draft, node: Node) -> None:
    """UNLISTEN."""
    del node
    _session(draft, "UNLISTEN")
    draft.rerunnable = True


def load(draft: Draft, node: Node) -> None:
    """LOAD keeps a library in the session."""
    del node
    _session(draft, "LOAD")
    draft.rerunnable = True


def deallocate(draft: Draft, node: Node) -> None:
    """DEALLOCATE."""
    del node
    _session(draft, "DEALLOCATE")


def fetch(draft: Draft, node: Node) -> None:
    """FETCH and MOVE: the cursor's place is the session's."""
    _session(draft, "MOVE" if node.get("ismove") else "FETCH")


def close(draft: Draft, node: Node) -> None:
    """CLOSE."""
    del node
    _session(draft, "CLOSE")


def _session(draft: Draft, command: str) -> None:
    draft.kind, draft.command = Kind.SESSION, command
    draft.session = draft.session_only = True


HANDLERS = {
    "TransactionStmt": transaction,
    "VariableSetStmt": set_variable,
    "VariableShowStmt": show,
    "ConstraintsSetStmt": set_constraints,
    "DiscardStmt": discard,
    "PrepareStmt": prepare,
    "ExecuteStmt": execute,
    "DeclareCursorStmt": declare,
    "ListenStmt": listen,
    "UnlistenStmt": unlisten,
    "LoadStmt": load,
    "DeallocateStmt": deallocate,
    "FetchStmt": fetch,
    "ClosePortalStmt": close,
}
