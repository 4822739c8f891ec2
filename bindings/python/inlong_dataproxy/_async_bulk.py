"""send_many on an event loop: an iterable of either kind in chunks, each in one call of the library, its results counted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterable, Iterable, Iterator
from itertools import islice
from typing import Optional, Union

from . import _lowlevel as low
from ._async_delivery import AsyncDelivery
from ._bulk import Bulk, ProgressCallback, SendReport, iterator
from ._message import Model

_RETRY_SECONDS = 0.01

Source = Union[Iterable[object], AsyncIterable[object]]


class AsyncBulk(Bulk):
    """One send_many. All of it runs on the loop."""

    _send_packed_call = staticmethod(low.client_send_packed_now)
    _wait_ms = 0

    def __init__(self, delivery: AsyncDelivery, model: Model, base: int, progress: Optional[ProgressCallback], trims: bool) -> None:
        super().__init__(delivery.handle, model, base, progress, trims)
        self._delivery = delivery
        self._chunk: list[object] = []
        self._sending: Optional[Iterator[None]] = None  # of a chunk that waits for room
        self._looking = False
        self._size = 1
        self._error: Optional[BaseException] = None

    async def run_async(self, messages: Source) -> SendReport:
        """Send all and return when each has its result."""
        try:
            if isinstance(messages, AsyncIterable):
                async for payload in messages:
                    self._chunk.append(payload)
                    if len(self._chunk) >= self._size:
                        await self._send_full_chunk()
                    elif not self._looking:
                        # The loop comes to this only when the source waits: what it gave until then is not kept back.
                        self._looking = True
                        self._delivery.loop.call_soon(self._look)
            else:
                source = iterator(messages)
                while True:
                    self._chunk.extend(islice(source, self._size))
                    if not self._chunk:
                        break
                    await self._send_full_chunk()
            await self._send_chunk()
            low.client_seal(self._handle, 0)  # the last batches need not wait for their linger
            await self._until(0)
            return self._report()
        except Exception:
            await self._send_chunk()  # what the source gave before it broke
            raise
        finally:
            self._chunk, self._sending = [], None

    async def _send_full_chunk(self) -> None:
        await self._send_chunk()
        self._size = self._next_size(self._size * 4)
        window = self._window()
        if self._outstanding() > window:
            await self._until(window // 2)
        self._maybe_progress()
        await asyncio.sleep(0)  # a source that never waits must not keep the loop to itself

    def _look(self) -> None:
        self._looking = False
        if self._error is None and (self._chunk or self._sending):
            try:
                if self._advance():
                    self._size = 1
                    return
            except Exception as error:  # noqa: BLE001 - run_async raises it
                self._error = error
                return
            self._looking = True
            self._delivery.loop.call_later(_RETRY_SECONDS, self._look)

    def _advance(self) -> bool:
        """Send what is there as far as there is room. Return whether nothing is left."""
        while self._sending is not None or self._chunk:
            if self._sending is None:
                chunk, self._chunk = self._chunk, []
                self._sending = self._send(chunk)
            for _ in self._sending:
                return False
            self._sending = None
        return True

    async def _send_chunk(self) -> None:
        while True:
            if self._error is not None:
                raise self._error
            self._check_abandoned()
            if self._advance():
                return
            await self._wait_for_results()

    async def _until(self, wanted: int) -> None:
        """Wait until no more than wanted messages are without a result."""
        while self._outstanding() > wanted:
            self._check_abandoned()
            await self._wait_for_results()

    async def _wait_for_results(self) -> None:
        """Wait for results of any message of the client, for others may fill the queue; look again after a short time."""
        self._delivery.room.clear()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._delivery.room.wait(), _RETRY_SECONDS)
        self._maybe_progress()

    def _check_abandoned(self) -> None:
        if self._abandoned is not None:
            raise self._abandoned
