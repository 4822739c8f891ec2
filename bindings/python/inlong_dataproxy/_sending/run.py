"""Messages that enter the library together."""

from __future__ import annotations

import contextlib
import ctypes
from array import array
from collections import deque
from typing import Any, Generic, TypeVar

from inlong_dataproxy._native import codes, lowlevel as low
from inlong_dataproxy._results.taker import F

from .message import Model, refusal
from .models import Models

FULL = (codes.QUEUE_FULL, codes.CONTEXT_EXPIRED)
"""Codes by which the library says that it has no room."""
LEAVES_OUT = (codes.LOG_TOO_LONG, codes.LOG_INVALID)
"""Those of a message that may be good without a span's context."""

T = TypeVar("T")

_ALL = 1 << 32
_NONE = ctypes.c_size_t()
_PACKED = ctypes.sizeof(low.Packed)


def snapshot(entries: deque[T]) -> list[T]:
    """Return what is in a deque that another thread may change. Without the GIL list raises if that happens during the copy."""
    while True:
        with contextlib.suppress(RuntimeError):
            return list(entries)


def split(models: list[Any], messages: list[T]) -> list[tuple[Any, list[T]]]:
    """Return messages as runs of one model each. The order within each stream stays, that of different streams does not.

    What has None for its model is a run of its own, which no message passes.
    """
    last = models[0]
    if last is not None and models.count(last) == len(models):  # as nearly always
        return [(last, messages)]
    runs: list[tuple[Any, list[T]]] = []
    last_of_stream: dict[tuple[str, str], tuple[Any, list[T]]] = {}
    for model, message in zip(models, messages):
        if model is None:
            last_of_stream.clear()
            runs.append((model, [message]))
            continue
        stream = (model.group_id, model.stream_id)
        run = last_of_stream.get(stream)
        if run is None or run[0] is not model:
            run = last_of_stream[stream] = (model, [])
            runs.append(run)
        run[1].append(message)
    return runs


class Packed:
    """Payloads of one model, one after the other, as far as they have not entered the library."""

    __slots__ = ("_data", "entering", "lengths", "model")

    def __init__(self, model: Model, payloads: list[bytes]) -> None:
        self.model = model
        self.lengths = array("I", map(len, payloads))  # OverflowError: one is longer than the library takes
        self._data = payloads[0] if len(payloads) == 1 else b"".join(payloads)

    def push(
        self, handle: low.ClientHandle, tag: int, flags: int, wait_ms: int, most: int = _ALL, gil: bool = False
    ) -> tuple[int, int]:
        """Pass on what is left, or the first messages of it. Return the library's code and how many messages it took.

        It waits for wait_ms where the queue is full, if the option block_if_queue_is_full is true; not with the GIL.
        """
        code, done = self._push(self.model, handle, tag, flags, wait_ms, most, gil)
        lighter = self.model.lighter if code in LEAVES_OUT else None
        if lighter is not None:  # it may be a span's context for which the first of them is refused
            code, more = self._push(lighter, handle, tag + done, flags, wait_ms, 1, gil)
            done += more
            self.model.leave_out(more)
        return code, done

    def _push(
        self, model: Model, handle: low.ClientHandle, tag: int, flags: int, wait_ms: int, most: int, gil: bool
    ) -> tuple[int, int]:
        lengths, data = self.lengths, self._data
        if most < len(lengths):
            lengths = lengths[:most]
            data = data[: sum(lengths)]
        accepted = ctypes.c_size_t()
        self.entering = tag, accepted
        send = low.client_send_packed_now if gil else low.client_send_packed
        packed = low.Packed(_PACKED, model.address, data, len(data), lengths.tobytes(), len(lengths), tag, flags)
        code = send(handle, packed, wait_ms, ctypes.byref(accepted))
        self.drop(accepted.value)
        return code, accepted.value

    def left(self) -> tuple[int, int]:
        """Return how many messages are left, and their bytes."""
        return len(self.lengths), len(self._data)

    def first(self) -> bytes:
        """Return the first payload that is left."""
        return self._data[: self.lengths[0]]

    def drop(self, count: int) -> None:
        """Take the first messages out."""
        if count == len(self.lengths):
            self._data = b""
        elif count:
            self._data = self._data[sum(self.lengths[:count]) :]
        del self.lengths[:count]


class Run(Packed, Generic[F]):
    """Some of them with who waits for each."""

    __slots__ = ("_claimed", "waiting")

    def __init__(self, model: Model, payloads: list[bytes], waiting: list[F]) -> None:
        super().__init__(model, payloads)
        self.waiting = waiting
        self.entering, self._claimed = (0, _NONE), range(0)

    def enter(self, handle: low.ClientHandle, models: Models, pending: dict[int, F], full: bool, gil: bool) -> tuple[int, list[F]]:
        """Pass on what is left, without waiting, with or without the GIL. Return the library's code and who waits for what it took.

        Whether a full library has room again is asked with one message: that costs little, however often it has none.
        """
        count = 1 if full else len(self.waiting)
        first = models.tags(self.model, count)
        # Before the call: a result may be there before it returns.
        self.entering = first, _NONE
        self._claimed = tags = range(first, first + count)
        pending.update(zip(tags, self.waiting))
        code, done = self.push(handle, first, low.PACKED_SINGLES, 0, count, gil)
        for tag in tags[done:]:
            del pending[tag]
        self.model.tag = first + done
        taken, self.waiting = self.waiting[:done], self.waiting[done:]
        return code, taken

    def disclaim(self, pending: dict[int, F]) -> None:
        """Take out of pending what did not enter, where enter broke off anywhere in the middle."""
        first, accepted = self.entering
        for tag in range(first + accepted.value, self._claimed.stop):
            pending.pop(tag, None)

    def refused(self, code: int) -> list[tuple[F, Exception]]:
        """Take out those of whose refusal code tells, and return each with its error."""
        # A message that is too long is alone with its fault; a closed client takes none of the others either.
        count = 1 if code in (codes.LOG_TOO_LONG, codes.LOG_INVALID) else len(self.waiting)
        bad, self.waiting = self.waiting[:count], self.waiting[count:]
        self.drop(count)
        return [(one, refusal(code, self.model)) for one in bad]
