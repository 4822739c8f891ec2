from __future__ import annotations

import asyncio
import re
import time
from datetime import datetime, timezone
from typing import Any, Optional
from zoneinfo import ZoneInfo

import pytest
from support import GROUP, STREAM

from inlong_dataproxy import (
    AsyncClient,
    Client,
    Persisted,
    SendError,
    SendTimeoutError,
    ServerError,
)
from inlong_dataproxy.testing import MockCluster


@pytest.mark.parametrize(
    ("payload", "arrives"),
    [
        (b"payload", b"payload"),
        (bytearray(b"payload"), b"payload"),
        (memoryview(b"xpayloadx")[1:-1], b"payload"),
        (memoryview(b"pxaxyxlxoxaxd")[::2], b"payload"),  # not contiguous
        ("Straße \N{SNOWMAN}", "Straße \N{SNOWMAN}".encode()),
        (b"\x00", b"\x00"),
        (b"a\x00b\x00", b"a\x00b\x00"),
        (b"\n", b"\n"),
        (b"line\n", b"line\n"),
        (bytes(range(256)), bytes(range(256))),
        (b"x" * 100_000, b"x" * 100_000),
        (bytearray(b"x" * 5000), b"x" * 5000),  # long enough to be read in place
        (memoryview(b"y" + b"x" * 5000)[1:], b"x" * 5000),
        (memoryview(bytearray(b"xy" * 5000))[::2], b"x" * 5000),
        (memoryview(b"x" * 8000).cast("I"), b"x" * 8000),
    ],
)
def test_payloads_arrive_byte_for_byte(cluster: MockCluster, client: Client, payload: Any, arrives: bytes) -> None:
    # A NUL that ends a C string, a newline that is trimmed, a view whose bytes are not where it begins.
    client.send(payload, STREAM)
    client.send_async(payload, STREAM).result()
    assert client.send_many([payload], STREAM).acked == 1
    assert cluster.payloads() == [arrives] * 3


def test_send_says_who_acked(cluster: MockCluster, client: Client) -> None:
    result = client.send(b"x", STREAM)
    assert result.node in [node["addr"] for node in cluster.stats()["nodes"]]
    assert result.attempts == 1
    assert result.batch_id


def test_ids_attributes_and_time_travel_with_the_message(cluster: MockCluster, client: Client) -> None:
    # A group of the message that is replaced by the client's, an attribute or a time that is dropped.
    moment = datetime(2024, 5, 6, 7, 8, 9, 123000, tzinfo=timezone.utc)
    more: dict[str, Any] = {"group_id": "other_group", "attributes": {"host": "web1"}, "event_time": moment}
    client.send(b"1", "s1", **more)
    client.send_async(b"2", "s1", **more).result()
    client.send_many([b"3"], "s1", **more)
    client.send_async(b"4", "s2").result()
    *full, plain = sorted(cluster.messages(), key=lambda m: m.payload)
    assert [m.payload for m in full] == [b"1", b"2", b"3"]
    for message in full:
        assert (message.group_id, message.stream_id) == ("other_group", "s1")
        assert message.attributes["host"] == "web1"
        assert message.attributes["dt"] == str(int(moment.timestamp() * 1000))
    assert (plain.group_id, plain.stream_id) == (GROUP, "s2")
    assert "host" not in plain.attributes


def test_seconds_are_an_event_time_too(cluster: MockCluster, client: Client) -> None:
    client.send(b"x", STREAM, event_time=1_700_000_000.5)
    assert cluster.messages()[0].attributes["dt"] == "1700000000500"


def test_a_server_error_surfaces_with_everything_known(cluster: MockCluster, client: Client) -> None:
    # D2: an answer with an error code that is taken for success, or whose details are lost on the way to Python.
    for node in range(3):
        cluster.fault(node, "error_code", standing=True, code=109, text="Parse attr failure")
    future = client.send_async(b"x", "s1", group_id="other_group")
    client.flush()
    with pytest.raises(ServerError) as caught:
        client.send(b"x", "s1", group_id="other_group")
    for error in (caught.value, future.exception()):
        assert isinstance(error, ServerError)
        assert error.code == 10011
        assert error.name == "server_error"
        assert error.server_code == 109
        assert "Parse attr failure" in error.server_message
        assert error.node in [node["addr"] for node in cluster.stats()["nodes"]]
        assert (error.group_id, error.stream_id) == ("other_group", "s1")
        assert error.batch_id
        assert error.attempts == 1
        assert not error.retriable
        assert isinstance(error.persisted, Persisted)
        assert "109" in str(error)


def test_each_future_has_its_own_exception(cluster: MockCluster, client: Client) -> None:
    # Raising one instance from several threads mixes up their tracebacks.
    for node in range(3):
        cluster.fault(node, "error_code", standing=True, code=109)
    first, second = client.send_async(b"1", STREAM), client.send_async(b"2", STREAM)
    client.flush()
    assert first.exception() is not second.exception()


def test_a_send_that_is_not_answered_in_time_says_so(cluster: MockCluster, client: Client) -> None:
    for node in range(3):
        cluster.fault(node, "silence", standing=True)
    with pytest.raises(SendTimeoutError) as caught:
        client.send(b"x", STREAM, timeout=0.2)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.code == 10005
    assert caught.value.persisted is Persisted.MAYBE_WRITTEN
    client.close(timeout=0)


@pytest.mark.parametrize(("timeout", "kind"), [("1", TypeError), (True, TypeError), (-1, ValueError), (float("nan"), ValueError)])
def test_a_bad_timeout_is_refused(client: Client, timeout: Any, kind: type[Exception]) -> None:
    for call in (lambda: client.send(b"x", STREAM, timeout=timeout), lambda: client.flush(timeout), lambda: client.close(timeout)):
        with pytest.raises(kind, match="timeout"):
            call()
    client.send(b"x", STREAM)


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("refuse_connect", {}, "refused"),
        ("http_status", {"code": 500}, "500"),
        ("http_status", {"code": 403}, "403"),
        ("http_body", {"text": "<html>hello</html>"}, "JSON"),
        ("failure", {"text": "group not found by groupId=test_group"}, "group not found by groupId=test_group"),
        ("empty_list", {}, "no endpoints"),
        ("null_list", {}, "no endpoints"),
        ("silence", {}, "time|deadline"),
    ],
)
def test_a_manager_that_is_of_no_use_is_a_clear_error(
    cluster: MockCluster, kind: Any, fields: dict[str, Any], message: str
) -> None:
    cluster.manager_fault(kind, **fields)
    with pytest.raises(SendError) as caught:
        Client(cluster.url, group_id=GROUP, manager_timeout=0.3 if kind == "silence" else 10)
    assert caught.value.code == 10006
    assert re.search(message, str(caught.value), re.IGNORECASE)


def test_nodes_that_cannot_be_reached_are_a_clear_error(cluster: MockCluster) -> None:
    for node in range(3):
        cluster.kill(node)
    with pytest.raises(SendError, match="no available worker") as caught:
        Client(cluster.url, group_id=GROUP, conn_timeout=0.3)
    assert caught.value.code == 10006


class Number:
    """As numpy's integers are: no int, but it has what one needs."""

    def __init__(self, value: int) -> None:
        self._value = value

    def __index__(self) -> int:
        return self._value


class Real(Number):
    def __float__(self) -> float:
        return float(self._value)


@pytest.mark.parametrize("number", [Number, Real])
def test_an_event_time_may_be_a_number_of_another_library(cluster: MockCluster, client: Client, number: Any) -> None:
    # np.int64 was a TypeError.
    client.send(b"x", STREAM, event_time=number(1_700_000_000))
    (message,) = cluster.messages()
    assert message.attributes["dt"] == "1700000000000"


@pytest.mark.parametrize("wrong", ["1700000000", b"1", True, [], object()])
def test_an_event_time_that_is_no_number_is_refused(client: Client, wrong: Any) -> None:
    with pytest.raises(TypeError, match="event_time"):
        client.send(b"x", STREAM, event_time=wrong)


@pytest.mark.parametrize("name", ["Europe/Berlin", None])
def test_an_event_time_in_the_hour_that_comes_twice_is_the_one_that_was_meant(
    cluster: MockCluster, client: Client, monkeypatch: pytest.MonkeyPatch, name: Optional[str]
) -> None:
    # Two datetimes that differ by their fold are equal: the second message had the time of the first.
    if name is None:
        monkeypatch.setenv("TZ", "Europe/Berlin")
        time.tzset()
    first = datetime(2024, 10, 27, 2, 30, tzinfo=None if name is None else ZoneInfo(name))
    try:
        for moment in (first, first.replace(fold=1)):
            client.send(b"x", STREAM, event_time=moment)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert [message.attributes["dt"] for message in cluster.messages()] == ["1729989000000", "1729992600000"]


class Boasting(bytes):
    def __len__(self) -> int:
        return 300


class BoastingArray(bytearray):
    def __bytes__(self) -> bytes:
        return bytes(300)


@pytest.mark.parametrize("payload", [Boasting(b"x"), BoastingArray(b"x")])
def test_a_payload_is_what_it_holds_whatever_its_class_says(cluster: MockCluster, client: Client, payload: Any) -> None:
    # A length of its own had the library read, and send, what lay behind it in memory.
    async def main() -> None:
        async with AsyncClient(cluster.url, group_id=GROUP) as other:
            await other.send(payload, STREAM)
            assert (await other.send_many([payload], STREAM)).acked == 1

    client.send(payload, STREAM)
    client.send_async(payload, STREAM).result()
    assert client.send_many([payload], STREAM).acked == 1
    asyncio.run(main())
    assert cluster.payloads() == [b"x"] * 5
