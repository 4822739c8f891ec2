"""Tells of what user code raised on a thread of ours, which continues."""

from __future__ import annotations

import contextlib
import logging
import sys
from types import SimpleNamespace

_log = logging.getLogger("inlong_dataproxy")


def report(error: BaseException, callback: object, what: str = "a callback of a message's result") -> None:
    """Log what a callback raised. Logging runs user code, too: when that raises, the exception goes where unraisable ones go."""
    try:
        _log.error("%s raised: %r", what, callback, exc_info=error)
    except BaseException as second:  # noqa: BLE001 - as for callbacks
        report_unraisable(second)


def report_unraisable(error: BaseException) -> None:
    """Tell of what user code raised inside logging."""
    told = SimpleNamespace(exc_type=type(error), exc_value=error, exc_traceback=error.__traceback__, err_msg=None, object=None)
    with contextlib.suppress(BaseException):  # there is nobody left to tell
        sys.unraisablehook(told)  # pyright: ignore[reportArgumentType]
