"""The client for asyncio."""

from __future__ import annotations

import asyncio
import time
import warnings
from asyncio.events import _get_running_loop as get_running_loop  # pyright: ignore[reportPrivateUsage] - None where none runs
from collections.abc import AsyncIterable, Iterable, Mapping
from threading import get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any, Optional, Union

from ._asyncio import offloop
from ._asyncio.bulk import AsyncBulk
from ._asyncio.delivery import MESSAGES, SMALL, AsyncDelivery
from ._host import end as process_end, fork
from ._host.end import EXIT_SECONDS
from ._native import codes
from ._native.handle import Bounds
from ._native.option_docs import with_options
from ._results.future import Result
from ._results.taker import SEQUENCE_BITS, CloseReport
from ._sending.bulk import ProgressCallback, SendReport
from ._sending.message import EventTime, Model, Payload, checked_length, to_bytes
from .client import Timeout, timeout_milliseconds
from .config import Configured
from .errors import ForkError, InlongError

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ._native.option_types import Options


@with_options
class AsyncClient(Configured):
    """Sends messages of one InLong group from asyncio. Its methods never block the loop and use no thread for a message.

    Args:
        url, group_id, options: as for Client.

    Raises:
        ConfigError: an option is unknown or has a value of a wrong type. Opening finds the other faults.

    Open it with `async with`, or with open and close. It belongs to the loop that opened it; calls from another loop raise
    InlongError. A client that is not closed warns with ResourceWarning and is closed in the background.
    """

    _delivery: Optional[AsyncDelivery] = None
    _runner: Any  # what tells the thread that runs the loop: the loop, or
    _thread_id = None  # where it does not, as uvloop's, this object

    def __init__(self, url: str = "", *, group_id: str = "", **options: Unpack[Options]) -> None:
        super().__init__(url, group_id=group_id, **options)
        self._opening = False
        self._closing: Optional[asyncio.Task[CloseReport]] = None

    async def open(self) -> Self:
        """Ask the Manager for nodes and wait for a connection, for manager_timeout and conn_timeout at most. Return self.

        Raises:
            ConfigError, SendError, LibraryError, ForkError: as making a Client.
            InlongError: it was opened before; a client can be opened once.
        """
        if self._opening:
            raise InlongError("the client was opened before: make a new one")
        self._opening = True
        process_end.arm()
        bounds = Bounds.of(self._config.texts, waiting=False)
        try:
            handle = await offloop.new_handle(bounds.texts, self._config.auth)
        except BaseException:
            self._opening = False
            raise
        loop = asyncio.get_running_loop()
        self._runner = loop if hasattr(loop, "_thread_id") else self
        self._delivery = AsyncDelivery(loop, handle, self._group_id, bounds)
        return self

    # ---- sending ----

    async def send(
        self,
        payload: Payload,
        stream_id: str,
        *,
        group_id: str = "",
        attributes: Optional[Mapping[str, str]] = None,
        event_time: Optional[EventTime] = None,
        item_attributes: Optional[Mapping[str, str]] = None,
    ) -> Result:
        """Send one message; the await ends after a DataProxy has acked it. Sends that run at the same time share batches.

        Arguments are those of Client.send. For a shorter bound than the option send_timeout use asyncio.wait_for.
        Cancelling the await does not cancel the message: it continues, and stats and close count its result. Only a
        message that still waits for room in a full queue is withdrawn, and nothing of it was sent then. To learn the result
        of a message whose await may be cancelled, await asyncio.shield(client.send_nowait(...)) and keep the future.

        Raises:
            QueueFullError: max_pending_messages or max_pending_bytes is reached. With the option block_if_queue_is_full the
                await waits for room instead, for send_timeout at most.
            SendError: it was not acked; the subclass and its fields say why.
            TypeError: an argument has a type that is not listed here.
            InlongError: called on another loop than the one that opened the client. ForkError: in a forked child.
        """
        return await self.send_nowait(
            payload, stream_id, group_id=group_id, attributes=attributes, event_time=event_time, item_attributes=item_attributes
        )

    def send_nowait(  # noqa: C901 - it is all that a message costs its sender: a call more is more
        self,
        payload: Payload,
        stream_id: str,
        *,
        group_id: str = "",
        attributes: Optional[Mapping[str, str]] = None,
        event_time: Optional[EventTime] = None,
        item_attributes: Optional[Mapping[str, str]] = None,
    ) -> asyncio.Future[Result]:
        """Accept one message and return its asyncio future. It needs no coroutine, so it is the fastest way to gather many.

        Messages of one round of the loop are passed to the library together at its end, or when there are 512. Arguments are
        those of Client.send. The future has the errors that send raises about the message. For wrong types, a closed client and
        another loop this call raises.
        """
        if not fork.known[0]:
            fork.look()
        delivery = self._delivery
        if delivery is None or delivery.closing or delivery.forked:
            delivery = self._usable()
        # get_running_loop is a system call before Python 3.12: a loop that tells its thread is asked for that.
        if self._runner._thread_id != get_ident() and get_running_loop() is not delivery.loop:
            delivery = self._usable()
        if type(payload) is not bytes:
            payload = to_bytes(payload)
        model: Optional[Model] = None
        if group_id == "" and attributes is None and event_time is None and item_attributes is None:
            try:
                model = delivery.models.plain.get(stream_id)
            except TypeError:  # reported below: an error here would have happened "during handling of" this one
                model = None
        if model is None:
            model = delivery.models(stream_id, group_id, attributes, event_time, item_attributes)
        size = len(payload)
        if size > SMALL:
            checked_length(size)
        future = delivery.create_future()
        line = delivery.line
        line.append((model, payload, future))
        if not delivery.scheduled:
            delivery.schedule()
        if (size > SMALL or len(line) >= MESSAGES) and not delivery.full:
            delivery.push()
        return future

    async def send_many(
        self,
        messages: Union[Iterable[Payload], AsyncIterable[Payload]],
        stream_id: str,
        *,
        group_id: str = "",
        attributes: Optional[Mapping[str, str]] = None,
        event_time: Optional[EventTime] = None,
        item_attributes: Optional[Mapping[str, str]] = None,
        progress: Optional[ProgressCallback] = None,
    ) -> SendReport:
        """Send every message of an iterable, a plain or an async one; the await ends when each has its result.

        As Client.send_many, with bounded memory: it takes from the source only while there is room, and the loop runs
        between chunks. An async source that waits does not hold back what it gave before. progress is called on
        the loop. Cancelling the await stops taking messages; what was accepted before continues.
        """
        delivery = self._usable()
        model = delivery.models(stream_id, group_id, attributes, event_time, item_attributes)
        base = delivery.bulk_tag()
        bulk = AsyncBulk(delivery, model, base, progress, self._empty)
        delivery.counters[base >> SEQUENCE_BITS] = bulk
        try:
            return await bulk.run(messages)
        finally:
            delivery.counters.pop(base >> SEQUENCE_BITS, None)

    # ---- life ----

    async def ready(self, timeout: Timeout = 0) -> None:
        """Return when a message could be written. As Client.ready; cancelling the await ends the wait."""
        await self._usable().ready(timeout_milliseconds(timeout))

    async def flush(self, timeout: Timeout = None) -> None:
        """Send all open batches now and wait until every message accepted before has its result. As Client.flush."""
        await self._usable().flush(timeout_milliseconds(timeout))

    async def close(self, timeout: Timeout = None) -> CloseReport:
        """Deliver what was accepted, at most until timeout; then fail the rest with ClosedError and free everything.

        A second call waits for the first and returns the same report. Cancelling the await ends the wait; closing continues. In a
        forked child, and for a client that was never opened, it does nothing.

        Args:
            timeout: seconds; default: the option send_timeout.

        Raises:
            SendTimeoutError: the timeout of a second call ended before the first one.
        """
        fork.look()
        timeout_ms = timeout_milliseconds(timeout)
        delivery = self._delivery
        if delivery is None or delivery.forked:
            return CloseReport()
        self._check_loop(delivery)
        if self._closing is None:
            delivery.closing = True
            self._closing = delivery.loop.create_task(delivery.close(timeout_ms, repr(self)))
        else:
            done, _ = await asyncio.wait({self._closing}, timeout=delivery.seconds(timeout_ms))
            delivery.check_closed_in_time(bool(done))
        return await asyncio.shield(self._closing)

    def stats(self) -> dict[str, Any]:
        """Return a snapshot of the client's counters, as Client.stats. Does not block; any thread may call it."""
        return self._usable(any_loop=True).stats()

    def metrics(self) -> str:
        """Return the metrics in the text format of Prometheus, as Client.metrics. Does not block; any thread may call it."""
        return self._usable(any_loop=True).metrics()

    def _usable(self, *, any_loop: bool = False) -> AsyncDelivery:
        fork.look()
        delivery = self._delivery
        if delivery is None:
            raise InlongError("the client is not open: use `async with`, or await its open method")
        if delivery.forked:
            raise ForkError("the client belongs to the parent process: make a new one after the fork")
        if delivery.closing:
            raise codes.closed_error()
        if not any_loop:
            self._check_loop(delivery)
        return delivery

    @staticmethod
    def _check_loop(delivery: AsyncDelivery) -> None:
        if get_running_loop() is not delivery.loop:
            raise InlongError("an AsyncClient belongs to the event loop that opened it: make one for each loop")

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        if warnings is None:
            return  # the interpreter has taken the modules apart, which it does before their last objects go; all is closed
        fork.look()
        delivery = self._delivery
        if delivery is not None and not delivery.closes and not delivery.forked:
            name = repr(self)
            delivery.begin_close(time.monotonic() + EXIT_SECONDS)
            warnings.warn(f"unclosed {name}", ResourceWarning, source=self, stacklevel=2)  # which may raise
