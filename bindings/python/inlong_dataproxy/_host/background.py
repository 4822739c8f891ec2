"""A thread of the process, which works for all clients."""

from __future__ import annotations

import threading
from typing import Callable

from . import fork


class Background:
    """Has function called by a thread of this name from the first start on, and from the first one in each forked child."""

    def __init__(self, name: str, function: Callable[[], object]) -> None:
        self._name = name
        self._function = function
        self._starting, self._started = threading.Lock(), False
        fork.after_fork(self._forget)

    def start(self) -> None:
        """Start the thread, unless it was started before. RuntimeError: no threads can be started any more."""
        with self._starting:
            if not self._started:
                threading.Thread(target=self._function, name=self._name, daemon=True).start()
                self._started = True

    def _forget(self) -> None:
        self._starting, self._started = threading.Lock(), False  # a thread of the parent may have held it
