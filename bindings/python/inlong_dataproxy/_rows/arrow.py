"""Reads what gives itself by Arrow's C stream interface, as dataframes of all makes do, without any package of theirs."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from ctypes import POINTER, Structure, c_char_p, c_int, c_int64, c_void_p
from typing import Any, Callable

from inlong_dataproxy.errors import RowError

from .arrow_types import Column, reader


class _Schema(Structure):
    """ArrowSchema."""


class _Array(Structure):
    """ArrowArray."""


class _Stream(Structure):
    """ArrowArrayStream."""


_RELEASE = ctypes.CFUNCTYPE(None, c_void_p)
_Schema._fields_ = [
    ("format", c_char_p),
    ("name", c_char_p),
    ("metadata", c_void_p),
    ("flags", c_int64),
    ("n_children", c_int64),
    ("children", POINTER(POINTER(_Schema))),
    ("dictionary", POINTER(_Schema)),
    ("release", c_void_p),
    ("private_data", c_void_p),
]
_Array._fields_ = [
    ("length", c_int64),
    ("null_count", c_int64),
    ("offset", c_int64),
    ("n_buffers", c_int64),
    ("n_children", c_int64),
    ("buffers", POINTER(c_void_p)),
    ("children", POINTER(POINTER(_Array))),
    ("dictionary", POINTER(_Array)),
    ("release", c_void_p),
    ("private_data", c_void_p),
]
_Stream._fields_ = [
    ("get_schema", ctypes.CFUNCTYPE(c_int, c_void_p, POINTER(_Schema))),
    ("get_next", ctypes.CFUNCTYPE(c_int, c_void_p, POINTER(_Array))),
    ("get_last_error", ctypes.CFUNCTYPE(c_char_p, c_void_p)),
    ("release", c_void_p),
    ("private_data", c_void_p),
]
_STRUCT = b"+s"

_pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_of.restype = c_void_p
_pointer_of.argtypes = (ctypes.py_object, c_char_p)


def batches(source: Any) -> Iterator[tuple[list[str], list[list[object]]]]:
    """Yield, for each batch of the source, the columns' names and their values.

    Raises:
        RowError: it is no table, or a column is of a type that has no text in a row.
    """
    capsule = source.__arrow_c_stream__()  # it owns the stream, and releases it
    address = _pointer_of(capsule, b"arrow_array_stream")
    stream = _Stream.from_address(address)
    schema = _Schema()
    _call(stream, address, stream.get_schema, schema)
    try:
        if schema.format != _STRUCT:
            raise RowError(f"the source is no table: its Arrow type is {schema.format!r}")
        children = [schema.children[i].contents for i in range(schema.n_children)]
        names = [(child.name or b"").decode() for child in children]
        readers = [_reader(child) for child in children]
        while True:
            array = _Array()
            _call(stream, address, stream.get_next, array)
            if not array.release:
                return
            try:
                columns = [read(_column(array, i)) for i, read in enumerate(readers)]
            finally:
                _release(array)
            yield names, columns
    finally:
        _release(schema)


def _call(stream: _Stream, address: int, function: Callable[..., int], to: Structure) -> None:
    if function(address, ctypes.byref(to)) != 0:
        text = stream.get_last_error(address) or b"no reason given"
        raise RowError(f"the source cannot be read: {text.decode('utf-8', 'replace')}")


def _release(thing: Any) -> None:
    if thing.release:
        _RELEASE(thing.release)(ctypes.addressof(thing))


def _reader(schema: Any) -> Callable[[Column], list[object]]:
    name = (schema.name or b"").decode()
    read = reader(schema.format.decode(), name)
    if not schema.dictionary:
        return read
    words = reader(schema.dictionary.contents.format.decode(), name)

    def read_words(column: Column) -> list[object]:
        found = words(column.dictionary())
        return [None if index is None else found[index] for index in read(column)]  # type: ignore[call-overload]

    return read_words


def _column(parent: Any, index: int) -> Column:
    """Return a child of a table, from the table's first row on."""
    return _view(parent.children[index].contents, parent.offset, parent.length)


def _view(array: Any, start: int, length: int) -> Column:
    def dictionary() -> Column:
        words = array.dictionary.contents
        return _view(words, 0, words.length)

    buffers = [array.buffers[i] or 0 for i in range(array.n_buffers)]
    return Column(buffers, array.offset + start, length, array.null_count != 0, dictionary)
