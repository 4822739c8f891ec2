"""What a forked child makes anew: also one that was forked without Python's own hooks, as by uWSGI or by any fork of C code.

Every call that may wait for a thread or a lock looks first, for in such a child they are the parent's.
"""

from __future__ import annotations

import os
from typing import Callable

_hooks: list[Callable[[], object]] = []
process = os.getpid()
"""The one in which the hooks have been called."""


def after_fork(hook: Callable[[], object]) -> None:
    """Call hook in each forked child before anything of this package is used there."""
    _hooks.append(hook)


def look() -> None:
    """Have the hooks called if this process is a child in which they have not been."""
    global process  # noqa: PLW0603 - a process is one
    if os.getpid() != process:
        process = os.getpid()
        for hook in _hooks:
            hook()


os.register_at_fork(after_in_child=look)
