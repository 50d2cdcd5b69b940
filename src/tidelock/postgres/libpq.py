"""libpq itself, for one look at a database: importing psycopg takes as long as all else of a run with nothing to do.

The library is the one that psycopg's binary wheel brings along. Where that is not to be found, and wherever a look
goes wrong, `Unavailable` is raised: psycopg then does the same, waits where that helps, and says what is wrong
(ADR 0007). Nothing here blocks a signal: every wait is a `select`.
"""

from __future__ import annotations

import ctypes
import json
import select
import time
from contextlib import contextmanager
from ctypes import POINTER, c_char_p, c_int, c_void_p
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CONNECT_S = 2.0
"""A server that takes longer is psycopg's to wait for."""
PATIENT = "SET LOCAL statement_timeout = 0; "
"""Before a question of ours: a role's default is meant for its applications."""
ANSWER_S = 10.0
"""A server that says nothing for so long to a look at its catalog hangs."""
BAD, TUPLES = 1, 2
"""CONNECTION_BAD, and PGRES_TUPLES_OK."""
FAILED, READING, WRITING, DONE = range(4)
"""What PQconnectPoll answers."""


class Unavailable(Exception):
    """There is no library, no connection or no answer; the caller asks through psycopg."""


class Silent(Exception):
    """The server took the connection and the question, and says nothing."""


class Option(ctypes.Structure):
    """PQconninfoOption: one parameter of a connection string."""

    _fields_ = (
        *((name, c_char_p) for name in ("keyword", "envvar", "compiled", "val", "label", "dispchar")),
        ("dispsize", c_int),
    )


NOTICE = ctypes.CFUNCTYPE(None, c_void_p, c_char_p)
SILENCE = NOTICE(lambda _argument, _message: None)
"""libpq would print notices of the server to stderr."""

FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "PQconninfoParse": (POINTER(Option), (c_char_p, c_void_p)),
    "PQconninfoFree": (None, (POINTER(Option),)),
    "PQconnectStartParams": (c_void_p, (POINTER(c_char_p), POINTER(c_char_p), c_int)),
    "PQconnectPoll": (c_int, (c_void_p,)),
    "PQfinish": (None, (c_void_p,)),
    "PQstatus": (c_int, (c_void_p,)),
    "PQsocket": (c_int, (c_void_p,)),
    "PQport": (c_char_p, (c_void_p,)),
    "PQbackendPID": (c_int, (c_void_p,)),
    "PQsetNoticeProcessor": (c_void_p, (c_void_p, NOTICE, c_void_p)),
    "PQsendQuery": (c_int, (c_void_p, c_char_p)),
    "PQconsumeInput": (c_int, (c_void_p,)),
    "PQisBusy": (c_int, (c_void_p,)),
    "PQgetResult": (c_void_p, (c_void_p,)),
    "PQresultStatus": (c_int, (c_void_p,)),
    "PQgetvalue": (c_char_p, (c_void_p, c_int, c_int)),
    "PQclear": (None, (c_void_p,)),
}


@cache
def library() -> ctypes.CDLL:
    """The libpq of psycopg's binary wheel. Raises Unavailable."""
    found = find_spec("psycopg_binary")
    folders = [Path(each) for each in (found.submodule_search_locations or ())] if found else []
    for path in (
        path
        for folder in folders
        for place in (folder.with_name("psycopg_binary.libs"), folder / ".dylibs")
        for path in place.glob("libpq*")
    ):
        try:
            loaded = ctypes.CDLL(str(path))
            for name, (result, arguments) in FUNCTIONS.items():
                function = getattr(loaded, name)
                function.restype, function.argtypes = result, arguments
        except (OSError, AttributeError):
            continue
        return loaded
    raise Unavailable


def parameters(conninfo: str) -> dict[str, str] | None:
    """The parameters that a connection string gives, read by libpq; None when it cannot. Raises Unavailable."""
    pq = library()
    options = pq.PQconninfoParse(conninfo.encode(errors="surrogateescape"), None)
    if not options:
        return None
    given: dict[str, str] = {}
    try:
        for option in options:
            if option.keyword is None:
                break
            if option.val is not None:
                given[option.keyword.decode()] = option.val.decode()
    except UnicodeDecodeError:
        return None
    finally:
        pq.PQconninfoFree(options)
    return given


class Glance:
    """An open connection that asks for single values."""

    def __init__(self, pq: ctypes.CDLL, conn: int, answer_s: float) -> None:
        self._pq, self._conn, self._answer_s = pq, conn, answer_s

    @property
    def backend_pid(self) -> int:
        """The server process that the connection was opened to; behind a pooler not the one that answers."""
        return int(self._pq.PQbackendPID(self._conn))

    @property
    def port(self) -> str:
        """The port that was connected to."""
        return bytes(self._pq.PQport(self._conn) or b"").decode()

    def ask(self, query: str) -> Any:
        """The value of a query that returns one cell of JSON. Raises Unavailable for every failure."""
        pq, conn = self._pq, self._conn
        if not pq.PQsendQuery(conn, (PATIENT + query).encode()):
            raise Unavailable
        answer: bytes | None = None
        while result := self._result():
            if pq.PQresultStatus(result) == TUPLES:
                answer = pq.PQgetvalue(result, 0, 0)
            pq.PQclear(result)
        if not answer:
            raise Unavailable
        return json.loads(answer)

    def _result(self) -> int | None:
        """The next result, when it is there."""
        pq, conn = self._pq, self._conn
        while pq.PQisBusy(conn):
            heard, _, _ = select.select([pq.PQsocket(conn)], [], [], self._answer_s)
            if not heard:
                raise Silent
            if not pq.PQconsumeInput(conn):
                raise Unavailable
        return pq.PQgetResult(conn)  # type: ignore[no-any-return]


@contextmanager
def glance(where: Mapping[str, str], answer_s: float = ANSWER_S) -> Iterator[Glance]:
    """A connection with these parameters, closed afterwards. Raises Unavailable, and Silent after `answer_s`."""
    pq = library()
    names = (c_char_p * (len(where) + 1))(*(name.encode() for name in where), None)
    values = (c_char_p * (len(where) + 1))(*(value.encode() for value in where.values()), None)
    conn = pq.PQconnectStartParams(names, values, 0)
    if not conn:
        raise Unavailable
    try:
        pq.PQsetNoticeProcessor(conn, SILENCE, None)
        _connect(pq, conn)
        yield Glance(pq, conn, answer_s)
    finally:
        pq.PQfinish(conn)


def _connect(pq: ctypes.CDLL, conn: int) -> None:
    """See a connection through that was begun."""
    ends = time.monotonic() + CONNECT_S
    state = WRITING
    while state != DONE:
        socket = pq.PQsocket(conn)
        left_s = ends - time.monotonic()
        if state == FAILED or socket < 0 or left_s <= 0 or pq.PQstatus(conn) == BAD:
            raise Unavailable
        reading, writing = ([socket], []) if state == READING else ([], [socket])
        if any(select.select(reading, writing, [], left_s)):
            state = pq.PQconnectPoll(conn)
