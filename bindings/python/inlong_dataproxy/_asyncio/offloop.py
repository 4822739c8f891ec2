"""Blocking calls of the library for an event loop: on another thread, so that the loop never waits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Callable, Optional, TypeVar

from inlong_dataproxy._host import interpreter
from inlong_dataproxy._host.calls import Call
from inlong_dataproxy._native import codes, lowlevel as low
from inlong_dataproxy._native.auth import Auth
from inlong_dataproxy._native.handle import discard, make_handle

T = TypeVar("T")


def start(loop: asyncio.AbstractEventLoop, function: Callable[..., T], *arguments: Any) -> tuple[Call[T], asyncio.Future[T]]:
    """Call function on another thread. Return the call, and a future of the loop that gets its outcome.

    Cancelling the future ends the wait only: the call continues to its own bound.
    """
    future: asyncio.Future[T] = loop.create_future()

    def run() -> T:
        try:
            value = function(*arguments)
        except BaseException as error:
            _post(loop, future, error)
            raise
        _post(loop, future, value)
        return value

    return Call(run), future


def _post(loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any], outcome: object) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(answer, future, outcome)


def answer(future: asyncio.Future[Any], outcome: object) -> None:
    """Give a future its outcome, unless it has one. A closed loop tells nobody of it."""
    if not future.done():
        with contextlib.suppress(RuntimeError):  # raised after the setting
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)


async def call(function: Callable[..., T], *arguments: Any) -> T:
    """Call function on another thread and return what it returns."""
    return await start(asyncio.get_running_loop(), function, *arguments)[1]


async def new_handle(texts: Mapping[str, str], auth: Optional[Auth]) -> low.ClientHandle:
    """Make a client in the library. What a cancelled await leaves is closed at once."""
    interpreter.check_threads()
    loop = asyncio.get_running_loop()

    def make() -> low.ClientHandle:
        handle = make_handle(texts, auth)
        if loop.is_closed():  # nobody waits, and who would close it is garbage that may not be collected for a long time
            low.client_close(handle, 0, None)
            raise codes.closed_error()
        return handle

    call, future = start(loop, make)
    try:
        return await future
    except BaseException:  # also GeneratorExit: its loop is gone, and nobody cancelled it
        Call(discard, call)
        raise
