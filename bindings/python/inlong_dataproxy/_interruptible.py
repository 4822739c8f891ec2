"""Blocking calls into the library that Ctrl-C ends at once."""

from __future__ import annotations

import _thread
import threading
from typing import Any, Callable, Generic, TypeVar

SLICE_SECONDS = 0.1
"""The longest time for which the main thread waits without looking for signals."""

T = TypeVar("T")


class Call(Generic[T]):
    """A blocking call on a thread of its own, so that the thread that wants its outcome waits on a lock of Python.

    Python runs signal handlers on the main thread, between byte codes: a main thread that is inside the library sees Ctrl-C
    only when the library returns. One that waits on a lock sees it at once when the kernel gives the signal to the main
    thread, and after a slice when it gives it to another. The call itself goes on to its own bound.
    """

    def __init__(self, function: Callable[..., T], *arguments: Any) -> None:
        self._function = function
        self._arguments = arguments
        self._value: T | None = None
        self._error: BaseException | None = None
        self._done = _thread.allocate_lock()
        self._done.acquire()
        try:
            _thread.start_new_thread(self._run, ())
        except RuntimeError:  # no threads any more: the interpreter is shutting down
            self._run()

    def _run(self) -> None:
        try:
            self._value = self._function(*self._arguments)
        except BaseException as error:  # noqa: BLE001 - it is raised again by wait
            self._error = error
        finally:
            self._done.release()

    def wait(self) -> T:
        """Wait for the call and return what it returned, or raise what it raised."""
        while not self._done.acquire(timeout=SLICE_SECONDS):
            pass
        self._done.release()
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # pyright: ignore[reportReturnType]


def interruptible(function: Callable[..., T], *arguments: Any) -> T:
    """Call function so that a signal can end the wait for it. Only the main thread gets signals: others call it directly."""
    if threading.current_thread() is not threading.main_thread():
        return function(*arguments)
    return Call(function, *arguments).wait()
