"""Refuses interpreters that this package cannot work in.

Sub-interpreters, before anything else of it is imported: it would half work there. Their threads may not be daemons, their end
does not wait for anyone, and what a fork or the exit does to them is up to the host.

Those whose threads are greenlets, before a client is made: one that waits in the library stops all others.
"""

from __future__ import annotations

import sys

from inlong_dataproxy.errors import LibraryError


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


def check_threads() -> None:
    """Raise an error when gevent or eventlet has put its greenlets in the place of threads."""
    gevent, eventlet = (sys.modules.get(name) for name in ("gevent.monkey", "eventlet.patcher"))
    if gevent is not None and gevent.is_module_patched("_thread"):
        name, way = "gevent", "gevent.monkey.patch_all(thread=False); under gunicorn by a worker class of your own, see Recipes"
    elif eventlet is not None and eventlet.is_monkey_patched("thread"):
        name, way = "eventlet", "eventlet.monkey_patch(thread=False)"
    else:
        return
    raise LibraryError(f"{name} has replaced the threads of this process by greenlets, which cannot wait in the library: use {way}")
