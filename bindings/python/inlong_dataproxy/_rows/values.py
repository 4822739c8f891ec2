"""What a value is in a row, as text."""

from __future__ import annotations

import math
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any, Callable, Optional, cast
from uuid import UUID


class Unwritable(Exception):
    """Why a value cannot be written."""


def to_text(value: object, encoding: str) -> Optional[str]:
    """Return a value as text, None for null.

    Raises:
        Unwritable: it has no text.
    """
    kind = type(value)
    if kind is str:
        return value  # type: ignore[return-value]
    if value is None:
        return None
    if kind is int:
        return _integer(value)  # type: ignore[arg-type]
    if kind is float:
        return _float(value)  # type: ignore[arg-type]
    return _other(value, encoding)


def _integer(value: int) -> str:
    try:
        return str(value)
    except ValueError:
        raise Unwritable("is an integer of more digits than Python writes: see sys.get_int_max_str_digits") from None


def _other(value: Any, encoding: str) -> Optional[str]:
    if _is_missing(value):
        return None
    for kinds, convert in _KINDS:
        if isinstance(value, kinds):
            return convert(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _decode(bytes(cast("bytes", value)), encoding)
    if isinstance(value, Enum):
        return to_text(value.value, encoding)
    return _scalar(value, encoding)


def _scalar(value: Any, encoding: str) -> Optional[str]:
    """Return the text of a scalar of numpy, which needs not be there."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind == "M":
        value = value.astype("datetime64[us]")
    if kind and kind in "biufMSU" and not getattr(value, "shape", None):
        return to_text(value.item(), encoding)
    raise Unwritable(f"is of a type that has no text in a row: {type(value).__name__}")


def _is_missing(value: Any) -> bool:
    """Return whether it is one of pandas' words for null."""
    return type(value).__name__ in {"NAType", "NaTType"}


def _decode(value: bytes, encoding: str) -> str:
    try:
        return value.decode(encoding)
    except UnicodeDecodeError:
        raise Unwritable(f"is not valid {encoding.upper()}, as which readers decode it") from None


def _float(value: float) -> str:
    """Write a number as Java reads it and as the other languages of this client do."""
    if not math.isfinite(value):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    text = repr(value)
    if text.endswith(".0"):
        return text[:-2]
    if "e" in text and 1e-6 <= abs(value) < 1e21:
        return format(Decimal(text), "f")
    return text


def _time_of_day(value: time) -> str:
    return value.replace(tzinfo=None).isoformat("seconds")


def _moment(value: datetime) -> str:
    return value.replace(tzinfo=None, microsecond=0).isoformat(" ")[:19]


_KINDS: list[tuple[Any, Callable[[Any], str]]] = [  # a bool is an int, a datetime is a date
    (bool, lambda value: "true" if value else "false"),
    (str, str.__str__),
    (int, lambda value: _integer(int(value))),
    (float, lambda value: _float(float(value))),
    (datetime, _moment),
    (date, date.isoformat),
    (time, _time_of_day),
    ((Decimal, UUID), str),
]
