"""A future that costs little until someone waits for it."""

from __future__ import annotations

import concurrent.futures
import logging
import math
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Optional, cast

from ._interruptible import SLICE_SECONDS
from ._message import Model

_RUNNING = "RUNNING"  # the states of concurrent.futures
_FINISHED = "FINISHED"

_log = logging.getLogger("inlong_dataproxy")


@dataclass(frozen=True)
class Result:
    """How a message was delivered.

    Attributes:
        batch_id: the id of its batch on the wire.
        node: host:port of the DataProxy that acked it.
        attempts: how often it was written.
    """

    batch_id: str
    node: str
    attempts: int


class _Waiting(threading.Condition):
    """What a Future of the standard library makes at birth, and ours when someone first waits or adds a callback."""

    def __init__(self) -> None:
        super().__init__()
        self.ready = False
        self.waiters: list[Any] = []
        self.callbacks: list[Any] = []


class DeliveryFuture(Future[Result]):
    """The concurrent.futures.Future of one message. It cannot be cancelled: an accepted message is not recalled.

    The standard constructor makes a condition and two lists, which is most of the cost of sending a small message, so it
    is not called. Its attributes are class attributes here until they differ, and the condition is made on demand, in "_lazy".
    The resolver first writes the outcome and then looks for a condition; a waiter first publishes the condition and then looks
    for an outcome. So one of them sees the other: a resolver that finds a condition works under it, as the standard
    library's waiters need; a waiter that finds an outcome lets the resolver finish first.
    """

    _state = _RUNNING
    _result: Optional[Result] = None
    _exception: Optional[BaseException] = None
    _lazy: Optional[_Waiting] = None

    def __init__(self, model: Model) -> None:  # pyright: ignore[reportMissingSuperCall]
        self.model = model

    @property
    def _waiting(self) -> _Waiting:
        found = self._lazy
        if found is None:
            made = _Waiting()
            # Atomic: of two threads that wait at once, both get the same condition.
            found = cast("_Waiting", self.__dict__.setdefault("_lazy", made))
            if found is made:
                while (self._result is not None or self._exception is not None) and self._state != _FINISHED:
                    time.sleep(0)
                made.ready = True
        while not found.ready:
            time.sleep(0)
        return found

    @property
    def _condition(self) -> threading.Condition:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._waiting

    @property
    def _waiters(self) -> list[Any]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._waiting.waiters

    @property
    def _done_callbacks(self) -> list[Any]:
        return self._waiting.callbacks

    def cancel(self) -> bool:
        """Return False: an accepted message is not recalled."""
        return False

    def cancelled(self) -> bool:
        """Return False."""
        return False

    def running(self) -> bool:
        """Return whether the message has no result yet."""
        return self._state != _FINISHED

    def done(self) -> bool:
        """Return whether the message has its result."""
        return self._state == _FINISHED

    def result(self, timeout: float | None = None) -> Result:
        """Wait for the result, timeout seconds at most (None: without end), and return it or raise the message's error."""
        self._wait_or_raise(timeout)
        return super().result(0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait as result does, and return the message's error, None when it was acked."""
        self._wait_or_raise(timeout)
        return self._exception

    def _wait_or_raise(self, timeout: float | None) -> None:
        if not self.wait(timeout):
            raise concurrent.futures.TimeoutError

    def resolve(self, result: Result | None, error: BaseException | None) -> None:
        """Set the result, once. Callbacks run on the calling thread."""
        self._result = result
        self._exception = error
        waiting = self._lazy
        if waiting is None:
            self._state = _FINISHED
            return
        with waiting:
            self._state = _FINISHED
            for waiter in waiting.waiters:
                if error is None:
                    waiter.add_result(self)
                else:
                    waiter.add_exception(self)
            waiting.notify_all()
        for callback in waiting.callbacks:
            try:
                callback(self)
            except BaseException:  # noqa: BLE001 - even SystemExit must not end the thread that everyone's results come from
                _log.exception("a done-callback of %r raised", self)

    def wait(self, timeout: float | None) -> bool:
        """Wait until done, timeout seconds at most (None: without end). Return whether it is."""
        if self._state == _FINISHED:
            return True
        end = math.inf if timeout is None else time.monotonic() + timeout
        waiting = self._waiting
        with waiting:
            # In slices, between which Python looks for signals: the kernel may have given Ctrl-C to another thread.
            while self._state != _FINISHED and time.monotonic() < end:
                waiting.wait(min(end - time.monotonic(), SLICE_SECONDS))
        return self._state == _FINISHED

    def disown(self, error: BaseException) -> None:
        """Set an error in a forked child, without the condition, which a thread of the parent may have held."""
        self._exception = error
        self._state = _FINISHED
        self._lazy = fresh = _Waiting()
        fresh.ready = True

    @staticmethod
    def resolve_acked(futures: Iterable[DeliveryFuture], result: Result) -> None:
        """Do what resolve does, for many: this loop is most of what a result costs."""
        for future in futures:
            future._result = result
            if future._lazy is None:
                future._state = _FINISHED
            else:
                future.resolve(result, None)
