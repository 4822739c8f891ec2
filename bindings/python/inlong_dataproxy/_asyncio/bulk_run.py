"""A chunk of a send_many that waits for its turn among the messages of its client."""

from __future__ import annotations

import asyncio

from inlong_dataproxy._sending.bulk import Bulk
from inlong_dataproxy._sending.run import Packed

from .offloop import answer


class BulkRun:
    """One of them.

    Attributes:
        gone: has a result when all of it is in the library or refused, or the error that its bulk meets.
    """

    def __init__(self, bulk: Bulk, first: int, packed: Packed, gone: asyncio.Future[None]) -> None:
        self._bulk, self._first, self._packed, self.gone = bulk, first, packed, gone
        gone.add_done_callback(_seen)

    def enter(self) -> bool:
        """Pass on what is left. Return whether nothing is."""
        try:
            self._first, room = self._bulk.push(self._first, self._packed, 0)
        except Exception as error:  # noqa: BLE001 - anyone who awaits it raises it
            answer(self.gone, error)
            return True
        if room:
            answer(self.gone, None)
        return room


def _seen(gone: asyncio.Future[None]) -> None:
    """Have asyncio not complain when an error comes behind the end of its send_many, where nobody awaits it."""
    if not gone.cancelled():
        gone.exception()
