"""Turns keyword arguments into the option texts of the native library, which knows what is right."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Callable, TypedDict, Union, cast

from .errors import ConfigError

Duration = Union[float, timedelta, str]
"""Seconds, a timedelta, or a text with its unit such as "20ms"."""
Size = Union[int, str]
"""Bytes, or a text that ends in K, M or G (KiB, MiB, GiB)."""
FilePath = Union[str, "os.PathLike[str]"]


class Options(TypedDict, total=False):
    """The keyword arguments of Client beside url and group_id; `inlong_dataproxy.options()` tells defaults and bounds."""

    update_interval: Duration
    conn_timeout: Duration
    write_buffer_size: Size
    read_buffer_size: Size
    socket_send_buffer_size: Size
    socket_recv_buffer_size: Size
    buffer_pool_size: int
    byte_pool_size: int
    byte_pool_width: Size
    metrics_name: str
    worker_num: int
    send_timeout: Duration
    max_retries: int
    batching_max_publish_delay: Duration
    batching_max_messages: int
    batching_max_size: Size
    max_pending_messages: int
    block_if_queue_is_full: bool
    add_columns: Mapping[str, str]
    max_conn_lifetime: Duration
    retry_on_server_error: bool
    retry_initial_interval: Duration
    max_pending_bytes: Size
    ack_timeout: Duration
    ordered: bool
    static_nodes: Union[str, Sequence[str]]
    node_cache: FilePath
    lazy_start: bool
    basic_auth: Union[str, tuple[str, str]]
    ca_file: FilePath
    compression: str
    message_format: str
    max_frame_size: Size
    heartbeat_interval: Duration
    trim_trailing_newline: bool


def duration_text(seconds: float) -> str:
    """Write seconds as the library reads them: decimal, never with an exponent."""
    return format(Decimal(repr(seconds)), "f") + "s"


_UNITS = {"ns": 1e-9, "us": 1e-6, "\u00b5s": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def duration_seconds(text: str) -> float:
    """Read a duration that the library has found to be right, such as "1m30s"."""
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+)([a-z\u00b5]+)", text))


def _duration(value: object) -> str | None:
    if isinstance(value, timedelta):
        return duration_text(value.total_seconds())
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return duration_text(value)
    return None


def _number(value: object) -> str | None:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _size(value: object) -> str | None:
    return value if isinstance(value, str) else _number(value)


def _boolean(value: object) -> str | None:
    return str(value).lower() if isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return os.fspath(value) if isinstance(value, (str, os.PathLike)) and isinstance(os.fspath(value), str) else None


def _list(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if not isinstance(value, Sequence):
        return None
    items = [item for item in cast("Sequence[object]", value) if isinstance(item, str) and "," not in item]
    return ",".join(items) if len(items) == len(cast("Sequence[object]", value)) else None


def _map(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if not isinstance(value, Mapping):
        return None
    pairs: list[str] = []
    for name, text in cast("Mapping[object, object]", value).items():
        # An "&" inside would reach the library as a second pair.
        if not isinstance(name, str) or not isinstance(text, str) or any(c in "&=" for c in name + text):
            return None
        pairs.append(f"{name}={text}")
    return "&".join(pairs)


_KINDS: dict[str, tuple[Callable[[object], str | None], str]] = {
    "duration": (_duration, 'seconds (int or float, finite), a timedelta or a text such as "20ms"'),
    "int": (_number, "an int"),
    "size": (_size, 'bytes (int) or a text such as "40K"'),
    "bool": (_boolean, "True or False"),
    "string": (_text, "a str"),
    "enum": (_text, "a str"),
    "list": (_list, "a sequence of str without commas"),
    "map": (_map, 'a mapping of str to str without "&" and "="'),
}


def to_text(key: str, kind: str, value: object) -> str:
    """Return value as the text of an option.

    Args:
        key: the option's key.
        kind: its kind in the library's table; one that this package does not know is taken as "string".
        value: what the user gave.

    Raises:
        ConfigError: value is of another type than the kind takes.
    """
    if key == "basic_auth" and isinstance(value, tuple):
        parts = [part for part in cast("tuple[object, ...]", value) if isinstance(part, str)]
        value = ":".join(parts) if len(parts) == 2 else None
    convert, rule = _KINDS.get(kind, _KINDS["string"])
    text = convert(value)
    if text is None:
        if key == "basic_auth":  # its value is a secret
            raise ConfigError('option basic_auth: want "secretId:secretKey" or a tuple of these two str')
        raise ConfigError(f"option {key} = {value!r:.80}: want {rule}, not {type(value).__name__}")
    if "\0" in text:
        raise ConfigError(f"option {key}: contains a NUL character")
    return text
