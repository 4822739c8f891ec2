"""Has clients that nobody closed closed when their process ends.

The interpreter's exit does that, except in a child of multiprocessing: it drops the exit handlers of its parent, ends with
os._exit, and calls before that only what was registered in it with multiprocessing itself.
"""

from __future__ import annotations

import atexit
import os
import sys
from typing import Callable

_handlers: list[Callable[[], None]] = []
_armed_process = 0


def at_process_end(handler: Callable[[], None]) -> None:
    """Call handler, which closes all clients of a kind, when this process ends or a forked child does."""
    _handlers.append(handler)
    atexit.register(handler)


def arm() -> None:
    """Make sure of that in this process. To be called for each client: what is registered before a fork does not count after it."""
    global _armed_process  # noqa: PLW0603 - a process has one end
    process, util = sys.modules.get("multiprocessing.process"), sys.modules.get("multiprocessing.util")
    if process is None or util is None or process.parent_process() is None or _armed_process == os.getpid():
        return
    _armed_process = os.getpid()
    for handler in _handlers:
        util.Finalize(None, handler, exitpriority=0)
