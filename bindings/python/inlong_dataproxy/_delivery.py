"""The results of one client: its handle, the thread that takes results from the library, and who waits for them."""

from __future__ import annotations

import ctypes
import threading
import time

from . import _codes, _lowlevel as low
from ._future import DeliveryFuture, Result
from ._interruptible import interruptible
from ._outbox import Outbox
from ._pending import Pending
from ._results import CloseReport, Outcome, ResultTaker, close_report
from .errors import ForkError, LibraryError

_PACE_MESSAGES = 512  # more results than this in one round: let some gather before the next one
_PACE_SECONDS = 0.001
_GRACE_SECONDS = 0.1  # a blocking call may return this much after its timeout


class Delivery(ResultTaker[DeliveryFuture]):
    """Owns the client's handle. The thread holds this object and not the Client, so that a forgotten Client can be collected."""

    def __init__(self, handle: low.ClientHandle, group_id: str, block: bool, send_timeout: float) -> None:
        super().__init__(handle, send_timeout)
        self.outbox = Outbox(self, group_id, block, send_timeout)
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._hands = 0  # odd while results are handed out and callbacks run
        self._report = CloseReport()
        self._thread = threading.Thread(target=self._drain, name="inlong-results", daemon=True)
        alive.add(self)
        self._thread.start()

    # ---- results ----

    def _drain(self) -> None:
        error: Exception = LibraryError("the thread of results ended")
        try:
            code = self._take_results()
            error = _codes.call_error(code, low.error_name(code), b"no results come any more")
        finally:
            with self._lock:
                first, self.closing = not self.closing, True
            if first:  # a fault of this package: nothing may be accepted that nobody would have a result of
                low.client_close(self.handle, 0, None)
                alive.discard(self)
                self._closed.set()
            self._abandon(error)

    def _take_results(self) -> int:
        """Hand out results until the library says that none come any more, and return the code by which it says so."""
        while True:
            count = self.poll()
            messages = 0
            while count > 0:
                self._hands += 1
                messages += self.hand_out(count)
                self._hands += 1
                count = self.poll_now()
            if count < 0:
                return count
            if messages > _PACE_MESSAGES:
                time.sleep(_PACE_SECONDS)

    def _acked(self, futures: list[DeliveryFuture], result: Result) -> None:
        DeliveryFuture.resolve_acked(futures, result, self.outbox.model.watched)

    def _failed(self, tag: int, count: int, outcome: Outcome) -> None:
        for future in self.pending.take(tag, count):
            future.resolve(outcome.error(future.model.group_id, future.model.stream_id))

    def _abandon(self, error: Exception) -> None:
        """Answer whoever still waits. Nobody does, unless the library broke its promise of one result a message."""
        for future in self.pending:
            future.resolve(error)
        for counter in list(self.counters.values()):
            counter.abandon(error)

    def is_own_thread(self) -> bool:
        """Return whether this is the thread of results, which must not wait for itself."""
        # By the object: once the thread has ended, another may have its ident.
        return threading.current_thread() is self._thread

    # ---- life ----

    def flush(self, timeout_ms: int) -> None:
        """Wait until what was accepted before has its result. Blocks without regard to signals."""
        end = self._end(timeout_ms)
        self.outbox.drain(end)
        waiting = list(self.pending)
        low.client_flush(self.handle, _left_ms(timeout_ms, end))
        if self.is_own_thread():
            return
        # All results are in the library's queue or in the hands of the thread by now.
        end += _GRACE_SECONDS
        if all(future.wait(max(end - time.monotonic(), 0)) for future in waiting) and self._callbacks_ran(end):
            return
        raise _codes.late_error("a callback did not return in time")

    def _callbacks_ran(self, end: float) -> bool:
        """Wait until the callbacks of what has an outcome now have returned, until end at most. Return whether they have."""
        hands = self._hands
        while self._hands == hands and hands % 2:
            if time.monotonic() >= end:
                return False
            time.sleep(_PACE_SECONDS)
        return True

    def close(self, timeout_ms: int) -> CloseReport:
        """Close once; every other caller waits for that and gets the same report. Ctrl-C ends the wait only."""
        return self._report if self.forked else interruptible(self._close_once, timeout_ms)

    def _close_once(self, timeout_ms: int) -> CloseReport:
        # Never on the main thread: Ctrl-C between the two steps would leave a client that is closing for ever.
        with self._lock:
            first, self.closing = not self.closing, True
        if first:
            return self._close(timeout_ms)
        if not self.is_own_thread():
            self.check_closed_in_time(self._closed.wait(self.seconds(timeout_ms) + _GRACE_SECONDS))
        return self._report

    def _close(self, timeout_ms: int) -> CloseReport:
        end = self._end(timeout_ms)
        record = low.CloseReportRecord(struct_size=ctypes.sizeof(low.CloseReportRecord))
        try:
            try:
                self.outbox.stop()
                self.outbox.drain(end)
            finally:
                code = low.client_close(self.handle, _left_ms(timeout_ms, end), ctypes.byref(record))
            if code not in (_codes.OK, _codes.CONTEXT_EXPIRED):
                raise _codes.call_error(code, low.error_name(code), low.last_error())
            self._report = close_report(record)
            self.outbox.drain(0)  # what found no room is answered with "closed"
            if not self.is_own_thread():
                # All results are out; only a done-callback that does not return can keep the thread.
                self._thread.join(max(end - time.monotonic(), 0) + _GRACE_SECONDS)
            return self._report
        finally:
            alive.discard(self)
            self._closed.set()

    def _end(self, timeout_ms: int) -> float:
        return time.monotonic() + self.seconds(timeout_ms)

    def disown(self) -> None:
        """In a forked child: answer those who might wait, without a lock, for its owner may be a thread of the parent."""
        self.forked = True
        error = ForkError("the message's client belongs to the parent process")
        self.outbox.disown(error)
        for future in self.pending:
            future.disown(error)
        self.pending = Pending()
        self.counters = {}


def _left_ms(timeout_ms: int, end: float) -> int:
    return timeout_ms if timeout_ms < 0 else max(round((end - time.monotonic()) * 1000), 0)


alive: set[Delivery] = set()
"""Those not closed; each is kept until it is, so that what a forgotten client accepted is still delivered."""
