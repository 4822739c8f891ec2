"""send_many of Client: an iterable in chunks, each in one call of the library, its results counted."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from typing import Optional

from inlong_dataproxy._host.calls import SLICE_SECONDS, Call, interruptible
from inlong_dataproxy._host.ticket import Ticket
from inlong_dataproxy._native import lowlevel as low
from inlong_dataproxy._sending.bulk import CHUNK_BYTES, CHUNK_MESSAGES, Bulk, SendReport, iterator

_FIRST_CHUNK = 64  # while nothing is known of the messages' size
_STEP = 61  # messages between two looks at the size of one; a prime, so that no pattern of sizes has it look at the same ones
_LOOK_SECONDS = 0.01  # of the thread that stands in
_WAIT_MS = 50  # of one wait for room


class ThreadBulk(Bulk):
    """One send_many.

    While its caller waits for the source, nobody would pass on what that gave before: a thread looks into the box every 10 ms. Both
    do it on a thread that Ctrl-C does not reach, so that what the source gave continues whatever happens to the caller.
    """

    def run(self, messages: Iterable[object]) -> SendReport:
        """Send all and return when each has its result."""
        source = iterator(messages)
        self._passing = threading.Lock()  # held by who passes on what is in the box; never by the main thread
        self._size = _FIRST_CHUNK
        self._broken: Optional[Exception] = None  # why what was in the box could not be passed on; guarded by _passing
        ended = threading.Event()
        try:
            with contextlib.suppress(RuntimeError):  # no threads any more: the interpreter is shutting down
                threading.Thread(target=self._stand_in, args=(ended,), name="inlong-send-many", daemon=True).start()
            # By type, as the source gives them: what may change is copied before the source is asked again.
            for kind, group in groupby(source if self._progress is None else self._telling(source), type):
                if kind is bytes:
                    self._take_bytes(group)
                else:
                    self._take_each(group)
        except Exception:
            interruptible(self._pass_on)  # what the source gave before it broke
            raise
        except BaseException:  # Ctrl-C does not wait for that
            Call(self._pass_on)
            raise
        finally:
            ended.set()
        interruptible(self._pass_on)
        low.client_seal(self._handle, 0)  # the last batches need not wait for their linger
        self._wait(0)
        return self._report()

    def _telling(self, source: Iterator[object]) -> Iterator[object]:
        # A source that is slow fills no chunk: what it gave has been passed on before.
        now = time.monotonic
        for payload in source:
            yield payload
            if now() >= self._next_progress:
                self._maybe_progress()

    def _take_bytes(self, group: Iterator[object]) -> None:
        for first in group:
            self._box.append(first)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            self._box.extend(islice(group, min(self._size, _STEP) - 1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            self._weight += len(first) * _STEP  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            if self._is_full(self._size):
                self._chunk_is_full()

    def _take_each(self, group: Iterator[object]) -> None:
        for payload in group:
            error = self._take(payload)
            if error is not None:
                interruptible(self._pass_on, error)
            elif self._is_full(self._size):
                self._chunk_is_full()

    def _chunk_is_full(self) -> None:
        interruptible(self._pass_on)
        self._weight = 0
        self._size = min(CHUNK_MESSAGES, self.fitting(CHUNK_BYTES))
        window = self.window()
        if self.outstanding() > window:
            self._wait(window // 2)
        self._maybe_progress()

    def _stand_in(self, ended: threading.Event) -> None:
        while not ended.wait(_LOOK_SECONDS):
            if self._box:
                try:
                    self._pass_on()
                except Exception:  # noqa: BLE001 - the caller raises it
                    return

    def _pass_on(self, error: Optional[Exception] = None) -> None:
        """Pass on what is in the box. The next payload is invalid, as error says."""
        with self._passing:
            if self._broken is not None:
                raise self._broken
            try:
                self._pass_on_box()
            except Exception as broken:
                self._broken = broken  # before anybody else may look: what was in the box has no result
                raise
            if error is not None:
                self._refuse(self._cut, error)
                self._cut += 1

    def _pass_on_box(self) -> None:
        while self._box:  # once; again where a payload in it was too long
            first, packed = self._pack()
            while packed is not None:
                first, room = self.push(first, packed, _WAIT_MS)
                if room:
                    break
                self._wait_for_room()

    def _wait_for_room(self) -> None:
        # Where none of its own is without a result it waits for others to make room.
        self._wait_shortly((self.outstanding() + 1) // 2 - 1)

    def _wait(self, wanted: int) -> None:
        """Wait until no more than wanted messages are without a result."""
        while not self._wait_shortly(wanted):
            self._model.guard.check()
            self._maybe_progress()

    def _wait_shortly(self, wanted: int) -> bool:
        """Wait for that, but no longer than a slice. Return whether it is so."""
        ticket = self._changed = Ticket()
        self._wanted = wanted  # first this, then the look: the thread of results counts first and then compares
        if self._abandoned is None and self.outstanding() > wanted:
            ticket.wait(time.monotonic() + SLICE_SECONDS)
        self._wanted = -1
        if self._abandoned is not None:
            raise self._abandoned
        return self.outstanding() <= wanted
