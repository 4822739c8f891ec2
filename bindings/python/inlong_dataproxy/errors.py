"""The exceptions of this package.

    InlongError
      ConfigError            an option is missing, unknown or out of range (also a ValueError)
      RowError               a row cannot be made of these fields (also a ValueError)
      LibraryError           the native library is missing, does not fit this package, or failed inside (also an ImportError)
      ForkError              a client of the parent process was used in a forked child
      SendError              a message, or the start of a client, failed; has everything that is known about it
        SendTimeoutError     a deadline passed (also a TimeoutError)
        QueueFullError       the bound of pending messages or bytes is reached
        ClosedError          the client is closed, or was closed before the message had its result
        InvalidMessageError  the payload, an id or an attribute breaks its rule (also a ValueError)
        ServerError          a DataProxy refused the batch

A value of a type that a call does not take is a TypeError, as everywhere in Python.
"""

from __future__ import annotations

import enum
from typing import Any, Optional


class Persisted(enum.IntEnum):
    """What is known about a message at the server."""

    NOT_WRITTEN = 0
    """No byte of it was handed to a connection; sending it again cannot duplicate it."""
    MAYBE_WRITTEN = 1
    """It was written and not answered; sending it again may duplicate it."""
    ACKED = 2
    """A DataProxy took it."""
    STORED = 3
    """It is in the spool and will be delivered; sending it again duplicates it."""


class InlongError(Exception):
    """The root of every exception of this package."""


class ConfigError(InlongError, ValueError):
    """An option is missing, unknown, malformed or out of range; the text names the option and the rule."""


class RowError(InlongError, ValueError):
    """A row cannot be made of these fields: readers would read it differently, or it has no bytes.

    Attributes:
        index: which field, from 0; None if it is the row.
        name: its name, None if it has none.
        row: which row of a source, from 0; None for a single row.
    """

    def __init__(
        self, message: str = "", index: Optional[int] = None, name: Optional[str] = None, row: Optional[int] = None
    ) -> None:
        super().__init__(message)
        self.index = index
        self.name = name
        self.row = row

    def __str__(self) -> str:
        text = super().__str__()
        return text if self.row is None else f"row {self.row + 1}: {text}"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (super().__str__(),), dict(self.__dict__)


class LibraryError(InlongError, ImportError):
    """The native library was not found, does not fit this package, or reports a fault of its own."""


class ForkError(InlongError):
    """A child used a client that was made before os.fork(), instead of making its own; or it may not make one."""


class SendError(InlongError):
    """A message was not acked.

    Attributes:
        code: the number of the result, the same in every InLong SDK (10001 to 10015, 20001).
        name: the code's short name, such as "send_timeout".
        server_code, server_message: the DataProxy's own, 0 and "" if it gave none.
        node: host:port of the last attempt, "" if there was none.
        group_id, stream_id: those of the message.
        batch_id: the id of its batch on the wire, "" if it was in none.
        attempts: how often it was written.
        retriable: sending it again may succeed.
        persisted: whether it may have reached a node, see Persisted.
    """

    def __init__(
        self,
        message: str = "",
        *,
        code: int = 20001,
        name: str = "unknown",
        server_code: int = 0,
        server_message: str = "",
        node: str = "",
        group_id: str = "",
        stream_id: str = "",
        batch_id: str = "",
        attempts: int = 0,
        retriable: bool = False,
        persisted: Persisted = Persisted.NOT_WRITTEN,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.name = name
        self.server_code = server_code
        self.server_message = server_message
        self.node = node
        self.group_id = group_id
        self.stream_id = stream_id
        self.batch_id = batch_id
        self.attempts = attempts
        self.retriable = retriable
        self.persisted = persisted

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own way calls the class with args alone and would lose nothing here, but OSError, a base of
        # SendTimeoutError, has its own idea of what args are.
        return _restore, (type(self), str(self), dict(self.__dict__))


def _restore(kind: type[SendError], message: str, fields: dict[str, Any]) -> SendError:
    error = kind(message)
    error.__dict__.update(fields)
    return error


class SendTimeoutError(SendError, TimeoutError):
    """A deadline passed: the message's own (send_timeout) or that of the call (timeout)."""


TimeoutError_ = SendTimeoutError  # its name in the first drafts of the interface: programs written for them keep working


class QueueFullError(SendError):
    """The bound of pending messages (max_pending_messages) or bytes (max_pending_bytes) is reached."""


class ClosedError(SendError):
    """The client is closed, or was closed before the message had its result."""


class InvalidMessageError(SendError, ValueError):
    """The payload is empty or too long, or an id or attribute breaks its rule. Nothing was sent."""


class ServerError(SendError):
    """A DataProxy refused the batch; see server_code and server_message."""
