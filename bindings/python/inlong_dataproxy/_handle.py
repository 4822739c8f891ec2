"""From keyword arguments to a client's handle, and the library's tables."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from . import _codes, _interpreter, _log_lines, _lowlevel as low, _offloop, _options
from ._interruptible import Call
from .errors import ConfigError


@dataclass(frozen=True)
class OptionInfo:
    """One option: a keyword argument of Client.

    Attributes:
        key: its name.
        kind: string, duration, int, size, bool, enum, map or list.
        default, min, max: as text, "" when there is none.
        values: those of an enum, separated by "|".
        doc: what it does.
    """

    key: str
    kind: str
    default: str
    min: str
    max: str
    values: str
    doc: str


@functools.cache
def option_table() -> Mapping[str, OptionInfo]:
    """Return all options by key."""
    return {info.key: info for info in _options_described()}


def _options_described() -> Iterator[OptionInfo]:
    index = 0
    while info := low.options_describe(index):
        entry = info.contents
        texts = (entry.key, entry.kind, entry.default_value, entry.min, entry.max, entry.values, entry.doc)
        yield OptionInfo(*(str(text or b"", "utf-8") for text in texts))
        index += 1


def option_texts(url: str, group_id: str, options: Mapping[str, object]) -> dict[str, str]:
    """Return the options as the library takes them.

    Raises:
        ConfigError: names every option that does not exist (and the nearest that does) or has a value of a wrong type.
    """
    given: dict[str, object] = dict(options)
    if url != "":
        given["url"] = url
    if group_id != "":
        given["group_id"] = group_id
    table = option_table()
    texts: dict[str, str] = {}
    faults: list[str] = []
    for key, value in given.items():
        try:
            texts[key] = _options.to_text(key, table[key].kind, value) if key in table else _unknown(key)
        except ConfigError as error:
            faults.append(str(error))
    if faults:
        raise ConfigError("; ".join(faults))
    return texts


def send_timeout_seconds(texts: Mapping[str, str]) -> float:
    """Return the option send_timeout, by which every message has its result."""
    return _options.duration_seconds(texts.get("send_timeout") or option_table()["send_timeout"].default)


def _unknown(key: str) -> str:
    _set_options({key: ""})  # the library's error names the nearest key
    raise ConfigError(f"option {key!r}: unknown")


def new_handle(texts: Mapping[str, str]) -> low.ClientHandle:
    """Make a client in the library. Ctrl-C ends the wait; a client that comes into being after that is closed at once."""
    _interpreter.check_threads()
    call = Call(_open, texts)
    try:
        return call.wait()
    except KeyboardInterrupt:
        Call(_discard, call)
        raise


async def new_handle_async(texts: Mapping[str, str]) -> low.ClientHandle:
    """Make a client in the library without blocking the loop. What a cancelled await leaves is closed at once."""
    _interpreter.check_threads()
    call, future = _offloop.start(asyncio.get_running_loop(), _open, texts)
    try:
        return await future
    except asyncio.CancelledError:
        Call(_discard, call)
        raise


def _discard(call: Call[low.ClientHandle]) -> None:
    low.client_close(call.wait(), 0, None)


def _open(texts: Mapping[str, str]) -> low.ClientHandle:
    options = _set_options(texts)
    handle = low.ClientHandle()
    try:
        low.options_set_log(options, None, None, _log_lines.DEBUG)
        _log_lines.start()
        low.client_new(options, handle, None, 0)
    finally:
        low.options_free(options)
    return handle


def _set_options(texts: Mapping[str, str]) -> low.OptionsPointer:
    options = low.options_new()
    if not options:
        raise _codes.call_error(_codes.ERR_NOMEM, b"no memory", b"")
    try:
        for key, text in texts.items():
            low.options_set(options, key.encode("utf-8", "surrogatepass"), text.encode("utf-8", "surrogatepass"), None, 0)
    except BaseException:
        low.options_free(options)
        raise
    return options


__all__ = ["OptionInfo", "new_handle", "new_handle_async", "option_table", "option_texts"]
