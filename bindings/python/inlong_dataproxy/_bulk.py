"""send_many: an iterable in chunks, each in one call of the library, its results counted."""

from __future__ import annotations

import ctypes
import threading
import time
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Callable, NamedTuple, Optional

from . import _codes, _lowlevel as low
from ._interruptible import SLICE_SECONDS
from ._message import Model, checked_length, refusal, to_bytes
from ._results import Outcome
from .errors import InlongError

_CHUNK_MESSAGES = 4096
_CHUNK_BYTES = 96 << 10  # below what malloc gets from the kernel anew each time, which costs more than the joining
_CHUNK_SECONDS = 0.005  # a source that yields slowly is not kept waiting for a full chunk
_WINDOW_MESSAGES = 1 << 17  # without a result, so that a bulk leaves room in the queue for other senders
_WINDOW_BYTES = 64 << 20
_WAIT_MS = 50  # of one wait for room
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


def _first(run: tuple[int, int, Exception]) -> int:
    return run[0]


def iterator(messages: Iterable[object]) -> Iterator[object]:
    """Return the iterator of a send_many's source.

    Raises:
        TypeError: it is none.
    """
    if isinstance(messages, (bytes, bytearray, memoryview, str)):
        raise TypeError(f"messages must be an iterable of payloads, not a single {type(messages).__name__}")
    if not hasattr(messages, "__iter__") and not hasattr(messages, "__getitem__"):
        raise TypeError(f"messages must be an iterable of payloads, not {type(messages).__name__}")
    return iter(messages)


class Bulk:
    """One send_many. `count` and `abandon` run on the thread of results, the rest on the caller's.

    What needs room is a generator that yields when there is none: its caller waits, in the way of threads or of asyncio, and
    goes on with it.
    """

    _send_packed_call = staticmethod(low.client_send_packed)
    _wait_ms = _WAIT_MS

    def __init__(
        self, handle: low.ClientHandle, model: Model, base: int, progress: Optional[ProgressCallback], trims: bool
    ) -> None:
        if progress is not None and not callable(progress):
            raise TypeError(f"progress must be callable or None, not {type(progress).__name__}")
        self._handle = handle
        self._empty = (b"", b"\n") if trims else (b"",)  # what the library takes as an empty payload
        self._model = model
        self._base = base
        self._progress = progress
        self._next_progress = time.monotonic() + _PROGRESS_SECONDS
        self._taken = 0
        self._bytes = 0
        self._changed = threading.Condition()
        # Guarded by _changed:
        self._accepted = 0
        self._acked = 0
        self._failed = 0  # with a result of the library
        self._refused = 0
        self._runs: list[tuple[int, int, Exception]] = []
        self._abandoned: Optional[Exception] = None
        self._wanted = -1  # wake the caller when no more messages than this are without a result

    # ---- thread of results ----

    def count(self, first: int, count: int, outcome: Outcome | None) -> None:
        """Take the result of count messages from first on."""
        error = None if outcome is None else outcome.error(self._model.group_id, self._model.stream_id)
        with self._changed:
            if error is None:
                self._acked += count
            else:
                self._failed += count
                self._runs.append((first, count, error))
            if self._outstanding() <= self._wanted:
                self._changed.notify_all()

    def abandon(self, error: Exception) -> None:
        """Raise error in the caller: results that it waits for do not come."""
        with self._changed:
            self._abandoned = error
            self._changed.notify_all()

    # ---- caller ----

    def run(self, messages: Iterable[object]) -> SendReport:
        """Send all and return when each has its result."""
        source = iterator(messages)
        size = 1
        while True:
            began = time.monotonic()
            chunk: list[object] = []
            try:
                chunk.extend(islice(source, size))
            except Exception:
                self._send_all(chunk)  # what the source gave before it broke
                raise
            spent = time.monotonic() - began
            if not chunk:
                break
            self._send_all(chunk)
            # Grow towards a full chunk while the source is quick and messages are short.
            size = self._next_size(size * 4 if spent < _CHUNK_SECONDS else max(size // 2, 1))
            window = self._window()
            if self._outstanding() > window:
                self._wait(window // 2)
            self._maybe_progress()
        low.client_seal(self._handle, 0)  # the last batches need not wait for their linger
        self._wait(0)
        return self._report()

    def _send_all(self, chunk: list[object]) -> None:
        for _ in self._send(chunk):
            self._wait_for_room()

    def _report(self) -> SendReport:
        self._report_progress()
        with self._changed:
            return SendReport(self._taken, self._acked, self._failed + self._refused, tuple(self._runs))

    def _next_size(self, size: int) -> int:
        return min(size, _CHUNK_MESSAGES, self._fitting(_CHUNK_BYTES))

    def _window(self) -> int:
        return min(_WINDOW_MESSAGES, self._fitting(_WINDOW_BYTES))

    def _fitting(self, limit: int) -> int:
        """Return how many messages of the size seen so far fit into limit bytes, one at least."""
        return max(limit * self._taken // max(self._bytes, 1), 1)

    def _outstanding(self) -> int:
        return self._accepted - self._acked - self._failed

    def _wait(self, wanted: int) -> None:
        """Wait until no more than wanted messages are without a result."""
        while True:
            with self._changed:
                if self._abandoned is not None:
                    raise self._abandoned
                if self._outstanding() <= wanted:
                    self._wanted = -1
                    return
                self._wanted = wanted
                self._changed.wait(SLICE_SECONDS)
            self._maybe_progress()

    def _maybe_progress(self) -> None:
        if self._progress is not None and time.monotonic() >= self._next_progress:
            self._next_progress = time.monotonic() + _PROGRESS_SECONDS
            self._report_progress()

    def _report_progress(self) -> None:
        if self._progress is not None:
            self._progress(Progress(self._taken, self._acked, self._failed + self._refused))

    def _send(self, chunk: list[object]) -> Iterator[None]:
        first = self._taken
        self._taken += len(chunk)
        try:
            data = b"".join(chunk)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            lengths = array("I", map(len, chunk))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            return self._send_joined(first, chunk, data, lengths)
        except (TypeError, OverflowError):
            pass
        return self._send_mixed(first, chunk)

    def _send_joined(self, first: int, chunk: list[object], data: bytes, lengths: array[int]) -> Iterator[None]:
        try:
            yield from self._send_packed(first, data, lengths)
        except InlongError:
            if sum(lengths) == len(data):
                raise
            # A memoryview counts items, not bytes. The library compares before it takes any, at less than the sum's cost here.
            yield from self._send_mixed(first, chunk)

    def _send_mixed(self, first: int, chunk: list[object]) -> Iterator[None]:
        """Send a chunk that holds str, or what is no payload."""
        good: list[bytes] = []
        for index, payload in enumerate(chunk, first):
            try:
                good.append(to_bytes(payload))
                checked_length(len(good[-1]))
            except (TypeError, InlongError) as error:
                yield from self._send_packed(index - len(good), b"".join(good), array("I", map(len, good)))
                good.clear()
                self._refuse(index, error)
        yield from self._send_packed(first + len(chunk) - len(good), b"".join(good), array("I", map(len, good)))

    def _send_packed(self, first: int, data: bytes, lengths: array[int]) -> Iterator[None]:
        self._bytes += len(data)
        accepted = ctypes.c_size_t()
        accepted_reference = ctypes.byref(accepted)
        while lengths:
            code = self._send_packed_call(
                self._handle,
                self._model.reference,
                data,
                len(data),
                lengths.tobytes(),
                len(lengths),
                self._base + first,
                low.PACKED_MERGE_ACKS,
                self._wait_ms,
                accepted_reference,
            )
            done = accepted.value
            with self._changed:
                self._accepted += done
            if code == _codes.OK:
                return
            first, data, lengths = first + done, data[sum(lengths[:done]) :], lengths[done:]
            if code in (_codes.QUEUE_FULL, _codes.CONTEXT_EXPIRED):
                yield
                continue
            error = refusal(code, self._model)
            if code != _codes.LOG_TOO_LONG and (code != _codes.LOG_INVALID or data[: lengths[0]] not in self._empty):
                raise error  # not this payload's fault: every other one would meet it too
            self._refuse(first, error)
            first, data, lengths = first + 1, data[lengths[0] :], lengths[1:]

    def _wait_for_room(self) -> None:
        with self._changed:
            if self._abandoned is not None:
                raise self._abandoned
            self._wanted = self._outstanding() // 2
            self._changed.wait(_WAIT_MS / 1000)
            self._wanted = -1
        self._maybe_progress()

    def _refuse(self, index: int, error: Exception) -> None:
        with self._changed:
            self._refused += 1
            self._runs.append((index, 1, error))
