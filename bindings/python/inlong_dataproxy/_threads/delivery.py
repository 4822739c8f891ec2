"""The results of one Client: its handle, the thread that takes results from the library, and who waits for them."""

from __future__ import annotations

import ctypes
import threading
import time
from collections import deque
from typing import Any, Callable, Optional

from inlong_dataproxy._host import end as process_end
from inlong_dataproxy._host.calls import SLICE_SECONDS, interruptible
from inlong_dataproxy._host.ticket import Ticket
from inlong_dataproxy._native import codes, lowlevel as low
from inlong_dataproxy._native.handle import Bounds
from inlong_dataproxy._results.future import DeliveryFuture, Result
from inlong_dataproxy._results.taker import CloseReport, Outcome, ResultTaker, close_report, left_ms
from inlong_dataproxy.errors import ForkError, LibraryError

from .inbox import Inbox
from .line import Line

_PACE_MESSAGES = 512  # more results than this in one round: let some gather before the next one
_PACE_SECONDS = 0.001
_POLLS = 2048  # of one round: more results than the library's queue holds
_GRACE_SECONDS = 0.1  # a blocking call may return this much after its timeout
_LATE_SECONDS = 2.0  # after which a close raises instead of returning a report that it does not have
_LOOK_SECONDS = 0.005


class Delivery(ResultTaker[DeliveryFuture]):
    """Owns the client's handle. Its threads hold this object and not the Client, so that a forgotten Client can be collected."""

    def __init__(self, handle: low.ClientHandle, group_id: str, bounds: Bounds) -> None:
        super().__init__(handle, bounds.send_timeout)
        self._inbox = Inbox(handle)
        self._todo: deque[Any] = deque()  # functions of the inbox, to be called
        self._held: list[DeliveryFuture] = []  # whose outcome is being set
        self.line = Line(handle, group_id, bounds, self.pending, self._inbox)
        self._closers: deque[Ticket] = deque()  # of those who wait for the close
        self._ended = False
        self._reported = False
        self._report = CloseReport()
        self._thread = threading.Thread(target=self._drain, name="inlong-results", daemon=True)

    def start(self) -> None:
        """Begin. Called once, by who has this object already: from here on somebody must close it."""
        try:
            self.line.thread.start()
            self._thread.start()
            process_end.opened(self)
            self.handle.taken = True
        except BaseException:  # no threads any more, or a signal handler raised while one began
            self.closing = True
            self.line.refuse_all(codes.closed_error)
            self.line.close(0, lambda: None)
            low.client_close(self.handle, 0, None)
            process_end.closed(self)
            raise

    # ---- results ----

    def _drain(self) -> None:
        lost: Callable[[str, str], Exception] = _ended
        try:
            self._take_results()
            lost = codes.lost_error
        finally:
            self.begin_close(0)  # if nobody did: a fault of this package or of the library's
            self.line.thread.join()
            self._work(self._todo)
            self._work(deque(self._inbox.take()))
            # Those of a late close, and nobody else, unless this thread fails.
            for future in [*self._held, *self.pending.values()]:
                if not future.done():
                    future.resolve(lost(future.model.group_id, future.model.stream_id))
            for counter in list(self.counters.values()):
                counter.abandon(lost("", ""))
            self._ended = True
            self._answer_closers()
            self._work(deque(self._inbox.take()))

    def _take_results(self) -> None:
        """Hand out results until the library says that none come any more."""
        while True:
            count = self.poll()
            self._todo = deque(self._inbox.take())
            if self._todo and count == 0:  # results that were there before a function was put in may have come since
                count = self.poll_now()
            messages = polls = 0
            while count > 0:
                messages += self.hand_out(count)
                if self.line.full:
                    self.line.made_room()
                polls += 1
                count = self.poll_now() if polls < _POLLS else 0
            self._work(self._todo)
            if count < 0:
                return
            if messages > _PACE_MESSAGES:
                time.sleep(_PACE_SECONDS)

    @staticmethod
    def _work(functions: deque[Any]) -> None:
        while functions:
            functions.popleft()()

    def _acked(self, waiting: list[DeliveryFuture], result: Result) -> None:
        self._held = waiting
        DeliveryFuture.resolve_acked(waiting, result, self.line.models.guard)
        self._held = []

    def _failed(self, waiting: list[DeliveryFuture], outcome: Outcome) -> None:
        self._held = waiting
        for future in waiting:
            future.resolve(outcome.error(future.model.group_id, future.model.stream_id))
        self._held = []

    def is_own_thread(self) -> bool:
        """Return whether this is the thread of results, which must not wait for itself."""
        # By the object: once the thread has ended, another may have its ident.
        return threading.current_thread() is self._thread

    def stats(self) -> dict[str, Any]:
        """Return the library's counters, and in them what waits for room in Python."""
        self.line.empty(time.monotonic() + SLICE_SECONDS, patient=False)
        counters = super().stats()
        messages, size = self.line.waiting()
        for key, more in (("accepted", messages), ("pending_messages", messages), ("pending_bytes", size)):
            counters[key] += more
        return counters

    # ---- life ----

    def flush(self, timeout_ms: int, *, callbacks: bool = True) -> None:
        """Wait until what was accepted before has its result, and callbacks ran if wanted. Ctrl-C ends the wait."""
        end = self.end(timeout_ms)
        interruptible(self._flush, timeout_ms, end)
        if not callbacks or self.is_own_thread() or self.line.is_own_thread():
            return
        # All results are in the library's queue or in the hands of the thread by now.
        ticket, held = Ticket(), self.line.models.guard.is_held
        self._inbox.put(ticket.answer)
        # The default waits for room and then for results, and may be over after its end.
        if not (self._ended or ticket.wait(max(end, time.monotonic()) + _GRACE_SECONDS, held) or held()):
            raise codes.late_error("a callback did not return in time")

    def _flush(self, timeout_ms: int, end: float) -> None:
        if not self.line.empty(end):
            raise codes.late_error("messages wait for room")
        low.client_flush(self.handle, timeout_ms if timeout_ms < 0 else left_ms(end))

    def close(self, timeout_ms: int) -> CloseReport:
        """Close once; every other caller waits for that and gets the same report. Ctrl-C ends the wait only."""
        if self.forked:
            return self._report
        end = self.end(timeout_ms)
        first = self.begin_close(end)
        if not (self.is_own_thread() or self.line.is_own_thread()):
            held = self.line.models.guard.is_held
            ended = self.wait_closed(end + _GRACE_SECONDS, held)
            # A callback that does not return keeps the thread of results, and no close.
            self.check_closed_in_time(ended or ((first or held()) and self._wait_reported(end + _LATE_SECONDS)))
            if ended:
                self._thread.join(_GRACE_SECONDS)  # it only returns now; a program counts its threads after a close
        return self._report

    def begin_close(self, end: float) -> bool:
        """Begin to close within end (of time.monotonic), without waiting. Return whether this was the first to do so."""
        first = not self.closing
        if first:  # two threads may come here: the library closes once
            self.line.refuse_all(codes.closed_error)
            self.line.close(end, lambda: self._close(end))
            self.closing = True  # last: where a signal handler raises before this, the next close does it all
        return first

    def wait_closed(self, end: float, stop: Optional[Callable[[], bool]] = None) -> bool:
        """Wait for the end of a close that was begun, until end, or stop says so. Return whether it came."""
        ticket = Ticket()
        self._closers.append(ticket)
        return self._ended or ticket.wait(end, stop)

    def _wait_reported(self, end: float) -> bool:
        """Wait for the library's report, which it has ready in time, but on a machine that is too busy to run its threads."""
        while not self._reported and time.monotonic() < end:
            time.sleep(_LOOK_SECONDS)
        return self._reported

    def _close(self, end: float) -> None:
        """Run on the line's thread, after all that was sent."""
        record = low.CloseReportRecord(struct_size=ctypes.sizeof(low.CloseReportRecord))
        code = low.client_close(self.handle, left_ms(end), ctypes.byref(record))
        if code in (codes.OK, codes.CONTEXT_EXPIRED):
            self._report = close_report(record)
        self._reported = True
        process_end.closed(self)

    def _answer_closers(self) -> None:
        for _ in range(len(self._closers)):
            self._closers.popleft().answer()

    def disown(self) -> None:
        """In a forked child: answer those who might wait, without a lock, for its owner may be a thread of the parent."""
        self.forked = True
        error = ForkError("the message's client belongs to the parent process")
        self.line.disown(error)
        for future in self.pending.values():
            future.disown(error)
        self.pending = {}
        for counter in self.counters.values():
            counter.abandon(error)
        self.counters = {}


def _ended(*_: str) -> Exception:
    return LibraryError("the thread of results ended")
