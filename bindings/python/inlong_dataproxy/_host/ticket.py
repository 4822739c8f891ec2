"""What one thread holds that waits for another."""

from __future__ import annotations

import _thread
import contextlib
import time
from typing import Callable, Optional

from .calls import SLICE_SECONDS


class Ticket:
    """Waited for by one thread. It is no lock that somebody holds: a signal handler may make and wait for its own at any moment.

    Attributes:
        answered: whether somebody has answered.
        error: what he had to say.
    """

    __slots__ = ("_lock", "answered", "error")

    def __init__(self) -> None:
        self._lock = _thread.allocate_lock()
        self._lock.acquire()
        self.answered = False
        self.error: Optional[Exception] = None

    def answer(self) -> None:
        """Let the waiting thread continue. Again it does nothing."""
        self.answered = True
        with contextlib.suppress(RuntimeError):
            self._lock.release()

    def wait(self, end: float, stop: Optional[Callable[[], bool]] = None) -> bool:
        """Return whether it was answered before end (of time.monotonic), and before stop said that nobody will."""
        # In slices, between which Python looks for signals: the kernel may have given Ctrl-C to another thread.
        while not self.answered:
            left = end - time.monotonic()
            if left <= 0 or (stop is not None and stop()):
                return False
            self._lock.acquire(timeout=min(left, SLICE_SECONDS))
        return True
