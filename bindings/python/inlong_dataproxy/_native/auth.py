"""Questions of the library for credentials: one thread of the process takes them, and calls what the client was given on one more.

The library may not call Python from its own threads, so its questions wait in a line. For one client it asks one at a time, and
stops waiting when the option manager_timeout has passed: what is called may take as long as it likes.
"""

from __future__ import annotations

import ctypes
import inspect
import itertools
import threading
import weakref
from typing import Callable, Optional, Union, cast

from inlong_dataproxy._host.background import Background
from inlong_dataproxy._host.report import report
from inlong_dataproxy.errors import ConfigError

from . import codes, lowlevel as low

Auth = Callable[[str], Union[str, "tuple[str, str]"]]
"""Called with a group, it returns the value of the header Authorization, or name and value of another header."""


class Signer:
    """What a client was given. It lives as long as the client's handle."""

    def __init__(self, auth: Auth) -> None:
        self.auth = auth
        self.number = next(_numbers)
        _signers[self.number] = self


_numbers = itertools.count(1)
_signers: weakref.WeakValueDictionary[int, Signer] = weakref.WeakValueDictionary()


def checked(auth: object) -> Optional[Auth]:
    """Return auth if it can be called, or is None."""
    if auth is None:
        return None
    if not callable(auth) or inspect.iscoroutinefunction(auth):
        found = "a coroutine function" if callable(auth) else type(auth).__name__
        raise ConfigError(f"option auth: must be a plain function of the group that returns a str or a tuple of two, not {found}")
    return cast("Auth", auth)


def _take_all() -> None:
    while True:
        question = low.AuthRecord(struct_size=ctypes.sizeof(low.AuthRecord))
        if low.auth_poll(ctypes.byref(question), low.NO_TIMEOUT) != 1:
            return
        try:
            threading.Thread(target=_answer, args=(question,), name="inlong-auth-call", daemon=True).start()
        except RuntimeError as error:  # no threads any more
            _refuse(question, str(error))


def _answer(question: low.AuthRecord) -> None:
    signer = _signers.get(question.user)
    if signer is None:
        _refuse(question, "the client is gone")
        return
    try:
        name, value = _header(signer.auth(str(question.group_id, "utf-8")))
    except BaseException as error:  # noqa: BLE001 - user code: whatever it is, it costs this request
        report(error, signer.auth, "auth")
        _refuse(question, f"raised {type(error).__name__}: {error}")
        return
    question.name, question.value = name, value
    low.auth_answer(ctypes.byref(question), codes.OK)


def _refuse(question: low.AuthRecord, why: str) -> None:
    text = f"auth: {why}".replace("\0", " ").encode("utf-8", "replace")
    question.text = text[: low.AuthRecord.text.size - 1]
    low.auth_answer(ctypes.byref(question), codes.UNKNOWN)


def _header(given: object) -> tuple[bytes, bytes]:
    """Return name and value of what auth returned. No error holds them."""
    pair = cast("tuple[object, ...]", given) if isinstance(given, tuple) else ("Authorization", given)
    if len(pair) != 2 or not all(isinstance(part, str) for part in pair):
        found = f"a tuple of {len(pair)}" if isinstance(given, tuple) else type(given).__name__
        raise TypeError(f"auth returned {found}: it must be a str, or a tuple of two str")
    return _field("name", str(pair[0]), low.AuthRecord.name.size), _field("value", str(pair[1]), low.AuthRecord.value.size)


def _field(what: str, text: str, size: int) -> bytes:
    data = text.encode("utf-8")
    if len(data) > size - 2 or b"\0" in data:
        raise ValueError(f"auth returned a header {what} of {len(data)} bytes: it must have {size - 2} at most, and no NUL")
    return data


answers = Background("inlong-auth", _take_all)
