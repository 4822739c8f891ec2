"""Send data to Apache InLong DataProxy.

    from inlong_dataproxy import Client

    with Client("http://manager:8083", group_id="my_group") as client:
        client.send(b"payload", stream_id="my_stream")

A message is reported as sent only after a DataProxy has acked it. Messages of one stream travel together in batches, failed
batches are retried on another node, and every accepted message gets exactly one result.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# isort: off
from ._host import interpreter as interpreter  # before all others

# isort: on
from ._native.auth import Auth
from ._native.handle import OptionInfo, option_table
from ._results.future import Result, ResultCallback
from ._results.taker import CloseReport
from ._sending.bulk import Failure, Progress, SendReport
from ._sending.message import EventTime, Payload
from ._version import __version__
from .client import Client
from .config import Config
from .errors import (
    ClosedError,
    ConfigError,
    ForkError,
    InlongError,
    InvalidMessageError,
    LibraryError,
    Persisted,
    QueueFullError,
    RowError,
    SendError,
    SendTimeoutError,
    ServerError,
    TimeoutError_ as TimeoutError_,
)
from .inlong_api import InLongApi
from .logs import InlongHandler
from .rows import RowFormat

if TYPE_CHECKING:
    from ._native.option_types import Options
    from .async_client import AsyncClient


def options() -> list[OptionInfo]:
    """Return every option of Client with its kind, default, bounds and meaning."""
    return list(option_table().values())


_LATE = {"AsyncClient": ".async_client", "Options": "._native.option_types"}


def __getattr__(name: str) -> Any:
    """Import on first use what few programs need: AsyncClient imports asyncio, which takes longer than the rest."""
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, getattr(importlib.import_module(_LATE[name], __name__), name))


__all__ = [
    "AsyncClient",
    "Auth",
    "Client",
    "CloseReport",
    "ClosedError",
    "Config",
    "ConfigError",
    "EventTime",
    "Failure",
    "ForkError",
    "InLongApi",
    "InlongError",
    "InlongHandler",
    "InvalidMessageError",
    "LibraryError",
    "OptionInfo",
    "Options",
    "Payload",
    "Persisted",
    "Progress",
    "QueueFullError",
    "Result",
    "ResultCallback",
    "RowError",
    "RowFormat",
    "SendError",
    "SendReport",
    "SendTimeoutError",
    "ServerError",
    "__version__",
    "options",
]
