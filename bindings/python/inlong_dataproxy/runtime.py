"""Settings of the native library's runtime.

    from inlong_dataproxy import runtime

    runtime.configure(gc_percent=400, memory_limit=512 << 20)

They hold for the whole process. Make them before the first client or MockCluster.
"""

from __future__ import annotations

import ctypes
from typing import NamedTuple, Optional

from ._native import lowlevel as low

_GC_PERCENT, _MEMORY_LIMIT, _FORK_RELOAD, _STOCK = 1, 2, 3, 4


class Settings(NamedTuple):
    """The settings: those in use if the runtime is loaded, else those that were set.

    Attributes:
        gc_percent: how much memory may grow, in percent of what is in use, before it is collected; -1: only at memory_limit.
        memory_limit: bytes; -1: none.
        fork_reload: whether a forked child may make clients of its own.
        stock: whether the library was built with a Go that its build did not know how to change: then it may take signals from a
            program that waits for them by sigwait or signalfd, and interrupt system calls (bindings/c/README.md). Not in a wheel.
    """

    gc_percent: int
    memory_limit: int
    fork_reload: bool
    stock: bool


def configure(*, gc_percent: Optional[int] = None, memory_limit: Optional[int] = None, fork_reload: Optional[bool] = None) -> None:
    """Change settings; None leaves one as it is. Does not block.

    Args:
        gc_percent: 1 to 10,000, default 100; 400 takes more memory and less CPU. -1: collect only when memory_limit
            requires it, which must be set then.
        memory_limit: bytes that the runtime tries not to exceed, 16 MiB or more, or -1, the default, for none. It is not a
            hard bound; the options max_pending_bytes and max_pending_messages bound what is pending.
        fork_reload: whether a child that is forked after the runtime was loaded may make clients of its own, with a copy of
            the library; default True. It can be changed at any time.

    Raises:
        ConfigError: the runtime is loaded already; only fork_reload can be changed then.
        InlongError: a value is out of range.
        TypeError: a value is not an int.
    """
    given = ((_MEMORY_LIMIT, memory_limit), (_GC_PERCENT, gc_percent), (_FORK_RELOAD, fork_reload))
    for setting, value in given:
        if value is not None:
            low.runtime_set(setting, _integer(value))


def settings() -> Settings:
    """Return the settings. Does not block."""
    return Settings(_get(_GC_PERCENT), _get(_MEMORY_LIMIT), bool(_get(_FORK_RELOAD)), bool(_get(_STOCK)))


def _get(setting: int) -> int:
    value = ctypes.c_int64()
    low.runtime_get(setting, ctypes.byref(value))
    return value.value


def _integer(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"a setting of the runtime must be an int, not {type(value).__name__}")
    return value
