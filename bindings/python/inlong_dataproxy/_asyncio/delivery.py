"""Messages of one AsyncClient on their way into the library, and their results, all on the loop's own thread.

Messages that are sent in one round of the loop are gathered and passed to the library at its end, in runs, in their order. Results
come through the library's event descriptor. The thread that blocks instead of the loop exists only while a client is opened,
flushed or closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import threading
import time
import warnings
from asyncio.events import _get_running_loop as get_running_loop  # pyright: ignore[reportPrivateUsage] - None where none runs
from collections import deque
from itertools import repeat, starmap
from typing import Any, Optional

from inlong_dataproxy._host import end as process_end
from inlong_dataproxy._host.calls import Call
from inlong_dataproxy._host.end import EXIT_SECONDS
from inlong_dataproxy._host.ticket import Ticket
from inlong_dataproxy._native import codes, lowlevel as low
from inlong_dataproxy._native.handle import Bounds
from inlong_dataproxy._results.future import Result
from inlong_dataproxy._results.taker import CloseReport, Outcome, ResultTaker, close_report, left_ms
from inlong_dataproxy._sending.message import Model, refusal
from inlong_dataproxy._sending.models import Models
from inlong_dataproxy._sending.run import FULL, Run, snapshot, split
from inlong_dataproxy.errors import InlongError, SendTimeoutError

from . import offloop
from .bulk_run import Entry, Mark, Waiting, abandon, left_behind

SMALL = 2048  # bytes: what is larger does not wait for the end of the round
MESSAGES, _BYTES = 512, 1 << 20  # the most of one call of the library
_LEAST = 16  # of one where the room is small
_TURN_SECONDS = 0.002  # of one round that results may take: the loop has other work, too
_NO_ACKS_SECONDS = 0.5  # so long without one ends the close of a loop that has ended
_ROOM_MS = 50  # after which a close without the loop tries again to pass on what waits for room; sooner when all is acked
_LATE_ROOM_SECONDS = 0.005  # by then room is given back, a moment after its result
_PUSH_SECONDS = 1.0  # a loop that is asked whether something is left in line, and does not say so, has nothing
_LOOK_SECONDS = 0.05  # results make room, and wake: this is for room that is given back a moment after its result


class AsyncDelivery(ResultTaker[Waiting]):
    """Owns the client's handle. The loop holds this object and not the AsyncClient, so that a forgotten one can be collected."""

    _fd = -1

    def __init__(self, loop: asyncio.AbstractEventLoop, handle: low.ClientHandle, group_id: str, bounds: Bounds) -> None:
        super().__init__(handle, bounds.send_timeout)
        self.loop = loop
        self.create_future = loop.create_future
        self.models = Models(group_id)
        self.room = asyncio.Event()  # set when results came
        self._bounds = bounds
        self.line: deque[Entry] = deque()  # whatever was sent and is not in the library, in its order
        self._hand: list[Entry] = []  # from the head of the line, on their way
        self._run: Optional[Run[Waiting]] = None  # those of them that are passed on
        self._most = MESSAGES  # of one call: fewer while there is little room
        self._fresh_only = True  # the line holds nothing that found no room: not much
        self._looking = False
        self.scheduled = False
        self._pushing: Any = threading.RLock()  # held by who passes on: a loop that runs anew may wait for its close
        self.full = False  # the library has no room
        self._give_up = 0.0  # when messages that find none are refused
        self._unsealed = False
        self._sealed = False  # sealed batches are on their way and no result came since
        self.closes = False  # somebody is at it, or has been: a task of a loop that ends may never begin
        self._background: Optional[Call[None]] = None  # the close of a client that its loop does not close
        try:
            # Of our own: the library closes its descriptor with the client, and the number may then be another's.
            self._fd = os.dup(low.client_event_fd(handle))
            loop.add_reader(self._fd, self.take)
        except BaseException:
            self._leave_loop()
            low.client_close(handle, 0, None)
            raise
        process_end.opened(self)
        handle.taken = True

    # ---- messages ----

    def put_in_line(self, mark: Mark) -> asyncio.Future[None]:
        """Put a place or a chunk of a send_many in line. Return what tells that its turn came, and all of it went."""
        self.line.append((None, mark, mark.gone))
        if not self.full:
            self.push()
        return mark.gone

    def schedule(self) -> None:
        """Have what is in line passed on at the end of this round of the loop."""
        if not self.scheduled:
            self.loop.call_soon(self._end_of_round)
            self.scheduled = True  # last: where a signal handler raises before this, the next message asks again

    def _end_of_round(self) -> None:
        self.scheduled = False
        if self.forked:
            return
        self.push()
        # One batch at a time need not wait for its linger; those that come meanwhile share the next one.
        if self._unsealed and not self._sealed:
            self._unsealed, self._sealed = False, True
            self.seal()

    def push(self) -> None:
        """Pass on what is in line, as far as there is room."""
        if self.forked or self._pushing._is_owned():  # in a forked child it may be locked for ever
            return  # a finalizer or signal handler came in the middle of another push, which takes what it put in line
        with self._pushing:  # no call of acquire: if a signal handler raises after that, nobody releases
            self._push_or_put_back()

    def _push_or_put_back(self) -> None:
        try:
            self._push()
            self._hand, self._run = [], None
        except BaseException:  # a signal handler raised in the middle: on Python 3.10 and older Ctrl-C does
            self.line.extendleft(reversed(left_behind(self._hand, self.line, self.pending, self._run)))
            self._look_later()
            raise

    def _push(self) -> None:
        while self.line:
            if not self._enter_all(self._gather()):
                self._fresh_only = False
                self._wait_for_room()
                return
        self.full, self._fresh_only = False, True

    def _gather(self) -> list[Entry]:
        """Take what is at the head of the line: as much as there was room for lately."""
        entries: list[Entry] = []
        self._hand = entries
        if self._fresh_only:
            # Each is in the one or the other whatever happens.
            entries.extend(starmap(self.line.popleft, repeat((), min(len(self.line), self._most))))
            return entries
        size = 0
        while self.line and len(entries) < self._most and size < _BYTES:
            entry = model, content, future = self.line[0]
            if model is None or not (self.full and future.cancelled()):  # nobody waits for it any more
                entries.append(entry)
                size += _BYTES if model is None else len(content)
            self.line.popleft()
        return entries

    def _enter_all(self, entries: list[Entry]) -> bool:
        """Pass on what was taken. Return whether there was room; what found none is in line again."""
        runs = split([model for model, _, _ in entries], entries) if entries else []
        for place, (model, some) in enumerate(runs):
            left = self._enter_mark(some[0][1]) if model is None else self._enter(model, some)
            if left:
                self._most = max((len(some) - left) // 2, _LEAST)
                later = [entry for _, more in runs[place + 1 :] for entry in more]
                self.line.extendleft(reversed(some[-left:] + later))
                return False
        self._most = min(2 * self._most, MESSAGES)
        return True

    def _enter_mark(self, mark: Mark) -> int:
        moved, gone = mark.enter()
        if moved:
            self.full = False
        return int(not gone)

    def _enter(self, model: Model, entries: list[Entry]) -> int:
        """Pass on messages of one model. Return how many found no room."""
        self._run = run = Run(model, [payload for _, payload, _ in entries], [(model, future) for _, _, future in entries])
        while run.waiting:
            code, taken = run.enter(self.handle, self.models, self.pending, self.full, gil=True)
            if taken:
                self._unsealed, self.full = True, False
                if not model.proven:
                    self.models.prove(model)
            if code in FULL:
                return len(run.waiting)
            for (_, future), error in run.refused(code) if code != codes.OK else ():
                offloop.answer(future, error)
        return 0

    def _wait_for_room(self) -> None:
        now = self.loop.time()
        if not self.full:
            self.full, self._give_up = True, now + self._bounds.send_timeout
            self.seal()  # what waits for its linger holds room
        if not self._bounds.block or now >= self._give_up:
            self._hand = list(self.line)
            for model, _, future in self._hand:  # a finalizer may put more in line meanwhile
                self.line.popleft()
                if model is not None:
                    offloop.answer(future, refusal(codes.QUEUE_FULL, model))
            self.line.extendleft([entry for entry in reversed(self._hand) if entry[0] is None])
        if not self.line:
            self.full = False
        else:
            self._look_later()

    def _look_later(self) -> None:
        if not self._looking:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self.loop.call_later(_LOOK_SECONDS, self._look)
                self._looking = True

    def _look(self) -> None:
        self._looking = False
        self.schedule()

    # ---- results ----

    def take(self) -> bool:
        """Hand out results that wait in the library, for a few milliseconds. Return whether there may be more."""
        if self.forked:
            return False
        end = self.loop.time() + _TURN_SECONDS
        while True:
            count = self.poll_now()
            if count <= 0:
                if count < 0:
                    self._abandon()
                return False
            self._sealed = False
            self.hand_out(count)
            self.room.set()
            # After the tasks that continue with these results: what they send travels with it.
            if self._unsealed or self.line:
                self.schedule()
            if self.loop.time() >= end:
                return True

    def _acked(self, waiting: list[Waiting], result: Result) -> None:
        for _, future in waiting:
            if not future.done():  # a cancelled await
                future.set_result(result)

    def _failed(self, waiting: list[Waiting], outcome: Outcome) -> None:
        for model, future in waiting:
            offloop.answer(future, outcome.error(model.group_id, model.stream_id))

    def _abandon(self) -> None:
        """Answer anyone who still waits, and leave the loop: nothing comes any more."""
        self._leave_loop()
        abandon(self.pending, self.line)
        for counter in list(self.counters.values()):
            counter.abandon(codes.lost_error())

    def stats(self) -> dict[str, Any]:
        """Return the library's counters, and in them what waits for room in Python."""
        counters = super().stats()
        sizes = [len(payload) for model, payload, _ in snapshot(self.line) if model is not None]
        counters["accepted"] += len(sizes)
        counters["pending_messages"] += len(sizes)
        counters["pending_bytes"] += sum(sizes)
        return counters

    # ---- life ----

    async def ready(self, timeout_ms: int) -> None:
        """Wait until a message could be written."""
        await offloop.call(low.client_ready, self.handle, timeout_ms)

    async def flush(self, timeout_ms: int) -> None:
        """Wait until what was accepted before has its result."""
        end = self.end(timeout_ms)
        passed_on = self.put_in_line(Mark(self.loop.create_future()))
        await asyncio.wait({passed_on}, timeout=end - time.monotonic())
        if not passed_on.done():
            raise codes.late_error("messages wait for room")
        await offloop.call(low.client_flush, self.handle, timeout_ms if timeout_ms < 0 else left_ms(end))
        await self._take_all()

    async def _take_all(self) -> None:
        while self.take():
            await asyncio.sleep(0)

    async def close(self, timeout_ms: int, name: str) -> CloseReport:
        """Close; called once."""
        self.closes, end = True, self.end(timeout_ms)
        record = low.CloseReportRecord(struct_size=ctypes.sizeof(low.CloseReportRecord))
        try:
            # While the loop still takes results. What is wrong, the close says too.
            with contextlib.suppress(InlongError):
                await self.flush(left_ms(end))
            code = await offloop.call(self._close_handle, end, record)
        except (asyncio.CancelledError, GeneratorExit):  # by the end of the loop: anyone who only waits is shielded
            self.begin_close(min(end, time.monotonic() + EXIT_SECONDS), patient=False)
            warnings.warn(f"the loop of {name} ended before its close did", ResourceWarning, stacklevel=2)
            raise
        await self._take_all()
        if code not in (codes.OK, codes.CONTEXT_EXPIRED):
            raise codes.call_error(code, low.error_name(code), b"")
        return close_report(record)

    def _close_handle(self, end: float, record: Optional[low.CloseReportRecord]) -> int:
        try:
            return int(low.client_close(self.handle, left_ms(end), record and ctypes.byref(record)))
        finally:
            process_end.closed(self)

    def begin_close(self, end: float, *, patient: bool = True) -> None:
        """Close within end (of time.monotonic) from any thread, without waiting and without the loop, which may have ended.

        Its futures may still be awaited: they get their results once it is closed. Not patient: as long as acks come.
        """
        self.closing = True
        if self._background is None:
            self._background = Call(self._close_alone, end, patient)
        self.closes = True

    def _close_alone(self, end: float, patient: bool) -> None:
        """Pass on what waits for room, as there is some, until end, and close; not patient: as long as acks come."""
        acked, until, counters = -1, end, {"acked": -1, "pending_messages": 1}
        while True:
            self._have_pushed(end)
            with contextlib.suppress(SendTimeoutError):  # the library gets no processor, and may have one later
                counters = super().stats()
            if counters["acked"] > acked:
                acked, until = counters["acked"], end if patient else min(end, time.monotonic() + _NO_ACKS_SECONDS)
            over = time.monotonic() >= until or not (self.line or (counters["pending_messages"] and not patient))
            if over or low.client_seal(self.handle, _ROOM_MS) not in (codes.OK, codes.CONTEXT_EXPIRED):  # the close says it, too
                break
            time.sleep(_LATE_ROOM_SECONDS)
        self._close_handle(end if patient else 0, None)
        try:
            self.loop.call_soon_threadsafe(self._take_rest)
        except RuntimeError:  # it is closed: nobody waits any more
            self._leave_loop()
            low.client_drop_results(self.handle)

    def _have_pushed(self, end: float) -> None:
        """Have the loop pass on what is in line. One that does not run, or ends before it does, has it done here."""
        here = get_running_loop() is self.loop  # where no thread can be started
        if self.loop.is_running() and not here:
            pushed = Ticket()
            with contextlib.suppress(RuntimeError):  # it is closed
                self.loop.call_soon_threadsafe(self.push)
                self.loop.call_soon_threadsafe(pushed.answer)
                # An empty line may be one that the loop is about to put back what found no room.
                until = end if self.line else min(end, time.monotonic() + _PUSH_SECONDS)
                if pushed.wait(until, lambda: not self.loop.is_running()):
                    return
        if here or not self.loop.is_running():
            self.push()
        if self.loop.is_closed():  # nobody takes results, and more than the library's queue holds would keep others from room
            low.client_drop_results(self.handle)

    def wait_closed(self, end: float) -> None:  # noqa: ARG002 - the call has it
        """Wait for the end of a close that was begun. What it raised is not for the exit, which closes other clients, too."""
        if self._background is not None:
            self._background.outcome()

    def _take_rest(self) -> None:
        if self.take():
            self.loop.call_soon(self._take_rest)

    def _leave_loop(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self.loop.remove_reader(fd)
            os.close(fd)

    def __del__(self) -> None:
        # Its loop was closed, or forgotten, before it could take the last results.
        if self._fd >= 0 and not self.forked and os is not None:  # as the interpreter ends, it may be
            os.close(self._fd)
            low.client_drop_results(self.handle)

    def disown(self) -> None:
        """In a forked child: the loop's selector is the parent's too and stays as it is."""
        self.forked = True
