"""The way in of one Client: a queue, and the one thread that owns what leaves it.

A sender puts a message into the queue and continues: without a lock, so that a signal handler, a finalizer and what they log may
do it at any moment. The thread takes runs of messages that are alike, and passes each to the library in one call, in the order of
the queue. It runs no code of the user and waits for the library only, so everybody may wait for it.
"""

from __future__ import annotations

import contextlib
import functools
import math
import threading
import time
from _queue import Empty, SimpleQueue  # not by way of queue, where gevent puts its own
from collections import deque
from itertools import repeat, starmap
from typing import Any, Callable, Optional, Union

from inlong_dataproxy._host.calls import SLICE_SECONDS
from inlong_dataproxy._host.ticket import Ticket
from inlong_dataproxy._native import codes, lowlevel as low
from inlong_dataproxy._native.handle import Bounds
from inlong_dataproxy._results.future import DeliveryFuture
from inlong_dataproxy._sending.message import Model, refusal
from inlong_dataproxy._sending.models import Models
from inlong_dataproxy._sending.run import FULL, Run, snapshot, split

from .inbox import Inbox

# Results make room, and wake. These are for room that is given back a moment after its result: the first look after a wake, and
# the longest time between two where none comes, doubling: in an outage each costs the library as much as a send.
_LOOK_SECONDS, _LOOK_SECONDS_MOST = 0.02, 0.64

_LONG = 64  # messages of a run that senders need not stand still for; after a shorter call the GIL may be 5 ms away


class Command:
    """What the thread is to call when it comes to it."""

    __slots__ = ("function",)
    model, payload = None, b""  # as those of a future

    def __init__(self, function: Callable[[], object]) -> None:
        self.function = function


Entry = Union[DeliveryFuture, Command]


class Line:
    """See above.

    Attributes:
        models: of its messages.
        put, size: queues an entry, without waiting; how many are in the queue.
        limit: while fewer entries are in the queue a message goes in without a look at anything else. 0 when nothing may come.
        largest: bytes of the largest message that limit is for.
        idle: whether whatever the asking thread has put in, and is not in the queue any more, is out of the line's hands.
            Anyone who puts something in writes False.
        full: whether the library has no room.
        ended: whether nobody takes from the queue any more.
    """

    def __init__(
        self, handle: low.ClientHandle, group_id: str, bounds: Bounds, pending: dict[int, DeliveryFuture], inbox: Inbox
    ) -> None:
        self.models = Models(group_id)
        self._queue: SimpleQueue[Entry] = SimpleQueue()
        self.put = self._queue.put
        self.size = self._queue.qsize
        self.limit = self._most = bounds.messages
        self.largest = self._small = max(bounds.payload_bytes // bounds.messages, 1)
        self.idle = True
        self.full = False
        self.ended = False
        self.bounds = bounds
        self._handle = handle
        self._pending = pending
        self._inbox = inbox
        self._behind: deque[Entry] = deque()  # taken from the queue, not yet examined
        self._hand: deque[tuple[Any, list[Any]]] = deque()  # after the run that is passed on: futures of a model, or a command
        self._run: Optional[Run[DeliveryFuture]] = None
        self._taken: list[Entry] = []  # from the queue, on their way into the hand
        self._room = Ticket()  # of the thread, while it waits for room; it alone makes another
        self._look_seconds = _LOOK_SECONDS
        self._give_up = math.inf  # when messages that find no room are refused
        self._close_end = math.inf
        self._stopped = False
        self._shorter: deque[Ticket] = deque()  # of those who wait for a shorter queue
        self._proofs: dict[DeliveryFuture, Ticket] = {}
        self._refusal: Optional[Callable[[], Exception]] = None  # for whatever comes
        self._sweeping = threading.RLock()
        self._swept: dict[DeliveryFuture, None] = {}  # anyone who takes one out tells of it: its sender, or the thread of results
        self.thread = threading.Thread(target=self._work, name="inlong-line", daemon=True)

    # ---- for senders ----

    def make_room(self, model: Model, size: int, patient: bool) -> None:
        """Wait until one more message of size may be put in, as the client's options say.

        Raises:
            QueueFullError: the library has no room, and patient or the option block_if_queue_is_full says not to wait for it.
        """
        if size > self.largest:
            self._allow(size)
        end = 0.0
        while self._queue.qsize() >= self.limit and not self.is_own_thread():
            if self._refusal is not None:
                raise self._refusal()
            now = time.monotonic()
            end = end or now + self.bounds.send_timeout
            if now >= end or (self.full and not (patient and self.bounds.block)):
                raise refusal(codes.QUEUE_FULL, model)
            ticket = Ticket()
            self._shorter.append(ticket)
            # First this, then the look: the thread takes first and then answers.
            if self._queue.qsize() >= self.limit:
                ticket.wait(min(end, now + SLICE_SECONDS))

    def prove(self, future: DeliveryFuture) -> None:
        """Put in the first message of a model, and wait for the library's word on its ids and attributes.

        A library without room does not say it; the future has it later.

        Raises:
            InvalidMessageError, ClosedError: it was refused.
        """
        ticket = self._proofs[future] = Ticket()
        self.put(future)
        self.idle = False
        while not (self.full or self.ended or self.is_own_thread()):
            if ticket.wait(time.monotonic() + SLICE_SECONDS):
                break
        if self._proofs.pop(future, None) is None:  # the thread knows, or is about to
            ticket.wait(math.inf)
            if ticket.error is not None:
                raise ticket.error

    def check(self, future: DeliveryFuture) -> None:
        """Raise when nobody is going to take the message of future. To be called after a put that finds the line ended."""
        self._sweep()
        if self._swept.pop(future, self) is None:
            raise self._refused()

    def empty(self, end: float, *, patient: bool = True) -> bool:
        """Wait until what this thread has put in is in the library, until end at most. Return whether it is.

        Not patient: as long as there is room only, unless the option block_if_queue_is_full says to wait.
        """
        # The queue first: what has left it was seen by the thread, which then wrote False, and True only once it was passed on.
        if (not self._queue.qsize() and self.idle) or self.is_own_thread():
            return True
        ticket = Ticket()
        self.put(Command(ticket.answer))
        self.idle = False
        if self.ended:
            self._sweep()
        while not ticket.wait(min(end, time.monotonic() + SLICE_SECONDS)):
            if time.monotonic() >= end or (self.full and not patient and not self.bounds.block):
                return False
        return True

    def is_own_thread(self) -> bool:
        """Return whether this is the line's thread, on which a finalizer may run: it must not wait for itself."""
        return threading.current_thread() is self.thread

    # ---- for the client ----

    def made_room(self) -> None:
        """Have the thread try again at once if it waits for room."""
        self._room.answer()

    def refuse_all(self, refusal: Callable[[], Exception]) -> None:
        """Let nothing in any more: senders get what refusal returns."""
        self._refusal = refusal
        self.limit = 0

    def close(self, end: float, function: Callable[[], object]) -> None:
        """Have the thread pass on what is there, until end at most, then call function, which closes the client, and end."""
        self._close_end = end
        self.put(Command(functools.partial(self._close, function)))
        self.made_room()
        if self.ended:
            self._sweep()

    def waiting(self) -> tuple[int, int]:
        """Return how many messages wait for room in the library, and their bytes."""
        futures = [entry for entry in self._left() if isinstance(entry, DeliveryFuture)]
        run = self._run
        count, size = run.left() if run is not None else (0, 0)
        return count + len(futures), size + sum(len(future.payload) for future in futures)

    def _left(self) -> list[Entry]:
        """Return what was taken from the queue and is in no run yet."""
        return [*snapshot(self._behind), *(entry for _, some in snapshot(self._hand) for entry in some)]

    def _lost(self) -> list[DeliveryFuture]:
        """Return whose messages the thread has in its hands."""
        futures = [entry for entry in [*self._taken, *self._left()] if isinstance(entry, DeliveryFuture)]
        return list(dict.fromkeys(futures + (self._run.waiting if self._run is not None else [])))

    def disown(self, error: Exception) -> None:
        """In a forked child: answer those who might wait. The thread is the parent's."""
        self.models.guard.renew()
        self.models.guard.error = error
        self.refuse_all(lambda: error)
        self.ended = True
        self._sweeping = threading.RLock()
        for future in self._lost():
            future.disown(error)
        for _ in range(self.size()):
            entry = self._queue.get()
            if isinstance(entry, DeliveryFuture):
                entry.disown(error)

    # ---- the thread ----

    def _work(self) -> None:
        try:
            while (entry := self._get()) is not None:
                self._gather(entry)
                while self._hand:
                    if self._hand[0][0] is None:
                        self._hand.popleft()[1][0].function()
                    else:
                        self._pass_on(self._next_run())
        finally:
            if not self._stopped:  # a fault of this package: nothing may be accepted that nobody would have a result of
                self.refuse_all(codes.closed_error)
                low.client_close(self._handle, 0, None)
                while self._behind:  # commands, too: who waits for one hears of it where the queue is swept
                    self.put(self._behind.popleft())
                for entry in [*self._taken, *self._left()]:
                    if isinstance(entry, Command):
                        self.put(entry)
                self._refuse([(future, codes.lost_error(future.model.group_id, future.model.stream_id)) for future in self._lost()])
            self.ended = True
            self._sweep()

    def _close(self, function: Callable[[], object]) -> None:
        try:
            function()
        finally:
            self._stopped = True

    def _get(self) -> Optional[Entry]:
        if self._behind:
            return self._behind.popleft()
        self.idle = True
        # First this, then the look: a sender puts first and then writes.
        if self._queue.qsize():
            self.idle = False
        elif self._stopped:
            return None
        if self.full:  # what was to be given up is: the next message may find room
            self._set_full(False)
        return self._queue.get()

    def _gather(self, first: Entry) -> None:
        """Take first and what comes after it into the hand, as much as may be taken at a time."""
        entries: list[Entry] = [first]
        self._taken = entries
        rest = self._behind
        take, there = (rest.popleft, len(rest)) if rest else (self._queue.get_nowait, self._queue.qsize())
        # Each is in the one or the other whatever happens. How many bytes there are is bounded where they are put in.
        entries.extend(starmap(take, repeat((), min(there, self.bounds.messages - 1))))
        models: list[Any] = [entry.model for entry in entries]
        self._set_limit()
        self._answer_shorter()
        if self.largest > self._small:  # what comes next may be small again
            self._allow(max(len(entry.payload) for entry in entries))
        self._hand.extend(split(models, entries))
        self._taken = []

    def _next_run(self) -> Run[DeliveryFuture]:
        model, futures = self._hand[0]
        self._run = run = Run(model, [future.payload for future in futures], futures)
        self._hand.popleft()  # not before: what fails here must find all whose messages are lost
        for future in futures:
            future.payload = b""  # or it would be kept as long as the future
        return run

    def _allow(self, largest: int) -> None:
        """Have as many messages in the queue as may be there when they are so large."""
        self.largest = max(largest, self._small)
        self._most = max(min(self.bounds.messages, self.bounds.payload_bytes // self.largest), 1)
        self._set_limit()

    def _set_limit(self) -> None:
        if self._refusal is not None:
            self.limit = 0
        elif self.full:  # as much as may be in the queue and in the hand, however it lies
            self.limit = max(2 * self._most - self.waiting()[0], 0)
        else:
            self.limit = max(self._most - len(self._behind), 0)

    def _answer_shorter(self) -> None:
        for _ in range(len(self._shorter)):
            self._shorter.popleft().answer()

    def _pass_on(self, run: Run[DeliveryFuture]) -> None:
        while run.waiting:
            if self._room.answered:
                self._room = Ticket()  # before the try: what is released after it counts
            code, taken = run.enter(self._handle, self.models, self._pending, self.full, len(run.waiting) < _LONG)
            if taken:
                self._took(run.model, taken)
            if code == codes.OK:
                continue
            if code not in FULL:
                self._refuse(run.refused(code))
            elif not self._wait_for_room():
                refused = run.refused(codes.QUEUE_FULL)
                self._refuse(refused if self._refusal is None else [(future, self._refused()) for future, _ in refused])
        self._run = None

    def _took(self, model: Model, futures: list[DeliveryFuture]) -> None:
        if not model.proven:
            self.models.prove(model)
        if self.full:
            self._set_full(False)
        if self._proofs:
            for future in futures:
                ticket = self._proofs.pop(future, None)
                if ticket is not None:
                    ticket.answer()

    def _refuse(self, refused: list[tuple[DeliveryFuture, Exception]]) -> None:
        for future, error in refused:
            ticket = self._proofs.pop(future, None)
            if ticket is None:
                self._inbox.put(functools.partial(future.resolve, error))
            else:
                ticket.error = error
                ticket.answer()

    def _wait_for_room(self) -> bool:
        """Wait a little. Return False when there is no waiting any more."""
        now = time.monotonic()
        if not self.full:
            self._give_up = now + self.bounds.send_timeout
            low.client_seal(self._handle, 0)  # what waits for its linger holds room
        for _ in range(self._queue.qsize()):  # here it can be counted
            self._behind.append(self._queue.get())
        self._set_full(True)
        end = min(self._give_up, self._close_end)
        if now >= end:
            return False
        woken = self._room.wait(min(end, now + self._look_seconds))
        self._look_seconds = _LOOK_SECONDS if woken else min(2 * self._look_seconds, _LOOK_SECONDS_MOST)
        return True

    def _set_full(self, full: bool) -> None:
        self.full = full
        if full:
            for future in list(self._proofs):  # anyone who does not wait for room must hear of it
                ticket = self._proofs.pop(future, None)
                if ticket is not None:
                    ticket.answer()
        self._set_limit()
        self._answer_shorter()

    def _sweep(self) -> None:
        """After the end: take out whatever is put in. The line's own last run has ended before the thread of results ends."""
        with self._sweeping, contextlib.suppress(Empty):
            while True:
                entry = self._queue.get_nowait()
                if isinstance(entry, Command):
                    entry.function()
                else:
                    self._swept[entry] = None
                    self._inbox.put(functools.partial(self._answer_swept, entry))

    def _answer_swept(self, future: DeliveryFuture) -> None:
        if self._swept.pop(future, self) is None:
            future.resolve(self._refused())

    def _refused(self) -> Exception:
        return codes.closed_error() if self._refusal is None else self._refusal()
