"""The codes of the native library and the exceptions they become."""

from __future__ import annotations

from typing import Any

from inlong_dataproxy.errors import (
    ClosedError,
    ConfigError,
    ForkError,
    InlongError,
    InvalidMessageError,
    LibraryError,
    Persisted,
    QueueFullError,
    SendError,
    SendTimeoutError,
    ServerError,
)

OK = 0
CLOSED = 10003
QUEUE_FULL = 10004
CONTEXT_EXPIRED = 10005
LOG_TOO_LONG = 10009
LOG_INVALID = 10010
UNKNOWN = 20001

ERR_HANDLE = -3
ERR_FORKED = -4
ERR_NOMEM = -8

_RESULTS: dict[int, type[SendError]] = {
    10001: SendTimeoutError,
    CLOSED: ClosedError,
    QUEUE_FULL: QueueFullError,
    CONTEXT_EXPIRED: SendTimeoutError,
    LOG_TOO_LONG: InvalidMessageError,
    LOG_INVALID: InvalidMessageError,
    10011: ServerError,
}

_FAULTS: dict[int, type[InlongError]] = {
    -2: ConfigError,
    ERR_FORKED: ForkError,
    -5: LibraryError,
    -6: LibraryError,
    -7: LibraryError,
}


def closed_error(**fields: Any) -> ClosedError:
    """Return the exception for the use of a closed client."""
    return ClosedError("the client is closed", code=CLOSED, name="closed", **fields)


def lost_error(group_id: str = "", stream_id: str = "") -> ClosedError:
    """Return the exception for a message of which the library does not say any more what became of it."""
    text = "the close was over before the result could be handed over"
    return ClosedError(text, code=CLOSED, name="closed", group_id=group_id, stream_id=stream_id, persisted=Persisted.MAYBE_WRITTEN)


def late_error(text: str) -> SendTimeoutError:
    """Return the exception for a call that did not end in its time."""
    return SendTimeoutError(text, code=CONTEXT_EXPIRED, name="context_expired")


def call_error(code: int, name: bytes, text: bytes, **fields: Any) -> Exception:
    """Return the exception for a code that a call of the library answered.

    Args:
        code: positive for the result of a message, negative for a fault of the call.
        name: the code's short name.
        text: what the library said.
        fields: what else is known, see SendError.
    """
    message = text.decode("utf-8", "replace") or name.decode("utf-8", "replace")
    if code == ERR_HANDLE:
        fields["retriable"] = False
        return closed_error(**fields)
    if code == ERR_NOMEM:
        return MemoryError(message)
    if code < 0:
        return _FAULTS.get(code, InlongError)(message)
    return _RESULTS.get(code, SendError)(message, code=code, name=name.decode("utf-8", "replace"), **fields)
