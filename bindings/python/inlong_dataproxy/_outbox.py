"""Messages of send_async on their way into the library: one by one, or, when many come, in small chunks.

A call of the library through ctypes costs about 1 us whatever it carries. While messages come fast they are therefore queued
by model and pushed when a chunk is full, or by a thread that looks after them every millisecond. When they come slowly,
each is passed on at once and the thread sleeps.

Whatever is interrupted where (Ctrl-C is raised in the middle of anything that the main thread does), a message is in its
queue, or in the library and in `pending`, never in neither or both: what the library took is read from where it wrote it and
leaves the queue before Python looks for signals again.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from array import array
from typing import TYPE_CHECKING, Optional

from . import _codes, _lowlevel as low
from ._future import DeliveryFuture, ResultCallback
from ._message import Model, Sendable, checked_length, refusal
from ._models import Models
from ._pending import CHUNK_MESSAGES, Chunk
from .errors import ForkError

if TYPE_CHECKING:
    from ._delivery import Delivery

_LOOK_SECONDS = 0.001  # of the thread
_BURST_MESSAGES = 32  # so many in so short a time start the queueing; fewer than half as many in a look end it
_ORDER = sys.byteorder
_NONE: dict[str, Model] = {}


class Outbox:
    """The way in of one client."""

    def __init__(self, delivery: Delivery, group_id: str, block: bool, send_timeout: float) -> None:
        self.model = Models(group_id)
        self.models = self.model.plain
        self.fast = _NONE  # while messages come fast: the models whose messages may be queued, by stream
        self.closing = False
        self._delivery = delivery
        self.block = block
        self._send_timeout = send_timeout
        self._pushing = threading.Lock()  # guards taking from queues, so that order is kept
        self._full = False  # the library had no room at the last push; guarded by _pushing
        self._waiting: dict[Model, None] = {}  # models with a queue that the thread is to push
        self._moved = 0  # messages pushed since the thread's last look
        self._burst = 0
        self._burst_began = 0.0
        self._wake = threading.Event()
        self._starting = threading.Lock()
        self._thread: Optional[threading.Thread] = None

    # ---- one by one ----

    def send(self, model: Model, payload: Sendable, callback: Optional[ResultCallback] = None) -> DeliveryFuture:
        """Pass one message to the library, behind those of its model that are queued."""
        if model.queue:
            self.make_room(model)
        data, size = (payload, len(payload)) if isinstance(payload, bytes) else (payload.address, payload.size)
        lengths = checked_length(size).to_bytes(4, _ORDER)
        delivery, tag = self._delivery, model.tags.alone()
        future = DeliveryFuture()
        future.model = model
        if callback is not None:
            future.call_back(callback)
        # Before the call: the result may be there before it returns.
        delivery.pending.alone[tag] = future
        end = 0.0
        while True:
            code = low.client_send_packed_now(delivery.handle, model.reference, data, size, lengths, 1, tag, 0, 0, None)
            if code == _codes.OK:
                break
            try:
                if not self._wait_for_room(code, end := end or time.monotonic() + self._send_timeout):
                    raise refusal(code, model)
            except BaseException:  # Ctrl-C, too: nothing of it was sent, and no result comes that a flush could wait for
                delivery.pending.alone.pop(tag, None)
                future.unwatch()
                raise
        if model.stream_id not in self.model.proven and self.models.get(model.stream_id) is model:
            self.model.proven[model.stream_id] = model
        self._burst += 1
        if self._burst >= _BURST_MESSAGES:
            self._end_burst()
        return future

    def _wait_for_room(self, code: int, end: float) -> bool:
        """Sleep a little, between which signals are handled. Return False when there is no waiting (any more)."""
        if not self.block or code not in (_codes.QUEUE_FULL, _codes.CONTEXT_EXPIRED) or time.monotonic() >= end:
            return False
        time.sleep(_LOOK_SECONDS)
        return True

    def _end_burst(self) -> None:
        now = time.monotonic()
        if now - self._burst_began < _LOOK_SECONDS and not self.closing:
            self.fast = self.model.proven
            self._wake_up()
        self._burst, self._burst_began = 0, now

    # ---- in chunks ----

    def mark(self, model: Model) -> None:
        """Have the thread push model's queue."""
        model.marked = True
        self._waiting[model] = None
        if self.closing:  # the last look may have been before
            self._push_waiting()
        elif self.fast is _NONE:  # the thread may have looked for the last time just before
            self._wake_up()

    def make_room(self, model: Model) -> None:
        """Push model's queue, waiting as the client's options say.

        Raises:
            QueueFullError: the library cannot take it.
        """
        end = 0.0
        while (code := self.push(model)) != _codes.OK:
            if not self._wait_for_room(code, end := end or time.monotonic() + self._send_timeout):
                raise refusal(_codes.QUEUE_FULL, model)

    def push(self, model: Model) -> int:
        """Push model's queue. Return OK when it is empty, QUEUE_FULL or CONTEXT_EXPIRED when the library has no room.

        Messages refused for another reason get their error.
        """
        refused: list[tuple[DeliveryFuture, Exception]] = []
        try:
            with self._pushing:
                code = _codes.OK
                while model.queue and code == _codes.OK:
                    code = self._push_chunk(model, refused)
                return code
        finally:
            # Not under the lock: their callbacks may send.
            for future, error in refused:
                future.resolve(error)

    def _push_chunk(self, model: Model, refused: list[tuple[DeliveryFuture, Exception]]) -> int:
        queue, pending = model.queue, self._delivery.pending
        accepted = ctypes.c_size_t()
        chunk: Optional[Chunk[DeliveryFuture]] = None
        first = model.tags.chunk()
        # Whether there is room again is asked with one message: of a whole chunk the copying would be in vain, for every refusal.
        futures = queue[: 1 if self._full else CHUNK_MESSAGES]
        code = _codes.QUEUE_FULL  # an interruption leaves the queue as a full library does
        try:
            payloads = [future.payload for future in futures]
            data = b"".join(payloads)
            lengths = array("I", map(len, payloads)).tobytes()
            chunk = pending.add_chunk(first, futures)
            code = low.client_send_packed_now(
                self._delivery.handle, model.reference, data, len(data), lengths, len(futures), first, 0, 0, ctypes.byref(accepted)
            )
        finally:
            # Between the call and this no function is called: that is where Python looks for signals.
            done = accepted.value
            del queue[:done]
            if done < len(futures):
                if chunk is not None:
                    pending.shorten(first, chunk, done)
                if code not in (_codes.QUEUE_FULL, _codes.CONTEXT_EXPIRED):
                    # A message that is too long is alone with its fault; a closed client takes none of the others either.
                    bad = futures[done : done + 1] if code in (_codes.LOG_TOO_LONG, _codes.LOG_INVALID) else futures[done:]
                    refused += [(future, refusal(code, model)) for future in bad]
                    del queue[: len(bad)]
                    code = _codes.OK
            self._moved += done
            self._full = code != _codes.OK
        for future in futures[:done]:
            future.payload = b""  # the library has its copy
        return code

    def _push_waiting(self) -> None:
        """Push all queues, as far as there is room."""
        for model in list(self._waiting):
            # First this, then the queue: a sender queues first and then looks for the mark.
            self._waiting.pop(model, None)
            model.marked = False
            if self.push(model) != _codes.OK:
                model.marked = True
                self._waiting[model] = None

    def drain(self, end: float) -> None:
        """Push all queues, waiting for room until end (of time.monotonic)."""
        for model in list(self.models.values()):
            if model.queue:  # an interruption may have left it unmarked
                self._waiting[model] = None
        self._push_waiting()
        while self._waiting and time.monotonic() < end:
            time.sleep(_LOOK_SECONDS)
            self._push_waiting()

    # ---- the thread ----

    def _wake_up(self) -> None:
        with self._starting:
            if self._thread is None and not self.closing:
                thread = threading.Thread(target=self._look_after, name="inlong-outbox", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # no threads any more: the interpreter is shutting down, and will close this client
                    self.fast = _NONE
                    return
                self._thread = thread
        self._wake.set()

    def _look_after(self) -> None:
        while not self.closing:
            self._wake.wait()
            self._wake.clear()
            while not self.closing:
                time.sleep(_LOOK_SECONDS)
                self._push_waiting()
                if self._moved < _BURST_MESSAGES // 2:
                    # First this, then the look: a sender marks first and then asks whether it must wake this thread.
                    self.fast = _NONE
                    if not self._waiting:
                        break
                self._moved = 0

    def stop(self) -> None:
        """End the thread; the client is closing."""
        with self._starting:
            self.closing = True
        self.fast = _NONE
        self._wake.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def disown(self, error: ForkError) -> None:
        """In a forked child: answer those who might wait. The lock may be held by a thread of the parent."""
        self.fast = _NONE
        self.model.watched.disown()
        for model in [*self.models.values(), *self._waiting]:
            for future in model.queue:
                future.disown(error)
            model.queue.clear()
