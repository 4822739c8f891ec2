"""The memory of an object that has the buffer protocol, for C to read: ctypes itself gives no address of what is read-only."""

from __future__ import annotations

import ctypes
from typing import Any

_SIMPLE = 0  # PyBUF_SIMPLE: bytes that lie together


class _Buffer(ctypes.Structure):
    """Py_buffer."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


def _function(name: str, *argtypes: Any, restype: Any = None) -> Any:
    function = ctypes.pythonapi[name]  # one of our own: others may use it with other types
    function.argtypes = argtypes
    function.restype = restype
    return function


_get = _function("PyObject_GetBuffer", ctypes.py_object, ctypes.POINTER(_Buffer), ctypes.c_int, restype=ctypes.c_int)
_release = _function("PyBuffer_Release", ctypes.POINTER(_Buffer))


class BorrowedBytes:
    """Bytes that stay where they are, and cannot go, as long as this object exists.

    Attributes:
        address: where they begin.
        size: how many.
    """

    __slots__ = ("_buffer", "address", "size")

    def __init__(self, view: memoryview) -> None:
        self._buffer = buffer = _Buffer()
        _get(view, ctypes.byref(buffer), _SIMPLE)  # raises what the object raises
        self.address = int(buffer.buf or 0)
        self.size = int(buffer.len)

    def __del__(self) -> None:
        _release(ctypes.byref(self._buffer))
