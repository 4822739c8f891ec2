"""The library's log lines on their way to logging.getLogger("inlong_dataproxy"), on one thread for all clients of the process.

The library may not call Python from its own threads, so its lines wait in a queue. All levels are asked for, of which there are
few, and the logger decides: its level may change at any time.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging

from inlong_dataproxy._host import end
from inlong_dataproxy._host.background import Background
from inlong_dataproxy._host.report import report_unraisable

from . import lowlevel as low

DEBUG = 4
_LEVELS = {1: logging.ERROR, 2: logging.WARNING, 3: logging.INFO, DEBUG: logging.DEBUG}
_LINES = 16  # of one poll

_log = logging.getLogger("inlong_dataproxy")
_log.addHandler(logging.NullHandler())  # or warnings would go to standard error in programs that set up no logging


def start() -> None:
    """Have lines passed on from now on."""
    with contextlib.suppress(RuntimeError):  # the interpreter is shutting down; what is left is passed on at its exit
        _thread.start()


def _pass_on_all() -> None:
    while _pass_on(low.NO_TIMEOUT) >= 0:
        pass


def _pass_on(timeout_ms: int) -> int:
    lines = (low.LogLine * _LINES)()
    lines[0].struct_size = ctypes.sizeof(low.LogLine)
    count = int(low.log_poll(lines, _LINES, timeout_ms))
    for line in lines[: max(count, 0)]:
        try:
            _log_line(line)
        except BaseException as error:  # noqa: BLE001 - a handler's or filter's error: the next lines must come nevertheless
            report_unraisable(error)
    return count


def _log_line(line: low.LogLine) -> None:
    if line.lost:
        _log.warning("%d log lines were lost here: they came faster than they were taken", line.lost)
    level = _LEVELS.get(line.level, logging.WARNING)
    if _log.isEnabledFor(level):
        record = _log.makeRecord(_log.name, level, "", 0, "%s", (str(line.text, "utf-8", "replace"),), None)
        record.created = line.time_ms / 1000
        record.msecs = line.time_ms % 1000
        _log.handle(record)


def _pass_on_rest() -> None:
    while _pass_on(0) > 0:
        pass


_thread = Background("inlong-log", _pass_on_all)
end.at_the_end(_pass_on_rest)
