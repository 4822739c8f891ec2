"""The types of Arrow's columns: how their values lie in memory."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, Callable, Optional

from inlong_dataproxy.errors import RowError

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - what it is added to says in which zone
_NUMBERS: dict[str, Any] = {
    "c": ctypes.c_int8,
    "C": ctypes.c_uint8,
    "s": ctypes.c_int16,
    "S": ctypes.c_uint16,
    "i": ctypes.c_int32,
    "I": ctypes.c_uint32,
    "l": ctypes.c_int64,
    "L": ctypes.c_uint64,
    "f": ctypes.c_float,
    "g": ctypes.c_double,
}
_UNITS = {"s": 1_000_000, "m": 1_000, "u": 1}  # microseconds; nanoseconds are divided


@dataclass
class Column:
    """Values in memory: the addresses of their buffers, which of them, and whether some are null."""

    buffers: Sequence[int]
    start: int
    length: int
    has_nulls: bool
    dictionary: Callable[[], Column]

    def numbers(self, kind: Any, buffer: int = 1, more: int = 0) -> list[Any]:
        """Return the numbers of a buffer, and some more."""
        if self.length + more == 0 or not self.buffers[buffer]:
            return []
        return list((kind * (self.length + more)).from_address(self.buffers[buffer] + self.start * ctypes.sizeof(kind)))

    def bits(self, buffer: int) -> list[bool]:
        """Return the bits of a buffer."""
        first, last = self.start // 8, (self.start + self.length + 7) // 8
        octets = ctypes.string_at(self.buffers[buffer] + first, last - first)
        skip = self.start - 8 * first
        return [bool(octets[i >> 3] >> (i & 7) & 1) for i in range(skip, skip + self.length)]

    def with_nulls(self, values: list[Any]) -> list[object]:
        """Put None where the column has null."""
        if not self.has_nulls or not self.buffers[0]:
            return values
        return [value if valid else None for value, valid in zip(values, self.bits(0))]


Read = Callable[[Column], "list[object]"]


def reader(kind: str, name: str) -> Read:
    """Return what reads columns of an Arrow type.

    Raises:
        RowError: values of the type have no text in a row.
    """
    read = _reader(kind)
    if read is None:
        raise RowError(f"column {name!r}: is of an Arrow type that has no text in a row: {kind}")

    def safely(column: Column) -> list[object]:
        try:
            return read(column)
        except (OverflowError, ValueError) as fault:
            raise RowError(f"column {name!r}: {fault}") from None

    return safely


def _reader(kind: str) -> Optional[Read]:
    if kind in _NUMBERS:
        number = _NUMBERS[kind]
        return _single if kind == "f" else lambda column: column.with_nulls(column.numbers(number))
    if kind[:2] == "ts":
        zone = _zone(kind.partition(":")[2])
        return lambda column: _over(column, ctypes.c_int64, lambda n: _timestamp(n, kind[2], zone))
    if kind[:2] == "d:":
        return _decimals(kind[2:].split(","))
    return _OTHERS.get(kind)


def _over(column: Column, number: Any, convert: Callable[[Any], object]) -> list[object]:
    """Convert what is not null: what lies below a null may be anything."""
    return [None if n is None else convert(n) for n in column.with_nulls(column.numbers(number))]


def _single(column: Column) -> list[object]:
    """Read floats of four bytes, in as few digits as tell one from others of its size."""

    def shortest(value: float) -> float:
        for digits in range(6, 10):
            text = float(f"{value:.{digits}g}")
            if ctypes.c_float(text).value == value:
                return text
        return value

    return _over(column, ctypes.c_float, shortest)


def _zone(name: str) -> Optional[tzinfo]:
    if not name:
        return None
    if name[0] in "+-":
        hours, minutes = int(name[1:3]), int(name[4:6] or 0)
        return timezone((-1 if name[0] == "-" else 1) * timedelta(hours=hours, minutes=minutes))
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - few need it

    return ZoneInfo(name)


def _timestamp(value: int, unit: str, zone: Optional[tzinfo]) -> datetime:
    micros = value // 1000 if unit == "n" else value * _UNITS[unit]
    moment = _EPOCH + timedelta(microseconds=micros)
    return moment if zone is None else moment.replace(tzinfo=timezone.utc).astimezone(zone)


def _time(number: Any, unit: str) -> Read:
    return lambda column: _over(column, number, lambda n: _timestamp(n, unit, None).time())


def _decimals(parts: list[str]) -> Read:
    size, scale = (int(parts[2]) if len(parts) > 2 else 128) // 8, int(parts[1])

    def read(column: Column) -> list[object]:
        data = ctypes.string_at(column.buffers[1] + column.start * size, column.length * size) if column.length else b""
        numbers = [int.from_bytes(data[i : i + size], "little", signed=True) for i in range(0, len(data), size)]
        values = [Decimal((int(n < 0), tuple(map(int, str(abs(n)))), -scale)) for n in numbers]
        return column.with_nulls(values)

    return read


def _texts(offset: Any, convert: Callable[[bytes], object]) -> Read:
    def read(column: Column) -> list[object]:
        ends = column.numbers(offset, more=1) or [0]
        first = ends[0]
        data = ctypes.string_at(column.buffers[2] + first, ends[-1] - first) if ends[-1] > first else b""
        slices = [data[a - first : b - first] for a, b in zip(ends, ends[1:])]
        return [None if text is None else convert(text) for text in column.with_nulls(slices)]  # type: ignore[arg-type]

    return read


def _views(convert: Callable[[bytes], object]) -> Read:
    inline, size = 12, 16

    def read(column: Column) -> list[object]:
        values: list[Any] = []
        for at in range(column.start, column.start + column.length):
            view = column.buffers[1] + at * size
            length = ctypes.c_int32.from_address(view).value
            if length <= inline:
                values.append(ctypes.string_at(view + 4, length))
                continue
            buffer = ctypes.c_int32.from_address(view + 8).value
            offset = ctypes.c_int32.from_address(view + 12).value
            values.append((column.buffers[2 + buffer] + offset, length))
        found = column.with_nulls(values)
        return [None if v is None else convert(v if isinstance(v, bytes) else ctypes.string_at(*v)) for v in found]  # type: ignore[misc]

    return read


def _day(days: int) -> date:
    return (_EPOCH + timedelta(days=days)).date()


def _text(data: bytes) -> str:
    return data.decode()


def _same(data: bytes) -> bytes:
    return data


_OTHERS: dict[str, Read] = {
    "n": lambda column: [None] * column.length,
    "b": lambda column: column.with_nulls(column.bits(1)) if column.length else [],
    "u": _texts(ctypes.c_int32, _text),
    "U": _texts(ctypes.c_int64, _text),
    "z": _texts(ctypes.c_int32, _same),
    "Z": _texts(ctypes.c_int64, _same),
    "vu": _views(_text),
    "vz": _views(_same),
    "tdD": lambda column: _over(column, ctypes.c_int32, _day),
    "tdm": lambda column: _over(column, ctypes.c_int64, lambda ms: _day(ms // 86_400_000)),
    "tts": _time(ctypes.c_int32, "s"),
    "ttm": _time(ctypes.c_int32, "m"),
    "ttu": _time(ctypes.c_int64, "u"),
    "ttn": _time(ctypes.c_int64, "n"),
}
