"""Turns keyword arguments into the option texts of the native library, which knows what is right."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Callable, cast

from inlong_dataproxy.errors import ConfigError


def duration_text(seconds: float) -> str:
    """Write seconds as the library reads them: decimal, never with an exponent."""
    # A subclass has a repr of its own, as numpy's float64 has.
    return format(Decimal(int(seconds)) if isinstance(seconds, int) else Decimal(repr(float(seconds))), "f") + "s"


_UNITS = {"ns": 1e-9, "us": 1e-6, "\u00b5s": 1e-6, "\u03bcs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(rf"\+?((\d+\.?\d*|\.\d+)({'|'.join(_UNITS)}))+", re.ASCII)
_PART = re.compile(rf"([\d.]+)({'|'.join(_UNITS)})", re.ASCII)


def duration_seconds(text: str) -> float:
    """Read a duration such as "1m30s"; ValueError when it is none, about which the library has more to say."""
    if not _DURATION.fullmatch(text):
        raise ValueError(text)
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def size_bytes(text: str) -> int:
    """Read a size such as "40K"; ValueError when it is none."""
    unit = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(text[-1:].upper(), 1)
    return int(text if unit == 1 else text[:-1]) * unit


def _duration(value: object) -> str | None:
    if isinstance(value, timedelta):
        return duration_text(value.total_seconds())
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and (isinstance(value, int) or math.isfinite(value)):
        return duration_text(value)
    return None


def _number(value: object) -> str | None:
    return str(int(value)) if isinstance(value, int) and not isinstance(value, bool) else None


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
    items: list[str] = []
    for item in cast("Sequence[object]", value):
        if not isinstance(item, str):
            raise _FaultyValue(f"the item {item!r:.80} must be a str, not {type(item).__name__}")
        if "," in item:
            raise _FaultyValue(f'the item {item!r:.80} contains ",", which separates items')
        items.append(item)
    return ",".join(items)


def _map(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if not isinstance(value, Mapping):
        return None
    pairs: list[str] = []
    for name, text in cast("Mapping[object, object]", value).items():
        for what, part in (("name", name), ("value", text)):
            if not isinstance(part, str):
                raise _FaultyValue(f"the {what} {part!r:.80} must be a str, not {type(part).__name__}")
            # An "&" inside would reach the library as a second pair.
            found = [c for c in "&=" if c in part]
            if found:
                raise _FaultyValue(f'the {what} {part!r:.80} contains "{found[0]}", which ends a {what} on the wire')
        pairs.append(f"{name}={text}")
    return "&".join(pairs)


class _FaultyValue(Exception):
    """The value is of a type that its option takes, and has a fault inside."""


_KINDS: dict[str, tuple[Callable[[object], str | None], str]] = {
    "duration": (_duration, 'seconds (int or float, finite), a timedelta or a text such as "20ms"'),
    "int": (_number, "an int"),
    "size": (_size, 'bytes (int) or a text such as "40K"'),
    "bool": (_boolean, "True or False"),
    "string": (_text, "a str"),
    "enum": (_text, "a str"),
    "list": (_list, "a sequence of str"),
    "map": (_map, "a mapping of str to str"),
}


_SECRETS = {"basic_auth": "secretId:secretKey", "socks_auth": "user:password"}


def to_text(key: str, kind: str, value: object) -> str:
    """Return value as the text of an option.

    Args:
        key: the option's key.
        kind: its kind in the library's table; one that this package does not know is taken as "string".
        value: what the user gave.

    Raises:
        ConfigError: value is of another type than the kind takes.
    """
    if key in _SECRETS and isinstance(value, tuple):
        parts = [part for part in cast("tuple[object, ...]", value) if isinstance(part, str)]
        value = ":".join(parts) if len(parts) == 2 else None
    convert, rule = _KINDS.get(kind, _KINDS["string"])
    try:
        text = convert(value)
    except _FaultyValue as fault:
        raise ConfigError(f"option {key}: {fault}") from None
    if text is None:
        if key in _SECRETS:  # its value is to be in no text
            raise ConfigError(f'option {key}: must be "{_SECRETS[key]}" or a tuple of these two str')
        raise ConfigError(f"option {key} = {value!r:.80}: must be {rule}, not {type(value).__name__}")
    if "\0" in text:
        raise ConfigError(f"option {key}: contains a NUL character")
    return text
