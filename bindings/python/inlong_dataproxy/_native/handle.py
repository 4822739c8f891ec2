"""From keyword arguments to a client's handle, and the library's tables."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Optional

from inlong_dataproxy._host import interpreter
from inlong_dataproxy._host.calls import Call
from inlong_dataproxy.errors import ConfigError

from . import auth, codes, log_lines, lowlevel as low, options

_WAITING_PART = 16  # of the bounds of what is pending


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


def option_texts(url: str, group_id: str, given_options: Mapping[str, object]) -> dict[str, str]:
    """Return the options as the library takes them.

    Raises:
        ConfigError: names every option that does not exist (and the nearest that does) or has a value of a wrong type.
    """
    given: dict[str, object] = dict(given_options)
    if url != "":
        given["url"] = url
    if group_id != "":
        given["group_id"] = group_id
    table = option_table()
    texts: dict[str, str] = {}
    faults: list[str] = []
    for key, value in given.items():
        try:
            texts[key] = options.to_text(key, table[key].kind, value) if key in table else _unknown(key)
        except ConfigError as error:
            faults.append(str(error))
    if faults:
        raise ConfigError("; ".join(faults))
    return texts


@dataclass(frozen=True)
class Bounds:
    """What the options of a client say of waiting.

    Attributes:
        block: whether a full queue is waited for.
        send_timeout: seconds, by which every message has its result.
        messages, payload_bytes: how much may wait in Python, in the queue and again in the hands of who passes it on. The library
            gets so much less of max_pending_messages and max_pending_bytes.
        texts: the options for the library.
    """

    block: bool
    send_timeout: float
    messages: int
    payload_bytes: int
    texts: Mapping[str, str]

    @staticmethod
    def of(texts: Mapping[str, str], *, waiting: bool) -> Bounds:
        """Return those of a client's options, with room for what waits in Python or without."""

        def text(key: str) -> str:
            return texts.get(key) or option_table()[key].default

        block, seconds = text("block_if_queue_is_full") == "true", 0.0
        with contextlib.suppress(ValueError):  # the library says what is wrong
            seconds = options.duration_seconds(text("send_timeout"))
        left, parts = dict(texts), [1, 1]
        for place, (key, enough) in enumerate((("max_pending_messages", 4096), ("max_pending_bytes", 4 << 20))):
            try:
                least, most, given = (options.size_bytes(t) for t in (option_table()[key].min, option_table()[key].max, text(key)))
            except ValueError:
                continue  # the library says what is wrong
            if waiting and least <= given <= most:
                parts[place] = max(min(given // _WAITING_PART, enough), 1)
                left[key] = str(max(given - 2 * parts[place], least))
        return Bounds(block, seconds, parts[0], parts[1], left)


def _unknown(key: str) -> str:
    native_options({key: ""})  # the library's error names the nearest key
    raise ConfigError(f"option {key!r}: unknown")


class Handle(low.ClientHandle):
    """One that nobody has taken, since a signal handler raised just then, is closed when it is collected."""

    def __del__(self) -> None:
        if self.value and not self.taken and low is not None:  # as the interpreter ends, it may be
            low.client_close(self, 0, None)


def new_handle(texts: Mapping[str, str], signs: Optional[auth.Auth]) -> low.ClientHandle:
    """Make a client in the library. Ctrl-C ends the wait; a client that comes into being after that is closed at once."""
    interpreter.check_threads()
    call = Call(make_handle, texts, signs)
    try:
        return call.wait()
    except BaseException:  # Ctrl-C, or what another signal handler raises
        Call(discard, call)
        raise


def discard(call: Call[low.ClientHandle]) -> None:
    """Close the client that a call makes, once it is made, if it is."""
    handle = call.outcome()
    if handle is not None:
        low.client_close(handle, 0, None)


def make_handle(texts: Mapping[str, str], signs: Optional[auth.Auth]) -> low.ClientHandle:
    """Make a client in the library. Blocks without regard to signals."""
    handle = Handle()
    handle.kept = signer = None if signs is None else auth.Signer(signs)
    given = native_options(texts, signer)
    try:
        low.options_set_log(given, low.LOG_QUEUE, None, log_lines.DEBUG)
        log_lines.start()
        low.client_new(given, handle, None, 0)
    finally:
        low.options_free(given)
    return handle


def native_options(texts: Mapping[str, str], signer: Optional[auth.Signer] = None) -> low.OptionsPointer:
    """Return options of the library, to be freed by low.options_free. The signer must live as long as what is made of them."""
    made = low.options_new()
    if not made:
        raise codes.call_error(codes.ERR_NOMEM, b"no memory", b"")
    try:
        for key, text in texts.items():
            low.options_set(made, key.encode("utf-8", "surrogatepass"), text.encode("utf-8", "surrogatepass"), None, 0)
        if signer is not None:
            low.options_set_auth(made, low.AUTH_QUEUE, signer.number)
            auth.answers.start()
    except BaseException:
        low.options_free(made)
        raise
    return made
