"""The client."""

from __future__ import annotations

import ctypes
import math
import time
import warnings
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Optional, Union, cast

from ._host import end as process_end, fork
from ._host.calls import interruptible
from ._host.end import EXIT_SECONDS
from ._native import codes, lowlevel as low
from ._native.handle import Bounds, new_handle
from ._native.option_docs import with_options
from ._results.future import DeliveryFuture, Result, ResultCallback
from ._results.taker import SEQUENCE_BITS, CloseReport, Outcome
from ._sending.bulk import ProgressCallback, SendReport
from ._sending.message import EventTime, Model, Payload, checked_length, empty_error, refusal, to_bytes
from ._sending.run import LEAVES_OUT
from ._threads.bulk import ThreadBulk
from ._threads.delivery import Delivery
from .config import Configured
from .errors import ForkError, InlongError

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ._native.option_types import Options

Timeout = Union[float, timedelta, None]
"""Seconds or a timedelta, 0 or more; None leaves the client's own bound."""

_LONGEST_SECONDS = 1e9


@with_options
class Client(Configured):
    """Sends messages of one InLong group to its DataProxy nodes. All methods may be called from any thread.

    Args:
        url: the Manager, "http://host:port" or the full ".../openapi/dataproxy/getIpList"; required unless static_nodes is given.
        group_id: the InLong group of messages that name no group; required.
        options: every other option by its key, see below and `options()`. Durations are seconds or a timedelta, sizes are bytes.

    Making a client blocks for manager_timeout (10 s) and conn_timeout (3 s) at most: it asks the Manager, then waits until one
    connection has answered a heartbeat.

    Raises:
        ConfigError: an option is missing, unknown or out of range; all faults are named.
        SendError: the Manager or every node cannot be reached, or the Manager's answer cannot be used (code 10006); the text
            says which.
        LibraryError: the native library cannot be loaded.
        ForkError: this process was forked from one that had a client, and its own copy of the library is turned off
            (runtime.configure) or cannot be loaded. Otherwise a forked child may make its own client.

    Use it as a context manager, or call close. A client that is not closed warns with ResourceWarning and is closed in the
    background; one that is open when the interpreter exits is closed within EXIT_SECONDS (5 s).
    """

    _delivery: Optional[Delivery] = None

    def __init__(self, url: str = "", *, group_id: str = "", **options: Unpack[Options]) -> None:
        process_end.arm()
        super().__init__(url, group_id=group_id, **options)
        bounds = Bounds.of(self._config.texts, waiting=True)
        self._delivery = delivery = Delivery(new_handle(bounds.texts, self._config.auth), group_id, bounds)
        self._handle = delivery.handle
        self._line = delivery.line
        self._plain = delivery.line.models.plain
        delivery.start()

    # ---- sending ----

    def send(
        self,
        payload: Payload,
        stream_id: str,
        *,
        group_id: str = "",
        attributes: Optional[Mapping[str, str]] = None,
        event_time: Optional[EventTime] = None,
        item_attributes: Optional[Mapping[str, str]] = None,
        timeout: Timeout = None,
    ) -> Result:
        """Send one message and return after a DataProxy has acked it. Does not wait for the linger.

        Args:
            payload: bytes, bytearray, memoryview, or str, which is sent as UTF-8; not empty.
            stream_id: the InLong stream, 1 to 200 characters of A-Z a-z 0-9 _ . -
            group_id: another group than the client's.
            attributes: sent with the message; messages with different attributes travel in different batches.
            event_time: a datetime or seconds since 1970; default: when the message's batch was opened.
            item_attributes: sent with this message alone, for what differs from message to message, such as a trace id. Messages
                with different ones share a batch. They need the option message_format="binary"; core/docs/ATTRIBUTES.md says
                what a consumer sees.
            timeout: seconds; default and upper bound: the option send_timeout (30 s).

        Raises:
            SendError: it was not acked; the subclass and its fields say why.
            TypeError: an argument has a type that is not listed here. ValueError: timeout is below 0.
            ForkError: the client belongs to the parent process.
        """
        fork.look()
        line = self._line
        model = line.models(stream_id, group_id, attributes, event_time, item_attributes)
        data = to_bytes(payload)
        timeout_ms = timeout_milliseconds(timeout)
        end = self._usable().end(timeout_ms)
        if not line.empty(end, patient=False):  # what send_async queued before stays before
            raise (
                codes.late_error("what was sent before waits for room")
                if time.monotonic() >= end
                else refusal(codes.QUEUE_FULL, model)
            )
        return interruptible(self._send, model, data, timeout_ms if timeout_ms < 0 else _milliseconds(end - time.monotonic()))

    def _send(self, model: Model, data: bytes, timeout_ms: int) -> Result:
        record = low.ResultRecord(struct_size=ctypes.sizeof(low.ResultRecord))
        message = model.with_payload(data)
        code = low.client_send(self._handle, ctypes.byref(message), timeout_ms, ctypes.byref(record))
        if code in LEAVES_OUT and model.lighter is not None:  # it may be the span's context for which it is refused
            message = model.lighter.with_payload(data)
            code = low.client_send(self._handle, ctypes.byref(message), timeout_ms, ctypes.byref(record))
            model.leave_out(code not in LEAVES_OUT)
        self._line.made_room()
        if code == codes.OK:
            return Outcome(record).result()
        if record.code != code:  # the call itself failed, the record was not filled
            raise refusal(code, model)
        raise Outcome(record).error(model.group_id, model.stream_id)

    def send_async(  # noqa: C901 - it is all that a message costs its sender: a call more is more
        self,
        payload: Payload,
        stream_id: str,
        *,
        group_id: str = "",
        attributes: Optional[Mapping[str, str]] = None,
        event_time: Optional[EventTime] = None,
        item_attributes: Optional[Mapping[str, str]] = None,
        callback: Optional[ResultCallback] = None,
    ) -> Future[Result]:
        """Accept one message and return its future, a concurrent.futures.Future that cannot be cancelled.

        The future has a Result if the message was acked, else a SendError. Its done-callbacks run on the client's thread of
        results, one at a time: a slow one delays all others, and it must not wait for another message's result. The other arguments
        are those of send. A thread of the client passes messages to the library, in order, some milliseconds later at most; their
        deadline begins then. It blocks no longer than that thread takes, unless the queue is full and the option
        block_if_queue_is_full is true: then until there is room, for the option send_timeout at most. Inside a callback it never
        waits for room, which its own caller may hold. A signal handler and a finalizer may call it at any moment.

        Args:
            callback: called with the message's one result, (Result, None) or (None, SendError), where done-callbacks run and before
                them. It costs less than a done-callback. Not called for a message that is refused here with an exception.

        Raises:
            QueueFullError: max_pending_messages or max_pending_bytes is reached. Wait for results, then send again. The future has
                it if the library had no room for as long as send_timeout.
            InvalidMessageError, ClosedError: refused; nothing was sent. The future has it if only the library can find the fault,
                such as a payload that is too long, or a wrong item attribute.
            TypeError, ForkError: as send.
        """
        if not fork.known[0]:
            fork.look()
        data = payload if type(payload) is bytes else to_bytes(payload)
        line, model, length = self._line, None, len(data)
        put, size = line.put, line.size  # "line.put()" would look for a method first
        if group_id == "" and attributes is None and event_time is None and item_attributes is None:
            try:
                model = self._plain.get(stream_id)
            except TypeError:  # reported below: an error here would have happened "during handling of" this one
                model = None
        if model is None:
            model = line.models(stream_id, group_id, attributes, event_time, item_attributes)
        if length > line.largest or size() >= line.limit:
            line.make_room(model, checked_length(length), not cast("Delivery", self._delivery).is_own_thread())
        if length < 2 and data in self._empty:
            raise empty_error(model)
        future = DeliveryFuture()
        future.model = model
        future.payload = data
        if callback is not None:
            if not callable(callback):
                raise TypeError(f"callback must be callable or None, not {type(callback).__name__}")
            future.callback = callback
        if model.proven:
            put(future)
            line.idle = False
        else:
            line.prove(future)
        if line.ended:
            line.check(future)
        return future

    def send_many(
        self,
        messages: Iterable[Payload],
        stream_id: str,
        *,
        group_id: str = "",
        attributes: Optional[Mapping[str, str]] = None,
        event_time: Optional[EventTime] = None,
        item_attributes: Optional[Mapping[str, str]] = None,
        progress: Optional[ProgressCallback] = None,
    ) -> SendReport:
        """Send every message of an iterable and return when each has its result. The fastest way.

        Args:
            messages: payloads as for send: a list, a generator, an open file (whose lines keep their "\\n"). They are taken in
                chunks, so memory is bounded whatever their number. If the queue is full it waits.
            stream_id, group_id, attributes, event_time, item_attributes: as for send, for all messages.
            progress: called with a Progress about ten times a second and at the end, on the calling thread.

        Returns:
            The counts, and the failures with their index: what is empty, too long or not a payload, and what was
            not acked. One bad message does not stop the others.

        Raises:
            InvalidMessageError: an id or attribute breaks its rule.
            ClosedError, ForkError: the client cannot continue. What was accepted before still gets its result.
            TypeError: messages is a single payload or not iterable, or an argument has a wrong type.
            What the iterable raises, once what it gave before is accepted, or what progress raises.
        """
        delivery = self._usable()
        if delivery.is_own_thread():
            raise InlongError("send_many waits for results: it cannot be called in a done-callback, where they come from")
        self._line.models.guard.check()
        model = self._line.models(stream_id, group_id, attributes, event_time, item_attributes)
        base = delivery.bulk_tag()
        bulk = ThreadBulk(delivery.handle, model, base, progress, self._empty)
        self._line.empty(math.inf)  # what send_async queued before stays before
        delivery.counters[base >> SEQUENCE_BITS] = bulk
        try:
            return bulk.run(messages)
        finally:
            delivery.counters.pop(base >> SEQUENCE_BITS, None)
            self._line.made_room()

    # ---- life ----

    def ready(self, timeout: Timeout = 0) -> None:
        """Return when a message could be written.

        That means that a node has answered on its connection, and takes batches as far as is known. You may send in any case: a
        message waits for a node until its deadline.

        Args:
            timeout: seconds to wait for that; 0, the default: do not wait; None: until a node can be used, or the client is closed.

        Raises:
            SendError: no node can be used (code 10006); the text names the causes.
            ClosedError, ForkError: the client cannot be used any more.
        """
        interruptible(low.client_ready, self._usable().handle, timeout_milliseconds(timeout))

    def flush(self, timeout: Timeout = None) -> None:
        """Send all open batches now and wait until every message accepted before has its result and its callbacks ran.

        Args:
            timeout: seconds; default: twice the option send_timeout, once for messages that wait for room in the queue and once
                until every message has its result.

        Raises:
            SendTimeoutError: timeout ended first, or a callback did not return; the messages are still pending.
            QueueFullError: a callback has held the thread of results for a second or more, and 65,536 results wait for it. The
                messages are still pending: flush again when it has returned.
            ClosedError, ForkError: the client cannot be used any more.
        """
        self._usable().flush(timeout_milliseconds(timeout))

    def _begin_close(self, end: float) -> None:
        """Begin what close does, to end at end (of time.monotonic), without waiting."""
        if self._delivery is not None and not self._delivery.forked:
            self._delivery.begin_close(end)

    def _deliver(self, timeout: Timeout) -> None:
        """Do what flush does, without waiting for callbacks: for a caller that holds a lock which they may need."""
        self._usable().flush(timeout_milliseconds(timeout), callbacks=False)

    def close(self, timeout: Timeout = None) -> CloseReport:
        """Deliver what was accepted, at most until timeout; then fail the rest with ClosedError and free everything.

        A second call waits for the first and returns the same report. Ctrl-C ends the wait; closing continues in the background.
        In a forked child it does nothing. A close returns when its time is over; callbacks that were not called, or have not
        returned, 0.1 seconds later continue after it.

        Args:
            timeout: seconds; default: the option send_timeout.

        Raises:
            SendTimeoutError: the timeout of a second call ended before the first one; or the library has no report 2 seconds after
                the first one's, on a machine that is too busy to run its threads. Closing continues.
        """
        fork.look()
        timeout_ms = timeout_milliseconds(timeout)
        return CloseReport() if self._delivery is None else self._delivery.close(timeout_ms)

    def stats(self) -> dict[str, Any]:
        """Return a snapshot of the client's counters: accepted, acked, failed, pending_messages, spool, lanes, nodes and more.

        Waits 50 ms at most for what send_async has queued.
        """
        return self._usable().stats()

    def metrics(self) -> str:
        """Return the client's metrics in the text format of Prometheus; their label name is the option metrics_name."""
        return self._usable().metrics()

    @property
    def forked(self) -> bool:
        """Whether the client belongs to the process that this one was forked from: it cannot be used here."""
        fork.look()
        return self._delivery is not None and self._delivery.forked

    @property
    def waits_for_room(self) -> bool:
        """Whether send_async waits when the queue is full: the option block_if_queue_is_full."""
        return self._delivery is not None and self._line.bounds.block

    def _usable(self) -> Delivery:
        fork.look()
        delivery = self._delivery
        if delivery is None or delivery.closing:
            raise codes.closed_error()
        if delivery.forked:
            raise ForkError("the client belongs to the parent process: make a new one after the fork")
        return delivery

    def __enter__(self) -> Self:
        self._usable()
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def __del__(self) -> None:
        if warnings is None:
            return  # the interpreter has taken the modules apart, which it does before their last objects go; all is closed
        fork.look()
        if not self.closed:
            delivery = cast("Delivery", self._delivery)
            if not delivery.forked:
                name = repr(self)
                delivery.begin_close(time.monotonic() + EXIT_SECONDS)
                warnings.warn(f"unclosed {name}", ResourceWarning, source=self, stacklevel=2)  # which may raise


def timeout_milliseconds(timeout: Timeout) -> int:
    """Return a timeout as the library takes it."""
    if timeout is None:
        return low.NO_TIMEOUT
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"timeout must be seconds, a timedelta or None, not {type(timeout).__name__}")
    if not seconds >= 0:
        raise ValueError(f"timeout = {timeout}: must be 0 or more")
    return _milliseconds(seconds)


def _milliseconds(seconds: float) -> int:
    return math.ceil(min(max(seconds, 0), _LONGEST_SECONDS) * 1000)
