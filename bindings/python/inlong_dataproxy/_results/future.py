"""A future that costs little until someone waits for it."""

from __future__ import annotations

import concurrent.futures
import math
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, Protocol, Union

from inlong_dataproxy._host import fork
from inlong_dataproxy._host.calls import SLICE_SECONDS
from inlong_dataproxy._host.report import report
from inlong_dataproxy.errors import InlongError

_RUNNING = "RUNNING"  # the states of concurrent.futures
_FINISHED = "FINISHED"


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


class Guard:
    """The lock of all futures of one client: of each it guards the outcome, the callbacks and the watch.

    Attributes:
        wanted: the condition of a watch that the thread of results waits for, which somebody holds.
    """

    __slots__ = ("error", "lock", "wanted")

    def __init__(self) -> None:
        self.wanted: Optional[threading.Condition] = None
        self.error: Optional[Exception] = None  # of all that have no outcome: this is a forked child, and the client its parent's
        self.renew()

    def renew(self) -> None:
        """Also in a forked child, where a thread of the parent may have held the lock."""
        self.lock = threading.RLock()  # a signal handler or a finalizer may come back to it

    def is_held(self) -> bool:
        """Return whether this thread holds it, or a watch that the thread of results waits for.

        Then a signal handler or a finalizer came between, which must not wait for that thread: it waits for this one.
        """
        wanted = self.wanted
        return _is_owned(self.lock) or (wanted is not None and _is_owned(wanted))

    def check(self) -> None:
        """Raise an error if this thread must not wait for the thread of results."""
        if self.is_held():
            raise InlongError(
                "a signal handler or finalizer waits for a result, and came in the middle of a call that watches futures of the "
                "same client: no result comes until it has returned. What it has sent continues"
            )

    def hold(self, condition: threading.Condition) -> None:
        """Take a watch's condition, on the thread of results."""
        if not condition.acquire(blocking=False):
            self.wanted = condition
            condition.acquire()
            self.wanted = None


def _is_owned(lock: Any) -> bool:
    return bool(lock._is_owned())


class Sent(Protocol):
    """What a future knows of its message."""

    group_id: str
    stream_id: str
    guard: Guard


class _Watch:
    """What a Future of the standard library makes at birth for those who wait, and ours when the first one does."""

    __slots__ = ("condition", "waiters")

    def __init__(self) -> None:
        self.condition = threading.Condition()
        self.waiters: list[Any] = []  # of concurrent.futures.wait and as_completed; guarded by the condition


def _attended(*_: object) -> None:
    """In the place of the callback of a future whose outcome is more than a value to be set."""


class DeliveryFuture(Future[Result]):
    """The concurrent.futures.Future of one message. It cannot be cancelled: an accepted message is not recalled.

    The standard constructor makes a condition and two lists, which is most of the cost of sending a small message: it is not
    called, and anyone who makes a future sets model. The rest is made on demand.

    Outcome and callbacks change under one lock, the client's. A thread that finds the outcome calls the callback; one that
    does not leaves it in the list, which the resolver takes as a whole in the step that sets the outcome. If there is a watch, the
    outcome changes under its condition too, taken before the lock: wait() and as_completed() count futures under those.
    """

    model: Sent
    payload: bytes  # until it is passed on
    _outcome: Union[Result, Exception, None] = None
    _watch: Optional[_Watch] = None
    callback: Optional[ResultCallback] = None  # set before anybody else has the future; _attended: see _attend
    _born_with: Optional[ResultCallback] = None
    _callbacks: Optional[list[Callable[[Any], object]]] = None

    if TYPE_CHECKING:

        def __init__(self) -> None: ...
    else:
        __init__ = object.__init__  # the fastest: it runs no byte code

    # ---- for anyone who has the future ----

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
        if not isinstance(outcome, Exception):
            return outcome
        try:
            raise outcome
        finally:
            del self, outcome  # or the error's traceback would keep them, and they the error

    def exception(self, timeout: float | None = None) -> Exception | None:
        """Wait as result does, and return the message's error, None when it was acked."""
        outcome = self._outcome
        if outcome is None:
            outcome = self._wait_or_raise(timeout)
        return outcome if isinstance(outcome, Exception) else None

    def add_done_callback(self, fn: Callable[[Future[Result]], object]) -> None:
        """Call fn with this future when it is done: on the client's thread of results, or at once if it is done already."""
        with self.model.guard.lock:
            if self._outcome is None:
                if self._callbacks is None:
                    self._callbacks = []
                self._callbacks.append(fn)
                self._attend()
                return
        try:
            fn(self)
        except Exception as error:  # noqa: BLE001 - the rule of concurrent.futures; Ctrl-C is for the caller
            report(error, fn)

    def _attend(self) -> None:
        """Know that it has a watch or callbacks beside the one that it was born with. To be called under the lock."""
        if self.callback is not _attended:
            self._born_with, self.callback = self.callback, _attended

    def wait(self, timeout: float | None) -> bool:
        """Wait until done, timeout seconds at most (None: without end). Return whether it is."""
        fork.look()
        self._disown_late()
        if self._outcome is not None:
            return True
        end = math.inf if timeout is None else time.monotonic() + timeout
        condition = self._watch_it().condition
        # In slices, between which Python looks for signals: the kernel may have given Ctrl-C to another thread.
        while self._outcome is None and (left := end - time.monotonic()) > 0:
            self.model.guard.check()  # not under the condition, which the thread of results may want just then
            with condition:
                if self._outcome is None:
                    condition.wait(min(left, SLICE_SECONDS))
        return self._outcome is not None

    def _wait_or_raise(self, timeout: float | None) -> Union[Result, Exception]:
        self.wait(timeout)
        if self._outcome is None:
            raise concurrent.futures.TimeoutError
        return self._outcome

    def __reduce__(self) -> Any:
        raise TypeError("a future cannot be copied or pickled: its result comes to this one alone")

    # ---- what concurrent.futures.wait, as_completed and repr look at ----

    def _watch_it(self) -> _Watch:
        self._disown_late()
        with self.model.guard.lock:
            if self._watch is None:
                self._watch = _Watch()
                self._attend()
            return self._watch

    @property
    def _condition(self) -> threading.Condition:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._watch_it().condition

    @property
    def _waiters(self) -> list[Any]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        guard = self.model.guard
        if self._outcome is None and _is_owned(guard.lock):
            guard.check()  # who asks puts himself in, and waits then
        return self._watch_it().waiters

    @property
    def _state(self) -> str:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        return _RUNNING if self._outcome is None else _FINISHED

    @property
    def _exception(self) -> Optional[Exception]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._outcome if isinstance(self._outcome, Exception) else None

    @property
    def _result(self) -> Optional[Result]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        return None if isinstance(self._outcome, Exception) else self._outcome

    # ---- for anyone who has the result ----

    def resolve(self, outcome: Union[Result, Exception]) -> None:
        """Set the one result. Callbacks run on the calling thread."""
        while True:
            watch = self._watch
            if watch is None:
                settled = self._settle(outcome, None)
            else:
                self.model.guard.hold(watch.condition)
                try:
                    settled = self._settle(outcome, watch)
                    for waiter in watch.waiters:
                        if isinstance(outcome, Exception):
                            waiter.add_exception(self)
                        else:
                            waiter.add_result(self)
                    watch.condition.notify_all()
                finally:
                    watch.condition.release()
            if settled is not None:
                break
        callback, callbacks = settled
        if callback is not None:
            _call(callback, *((None, outcome) if isinstance(outcome, Exception) else (outcome, None)))
        for done_callback in callbacks:
            _call(done_callback, self)

    def _settle(
        self, outcome: Union[Result, Exception], watch: Optional[_Watch]
    ) -> Optional[tuple[Optional[ResultCallback], list[Callable[[Any], object]]]]:
        """Set the outcome and return the callbacks; None: it has another watch by now, and nothing was done."""
        with self.model.guard.lock:
            if self._watch is not watch:
                return None
            self._outcome = outcome
            self.payload = b""  # of a message that was not passed on
            callback = self._born_with if self.callback is _attended else self.callback
            callbacks, self.callback, self._born_with, self._callbacks = self._callbacks, None, None, None
            return callback, callbacks or []

    @staticmethod
    def resolve_acked(futures: Iterable[DeliveryFuture], result: Result, guard: Guard) -> None:
        """Do what resolve does, for many of one client: this loop is most of what a result costs."""
        attended: list[DeliveryFuture] = []
        callbacks: list[ResultCallback] = []
        with guard.lock:
            for future in futures:
                callback = future.callback
                if callback is None:
                    future._outcome = result
                elif callback is _attended:
                    attended.append(future)
                else:
                    future._outcome = result
                    future.callback = None
                    callbacks.append(callback)
        for callback in callbacks:
            try:
                callback(result, None)
            except BaseException as error:  # noqa: BLE001 - as below, without a call more
                report(error, callback)
        for future in attended:
            future.resolve(result)

    def disown(self, error: Exception) -> None:
        """Set an error in a forked child, without a lock, which a thread of the parent may have held."""
        self._outcome = error
        self._watch = None
        self.payload = b""

    def _disown_late(self) -> None:
        """Do so if a thread of the parent had this future in its hand at the fork, where nobody else finds it."""
        error = self.model.guard.error if self._outcome is None else None
        if error is not None:
            self.disown(error)


def _call(callback: Callable[..., object], *arguments: object) -> None:
    try:
        callback(*arguments)
    except BaseException as error:  # noqa: BLE001 - even SystemExit must not end the thread of everyone's results
        report(error, callback)


def _shape() -> None:
    """Have an early instance with every attribute.

    CPython keeps the attributes of an object without a dict of its own, and four times as fast, if one of the first instances of
    the class had them; in a burst hundreds are made before the first one gets its outcome.
    """
    first: Any = DeliveryFuture()
    for name in ("model", "payload", "_outcome", "callback", "_born_with", "_callbacks", "_watch"):
        setattr(first, name, None)


_shape()
