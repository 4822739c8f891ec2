"""Messages of one AsyncClient on their way into the library, and their results, all on the loop's own thread.

Messages that are sent in one round of the loop are gathered and passed to the library at its end, in chunks. Results come
through the library's event descriptor. The thread that blocks instead of the loop exists only while a client is opened,
flushed or closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
from array import array
from typing import Any, Optional

from . import _codes, _lowlevel as low, _offloop, _process
from ._future import Result
from ._interruptible import Call
from ._message import SMALL, Model, checked_length, refusal
from ._models import Models
from ._pending import CHUNK_MESSAGES
from ._results import CloseReport, Outcome, ResultTaker, close_report
from .errors import InlongError

_FULL = (_codes.QUEUE_FULL, _codes.CONTEXT_EXPIRED)
_ROUNDS = 64  # polls in one round of the loop, which has other work too
_RETRY_SECONDS = 0.01  # results make room, and usually come sooner than this

Future = asyncio.Future[Result]


class _Queue:
    __slots__ = ("futures", "payloads")

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.futures: list[Future] = []

    def drop(self, count: int) -> None:
        del self.payloads[:count]
        del self.futures[:count]


class AsyncDelivery(ResultTaker[Future]):
    """Owns the client's handle. The loop holds this object and not the AsyncClient, so that a forgotten one can be collected."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, handle: low.ClientHandle, group_id: str, block: bool, send_timeout: float
    ) -> None:
        super().__init__(handle, send_timeout)
        self.loop = loop
        self.model = Models(group_id)
        self.room = asyncio.Event()  # set when results came: what waits for room may try again
        self._block = block
        self._queues: dict[Model, _Queue] = {}
        self._scheduled = False
        self._full_until = 0.0  # the library has no room; when those that wait for it give up
        self._unsealed = 0
        self._sealed = False  # sealed batches are on their way and no result came since
        self.background: Optional[Call[None]] = None  # the close of a forgotten client
        self._fd: int = low.client_event_fd(handle)
        loop.add_reader(self._fd, self.take)
        alive.add(self)

    # ---- messages ----

    def queue(self, model: Model, payload: bytes) -> Future:
        """Accept one message and return its future."""
        future = self.loop.create_future()
        queue = self._queues.get(model)
        if queue is None:
            self._queues[model] = queue = _Queue()
            self.schedule()
        size = len(payload)
        if size > SMALL:
            checked_length(size)
        queue.payloads.append(payload)
        queue.futures.append(future)
        if (size > SMALL or len(queue.payloads) >= CHUNK_MESSAGES) and not self._full_until:
            self._push(model, queue)
        return future

    def schedule(self) -> None:
        """Push all queues at the end of this round of the loop."""
        if not self._scheduled:
            self._scheduled = True
            self.loop.call_soon(self._push_all)

    def _push_all(self) -> None:
        self._scheduled = False
        if self.forked:
            return
        if self._full_until:
            self._retry()
        for model, queue in list(self._queues.items()):
            if self._push(model, queue):
                del self._queues[model]
        # One batch at a time need not wait for its linger; those that come meanwhile share the next one.
        if self._unsealed and not self._sealed:
            self._unsealed, self._sealed = 0, True
            low.client_seal(self.handle, 0)

    def _retry(self) -> None:
        """Before what waits for room is tried again: drop what nobody waits for any more."""
        for queue in self._queues.values():
            kept = [(p, f) for p, f in zip(queue.payloads, queue.futures) if not f.cancelled()]
            queue.payloads[:] = [p for p, _ in kept]
            queue.futures[:] = [f for _, f in kept]
        if self.loop.time() >= self._full_until:
            self._block, block = False, self._block
            for model, queue in list(self._queues.items()):
                self._push(model, queue)  # what does not go in now is refused
            self._block, self._full_until = block, 0.0

    def _push(self, model: Model, queue: _Queue) -> bool:
        """Pass model's queue to the library. Return whether nothing is left of it."""
        while queue.payloads:
            payloads, futures = queue.payloads[:CHUNK_MESSAGES], queue.futures[:CHUNK_MESSAGES]
            first = model.tags.chunk()
            chunk = self.pending.add_chunk(first, futures, model)
            accepted = ctypes.c_size_t()
            data = b"".join(payloads)
            lengths = array("I", map(len, payloads)).tobytes()
            code = low.client_send_packed_now(
                self.handle, model.reference, data, len(data), lengths, len(payloads), first, 0, 0, ctypes.byref(accepted)
            )
            done = accepted.value
            if done:
                self._unsealed += done
                self._full_until = 0.0
            if code == _codes.OK:
                queue.drop(len(payloads))
                continue
            self.pending.shorten(first, chunk, done)
            queue.drop(done)
            if code not in _FULL:
                # A message that is too long is alone with its fault; a closed client takes none of the others either.
                self._refuse(queue, model, code, 1 if code in (_codes.LOG_TOO_LONG, _codes.LOG_INVALID) else len(queue.futures))
            elif self._block:
                self._full_until = self._full_until or self.loop.time() + self._send_timeout
                self.loop.call_later(_RETRY_SECONDS, self.schedule)
                return False
            else:
                self._refuse(queue, model, _codes.QUEUE_FULL, len(queue.futures))
        return True

    def _refuse(self, queue: _Queue, model: Model, code: int, count: int) -> None:
        for future in queue.futures[:count]:
            if not future.done():
                future.set_exception(refusal(code, model))
        queue.drop(count)

    # ---- results ----

    def take(self) -> bool:
        """Hand out results that wait in the library. Return whether there may be more."""
        if self.forked:
            return False
        for _ in range(_ROUNDS):
            count = self.poll_now()
            if count <= 0:
                if count < 0:
                    self._abandon(_codes.call_error(count, low.error_name(count), b"no results come any more"))
                return False
            self._sealed = False
            self.hand_out(count)
            self.room.set()
            # Behind the tasks that go on with these results: what they send travels with it.
            if self._unsealed or self._queues:
                self.schedule()
        return True

    def _acked(self, futures: list[Future], result: Result) -> None:
        for future in futures:
            if not future.done():  # a cancelled await
                future.set_result(result)

    def _failed(self, tag: int, count: int, outcome: Outcome) -> None:
        model = self.pending.model(tag)
        group_id, stream_id = (model.group_id, model.stream_id) if model else ("", "")
        for future in self.pending.take(tag, count):
            if not future.done():
                future.set_exception(outcome.error(group_id, stream_id))

    def _abandon(self, error: Exception) -> None:
        for future in [*self.pending, *(future for queue in self._queues.values() for future in queue.futures)]:
            if not future.done():
                future.set_exception(error)
        self._queues.clear()
        for counter in list(self.counters.values()):
            counter.abandon(error)

    # ---- life ----

    async def flush(self, timeout_ms: int) -> None:
        """Wait until what was accepted before has its result."""
        end = self._end(timeout_ms)
        await self._drain(end)
        left_ms = timeout_ms if timeout_ms < 0 else max(round((end - self.loop.time()) * 1000), 0)
        await _offloop.call(low.client_flush, self.handle, left_ms)
        await self._take_all()
        if self._queues and not self.closing:
            raise _codes.late_error("messages wait for room")

    async def _drain(self, end: float) -> None:
        self._push_all()
        while self._queues and self.loop.time() < end:
            await asyncio.sleep(_RETRY_SECONDS)
            self._push_all()

    async def _take_all(self) -> None:
        while self.take():
            await asyncio.sleep(0)

    async def close(self, timeout_ms: int) -> CloseReport:
        """Close; called once."""
        end = self._end(timeout_ms)
        # While the loop still takes results. What is wrong, the close says too.
        with contextlib.suppress(InlongError):
            await self.flush(timeout_ms)
        self.loop.remove_reader(self._fd)  # the library closes it
        record = low.CloseReportRecord(struct_size=ctypes.sizeof(low.CloseReportRecord))
        left_ms = max(round((end - self.loop.time()) * 1000), 0)
        try:
            code = await _offloop.call(low.client_close, self.handle, left_ms, ctypes.byref(record))
        finally:
            alive.discard(self)
        await self._take_all()
        if code not in (_codes.OK, _codes.CONTEXT_EXPIRED):
            raise _codes.call_error(code, low.error_name(code), b"")
        return close_report(record)

    def forget(self, timeout_ms: int) -> None:
        """Close from any thread without waiting: nobody holds the client any more, and its loop may be closed.

        Its futures may be awaited all the same: they get their results once it is closed.
        """
        self.closing = True

        def close_alone() -> None:
            low.client_close(self.handle, timeout_ms, None)
            alive.discard(self)
            try:
                self.loop.call_soon_threadsafe(self._take_rest)
            except RuntimeError:  # the loop is closed: nobody waits any more
                low.client_drop_results(self.handle)

        def leave_loop() -> None:
            self._push_all()
            self.loop.remove_reader(self._fd)
            self.background = Call(close_alone)

        try:
            self.loop.call_soon_threadsafe(leave_loop)
        except RuntimeError:  # the loop is closed
            self.background = Call(close_alone)

    def _take_rest(self) -> None:
        if self.take():
            self.loop.call_soon(self._take_rest)

    def _end(self, timeout_ms: int) -> float:
        return self.loop.time() + self.seconds(timeout_ms)

    def disown(self) -> None:
        """In a forked child: the loop's selector is the parent's too and stays as it is."""
        self.forked = True


alive: set[AsyncDelivery] = set()
"""Those not closed; each is kept until it is, so that what a forgotten client accepted is still delivered."""


def close_at_exit(timeout_ms: int) -> list[Call[Any]]:
    """Begin to close what is left when the interpreter exits; its loop does not run any more."""
    # The library answers a second close at once: what waits for messages is the first.
    return [delivery.background or Call(low.client_close, delivery.handle, timeout_ms, None) for delivery in list(alive)]


def _disown_all() -> None:
    for delivery in list(alive):
        delivery.disown()
    alive.clear()


_process.after_fork(_disown_all)
