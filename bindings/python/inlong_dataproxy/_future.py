"""A future that costs little until someone waits for it."""

from __future__ import annotations

import concurrent.futures
import logging
import math
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, Union

from . import _process
from ._interruptible import SLICE_SECONDS

if TYPE_CHECKING:
    from ._message import Model

_RUNNING = "RUNNING"  # the states of concurrent.futures
_FINISHED = "FINISHED"

_log = logging.getLogger("inlong_dataproxy")
_RAISED = "a callback of a message's result raised: %r"


class Result(NamedTuple):
    """How a message was delivered.

    Attributes:
        batch_id: the id of its batch on the wire.
        node: host:port of the DataProxy that acked it.
        attempts: how often it was written.
    """

    batch_id: str
    node: str
    attempts: int


ResultCallback = Callable[[Optional[Result], Optional[Exception]], object]
"""What send_async calls with a message's one result: (Result, None) when it was acked, else (None, error)."""


class _Watch:
    """What a Future of the standard library makes at birth for those who wait, and ours when the first one does."""

    __slots__ = ("condition", "finished", "waiters")

    def __init__(self) -> None:
        self.condition = threading.Condition()
        # Guarded by the condition:
        self.finished = False
        self.waiters: list[Any] = []  # of concurrent.futures.wait and as_completed


Watched = dict["DeliveryFuture", list[Callable[[Any], object]]]
"""The futures of one client that somebody waits for, with their done-callbacks."""


class DeliveryFuture(Future[Result]):
    """The concurrent.futures.Future of one message. It cannot be cancelled: an accepted message is not recalled.

    The standard constructor makes a condition and two lists, which is most of the cost of sending a small message: it is not
    called, and whoever makes a future sets model. The rest is made on demand, in _watch.

    The resolver first writes the outcome and then looks whether the future is among the client's watched ones; who watches enters
    it there and then looks for an outcome. So one of them sees the other, if not both. Each done-callback is called by whoever
    takes it out of its list; a watch is finished under its condition, once, since what waits for several futures counts them
    under their conditions.
    """

    model: Model
    payload: bytes  # while the message waits in the outbox
    _outcome: Union[Result, Exception, None] = None
    _watch: Optional[_Watch] = None
    _callback: Optional[ResultCallback] = None

    if TYPE_CHECKING:

        def __init__(self) -> None: ...
    else:
        __init__ = object.__init__  # the fastest: it runs no byte code

    # ---- for whoever has the future ----

    def cancel(self) -> bool:
        """Return False: an accepted message is not recalled."""
        return False

    def cancelled(self) -> bool:
        """Return False."""
        return False

    def running(self) -> bool:
        """Return whether the message has no result yet."""
        return self._outcome is None

    def done(self) -> bool:
        """Return whether the message has its result."""
        return self._outcome is not None

    def result(self, timeout: float | None = None) -> Result:
        """Wait for the result, timeout seconds at most (None: without end), and return it or raise the message's error."""
        outcome = self._outcome
        if outcome is None:
            outcome = self._wait_or_raise(timeout)
        if type(outcome) is Result:
            return outcome
        try:
            raise outcome  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
        finally:
            del self, outcome  # or the error's traceback would keep them, and they the error

    def exception(self, timeout: float | None = None) -> Exception | None:
        """Wait as result does, and return the message's error, None when it was acked."""
        outcome = self._outcome
        if outcome is None:
            outcome = self._wait_or_raise(timeout)
        return None if type(outcome) is Result else outcome  # type: ignore[return-value]  # pyright: ignore[reportReturnType]

    def add_done_callback(self, fn: Callable[[Future[Result]], object]) -> None:
        """Call fn with this future when it is done: on the client's thread of results, or at once if it is done already."""
        callbacks = self.model.watched.setdefault(self, [])
        callbacks.append(fn)
        if self._outcome is not None:
            self._unwatch()
            try:
                callbacks.remove(fn)
            except ValueError:  # the resolver took it
                return
            _call(fn, self)

    def wait(self, timeout: float | None) -> bool:
        """Wait until done, timeout seconds at most (None: without end). Return whether it is."""
        _process.look()
        if self._outcome is not None:
            return True
        end = math.inf if timeout is None else time.monotonic() + timeout
        watch = self._watched()
        with watch.condition:
            # In slices, between which Python looks for signals: the kernel may have given Ctrl-C to another thread.
            while not watch.finished and time.monotonic() < end:
                watch.condition.wait(min(end - time.monotonic(), SLICE_SECONDS))
        return self._outcome is not None

    def _wait_or_raise(self, timeout: float | None) -> Union[Result, Exception]:
        self.wait(timeout)
        if self._outcome is None:
            raise concurrent.futures.TimeoutError
        return self._outcome

    def _watched(self) -> _Watch:
        watch = self._watch
        if watch is None:
            # Atomic: of two threads that come at once, both get the same watch.
            watch = self.__dict__.setdefault("_watch", _Watch())
            self.model.watched.setdefault(self, [])
            if self._outcome is not None:
                self._unwatch()
                self._finish(watch)
        return watch

    def _unwatch(self) -> None:
        # The resolver was here before, and does not come again. If there is a callback it has not been here yet.
        if self._callback is None:
            self.model.watched.pop(self, None)

    # ---- what concurrent.futures.wait, as_completed and repr look at ----

    @property
    def _condition(self) -> threading.Condition:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._watched().condition

    @property
    def _waiters(self) -> list[Any]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._watched().waiters

    @property
    def _state(self) -> str:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        # Of a watched future it changes under the condition only.
        finished = self._watch.finished if self._watch is not None else self._outcome is not None
        return _FINISHED if finished else _RUNNING

    @property
    def _exception(self) -> Optional[Exception]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._outcome if isinstance(self._outcome, Exception) else None

    @property
    def _result(self) -> Optional[Result]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._outcome if isinstance(self._outcome, Result) else None

    # ---- for whoever has the result ----

    def call_back(self, callback: ResultCallback) -> None:
        """Have callback called with the result. Only before the message is given to the library."""
        if not callable(callback):
            raise TypeError(f"callback must be callable or None, not {type(callback).__name__}")
        self._callback = callback
        self.model.watched[self] = []

    def resolve(self, outcome: Union[Result, Exception]) -> None:
        """Set the one result. Callbacks run on the calling thread."""
        self._outcome = outcome
        if self in self.model.watched:
            self._tell()

    @staticmethod
    def resolve_acked(futures: Sequence[DeliveryFuture], result: Result, watched: Watched) -> None:
        """Do what resolve does, for many of one client: this loop is most of what a result costs."""
        for future in futures:
            future._outcome = result
        if watched:
            for future in futures:
                if future in watched:
                    future._tell()

    def _tell(self) -> None:
        # First that, then this: see _unwatch.
        callback, self._callback = self._callback, None
        callbacks = self.model.watched.pop(self, [])
        if callback is not None:
            outcome = self._outcome
            try:
                if type(outcome) is Result:
                    callback(outcome, None)
                else:
                    callback(None, outcome)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            except BaseException:  # noqa: BLE001 - even SystemExit must not end the thread that everyone's results come from
                _log.exception(_RAISED, callback)
        if self._watch is not None:
            self._finish(self._watch)
        while callbacks:
            try:
                done_callback = callbacks.pop(0)
            except IndexError:  # who added it took it
                break
            _call(done_callback, self)

    def _finish(self, watch: _Watch) -> None:
        with watch.condition:
            if watch.finished:
                return
            watch.finished = True
            for waiter in watch.waiters:
                if self._exception is None:
                    waiter.add_result(self)
                else:
                    waiter.add_exception(self)
            watch.condition.notify_all()

    def disown(self, error: Exception) -> None:
        """Set an error in a forked child, without the condition, which a thread of the parent may have held."""
        self._outcome = error
        self._watch = watch = _Watch()
        watch.finished = True


def _call(callback: Callable[[Any], object], future: DeliveryFuture) -> None:
    try:
        callback(future)
    except BaseException:  # noqa: BLE001 - as above
        _log.exception(_RAISED, callback)


def _shape() -> None:
    """Have an early instance with every attribute.

    CPython keeps the attributes of an object without a dict of its own, and four times as fast, if one of the first instances of
    the class had them; in a burst hundreds are made before the first one gets its outcome.
    """
    first: Any = DeliveryFuture()
    for name in ("model", "payload", "_outcome", "_callback", "_watch"):
        setattr(first, name, None)


_shape()
