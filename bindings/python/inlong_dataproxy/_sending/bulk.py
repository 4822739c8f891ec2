"""send_many: what it reports, and what is the same in the ways of threads and of asyncio."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Callable, NamedTuple, Optional

from inlong_dataproxy._host.ticket import Ticket
from inlong_dataproxy._native import codes, lowlevel as low
from inlong_dataproxy._results.taker import Outcome
from inlong_dataproxy.errors import InlongError

from .message import Model, checked_length, refusal, to_bytes
from .run import FULL, Packed

CHUNK_MESSAGES = 4096
CHUNK_BYTES = 256 << 10  # a chunk wakes threads: of fewer bytes, that costs more than the messages do
_WINDOW_MESSAGES = 1 << 17  # without a result, so that a bulk leaves room in the queue for other senders
_WINDOW_BYTES = 64 << 20
_PROGRESS_SECONDS = 0.1


@dataclass(frozen=True)
class Failure:
    """One message of a send_many that was not acked.

    Attributes:
        index: its place in the iterable, from 0.
        error: why: a SendError, or a TypeError for a value that is no payload.
    """

    index: int
    error: Exception


class Progress(NamedTuple):
    """How far a send_many is.

    Attributes:
        taken: messages taken from the iterable.
        acked, failed: those that have their result.
    """

    taken: int
    acked: int
    failed: int


ProgressCallback = Callable[[Progress], object]


@dataclass(frozen=True)
class SendReport:
    """What became of the messages of a send_many.

    Attributes:
        taken: messages taken from the iterable; each was acked or failed.
        acked: those that a DataProxy acked.
        failed: the others.
        runs: the failures as (first index, count, error), which stay few when whole batches fail.
    """

    taken: int
    acked: int
    failed: int
    runs: tuple[tuple[int, int, Exception], ...] = ()

    @property
    def failures(self) -> list[Failure]:
        """The failed messages one by one, in the order of the iterable. Made at each access."""
        return [Failure(first + i, error) for first, count, error in sorted(self.runs, key=_first) for i in range(count)]


def _too_long(payload: bytes) -> Optional[Exception]:
    try:
        checked_length(len(payload))
    except InlongError as error:
        return error.with_traceback(None)
    return None


def _first(run: tuple[int, int, Exception]) -> int:
    return run[0]


def iterator(messages: Iterable[object]) -> Iterator[object]:
    """Return the iterator of a send_many's source.

    Raises:
        TypeError: it is none.
    """
    kind = type(messages).__name__
    if isinstance(messages, (bytes, bytearray, memoryview, str, Mapping)):
        raise TypeError(f"messages must be an iterable of payloads, not a single {kind}")
    if not hasattr(messages, "__iter__") and not hasattr(messages, "__getitem__"):
        raise TypeError(f"messages must be an iterable of payloads, not {kind}")
    return iter(messages)


class Bulk:
    """One send_many. `count` and `abandon` run on the thread of results, the rest on the caller's, or on one that stands in for it.

    What the source gives lies in a box until it is passed on: bytes as they were when they were given.
    """

    def __init__(
        self, handle: low.ClientHandle, model: Model, base: int, progress: Optional[ProgressCallback], empty: tuple[bytes, ...]
    ) -> None:
        if progress is not None and not callable(progress):
            raise TypeError(f"progress must be callable or None, not {type(progress).__name__}")
        self._handle = handle
        self._empty = empty  # what the library takes as an empty payload
        self._model = model
        self._base = base
        self._progress = progress
        self._next_progress = time.monotonic() + _PROGRESS_SECONDS
        self._box: list[bytes] = []  # the caller appends, who passes on takes from the front: each in one step of the interpreter
        self._cut = 0  # messages that have left the box, or were refused before it
        self._bytes = 0
        self._weight = 0  # bytes that the caller has put into the box since it passed it on, as far as it counted them
        # Each has one writer, and no lock: a signal handler may come between, and wait for the thread of results.
        self._accepted = self._refused = 0  # by who passes on
        self._acked = self._failed = 0  # with a result of the library; by the thread of results
        self._runs: list[tuple[int, int, Exception]] = []
        self._abandoned: Optional[Exception] = None
        self._wanted = -1  # when no more messages than this are without a result, who waits is woken
        self._changed = Ticket()

    # ---- thread of results ----

    def count(self, first: int, count: int, outcome: Outcome | None) -> None:
        """Take the result of count messages from first on."""
        error = None if outcome is None else outcome.error(self._model.group_id, self._model.stream_id)
        if error is None:
            self._acked += count
        else:
            self._runs.append((first, count, error))  # before the sum: who waits for that reports all
            self._failed += count
        if self.outstanding() <= self._wanted:
            self._changed.answer()

    def abandon(self, error: Exception) -> None:
        """Raise error in the caller: results that it waits for do not come."""
        self._abandoned = error
        self._changed.answer()

    # ---- caller ----

    def outstanding(self) -> int:
        """Return how many messages are in the library without a result."""
        return self._accepted - self._acked - self._failed

    def window(self) -> int:
        """Return how many may be."""
        return min(_WINDOW_MESSAGES, self.fitting(_WINDOW_BYTES))

    def fitting(self, limit: int) -> int:
        """Return how many messages of the size seen so far fit into limit bytes, one at least."""
        return max(limit * self._cut // max(self._bytes, 1), 1)

    def _take(self, payload: object) -> Optional[Exception]:
        """Put payload into the box, as it is now. Return why it is none; then the box is to be passed on, and it to be refused."""
        try:
            data = to_bytes(payload)
        except (TypeError, InlongError) as error:
            error.__context__ = None
            return error.with_traceback(None)  # or the report would keep the frames, and they what the source gave
        too_long = _too_long(data)
        if too_long is not None:
            return too_long
        self._box.append(data)
        self._weight += len(data)
        return None

    def _is_full(self, messages: int) -> bool:
        """Return whether the box is to be passed on: by count, or because its messages are larger than those before."""
        return len(self._box) >= messages or self._weight >= CHUNK_BYTES

    def _pack(self) -> tuple[int, Optional[Packed]]:
        """Take what is in the box. Return the index of the first message, and all; None when there is none."""
        first = self._cut
        payloads = self._box[:]
        del self._box[: len(payloads)]
        if not payloads:
            return first, None
        try:
            packed = Packed(self._model, payloads)
        except OverflowError:  # one is too long to be counted: those in front of it first, or else it is refused
            place, error = next((i, error) for i, error in enumerate(map(_too_long, payloads)) if error is not None)
            self._box[:0] = payloads[max(place, 1) :]
            if place == 0:
                self._refuse(first, error)
                self._cut += 1
                return first, None
            payloads = payloads[:place]
            packed = Packed(self._model, payloads)
        self._cut += len(payloads)
        self._bytes += packed.left()[1]
        return first, packed

    def push(self, first: int, packed: Packed, wait_ms: int) -> tuple[int, bool]:
        """Pass on what is left of packed. Return the index of what then is the first, and whether the library has room."""
        while packed.lengths:
            code, done = packed.push(self._handle, self._base + first, low.PACKED_MERGE_ACKS, wait_ms, gil=not wait_ms)
            first += done
            self._accepted += done
            if code in FULL:
                return first, False
            if code != codes.OK:
                error = refusal(code, self._model)
                if code != codes.LOG_TOO_LONG and (code != codes.LOG_INVALID or packed.first() not in self._empty):
                    raise error  # not this payload's fault: every other one would meet it too
                self._refuse(first, error)
                packed.drop(1)
                first += 1
        return first, True

    def _refuse(self, index: int, error: Exception) -> None:
        self._refused += 1
        self._runs.append((index, 1, error))

    def _report(self) -> SendReport:
        self._report_progress()
        return SendReport(self._cut, self._acked, self._failed + self._refused, tuple(self._runs))

    def _maybe_progress(self) -> None:
        if self._progress is not None and time.monotonic() >= self._next_progress:
            self._next_progress = time.monotonic() + _PROGRESS_SECONDS
            self._report_progress()

    def _report_progress(self) -> None:
        if self._progress is not None:
            self._progress(Progress(self._cut + len(self._box), self._acked, self._failed + self._refused))
