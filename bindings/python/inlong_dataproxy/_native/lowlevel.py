"""The signature table of include/inlong_dataproxy.h: types, arguments, results and how a failure is raised. No logic."""

from __future__ import annotations

from ctypes import POINTER, Structure, c_char, c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Any, Callable, Optional

from . import codes
from .library import load

_library, _library_with_gil = load()

NO_TIMEOUT = -1
PACKED_MERGE_ACKS = 1
PACKED_SINGLES = 2


class OptionsHandle(Structure):
    """inlong_options, opaque."""


class ClientHandle(c_void_p):
    """inlong_client, a number in disguise. A subclass, so that ctypes does not turn it into an int.

    Attributes:
        kept: what must live as long as the client.
        taken: whether somebody closes it.
    """

    kept: object = None
    taken = False


class MockHandle(c_void_p):
    """inlong_mock, a number in disguise."""


class Attribute(Structure):
    """inlong_attribute."""

    _fields_ = (("key", c_char_p), ("key_len", c_size_t), ("value", c_char_p), ("value_len", c_size_t))


class Message(Structure):
    """inlong_message."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("group_id", c_char_p),
        ("group_id_len", c_size_t),
        ("stream_id", c_char_p),
        ("stream_id_len", c_size_t),
        ("payload", c_char_p),
        ("payload_len", c_size_t),
        ("attributes", POINTER(Attribute)),
        ("attribute_count", c_size_t),
        ("time_ms", c_int64),
        ("user", c_void_p),
        ("item_attributes", POINTER(Attribute)),
        ("item_attribute_count", c_size_t),
    )


class Packed(Structure):
    """inlong_packed."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("model", c_void_p),  # the address of a Message
        ("data", c_char_p),  # may hold zero bytes
        ("data_len", c_size_t),
        ("lengths", c_char_p),  # native uint32_t
        ("count", c_size_t),
        ("user", c_void_p),
        ("flags", c_int32),
        ("reserved", c_int32),
    )


class ResultRecord(Structure):
    """inlong_result."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("code", c_int32),
        ("server_code", c_int32),
        ("persisted", c_int32),
        ("retriable", c_int32),
        ("attempts", c_int32),
        ("reserved", c_int32),
        ("user", c_uint64),  # a void * that this package uses as a number
        ("count", c_uint64),
        ("node", c_char * 128),
        ("batch_id", c_char * 64),
        ("text", c_char * 512),
        ("server_message", c_char * 256),
    )


class OptionInfo(Structure):
    """inlong_option_info."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("key", c_char_p),
        ("kind", c_char_p),
        ("default_value", c_char_p),
        ("min", c_char_p),
        ("max", c_char_p),
        ("values", c_char_p),
        ("doc", c_char_p),
    )


class CodeCount(Structure):
    """A pair of inlong_close_report."""

    _fields_ = (("code", c_int64), ("count", c_int64))


class CloseReportRecord(Structure):
    """inlong_close_report."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("acked", c_int64),
        ("failed", c_int64),
        ("unsent", c_int64),
        ("by_code", CodeCount * 24),
        ("uncalled", c_int64),
        ("unpolled", c_int64),
    )


class LogLine(Structure):
    """inlong_log_line."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("level", c_int32),
        ("lost", c_int32),
        ("client", c_void_p),
        ("time_ms", c_int64),
        ("text", c_char * 1024),
    )


class AuthRecord(Structure):
    """inlong_auth."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("question", c_uint64),
        ("user", c_uint64),  # a void * that this package uses as a number
        ("group_id", c_char * 208),
        ("name", c_char * 128),
        ("value", c_char * 16384),
        ("text", c_char * 512),
    )


class RowFormatHandle(Structure):
    """inlong_row_format, opaque."""


RowFormatPointer = POINTER(RowFormatHandle)
ROW_CSV, ROW_KV = 1, 2
ROW_UTF8, ROW_GBK = 0, 1


class RowSettings(Structure):
    """inlong_row_settings."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("type", c_int32),
        ("encoding", c_int32),
        ("separator", c_uint32),
        ("kv_separator", c_uint32),
        ("line_separator", c_uint32),
        ("escape", c_uint32),
        ("flags", c_uint32),
        ("reserved", c_uint32),
        ("columns", POINTER(c_char_p)),
        ("column_count", c_size_t),
    )


OptionsPointer = Any  # what options_new returns

_ErrCheck = Callable[[Any, Any, tuple[Any, ...]], Any]


def _func(
    name: str,
    restype: Any,
    argtypes: tuple[Any, ...],
    errcheck: Optional[_ErrCheck] = None,
    *,
    keep_gil: bool = False,
) -> Callable[..., Any]:
    # A function object of its own each time: the two libraries share a symbol, not its signature.
    function: Any = (_library_with_gil if keep_gil else _library)[name]
    function.restype = restype
    function.argtypes = argtypes
    if errcheck is not None:
        function.errcheck = errcheck
    return function  # type: ignore[no-any-return]


def _check_code(result: int, _function: Any, _arguments: tuple[Any, ...]) -> int:
    """Raise the exception of a code that is not INLONG_OK."""
    if result != 0:
        raise codes.call_error(result, error_name(result), last_error(), retriable=bool(error_is_retriable(result)))
    return result


def _check_length(result: int, _function: Any, _arguments: tuple[Any, ...]) -> int:
    """Raise the exception of a negative answer of a function that returns a length or count."""
    return result if result >= 0 else _check_code(result, None, ())


# Version and errors.
version = _func("inlong_version", c_char_p, ())
last_error = _func("inlong_last_error", c_char_p, (), keep_gil=True)
error_name = _func("inlong_error_name", c_char_p, (c_int,), keep_gil=True)
error_is_retriable = _func("inlong_error_is_retriable", c_int, (c_int,), keep_gil=True)

# Options.
options_new = _func("inlong_options_new", POINTER(OptionsHandle), ())
options_set = _func("inlong_options_set", c_int, (POINTER(OptionsHandle), c_char_p, c_char_p, c_char_p, c_size_t), _check_code)
options_free = _func("inlong_options_free", None, (POINTER(OptionsHandle),))
options_describe = _func("inlong_options_describe", POINTER(OptionInfo), (c_size_t,), keep_gil=True)

# Logging.
options_set_log = _func("inlong_options_set_log", c_int, (POINTER(OptionsHandle), c_void_p, c_void_p, c_int), _check_code)
LOG_QUEUE = 1  # INLONG_LOG_QUEUE
log_poll = _func("inlong_log_poll", c_int, (POINTER(LogLine), c_int, c_int64))

# Credentials.
options_set_auth = _func("inlong_options_set_auth", c_int, (POINTER(OptionsHandle), c_void_p, c_void_p), _check_code)
AUTH_QUEUE = 1  # INLONG_AUTH_QUEUE
auth_poll = _func("inlong_auth_poll", c_int, (POINTER(AuthRecord), c_int64))
auth_answer = _func("inlong_auth_answer", c_int, (POINTER(AuthRecord), c_int), keep_gil=True)

# The runtime.
runtime_set = _func("inlong_runtime_set", c_int, (c_int, c_int64), _check_code)
runtime_get = _func("inlong_runtime_get", c_int, (c_int, POINTER(c_int64)), _check_code)

# Client.
client_new = _func("inlong_client_new", c_int, (POINTER(OptionsHandle), POINTER(ClientHandle), c_char_p, c_size_t), _check_code)
client_send = _func("inlong_client_send", c_int, (ClientHandle, POINTER(Message), c_int64, POINTER(ResultRecord)))
client_ready = _func("inlong_client_ready", c_int, (ClientHandle, c_int64), _check_code)
client_flush = _func("inlong_client_flush", c_int, (ClientHandle, c_int64), _check_code)
client_seal = _func("inlong_client_flush", c_int, (ClientHandle, c_int64))
client_close = _func("inlong_client_close", c_int, (ClientHandle, c_int64, POINTER(CloseReportRecord)))
client_event_fd = _func("inlong_client_event_fd", c_int, (ClientHandle,), _check_length, keep_gil=True)
client_stats = _func("inlong_client_stats", c_int, (ClientHandle, c_char_p, c_size_t), _check_length)
client_metrics = _func("inlong_client_metrics", c_int, (ClientHandle, c_char_p, c_size_t), _check_length)

_PACKED = (ClientHandle, POINTER(Packed), c_int64, POINTER(c_size_t))
client_send_packed = _func("inlong_client_send_packed", c_int, _PACKED)
client_send_packed_now = _func("inlong_client_send_packed", c_int, _PACKED, keep_gil=True)
_POLL = (ClientHandle, POINTER(ResultRecord), c_int, c_int64)
client_poll = _func("inlong_client_poll", c_int, _POLL)
client_drop_results = _func("inlong_client_drop_results", c_int64, (ClientHandle,))
client_wake = _func("inlong_client_wake", c_int, (ClientHandle,), keep_gil=True)
client_poll_now = _func("inlong_client_poll", c_int, _POLL, keep_gil=True)

# Rows.
row_format_ask = _func(
    "inlong_row_format_ask",
    c_int,
    (POINTER(OptionsHandle), c_char_p, POINTER(RowFormatPointer), c_char_p, c_size_t),
    _check_code,
)
row_format_settings = _func("inlong_row_format_settings", c_int, (RowFormatPointer, POINTER(RowSettings)), _check_code)
row_format_free = _func("inlong_row_format_free", None, (RowFormatPointer,))

# Mock.
mock_new = _func("inlong_mock_new", c_int, (c_int, POINTER(MockHandle), c_char_p, c_size_t), _check_code)
mock_url = _func("inlong_mock_url", c_int, (MockHandle, c_char_p, c_size_t), _check_length)
mock_control = _func("inlong_mock_control", c_int, (MockHandle, c_char_p, c_char_p, c_size_t), _check_length)
mock_free = _func("inlong_mock_free", None, (MockHandle,))
