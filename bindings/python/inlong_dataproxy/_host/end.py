"""Has clients that nobody closed closed when their process ends.

The interpreter's exit does that, except in a child of multiprocessing: it drops the exit handlers of its parent, ends with
os._exit, and calls before that only what was registered in it with multiprocessing itself.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
import weakref
from typing import Any, Callable, Protocol

from . import fork

EXIT_SECONDS = 5.0
"""How long the interpreter's exit waits, in all, for messages of clients that were not closed."""

_HURRY_SECONDS = 0.25
"""How long it waits instead where a signal handler raises meanwhile: by then a spool has what has no ack."""
_LOOK_SECONDS = 0.005


class Open(Protocol):
    """What is to be closed. Times are of time.monotonic."""

    def seal(self) -> Any:
        """Send what waits for company."""

    def begin_close(self, end: float) -> Any:
        """Begin to close within end."""

    def wait_closed(self, end: float) -> Any:
        """Wait for that, until end at most."""

    def disown(self) -> None:
        """Know that this is a forked child, and the client its parent's."""


_known: weakref.WeakSet[Any] = weakref.WeakSet()  # all that were opened: one that is closed may have futures without a result
_open: set[Any] = set()  # each is kept until it is closed, so that what a forgotten client accepted is still delivered
_at_the_end: list[Callable[[], object]] = []
_armed_process = 0


def opened(client: Open) -> None:
    """Have client closed at the end."""
    _known.add(client)
    _open.add(client)


def closed(client: Open) -> None:
    """Know that it is."""
    _open.discard(client)


def at_the_end(function: Callable[[], object]) -> None:
    """Have function called when all are closed."""
    _at_the_end.append(function)


def still_open() -> set[Any]:
    """Return those that are not closed."""
    return set(_open)


def arm() -> None:
    """Make sure of it in this process. To be called for each client: what is registered before a fork does not count after it."""
    global _armed_process  # noqa: PLW0603 - a process has one end
    process, util = sys.modules.get("multiprocessing.process"), sys.modules.get("multiprocessing.util")
    if process is None or util is None or process.parent_process() is None or _armed_process == os.getpid():
        return
    _armed_process = os.getpid()
    util.Finalize(None, _close_all, exitpriority=0)


def _close_all() -> None:
    """Close all at the same time, with one deadline. Where no thread can be started any more, some close one after the other: by
    then each has sent what it has.
    """
    fork.look()
    end = time.monotonic() + EXIT_SECONDS
    left = list(_open)
    try:
        for client in left:
            client.seal()
        for client in left:
            client.begin_close(end)
        for client in left:
            client.wait_closed(end)
    except BaseException:  # Ctrl-C or SIGTERM once more: a client that is not closed stores nothing
        end = time.monotonic() + _HURRY_SECONDS
        for client in left:
            client.begin_close(end)
        while _open and time.monotonic() < end:
            time.sleep(_LOOK_SECONDS)
        raise
    for function in _at_the_end:
        function()


def _disown_all() -> None:
    for client in list(_known):
        client.disown()
    _open.clear()


atexit.register(_close_all)
fork.after_fork(_disown_all)
