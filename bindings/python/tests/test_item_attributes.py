"""Attributes of single messages: each arrives with its own, they divide no batch, and a bad one is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from support import GROUP, STREAM

from inlong_dataproxy import AsyncClient, Client, InvalidMessageError, Persisted
from inlong_dataproxy.testing import MockCluster

COUNT = 20_000
MOST_FRAMES = 420


@pytest.fixture
def client(cluster: MockCluster) -> Iterator[Client]:
    with Client(cluster.url, group_id=GROUP, message_format="binary", batching_max_publish_delay=1) as opened:
        yield opened


def own(number: int) -> dict[str, str]:
    return {"trace": f"{number:032x}", "span": str(number % 7)}


def check_arrived(cluster: MockCluster, count: int) -> None:
    messages = cluster.messages()
    assert len(messages) == count
    assert {m.payload: m.item_attributes for m in messages} == {b"%d" % n: own(n) for n in range(count)}
    assert sum(node["frames"] for node in cluster.stats()["nodes"]) <= MOST_FRAMES


def test_a_trace_id_each_makes_no_more_frames_than_none(cluster: MockCluster, client: Client) -> None:
    # 20,000 messages with a trace id each were 20,000 frames.
    futures = [client.send_async(b"%d" % n, STREAM, item_attributes=own(n)) for n in range(COUNT)]
    client.flush()
    assert all(future.result() for future in futures)
    check_arrived(cluster, COUNT)


def test_a_trace_id_each_makes_no_more_frames_in_asyncio_either(cluster: MockCluster) -> None:
    async def main() -> None:
        async with AsyncClient(cluster.url, group_id=GROUP, message_format="binary", batching_max_publish_delay=1) as client:
            assert all(await asyncio.gather(*(client.send_nowait(b"%d" % n, STREAM, item_attributes=own(n)) for n in range(COUNT))))

    asyncio.run(main())
    check_arrived(cluster, COUNT)


def test_every_way_to_send_takes_them(cluster: MockCluster, client: Client) -> None:
    # One way that drops them, or that gives them to the next message of the same ids.
    more: dict[str, Any] = {"attributes": {"host": "web1"}, "group_id": "other_group", "event_time": 1_700_000_000}
    client.send(b"send", STREAM, item_attributes=own(1), **more)
    client.send_async(b"async", STREAM, item_attributes=own(2), **more).result()
    client.send_many([b"many"], STREAM, item_attributes=own(3), **more)
    client.send(b"none", STREAM, **more)
    client.send(b"empty", STREAM, item_attributes={}, **more)
    arrived = {m.payload: m for m in cluster.messages()}
    assert {payload: m.item_attributes for payload, m in arrived.items()} == {
        b"send": own(1),
        b"async": own(2),
        b"many": own(3),
        b"none": {},
        b"empty": {},
    }
    for message in arrived.values():
        assert (message.group_id, message.attributes["host"]) == ("other_group", "web1")


def test_names_that_consumers_and_the_audit_read_may_be_set(cluster: MockCluster, client: Client) -> None:
    # All names of the protocol were refused, these two as well, which the Java SDK sends. A version that no node reads is refused.
    client.send(b"x", STREAM, attributes={"auditVersion": "7"}, item_attributes={"msgUUID": "u1"})
    (message,) = cluster.messages()
    assert message.attributes["auditVersion"] == "7"
    assert message.item_attributes == {"msgUUID": "u1"}
    with pytest.raises(InvalidMessageError, match="must be a number of 0 to"):
        client.send(b"x", STREAM, attributes={"auditVersion": "v1"})


BAD: dict[str, tuple[dict[Any, Any], str]] = {
    "with another": ({"a": "b&c=d"}, 'value "b&c=d" of attribute "a"'),
    "name of the protocol": ({"mid": "x"}, 'attribute name "mid" is reserved by the protocol'),
    "name of the batch": ({"host": "x"}, '"host" belongs to the whole batch'),
    "too long": ({"a": "x" * 5000}, "5003 bytes together: they must have 4096 or less"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_one_is_refused_whatever_way(cluster: MockCluster, client: Client, case: str) -> None:
    # A node acks it, and no consumer can read the record: all messages of the batch are lost with a success.
    bad, text = BAD[case]
    given: dict[str, Any] = {"attributes": {"host": "web1"}, "item_attributes": bad}
    found: list[BaseException | None] = []
    for way in (client.send, lambda payload, *more, **rest: client.send_many([payload], *more, **rest)):
        with pytest.raises(InvalidMessageError) as raised:
            way(b"bad", STREAM, **given)
        found.append(raised.value)
    with pytest.raises(InvalidMessageError) as raised:  # the first message of its ids
        client.send_async(b"bad", STREAM, **given)
    found.append(raised.value)
    good = client.send_async(b"good", STREAM, attributes={"host": "web1"}, item_attributes=own(1))
    found.append(client.send_async(b"bad", STREAM, **given).exception())
    assert good.result()
    for error in found:
        assert isinstance(error, InvalidMessageError)
        assert text in str(error)
        assert error.persisted is Persisted.NOT_WRITTEN
    assert cluster.payloads() == [b"good"]


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        ([("a", "b")], "item_attributes must be a mapping of str to str, not list"),
        ("", "item_attributes must be a mapping of str to str, not str"),
        ({"a": 1}, "value of attribute 'a' must be str, not int"),
    ],
)
def test_what_is_no_mapping_of_texts_is_a_type_error(client: Client, bad: Any, text: str) -> None:
    for way in (client.send, client.send_async):
        with pytest.raises(TypeError, match=text):
            way(b"x", STREAM, item_attributes=bad)


def test_the_text_format_refuses_them(cluster: MockCluster) -> None:
    with Client(cluster.url, group_id=GROUP) as client, pytest.raises(InvalidMessageError, match="message_format=binary"):
        client.send(b"x", STREAM, item_attributes={"a": "b"})
