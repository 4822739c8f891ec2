"""What the thread of results is to do beside results of the library."""

from __future__ import annotations

from collections import deque
from typing import Callable

from inlong_dataproxy._native import lowlevel as low


class Inbox:
    """Functions for it to call, after the results that are there already. Any thread puts in, without a lock."""

    def __init__(self, handle: low.ClientHandle) -> None:
        self._handle = handle
        self._functions: deque[Callable[[], object]] = deque()

    def put(self, function: Callable[[], object]) -> None:
        """Have function called."""
        self._functions.append(function)
        low.client_wake(self._handle)  # of a closed client it finds nobody: the thread looks here once more before it ends

    def take(self) -> list[Callable[[], object]]:
        """Return what is there, and forget it."""
        return [self._functions.popleft() for _ in range(len(self._functions))]
