"""What waits for its turn among the messages of an AsyncClient."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any, Optional

from inlong_dataproxy._native import codes
from inlong_dataproxy._results.future import Result
from inlong_dataproxy._sending.bulk import Bulk
from inlong_dataproxy._sending.message import Model
from inlong_dataproxy._sending.run import Packed, Run

from .offloop import answer

Future = asyncio.Future[Result]
Waiting = tuple[Model, Future]
Entry = tuple[Optional[Model], Any, "asyncio.Future[Any]"]
"""A message: its model, payload and future. Or None, a Mark and its `gone`."""


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
        except BaseException:  # Ctrl-C: how much of it went is not known
            answer(self.gone, codes.lost_error())
            raise
        if room:
            answer(self.gone, None)
        return self._first != before, room


def abandon(pending: dict[int, Waiting], line: deque[Entry]) -> None:
    """Answer whose messages may be in the library, and whose never were: nothing comes any more."""
    for model, future in list(pending.values()):
        answer(future, codes.lost_error(model.group_id, model.stream_id))
    pending.clear()
    while line:
        of, _, waits = line.popleft()
        answer(waits, codes.closed_error(**({} if of is None else {"group_id": of.group_id, "stream_id": of.stream_id})))


def left_behind(
    hand: Iterable[Entry], line: Iterable[Entry], pending: dict[int, Waiting], run: Optional[Run[Waiting]]
) -> list[Entry]:
    """Return what of the hand is neither in line nor in the library nor answered: run broke off when a signal handler raised.

    A message whose await is cancelled is still sent.
    """
    if run is not None:
        run.disclaim(pending)
    known = {id(future) for _, future in pending.values()} | {id(future) for _, _, future in line}
    return [entry for entry in hand if id(entry[2]) not in known and (entry[2].cancelled() or not entry[2].done())]


def _seen(gone: asyncio.Future[None]) -> None:
    """Keep asyncio from complaining about an error that comes after the end of its send_many, when nobody awaits it."""
    if not gone.cancelled():
        gone.exception()
