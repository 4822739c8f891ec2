"""What waits for its turn among the messages of an AsyncClient."""

from __future__ import annotations

import asyncio

from inlong_dataproxy._sending.bulk import Bulk
from inlong_dataproxy._sending.run import Packed

from .offloop import answer


class Mark:
    """A place in the line.

    Attributes:
        gone: has a result when all before it is in the library or refused, and all of it, or the error that it meets.
    """

    def __init__(self, gone: asyncio.Future[None]) -> None:
        self.gone = gone
        gone.add_done_callback(_seen)

    def enter(self) -> tuple[bool, bool]:
        """Pass on what is left. Return whether some of it went, and whether nothing is left."""
        answer(self.gone, None)
        return False, True


class BulkRun(Mark):
    """A chunk of a send_many."""

    def __init__(self, bulk: Bulk, first: int, packed: Packed, gone: asyncio.Future[None]) -> None:
        super().__init__(gone)
        self._bulk, self._first, self._packed = bulk, first, packed

    def enter(self) -> tuple[bool, bool]:
        """Do so."""
        before = self._first
        try:
            self._first, room = self._bulk.push(before, self._packed, 0)
        except Exception as error:  # noqa: BLE001 - anyone who awaits it raises it
            answer(self.gone, error)
            return False, True
        if room:
            answer(self.gone, None)
        return self._first != before, room


def _seen(gone: asyncio.Future[None]) -> None:
    """Have asyncio not complain when an error comes behind the end of its send_many, where nobody awaits it."""
    if not gone.cancelled():
        gone.exception()
