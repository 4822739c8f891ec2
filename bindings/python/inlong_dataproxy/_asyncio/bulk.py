"""send_many of AsyncClient: an iterable of either kind in chunks, each in one call of the library, its results counted."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterable, Iterable
from typing import Optional, Union

from inlong_dataproxy._native import lowlevel as low
from inlong_dataproxy._sending.bulk import CHUNK_BYTES, CHUNK_MESSAGES, Bulk, ProgressCallback, SendReport, iterator
from inlong_dataproxy._sending.message import Model

from .bulk_run import BulkRun
from .delivery import AsyncDelivery

_TURN_SECONDS = 0.005  # a plain source may keep the loop so long, and one message more
_PASSES = 3  # of the loop between two turns: a timer that has passed is seen in the first, its waiter resumes in the third
_LOOK_SECONDS = 0.05  # for the callback of progress

Source = Union[Iterable[object], AsyncIterable[object]]


class AsyncBulk(Bulk):
    """One send_many. All of it runs on the loop."""

    def __init__(
        self, delivery: AsyncDelivery, model: Model, base: int, progress: Optional[ProgressCallback], empty: tuple[bytes, ...]
    ) -> None:
        super().__init__(delivery.handle, model, base, progress, empty)
        self._delivery = delivery
        self._gone: Optional[asyncio.Future[None]] = None  # of what was put in line last
        self._looking = False
        self._size = 64

    async def run(self, messages: Source) -> SendReport:
        """Send all and return when each has its result."""
        try:
            if isinstance(messages, AsyncIterable):
                async for payload in messages:
                    if not self._taken(payload):
                        await self._send_chunk()
                        await asyncio.sleep(0)  # a source that never waits must not keep the loop to itself
                    elif not self._looking:
                        # The loop comes to this only when the source waits: what it gave until then is not kept back.
                        self._looking = True
                        self._delivery.loop.call_soon(self._look)
                        self._maybe_progress()  # one that waits fills no chunk
            else:
                source = iterator(messages)
                turn = time.monotonic() + _TURN_SECONDS
                for payload in source:
                    if not self._taken(payload) or time.monotonic() >= turn:
                        await self._send_chunk()
                        for _ in range(_PASSES):
                            await asyncio.sleep(0)
                        turn = time.monotonic() + _TURN_SECONDS
            await self._send_chunk()
            low.client_seal(self._handle, 0)  # the last batches need not wait for their linger
            await self._until(0)
            return self._report()
        except BaseException:
            self._put_in_line()  # what the source gave before it broke, or the await was cancelled
            raise

    def _taken(self, payload: object) -> bool:
        """Take payload. Return whether there is room for more in the box."""
        error = self._take(payload)
        if error is not None:
            self._put_in_line()
            self._refuse(self._cut, error)
            self._cut += 1
        return not self._is_full(self._size)

    def _look(self) -> None:
        if self._gone is None or self._gone.done():
            self._looking = False
            self._put_in_line()
        else:  # all of it waits for room
            self._gone.add_done_callback(lambda _: self._look())

    def _put_in_line(self) -> None:
        self._weight = 0
        first, packed = self._pack()
        if packed is not None:
            self._gone = self._delivery.put_in_line(BulkRun(self, first, packed, self._delivery.loop.create_future()))

    async def _send_chunk(self) -> None:
        """Pass on what is in the box, and wait until it is in the library and its window has room."""
        self._put_in_line()
        if self._gone is not None:
            await self._wait_for(self._gone)
        self._size = min(CHUNK_MESSAGES, self.fitting(CHUNK_BYTES))
        window = self.window()
        if self.outstanding() > window:
            await self._until(window // 2)
        self._maybe_progress()

    async def _wait_for(self, gone: asyncio.Future[None]) -> None:
        while not gone.done():
            await asyncio.wait({gone}, timeout=_LOOK_SECONDS)
            self._maybe_progress()
        gone.result()

    async def _until(self, wanted: int) -> None:
        """Wait until no more than wanted messages are without a result."""
        while self.outstanding() > wanted:
            if self._abandoned is not None:
                raise self._abandoned
            self._delivery.room.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._delivery.room.wait(), _LOOK_SECONDS)
            self._maybe_progress()
