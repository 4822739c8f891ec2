"""Results of the library on their way to anyone who waits for them, for clients of threads and of asyncio alike."""

from __future__ import annotations

import ctypes
import itertools
import json
import struct
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from inlong_dataproxy._native import codes, lowlevel as low
from inlong_dataproxy.errors import Persisted

from .future import Result

F = TypeVar("F")

BULK_TAG = 1 << 62
"""Set in the tags of send_many, whose results are counted. Of such a tag the low SEQUENCE_BITS count messages, the others bulks."""
SEQUENCE_BITS = 40
_SEQUENCE_MASK = (1 << SEQUENCE_BITS) - 1
_BULKS = (BULK_TAG >> SEQUENCE_BITS) - 1

_RECORDS = 64  # results of one poll
_HEAD = struct.Struct("=QiiiiiiQQ")
_TEXTS = struct.Struct("=128s64s")  # node and batch_id after the head
_RECORD_SIZE = ctypes.sizeof(low.ResultRecord)


@dataclass(frozen=True)
class CloseReport:
    """What became of a client's messages.

    Attributes:
        acked, failed: messages over the client's life.
        unsent: those of the failed that close itself gave up, because its timeout ended.
        by_code: failures by code.
        uncalled: messages, at most, whose result came too late for the close and is in this report only.
    """

    acked: int = 0
    failed: int = 0
    unsent: int = 0
    by_code: dict[int, int] = field(default_factory=dict)
    uncalled: int = 0


class Outcome:
    """One result of the library, for one message or many."""

    __slots__ = ("_record",)

    def __init__(self, record: low.ResultRecord) -> None:
        self._record = record

    def result(self) -> Result:
        """Return what there is to say about an ack."""
        return Result(_text(self._record.batch_id), _text(self._record.node), self._record.attempts)

    def error(self, group_id: str, stream_id: str) -> Exception:
        """Return a new exception each time: futures must not share one, for raising changes it."""
        record = self._record
        return codes.call_error(
            record.code,
            low.error_name(record.code),
            record.text,
            server_code=record.server_code,
            server_message=_text(record.server_message),
            node=_text(record.node),
            group_id=group_id,
            stream_id=stream_id,
            batch_id=_text(record.batch_id),
            attempts=record.attempts,
            retriable=bool(record.retriable),
            persisted=Persisted(record.persisted),
        )


class Counter(Protocol):
    """What takes the results of a send_many."""

    def count(self, first: int, count: int, outcome: Outcome | None) -> None:
        """Take the result of messages first to first + count - 1; None means acked."""

    def abandon(self, error: Exception) -> None:
        """Know that no result comes any more."""


def _text(raw: bytes) -> str:
    return str(raw.partition(b"\0")[0], "utf-8", "replace")


def close_report(record: low.CloseReportRecord) -> CloseReport:
    """Return the library's report as this package gives it."""
    by_code = {pair.code: pair.count for pair in record.by_code if pair.count}
    return CloseReport(record.acked, record.failed, record.unsent, by_code, record.uncalled)


def left_ms(end: float) -> int:
    """Return what is left until end (of time.monotonic), as the library takes it."""
    return max(round((end - time.monotonic()) * 1000), 0)


def _read(write: Callable[..., int], handle: low.ClientHandle) -> str:
    size = 4096
    while True:
        buffer = ctypes.create_string_buffer(size)
        length = write(handle, buffer, size)
        if length < size:
            return str(buffer.value, "utf-8")
        size = length + 1024  # it may have grown meanwhile


class ResultTaker(ABC, Generic[F]):
    """Takes results from the library's queue and gives each to its future or bulk."""

    def __init__(self, handle: low.ClientHandle, send_timeout: float) -> None:
        self.handle = handle
        self.closing = False
        self.forked = False  # this is a child, and the client its parent's
        self._send_timeout = send_timeout
        self.pending: dict[int, F] = {}  # who waits for which tag: the number that the library gives back with a message's result
        self.counters: dict[int, Counter] = {}
        self._bulks = itertools.count()
        self._records = (low.ResultRecord * _RECORDS)()
        self._records[0].struct_size = _RECORD_SIZE
        self._view = memoryview(self._records).cast("B")

    def bulk_tag(self) -> int:
        """Return the first tag of one more send_many."""
        while True:
            tag = BULK_TAG | (next(self._bulks) & _BULKS) << SEQUENCE_BITS
            # The numbers wrap; one that follows a log for ever still has its own.
            if tag >> SEQUENCE_BITS not in self.counters:
                return tag

    @abstractmethod
    def _acked(self, waiting: list[F], result: Result) -> None:
        """Tell those who wait for messages that were acked together."""

    @abstractmethod
    def _failed(self, waiting: list[F], outcome: Outcome) -> None:
        """Tell those who wait for messages that failed together why they did."""

    def _take(self, tag: int, count: int) -> list[F]:
        return list(map(self.pending.pop, range(tag, tag + count)))

    def poll(self) -> int:
        """Wait for results, or to be woken. Return how many there are, below zero when none come any more."""
        return int(low.client_poll(self.handle, self._records, _RECORDS, low.NO_TIMEOUT))

    def poll_now(self) -> int:
        """Do what poll does without waiting and without giving up the GIL: to get it back from a busy thread takes 5 ms."""
        return int(low.client_poll_now(self.handle, self._records, _RECORDS, 0))

    def hand_out(self, polled: int) -> int:
        """Hand out what the last poll brought and return of how many messages it was."""
        messages = 0
        for index in range(polled):
            start = index * _RECORD_SIZE
            _, code, _, _, _, attempts, _, tag, count = _HEAD.unpack_from(self._view, start)
            messages += count
            if tag & BULK_TAG:
                counter = self.counters.get(tag >> SEQUENCE_BITS)
                if counter is not None:
                    counter.count(tag & _SEQUENCE_MASK, count, None if code == 0 else Outcome(self._records[index]))
            elif code == 0:
                # Cheaper than the fields of the record, each of which is an object of ctypes.
                node, batch_id = _TEXTS.unpack_from(self._view, start + _HEAD.size)
                self._acked(self._take(tag, count), Result(_text(batch_id), _text(node), attempts))
            else:
                self._failed(self._take(tag, count), Outcome(self._records[index]))
        return messages

    def seal(self) -> None:
        """Send open batches now. Does not block."""
        low.client_seal(self.handle, 0)

    def seconds(self, timeout_ms: int) -> float:
        """Return what bounds a call with that timeout."""
        return self._send_timeout if timeout_ms < 0 else timeout_ms / 1000

    def end(self, timeout_ms: int) -> float:
        """Return when it ends, as time.monotonic tells."""
        return time.monotonic() + self.seconds(timeout_ms)

    def check_closed_in_time(self, ended: bool) -> None:
        """Raise if the call of close that came first, for which another one waited, has not ended."""
        if not ended:
            raise codes.late_error("the first call of close has not returned")

    def stats(self) -> dict[str, Any]:
        """Return the library's counters. Does not block."""
        return json.loads(_read(low.client_stats, self.handle))  # type: ignore[no-any-return]

    def metrics(self) -> str:
        """Return the client's metrics in Prometheus' text format. Does not block."""
        return _read(low.client_metrics, self.handle)
