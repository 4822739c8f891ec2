"""What a DataProxy leaves in the queue is read as a consumer of InLong reads it, and nothing else passes for it."""

from __future__ import annotations

import json
import struct
from datetime import datetime, timezone
from typing import Any

import pytest
from support import CHECKOUT

from inlong_dataproxy import inlongmsg
from inlong_dataproxy.inlongmsg import Block, Dedup, MalformedError, Message, TooLargeError

CAPTURED: list[dict[str, Any]] = json.loads((CHECKOUT / "core" / "internal" / "wire" / "testdata" / "kafka.json").read_text())[
    "records"
]


def pairs(text: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in text.split("&"))


@pytest.mark.parametrize("number", range(24))
def test_captured_records_are_read_as_a_consumer_reads_them(number: int) -> None:
    # A decoder that reads other bytes calls sound data altered, or altered data sound.
    record = CAPTURED[number]
    message = inlongmsg.decode(bytes.fromhex(record["value"]))
    (block,) = message.blocks
    assert message.version == record["version"]
    assert block.attributes == pairs(record["attr"])
    assert [item.hex() for item in block.items] == record["items"]
    assert block.places == list(range(len(block.items)))
    assert block.compressed
    sent = 1_700_000_000.0 if message.version == inlongmsg.VERSION_BINARY else int(block.attributes["dt"]) / 1000
    assert block.time == datetime.fromtimestamp(sent, timezone.utc)
    assert block.count == (len(block.items) if message.version == inlongmsg.VERSION_BINARY else None)


def test_a_cut_record_does_not_pass_for_a_shorter_one() -> None:
    # The messages that are missing would not be missed.
    assert len(CAPTURED) == 24
    for record in CAPTURED:
        value = bytes.fromhex(record["value"])
        for size in range(len(value)):
            with pytest.raises(MalformedError):
                inlongmsg.decode(value[:size])


def text(*blocks: bytes, count: int | None = None) -> bytes:
    return b"\x0f\x01" + struct.pack(">qI", 0, len(blocks) if count is None else count) + b"".join(blocks) + b"\x0f\x01"


def block(attributes: bytes, compressed: int, body: bytes) -> bytes:
    return struct.pack(">H", len(attributes)) + attributes + struct.pack(">iB", len(body) + 1, compressed) + body


def item(*payloads: bytes) -> bytes:
    return b"".join(struct.pack(">i", len(payload)) + payload for payload in payloads)


def binary(body: bytes, attributes: bytes, *, count: int = 1, extension: int = 4, kind: int = 7, end: int = 0xEE01) -> bytes:
    frame = struct.pack(">BHHHIHIi", kind, 0, 0, extension, 1_700_000_000, count, 5, len(body))
    frame += body + struct.pack(">h", len(attributes)) + attributes + struct.pack(">H", end)
    return b"\x0f\x04" + struct.pack(">i", len(frame)) + frame + b"\x0f\x04"


@pytest.mark.parametrize(
    ("value", "attributes", "items"),
    [
        (text(block(b"k=v", 0, item(b"ab", b""))), [{"k": "v"}], [b"ab", b""]),
        (text(), [], []),
        (text(block(b"k=v", 0, b"")), [{"k": "v"}], []),
        (text(block(b"k=v&dt=x", 0, item(b"a")), block(b"k=w", 0, item(b"b"))), [{"k": "v", "dt": "x"}, {"k": "w"}], [b"a", b"b"]),
        (text(block(b"k=\xed\xa0\xbd\xed\xb8\x80", 0, item(b"a"))), [{"k": "\U0001f600"}], [b"a"]),
        (text(block(b"k=\xc0\x80", 0, item(b"a"))), [{"k": "\0"}], [b"a"]),
        (binary(item(b"a", b""), b"k=v", count=2), [{"k": "v"}], [b"a", b""]),
        (binary(item(b"a"), b""), [{}], [b"a"]),
    ],
)
def test_forms_that_no_capture_shows(value: bytes, attributes: list[dict[str, str]], items: list[bytes]) -> None:
    blocks = inlongmsg.decode(value).blocks
    assert [b.attributes for b in blocks] == attributes
    assert [i for b in blocks for i in b.items] == items


def snappy(size: int, *parts: bytes) -> bytes:
    assert size < 0x80 * 0x80
    return bytes([size & 0x7F | 0x80, size >> 7]) + b"".join(parts)


LITERAL = b"\x0cabcd"  # four bytes


@pytest.mark.parametrize(
    ("packed", "plain"),
    [
        (snappy(4, LITERAL), b"abcd"),
        (snappy(104, b"\xf0\x63" + b"x" * 100, LITERAL), b"x" * 100 + b"abcd"),
        (snappy(304, b"\xf4\x2b\x01" + b"y" * 300, LITERAL), b"y" * 300 + b"abcd"),
        (snappy(8, LITERAL, b"\x01\x04"), b"abcdabcd"),  # an offset of 11 bits
        (snappy(10, LITERAL, b"\x16\x02\x00"), b"abcdcdcdcd"),  # of 16, over what it makes itself
        (snappy(8, LITERAL, b"\x0f\x04\x00\x00\x00"), b"abcdabcd"),  # of 32
        (snappy(9, LITERAL, b"\x12\x01\x00"), b"abcdddddd"),
        (snappy(600, b"\xf4\x2b\x01" + b"ab" * 150, b"\xfe\x2c\x01" * 4 + b"\xae\x2c\x01"), b"ab" * 300),
    ],
)
def test_every_form_of_snappy_is_read(packed: bytes, plain: bytes) -> None:
    value = text(block(b"k=v", 1, packed))
    whole = inlongmsg.decode(text(block(b"k=v", 0, item(plain)))).blocks[0].items[0]
    assert whole == plain
    with pytest.raises(MalformedError):  # what it unpacks to is no list of items
        inlongmsg.decode(value)
    assert inlongmsg._snappy(packed) == plain  # pyright: ignore[reportPrivateUsage]
    given: list[bytes] = []

    def decompress(data: bytes) -> bytes:
        given.append(data)
        return item(plain)

    assert inlongmsg.decode(value, decompress).blocks[0].items == [plain]
    assert given == [packed]


GOOD = item(b"a")


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x0f\x01",
        b"\x0f\x01\x0f\x01",
        b"\x0e" + text()[1:],
        text()[:-1] + b"\x04",
        b"\x0f\x03" + bytes(20) + b"\x0f\x03",
        text(block(b"k=v", 0, GOOD), count=2),
        text(block(b"k=v", 0, GOOD), count=0),
        text(b"\xff\xffk=v\0\0\0\6\0" + GOOD),
        text(b"\0\3k=v\0\0\0\7\0" + GOOD),
        text(b"\0\3k=v\0\0\0\0"),
        text(b"\0\3k=v\xff\xff\xff\xff\0" + GOOD),
        text(block(b"k=v", 2, GOOD)),
        text(block(b"k=v", 1, b"\xff\xff\xff\xff")),
        text(block(b"k=v", 1, b"\xff\xff\xff\xff\x0f\0")),  # 4 GB of nothing
        text(block(b"k=v", 1, b"\4\1\4")),  # a copy of what is not there
        text(block(b"k=v", 1, snappy(4, b"\x0cabc"))),
        text(block(b"k=v", 1, snappy(3, LITERAL))),
        text(block(b"k=v", 1, snappy(8, LITERAL, b"\x01\x00"))),
        text(block(b"k=v", 0, b"\0\0\0\2a")),
        text(block(b"k=v", 0, GOOD + b"\0\0")),
        text(block(b"k=v", 0, b"\xff\xff\xff\xff")),
        text(block(b"k=\xc3", 0, GOOD)),
        text(block(b"k=\0", 0, GOOD)),
        text(block(b"k=\xf0\x9f\x98\x80", 0, GOOD)),
        binary(b"", b"k=v"),
        binary(GOOD, b"k=v", kind=5),
        binary(GOOD, b"k=v", end=0xEE02),
        binary(GOOD, b"k"),
        binary(GOOD, b"k=v&k=w"),
        binary(GOOD + b"\0", b"k=v"),
        b"\x0f\x04\0\0\0\1\1\x0f\x04",
    ],
)
def test_malformed_values_are_refused(value: bytes) -> None:
    with pytest.raises(MalformedError, match=r"^malformed InLongMsg: "):
        inlongmsg.decode(value)


def itemized(count: int, *parts: bytes) -> bytes:
    return binary(item(*parts), b"groupId=g&streamId=s&mid=1", count=count, extension=5)


def test_items_with_attributes_are_read_in_groups() -> None:
    # A consumer puts those of the same attributes together, and the batch's values before theirs.
    message = inlongmsg.decode(itemized(4, b"C1", b"k=a", b"C2", b"k=b&x=1", b"C3", b"k=a", b"C4", b"x=1&k=b&mid=2"))
    shared = {"groupId": "g", "streamId": "s", "mid": "1"}
    assert [(b.attributes, b.items, b.places) for b in message.blocks] == [
        ({**shared, "k": "a"}, [b"C1", b"C3"], [0, 2]),
        ({**shared, "k": "b", "x": "1"}, [b"C2", b"C4"], [1, 3]),
    ]


@pytest.mark.parametrize(
    ("count", "parts"),
    [
        (2, (b"a", b"k=1", b"", b"k=2")),
        (2, (b"a", b"k=1", b"b", b"")),
        (2, (b"a", b"k=1", b"b", b"k")),
        (2, (b"a", b"k=1", b"b", b"k=2=3")),
        (2, (b"a", b"k=1", b"b", b"k=2&")),
        (2, (b"a", b"k=1", b"b", b"k=2&k=3")),
        (2, (b"a", b"k=1", b"b")),
        (32768, (b"a", b"k=1")),
    ],
)
def test_one_bad_item_makes_the_whole_value_unreadable(count: int, parts: tuple[bytes, ...]) -> None:
    # A decoder that reads around it says of a record that nobody can read that it arrived.
    with pytest.raises(MalformedError):
        inlongmsg.decode(itemized(count, *parts))


def batch(mid: object, group: str = "g", stream: str = "s") -> Message:
    return Message(1, [Block({"groupId": group, "streamId": stream, "mid": str(mid)})])


def test_dedup_tells_doubles_and_nothing_else() -> None:
    # A double that is let through is counted twice; a value that is taken for one is lost.
    doubles = Dedup(100)
    assert not any(doubles.seen(batch(mid)) for mid in range(100))
    assert all(doubles.seen(batch(mid)) for mid in range(100))
    assert not any(doubles.seen(other) for other in (batch(1, group="h"), batch(1, stream="t"), batch("01")))
    several = Message(1, [*batch(1).blocks, *batch(2).blocks])
    for unknown in (batch(""), Message(1, []), several):
        assert not doubles.seen(unknown)
        assert not doubles.seen(unknown)
    grouped = inlongmsg.decode(itemized(2, b"a", b"k=1", b"b", b"k=2"))
    doubles = Dedup(10)
    assert not doubles.seen(grouped)
    assert doubles.seen(grouped)


def test_dedup_remembers_so_many_batches_and_no_more() -> None:
    # Memory that grows with each batch ends the consumer.
    doubles = Dedup(10)
    for mid in range(1000):
        assert not doubles.seen(batch(mid))
        assert doubles.seen(batch(mid))
        assert doubles.seen(batch(max(mid - 9, 0)))
        assert len(doubles) <= 10
    assert not doubles.seen(batch(3))


def test_dedup_remembers_no_ids_that_are_too_long() -> None:
    # A writer of the queue chose how much of the reader's memory a batch took: its mid may be as long as a value.
    doubles = Dedup(10)
    for long in (batch("x" * 2000), batch(1, group="x" * 2000), batch(1, stream="x" * 2000)):
        assert not doubles.seen(long)
        assert not doubles.seen(long)
    assert len(doubles) == 0
    assert not doubles.seen(batch("x" * 200))
    assert doubles.seen(batch("x" * 200))


def test_dedup_forgets_what_was_not_used() -> None:
    # A value that could not be used is read again, and must not be passed over then.
    doubles = Dedup(2)
    doubles.seen(batch(1))
    doubles.forget(batch(1))
    doubles.forget(batch(7))
    doubles.forget(batch(""))
    assert not doubles.seen(batch(1))
    assert doubles.seen(batch(1))


def test_a_value_that_takes_too_much_memory_is_refused() -> None:
    # Half a megabyte decoded to gigabytes, which took the consumer and all that ran beside it.
    def groups(items: int, keys: int) -> bytes:
        long = b"&".join(b"k%d=" % i for i in range(keys))
        own = b"".join(struct.pack(">i", 1) + b"x" + struct.pack(">i", 7) + b"i=%05d" % i for i in range(items))
        frame = (
            struct.pack(">BHHHIHIi", 7, 0, 0, 1, 0, items, 1, len(own)) + own + struct.pack(">h", len(long)) + long + b"\xee\x01"
        )
        return b"\x0f\x04" + struct.pack(">i", len(frame)) + frame + b"\x0f\x04"

    huge = struct.pack(">qIHiB", 0, 1, 0, 6, 1) + b"\xff\xff\xff\xff\x0f"
    with pytest.raises(TooLargeError, match="max_bytes = 268435456"):
        inlongmsg.decode(b"\x0f\x01" + huge + b"\x0f\x01")
    with pytest.raises(TooLargeError, match="max_bytes = 1000000"):
        inlongmsg.decode(groups(1000, 4000), max_bytes=1_000_000)
    assert len(inlongmsg.decode(groups(10, 10), max_bytes=100_000).blocks) == 10
    with pytest.raises(ValueError, match="max_bytes = 0: must be 1 or more"):
        inlongmsg.decode(groups(1, 1), max_bytes=0)
