"""Refuses sub-interpreters, before anything else of this package is imported: it would half work there.

Their threads may not be daemons, their end does not wait for anyone, and what a fork or the exit does to them is up to the host.
"""

from __future__ import annotations

from .errors import LibraryError


def _is_main() -> bool:
    try:
        import ctypes  # noqa: PLC0415
    except ImportError as error:  # one with a lock of its own may not load it
        if "subinterpreter" in str(error):
            return False
        raise
    current, main = (ctypes.pythonapi[f"PyInterpreterState_{which}"] for which in ("Get", "Main"))
    current.restype = main.restype = ctypes.c_void_p
    return bool(current() == main())


if not _is_main():
    raise LibraryError("inlong_dataproxy cannot be imported in a sub-interpreter: use it in the main interpreter of a process")
