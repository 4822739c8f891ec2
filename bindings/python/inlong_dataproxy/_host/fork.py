"""What a forked child makes anew: also one that was forked without Python's own hooks, as by uWSGI or by any fork of C code.

Every call that may wait for a thread or a lock looks first, for in such a child they are the parent's.
"""

from __future__ import annotations

import mmap
import os
import weakref
from typing import Any, Callable, Union

_WIPE_ON_FORK = 18  # MADV_WIPEONFORK, for which Python has no name
_NO_ADVICE = -1

_hooks: list[Callable[[], object]] = []
_owners: weakref.WeakSet[Any] = weakref.WeakSet()


class _Number:
    """Does what the page does, at the price of a system call each time: for kernels before Linux 4.14, and sandboxes."""

    def __init__(self) -> None:
        self._process = os.getpid()

    def __getitem__(self, _: int) -> int:
        return os.getpid() == self._process

    def __setitem__(self, _: int, value: int) -> None:
        self._process = os.getpid()


def _page() -> Union[mmap.mmap, _Number]:
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        page.madvise(_WIPE_ON_FORK)
    except OSError:
        return _Number()
    try:
        page.madvise(_NO_ADVICE)
    except OSError:
        page[0] = 1
        return page
    return _Number()  # an emulator that takes any advice and does nothing, as qemu's


known = _page()
"""known[0] is whether the hooks have been called in this process. The kernel clears it in every child."""


def after_fork(hook: Callable[[], object]) -> None:
    """Call hook in each forked child before anything of this package is used there."""
    _hooks.append(hook)


def owns_locks(owner: Any) -> None:
    """Have owner._free_locks called now, and in each forked child: there, a thread of the parent may have held them."""
    owner._free_locks()
    _owners.add(owner)


def look() -> None:
    """Have the hooks called if this process is a child in which they have not been."""
    if not known[0]:
        known[0] = 1
        for owner in list(_owners):
            owner._free_locks()
        for hook in _hooks:
            hook()


os.register_at_fork(after_in_child=look)
