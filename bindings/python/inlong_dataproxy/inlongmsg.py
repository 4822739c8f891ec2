"""Read what a DataProxy writes to the message queue (Kafka, Pulsar): InLongMsg, version 1 for text frames, 4 for binary ones.

`decode` makes messages of a record's value, `Dedup` finds duplicates; examples/04_read_topic.py uses both.
Nothing here needs a client. Any thread may use what is decoded.
"""

from __future__ import annotations

import struct
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Callable, Optional

VERSION_TEXT = 1
VERSION_BINARY = 4

_MAGIC = 0x0F  # first of the two bytes around a value; the second is the version
_END_OF_FRAME = 0xEE01
_TYPE_BINARY, _TYPE_MASK, _FLAG_SNAPPY, _ITEM_ATTRIBUTES = 7, 0x1F, 0x20, 0x01
_MOST_ITEMIZED = 2**15 - 1  # a consumer takes a larger count for negative
_MOST_SNAPPY_EXPANSION = 64  # a copy of three bytes yields at most 64
_ITEM, _ATTRIBUTE, _BLOCK = 100, 250, 600  # bytes that each takes in addition to its text, approximately
_LONGEST_KEY = 1024  # characters; the ids of a batch of this project have fewer, and longer ones could fill the memory
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class MalformedError(ValueError):
    """The value is not an InLongMsg of these versions, or it is damaged. No part of it can be trusted."""


class TooLargeError(MalformedError):
    """The value would take more memory than max_bytes. Nobody sends such a value by accident."""


class _Room:
    """What is left of max_bytes while one value is decoded."""

    def __init__(self, most: int) -> None:
        self._most = self._left = most

    def take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise TooLargeError(f"malformed InLongMsg: it takes too much memory: more than max_bytes = {self._most}")


@dataclass(frozen=True)
class Block:
    """Messages with the attributes that they share.

    Attributes:
        attributes: those of the batch, in a binary frame with those of the items; if both have a name the batch's value wins.
        items: the payloads.
        places: their places in the batch, from 0. They put messages with attributes of their own in order.
        time: the event time: "dt" of a text frame, the header's seconds of a binary one. None: there is none.
        count: the number of messages in the header of a binary frame; None for a text frame, whose number cannot be trusted.
        compressed: whether the value's body was a Snappy block.
    """

    attributes: dict[str, str]
    items: list[bytes] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    time: Optional[datetime] = None
    count: Optional[int] = None
    compressed: bool = False


@dataclass(frozen=True)
class Message:
    """One value of the queue, decoded.

    Attributes:
        version: VERSION_TEXT or VERSION_BINARY.
        blocks: a DataProxy puts one batch into a value: one block, except where messages have attributes of their own; then one
            for each set of them, in the order of their first messages.
    """

    version: int
    blocks: list[Block]


def decode(value: bytes, decompress: Optional[Callable[[bytes], bytes]] = None, *, max_bytes: int = 256 << 20) -> Message:
    """Decode one value.

    Args:
        value: the value of one record.
        decompress: decodes a raw Snappy block, such as snappy.uncompress of the package python-snappy; default: this module's own,
            in Python.
        max_bytes: about how much memory the decoded value may take; default: 256 MiB. Half a megabyte can decode to
            gigabytes.

    Raises:
        MalformedError: see there.
        TooLargeError: a MalformedError for a value that takes more than max_bytes.
    """
    if max_bytes < 1:
        raise ValueError(f"max_bytes = {max_bytes}: must be 1 or more")
    if len(value) < 4:  # the marks
        raise MalformedError(f"malformed InLongMsg: {len(value)} bytes")
    if value[0] != _MAGIC or value[-2] != _MAGIC or value[-1] != value[1]:
        raise MalformedError(f"malformed InLongMsg: it starts with {value[:2].hex(' ')} and ends with {value[-2:].hex(' ')}")
    version, body = value[1], bytes(value[2:-2])
    try:
        if version == VERSION_TEXT:
            return Message(version, _text_blocks(body, decompress or _snappy, _Room(max_bytes)))
        if version == VERSION_BINARY:
            return Message(version, _binary_blocks(body, decompress or _snappy, _Room(max_bytes)))
    except (struct.error, IndexError, UnicodeError) as error:
        raise MalformedError(f"malformed InLongMsg: {error}") from None
    raise MalformedError(f"malformed InLongMsg: version {version}")


def _text_blocks(body: bytes, decompress: Callable[[bytes], bytes], room: _Room) -> list[Block]:
    """Read: time of creation, number of blocks, and each as attributes and body."""
    _, count = struct.unpack_from(">qI", body)
    at = 12
    blocks: list[Block] = []
    for _ in range(count):
        (length,) = struct.unpack_from(">H", body, at)
        text = _cut(body, at + 2, length)
        attributes = _attributes(_modified_utf8(text))
        room.take(_BLOCK + _ATTRIBUTE * len(attributes) + length)
        at += 2 + length
        (size,) = struct.unpack_from(">i", body, at)
        packed = _cut(body, at + 4, size)
        if size < 1 or packed[0] > 1:
            raise MalformedError(f"malformed InLongMsg: a body of {size} bytes, compression {packed[:1].hex()}")
        at += 4 + size
        plain = _unpacked(packed[1:], decompress, room) if packed[0] else packed[1:]
        items = list(_items(plain, room))
        time = _milliseconds(attributes.get("dt", ""))
        blocks.append(Block(attributes, items, list(range(len(items))), time, None, packed[0] == 1))
    if at != len(body):
        raise MalformedError(f"malformed InLongMsg: {len(body) - at} bytes after the last block")
    return blocks


def _binary_blocks(frame: bytes, decompress: Callable[[bytes], bytes], room: _Room) -> list[Block]:
    """Read a binary frame as it was sent, except that the node put attributes in front and compressed the body."""
    total, kind, _, _, extension, seconds, count, _, size = struct.unpack_from(">iBHHHIHIi", frame)
    if size < 1:
        raise MalformedError(f"malformed InLongMsg: a body of {size} bytes")
    body = _cut(frame, 25, size)
    (length,) = struct.unpack_from(">h", frame, 25 + size)
    text = _cut(frame, 27 + size, length)
    (end,) = struct.unpack_from(">H", frame, 27 + size + length)
    if kind & _TYPE_MASK != _TYPE_BINARY or end != _END_OF_FRAME or not total + 4 == len(frame) == 29 + size + length:
        raise MalformedError("malformed InLongMsg: no binary frame")
    if kind & _FLAG_SNAPPY:
        body = _unpacked(body, decompress, room)
    of_batch = _strict_attributes(text) if text.strip() else {}
    shared = (_EPOCH + timedelta(seconds=seconds), count, bool(kind & _FLAG_SNAPPY))
    items = list(_items(body, room))
    if not extension & _ITEM_ATTRIBUTES:
        return [Block(of_batch, items, list(range(len(items))), *shared)]
    if len(items) % 2 or count > _MOST_ITEMIZED:
        raise MalformedError(f"malformed InLongMsg: {len(items)} payloads and attributes by turns, count {count}")
    blocks: dict[frozenset[tuple[str, str]], Block] = {}
    known: dict[bytes, Block] = {}
    for place, (item, own) in enumerate(zip(items[::2], items[1::2])):
        if not item:
            raise MalformedError(f"malformed InLongMsg: item {place} is empty")
        block = known.get(own)
        if block is None:
            attributes = {**_strict_attributes(own), **of_batch}
            room.take(_BLOCK + _ATTRIBUTE * len(attributes) + len(own))
            block = known[own] = blocks.setdefault(frozenset(attributes.items()), Block(attributes, [], [], *shared))
        block.items.append(item)
        block.places.append(place)
    return list(blocks.values())


def _cut(data: bytes, start: int, size: int) -> bytes:
    if not 0 <= size <= len(data) - start:
        raise MalformedError(f"malformed InLongMsg: {size} bytes where {max(len(data) - start, 0)} are left")
    return data[start : start + size]


def _unpacked(block: bytes, decompress: Callable[[bytes], bytes], room: _Room) -> bytes:
    """Decompress what tells its size in front, if there is room for it."""
    room.take(_snappy_size(block)[0])
    return decompress(block)


def _items(body: bytes, room: _Room) -> Iterator[bytes]:
    room.take(len(body))
    at = 0
    while at < len(body):
        room.take(_ITEM)
        (size,) = struct.unpack_from(">i", body, at)
        yield _cut(body, at + 4, size)
        at += 4 + size


def _attributes(text: str) -> dict[str, str]:
    """Split attributes. A consumer refuses a key that comes twice; here the last one counts."""
    pairs = (entry.strip().partition("=") for entry in text.split("&"))
    return {key: value for key, separator, value in pairs if separator}


def _strict_attributes(encoded: bytes) -> dict[str, str]:
    """Split attributes as a consumer does with those of a binary frame."""
    attributes: dict[str, str] = {}
    text = encoded.decode("utf-8", "replace")
    for entry in text.split("&"):
        key, separator, value = entry.strip().partition("=")
        if not separator or key in attributes or "=" in value:
            raise MalformedError(f"malformed InLongMsg: attributes {text!r}: must be key=value&key=value, each key once")
        attributes[key] = value
    return attributes


def _milliseconds(text: str) -> Optional[datetime]:
    try:
        return _EPOCH + timedelta(milliseconds=int(text))
    except (ValueError, OverflowError):
        return None


def _modified_utf8(text: bytes) -> str:
    """Decode text of Java's writeUTF: UTF-8 of UTF-16 units, with NUL in two bytes."""
    if text.isascii() and b"\0" not in text:
        return text.decode("ascii")
    if b"\0" in text or any(byte >= 0xF0 for byte in text):
        raise MalformedError("malformed InLongMsg: attributes are not in modified UTF-8")
    units = text.replace(b"\xc0\x80", b"\0").decode("utf-8", "surrogatepass")
    return units.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _snappy_size(block: bytes) -> tuple[int, int]:
    """Return the size that a Snappy block unpacks to, and where its content begins."""
    size = shift = at = 0
    while True:
        size |= (block[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if block[at - 1] < 0x80:
            return size, at


def _snappy(block: bytes) -> bytes:
    """Decode one raw Snappy block."""
    size, at = _snappy_size(block)
    if size > len(block) * _MOST_SNAPPY_EXPANSION:  # before memory is taken for it
        raise MalformedError("malformed InLongMsg: no Snappy block")
    out = bytearray()
    while at < len(block):
        tag = block[at]
        kind, length = tag & 3, (tag >> 2) + 1
        if kind == 0:
            extra = max(length - 60, 0)
            if extra:
                length = int.from_bytes(_cut(block, at + 1, extra), "little") + 1
            out += _cut(block, at + 1 + extra, length)
            at += 1 + extra + length
        else:
            width = (1, 2, 4)[kind - 1]
            offset = int.from_bytes(_cut(block, at + 1, width), "little")
            if kind == 1:
                offset |= tag >> 5 << 8
                length = (tag >> 2 & 7) + 4
            at += 1 + width
            _copy(out, offset, length)
        if len(out) > size:
            break
    if len(out) != size:
        raise MalformedError("malformed InLongMsg: no Snappy block")
    return bytes(out)


def _copy(out: bytearray, offset: int, length: int) -> None:
    if not 0 < offset <= len(out):
        raise MalformedError("malformed InLongMsg: no Snappy block")
    start = len(out) - offset
    if offset >= length:
        out += out[start : start + length]
    else:  # what is copied overlaps with what it makes
        out += (bytes(out[start:]) * (length // offset + 1))[:length]


class Dedup:
    """Finds values of the queue that came before.

    A batch whose ack was lost is sent again and arrives twice: as a whole value, with the same messages in the same order and the
    same "mid", which no other batch of any client of this project has. Values without a mid, which other SDKs send, are
    never duplicates. Any thread may use it; partitions of a topic may have one each, or share one.

    Args:
        batches: how many it remembers, at least 1; one more replaces the oldest. A duplicate comes as late as the sender's
            send_timeout, or after its restart if it has a spool: keep as many batches as arrive in that time.
    """

    def __init__(self, batches: int) -> None:
        self._most = max(batches, 1)
        self._known: OrderedDict[tuple[str, str, str], None] = OrderedDict()  # in the order of coming
        self._lock = threading.Lock()

    def seen(self, message: Message) -> bool:
        """Return whether a value with the same batch came before, and remember it.

        Call it once for each value, before you use the value. If using it fails, call forget; otherwise the value counts as a
        duplicate when it is read again.
        """
        key = _batch(message)
        if key is None:
            return False
        with self._lock:
            if key in self._known:
                return True
            if len(self._known) >= self._most:
                self._known.popitem(last=False)
            self._known[key] = None
            return False

    def forget(self, message: Message) -> None:
        """Forget that a value was seen."""
        key = _batch(message)
        with self._lock:
            if key is not None:
                self._known.pop(key, None)

    def __len__(self) -> int:
        """Return how many batches are remembered."""
        return len(self._known)


def _batch(message: Message) -> Optional[tuple[str, str, str]]:
    """Return the name of the batch of a value; None if there is none, or several, which no DataProxy writes."""
    keys = {tuple(block.attributes.get(key, "") for key in ("groupId", "streamId", "mid")) for block in message.blocks}
    if len(keys) != 1:
        return None
    group, stream, mid = keys.pop()
    return (group, stream, mid) if mid and len(group) + len(stream) + len(mid) <= _LONGEST_KEY else None
