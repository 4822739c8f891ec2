"""The codes of the native library and the exceptions they become."""

from __future__ import annotations

from typing import Any, TypeVar

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


_OWN = {
    CLOSED: ("closed", "producer already been closed"),
    CONTEXT_EXPIRED: ("context_expired", "message context expired"),
    LOG_TOO_LONG: ("log_too_long", "input log is too long"),
    LOG_INVALID: ("log_invalid", "input log is invalid"),
}

_Kind = TypeVar("_Kind", bound=SendError)


def own_error(kind: type[_Kind], code: int, detail: str, **fields: Any) -> _Kind:
    """Return the exception for a result that this package finds itself; its text is built as the library's."""
    name, text = _OWN[code]
    return kind(f"{text}: {detail} [{where(code, **fields)}]", code=code, name=name, **fields)


def where(code: int, group_id: str = "", stream_id: str = "", **_: Any) -> str:
    """Return what stands in brackets at the end of a text."""
    return ", ".join(
        [f"code {code}", *([f"group {group_id}"] if group_id else []), *([f"stream {stream_id}"] if stream_id else [])]
    )


def closed_error(**fields: Any) -> ClosedError:
    """Return the exception for the use of a closed client."""
    return own_error(ClosedError, CLOSED, "the client is closed", **fields)


def lost_error(group_id: str = "", stream_id: str = "") -> ClosedError:
    """Return the exception for a message of which the library does not say any more what became of it."""
    return own_error(
        ClosedError,
        CLOSED,
        "the close was over before the result came",
        group_id=group_id,
        stream_id=stream_id,
        persisted=Persisted.MAYBE_WRITTEN,
    )


def late_error(text: str) -> SendTimeoutError:
    """Return the exception for a call that did not end in its time."""
    return own_error(SendTimeoutError, CONTEXT_EXPIRED, text)


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
