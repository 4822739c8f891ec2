"""Blocking calls into the library that Ctrl-C ends at once."""

from __future__ import annotations

import _thread
import threading
from typing import Any, Callable, Generic, Optional, TypeVar

from . import fork

SLICE_SECONDS = 0.05
"""The longest time for which the main thread waits without looking for signals."""

_IDLE_SECONDS = 1.0  # after which a worker that has nothing to do ends

T = TypeVar("T")


class Call(Generic[T]):
    """A blocking call on another thread, so that the thread that wants its outcome waits on a lock of Python.

    Python runs signal handlers on the main thread, between byte codes: a main thread that is inside the library sees Ctrl-C
    only when the library returns. One that waits on a lock sees it at once when the kernel gives the signal to the main
    thread, and after a slice when it gives it to another. The call itself continues to its own bound.
    """

    def __init__(self, function: Callable[..., T], *arguments: Any) -> None:
        fork.look()
        self._function = function
        self._arguments = arguments
        self._value: Optional[T] = None
        self._error: Optional[BaseException] = None
        self._done = _thread.allocate_lock()
        self._done.acquire()
        try:
            _idle.pop().take(self)
        except IndexError:
            try:
                _thread.start_new_thread(_Worker().work, (self,))
            except RuntimeError:  # no threads any more: the interpreter is shutting down
                self.run(None)

    def run(self, worker: Optional[_Worker]) -> None:
        """Carry the call out on this thread, which is worker's."""
        try:
            self._value = self._function(*self._arguments)
        except BaseException as error:  # noqa: BLE001 - it is raised again by wait
            self._error = error
        if worker is not None:
            _idle.append(worker)  # before the release: who waits may have the next call at once
        self._done.release()

    def outcome(self) -> Optional[T]:
        """Wait for the call and return what it returned, None if it raised."""
        while not self._done.acquire(timeout=SLICE_SECONDS):
            pass
        self._done.release()
        return self._value

    def wait(self) -> T:
        """Wait for the call and return what it returned, or raise what it raised."""
        value = self.outcome()
        if self._error is not None:
            raise self._error
        return value  # type: ignore[return-value]  # pyright: ignore[reportReturnType]


class _Worker:
    """A thread that carries out calls. Starting one for each would cost more than a message's round trip."""

    def __init__(self) -> None:
        self._call: Optional[Call[Any]] = None
        self._ready = _thread.allocate_lock()
        self._ready.acquire()

    def take(self, call: Call[Any]) -> None:
        """Have it carry out a call. Anyone who calls this has taken the worker out of _idle."""
        self._call = call
        self._ready.release()

    def work(self, call: Optional[Call[Any]]) -> None:
        while call is not None:
            call.run(self)
            call = None  # it holds its outcome
            if not self._ready.acquire(timeout=_IDLE_SECONDS):
                try:
                    _idle.remove(self)
                except ValueError:
                    self._ready.acquire()  # a call is on its way
                else:
                    return
            call, self._call = self._call, None


_idle: list[_Worker] = []  # its methods are atomic: a worker is taken by one
fork.after_fork(_idle.clear)


def interruptible(function: Callable[..., T], *arguments: Any) -> T:
    """Call function so that a signal can end the wait for it. Only the main thread gets signals: others call it directly."""
    if threading.get_ident() != threading.main_thread().ident:
        return function(*arguments)
    return Call(function, *arguments).wait()
