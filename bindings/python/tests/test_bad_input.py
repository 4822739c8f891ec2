"""Bad input, the same for every way to send: the right exception, which names the field and its rule, and nothing is sent."""

from __future__ import annotations

import asyncio
import gc
import math
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Callable

import pytest
from support import GROUP, STREAM

from inlong_dataproxy import AsyncClient, Client, ClosedError, ConfigError, InlongError, InvalidMessageError, Persisted, SendReport
from inlong_dataproxy.testing import MockCluster

Bad = dict[str, Any]

WRONG_TYPES: dict[str, tuple[Bad, str]] = {
    "payload None": ({"payload": None}, "payload must be bytes, bytearray, memoryview or str, not NoneType"),
    "payload int": ({"payload": 5}, "payload must be bytes, bytearray, memoryview or str, not int"),
    "payload list": ({"payload": [b"x"]}, "payload must be bytes, bytearray, memoryview or str, not list"),
    "stream None": ({"stream_id": None}, "stream_id must be str, not NoneType"),
    "stream bytes": ({"stream_id": b"s"}, "stream_id must be str, not bytes"),
    "stream that has no hash": ({"stream_id": ["s"]}, "stream_id must be str, not list"),
    "group None": ({"group_id": None}, "group_id must be str, not NoneType"),
    "group int": ({"group_id": 7}, "group_id must be str, not int"),
    "attributes as pairs": ({"attributes": [("a", "b")]}, "attributes must be a mapping of str to str, not list"),
    "attribute int": ({"attributes": {"a": 1}}, "value of attribute 'a' must be str, not int"),
    "attribute None": ({"attributes": {"a": None}}, "value of attribute 'a' must be str, not NoneType"),
    "attribute name int": ({"attributes": {1: "a"}}, "attribute name must be str, not int"),
    "event time str": ({"event_time": "now"}, "event_time must be a datetime or seconds since 1970, not str"),
    "event time bool": ({"event_time": True}, "event_time must be a datetime or seconds since 1970, not bool"),
}

ONLY_ASCII = "only A-Z a-z 0-9 _ . - are allowed"
PRINTABLE = "only printable ASCII without & and = is allowed"
TIME = "must be seconds since 1970, 0.001 or more and less than 9007199254740"

BROKEN_RULES: dict[str, tuple[Bad, str]] = {
    "payload empty": ({"payload": b""}, "the payload is empty: it must have at least one byte"),
    "payload empty str": ({"payload": ""}, "the payload is empty: it must have at least one byte"),
    "payload empty memoryview": ({"payload": memoryview(b"")}, "the payload is empty: it must have at least one byte"),
    "payload too long": ({"payload": bytes(1 << 20)}, "the payload has 1048576 bytes: it must have 524"),
    "payload too long, in place": ({"payload": bytearray(1 << 20)}, "the payload has 1048576 bytes: it must have 524"),
    "payload that is no Unicode": ({"payload": "\ud800"}, "the payload cannot be written as UTF-8"),
    "stream empty": ({"stream_id": ""}, 'stream id "" has 0 characters: it must have 1 to 200'),
    "stream too long": ({"stream_id": "s" * 201}, '..." has 201 characters: it must have 1 to 200'),
    "stream not ASCII": ({"stream_id": "strömung"}, f"stream id \"strömung\" has the character 'ö': {ONLY_ASCII}"),
    "stream with another attribute": ({"stream_id": "s&m=0"}, f"stream id \"s&m=0\" has the character '&': {ONLY_ASCII}"),
    "stream with a NUL": ({"stream_id": "s\0t"}, f"stream id \"s\\x00t\" has the character '\\x00': {ONLY_ASCII}"),
    "stream that is no Unicode": ({"stream_id": "\ud800"}, ONLY_ASCII),
    "group too short": ({"group_id": "g"}, 'group id "g" has 1 characters: it must have 4 to 200'),
    "group too long": ({"group_id": "g" * 201}, '..." has 201 characters: it must have 4 to 200'),
    "group not ASCII": ({"group_id": "gruppé"}, f"group id \"gruppé\" has the character 'é': {ONLY_ASCII}"),
    "attribute with another": (
        {"attributes": {"a": "b&c=d"}},
        f'value "b&c=d" of attribute "a" has the character \'&\': {PRINTABLE}',
    ),
    "attribute not ASCII": ({"attributes": {"a": "ä"}}, f'value "ä" of attribute "a" has the character \'ä\': {PRINTABLE}'),
    "attribute name empty": ({"attributes": {"": "x"}}, 'the attribute with value "x" has an empty name'),
    "attribute name with =": ({"attributes": {"a=b": "c"}}, f"attribute name \"a=b\" has the character '=': {PRINTABLE}"),
    "attribute of the protocol": ({"attributes": {"groupId": "x"}}, 'attribute name "groupId" is reserved by the protocol'),
    "attributes too long": (
        {"attributes": {"a": "x" * 5000}},
        "the attributes have 5003 bytes together: they must have 4096 or less",
    ),
    "event time 0": ({"event_time": 0}, f"event_time = 0: {TIME}"),
    "event time below a millisecond": ({"event_time": 0.0004}, f"event_time = 0.0004: {TIME}"),  # was sent as no time at all
    "event time before 1970": ({"event_time": -1.5}, f"event_time = -1.5: {TIME}"),
    "event time NaN": ({"event_time": math.nan}, f"event_time = nan: {TIME}"),
    "event time infinite": ({"event_time": math.inf}, f"event_time = inf: {TIME}"),
    "event time that no zone has": ({"event_time": datetime.min}, f"event_time = 0001-01-01 00:00:00: {TIME}"),  # noqa: DTZ901
}

GOOD: Bad = {"payload": b"good", "stream_id": STREAM}


def fault_of(report: SendReport) -> Exception:
    """Return the error of a bulk's only message: a bad payload does not stop the others."""
    (failure,) = report.failures
    assert (failure.index, report.taken, report.acked, report.failed) == (0, 1, 0, 1)
    return failure.error


def raised(call: Callable[[], object]) -> Exception:
    try:
        returned = call()
    except Exception as error:  # noqa: BLE001 - it is what is wanted
        return error
    if isinstance(returned, SendReport):
        return fault_of(returned)
    raise AssertionError(f"no exception, but {returned!r}")


async def raised_async(client: AsyncClient, way: str, arguments: Bad) -> Exception:
    try:
        returned = await getattr(client, way)(**arguments)
    except Exception as error:  # noqa: BLE001 - as above
        return error
    return fault_of(returned)


def as_bulk(way: str, arguments: Bad) -> Bad:
    rest = dict(arguments)
    return {"messages": [rest.pop("payload")], **rest} if way == "send_many" else rest


@pytest.fixture(scope="module")
def shared() -> Iterator[MockCluster]:
    with MockCluster() as cluster:
        yield cluster


WAYS = {
    "Client": ["send", "send_async", "send_many"],
    "AsyncClient": ["send", "send_nowait", "send_many"],
}


def outcomes(cluster: MockCluster, kind: str, way: str, bad: Bad) -> list[Exception]:
    """Return what a bad message met, twice: alone, and while messages come fast, when they are queued first."""
    if kind == "AsyncClient":

        async def main() -> list[Exception]:
            async with AsyncClient(cluster.url, group_id=GROUP) as client:
                alone = await raised_async(client, way, as_bulk(way, {**GOOD, **bad}))
                goods = [client.send_nowait(b"good", STREAM) for _ in range(100)]
                behind = await raised_async(client, way, as_bulk(way, {**GOOD, **bad}))
                assert all(await asyncio.gather(*goods))
                return [alone, behind]

        return asyncio.run(main())
    with Client(cluster.url, group_id=GROUP) as client:

        def call() -> object:
            returned = getattr(client, way)(**as_bulk(way, {**GOOD, **bad}))
            return returned.result() if way == "send_async" else returned

        alone = raised(call)
        futures = [client.send_async(b"good", STREAM) for _ in range(100)]
        behind = raised(call)
        assert all(future.result() for future in futures)
        return [alone, behind]


@pytest.mark.parametrize(("kind", "way"), [(kind, way) for kind, ways in WAYS.items() for way in ways])
@pytest.mark.parametrize("case", [*WRONG_TYPES, *BROKEN_RULES])
def test_a_bad_message_is_refused_with_field_and_rule(shared: MockCluster, kind: str, way: str, case: str) -> None:
    shared.reset()
    bad, text = WRONG_TYPES.get(case) or BROKEN_RULES[case]
    for error in outcomes(shared, kind, way, bad):
        assert text in str(error)
        assert error.__context__ is None or error.__suppress_context__  # no KeyError of ours above it in the traceback
        if case in WRONG_TYPES:
            assert type(error) is TypeError
        else:
            assert type(error) is InvalidMessageError
            assert f"[code {error.code}" in str(error)
            assert isinstance(error, ValueError)
            assert error.persisted is Persisted.NOT_WRITTEN
            assert (error.code, error.retriable, error.attempts) == (
                10009 if "too long" in case and "payload" in case else 10010,
                False,
                0,
            )
    assert shared.payloads() == [b"good"] * 100


@pytest.mark.parametrize(
    ("way", "arguments", "error", "text"),
    [
        ("send_many", {"messages": b"one"}, TypeError, "messages must be an iterable of payloads, not a single bytes"),
        ("send_many", {"messages": "one"}, TypeError, "messages must be an iterable of payloads, not a single str"),
        ("send_many", {"messages": {"a": 1}}, TypeError, "messages must be an iterable of payloads, not a single dict"),
        ("send_many", {"messages": 5}, TypeError, "messages must be an iterable of payloads, not int"),
        ("send_many", {"messages": None}, TypeError, "messages must be an iterable of payloads, not NoneType"),
        ("send_many", {"messages": [b"x"], "progress": 5}, TypeError, "progress must be callable or None, not int"),
        ("send_async", {"payload": b"x", "callback": "print"}, TypeError, "callback must be callable or None, not str"),
        ("send", {"payload": b"x", "streem_id": "s"}, TypeError, "unexpected keyword argument 'streem_id'"),
        ("send", {"payload": b"x", "timeout": "5s"}, TypeError, "timeout must be seconds, a timedelta or None, not str"),
        ("send", {"payload": b"x", "timeout": -1}, ValueError, "timeout = -1: must be 0 or more"),
        ("flush", {"timeout": math.nan}, ValueError, "timeout = nan: must be 0 or more"),
        ("flush", {"timeout": True}, TypeError, "timeout must be seconds, a timedelta or None, not bool"),
        ("close", {"timeout": b"1"}, TypeError, "timeout must be seconds, a timedelta or None, not bytes"),
    ],
)
def test_a_bad_argument_of_a_call_is_named(
    shared: MockCluster, way: str, arguments: Bad, error: type[Exception], text: str
) -> None:
    stream = {"stream_id": STREAM} if way.startswith("send") else {}
    both = way in ("send_many", "flush", "close")
    shared.reset()
    with Client(shared.url, group_id=GROUP) as client:
        found = [raised(lambda: getattr(client, way)(**arguments, **stream))]
        for _ in range(100):
            client.send_async(b"good", STREAM)
        found.append(raised(lambda: getattr(client, way)(**arguments, **stream)))

    async def main() -> None:
        async with AsyncClient(shared.url, group_id=GROUP) as client:
            found.append(await raised_async(client, way, {**arguments, **stream}))
            await client.send(b"good", STREAM)  # it continues

    if both:
        asyncio.run(main())
    for one in found:
        assert type(one) is error
        assert text in str(one)
    assert shared.payloads() == [b"good"] * (101 if both else 100)


def test_a_closed_client_is_a_closed_error(shared: MockCluster) -> None:
    client = Client(shared.url, group_id=GROUP)
    client.close()
    assert client.closed
    assert repr(client) == "<Client group_id='test_group' closed>"
    calls: list[Callable[[], object]] = [
        lambda: client.send(b"x", STREAM),
        lambda: client.send_async(b"x", STREAM),
        lambda: client.send_many([b"x"], STREAM),
        client.flush,
        client.stats,
        client.metrics,
        client.__enter__,
    ]
    for call in calls:
        error = raised(call)
        assert type(error) is ClosedError
        assert str(error) == "producer already been closed: the client is closed [code 10003]"
        assert (error.code, error.name, error.retriable) == (10003, "closed", False)


def test_a_closed_async_client_is_a_closed_error(shared: MockCluster) -> None:
    async def main() -> list[Exception]:
        async with AsyncClient(shared.url, group_id=GROUP) as client:
            pass
        found = [await raised_async(client, way, as_bulk(way, GOOD)) for way in WAYS["AsyncClient"]]
        found.append(await raised_async(client, "flush", {}))
        return [*found, raised(client.stats), raised(client.metrics)]

    for error in asyncio.run(main()):
        assert type(error) is ClosedError
        assert "the client is closed" in str(error)
        assert error.code == 10003


def test_an_async_client_whose_loop_is_closed_says_whose_it_is(shared: MockCluster) -> None:
    # "no running event loop", or a message that is accepted and never delivered.
    async def leave() -> AsyncClient:
        return await AsyncClient(shared.url, group_id=GROUP).open()

    clients = [asyncio.run(leave())]

    async def use() -> list[Exception]:
        (client,) = clients
        sends = [await raised_async(client, way, as_bulk(way, GOOD)) for way in WAYS["AsyncClient"]]
        return [*sends, await raised_async(client, "flush", {}), await raised_async(client, "close", {})]

    found = [*asyncio.run(use()), raised(lambda: clients[0].send_nowait(b"x", STREAM))]
    assert [type(error) for error in found] == [InlongError] * 6
    assert {str(error) for error in found} == {"an AsyncClient belongs to the event loop that opened it: make one for each loop"}
    with pytest.warns(ResourceWarning, match="unclosed <AsyncClient"):  # noqa: PT031
        clients.clear()
        found.clear()
        gc.collect()


def test_an_async_client_that_was_never_opened_says_how(shared: MockCluster) -> None:
    async def main() -> list[Exception]:
        client = AsyncClient(shared.url, group_id=GROUP)
        return [await raised_async(client, way, as_bulk(way, GOOD)) for way in WAYS["AsyncClient"]]

    for error in asyncio.run(main()):
        assert type(error) is InlongError
        assert str(error) == "the client is not open: use `async with`, or await its open method"


@pytest.mark.parametrize("client", [Client, AsyncClient])
@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"worker_nun": 3}, "worker_num"),
        ({"sendTimeout": 3}, "send_timeout"),
        ({"worker_num": None}, "option worker_num = None: must be an int, not NoneType"),
        ({"send_timeout": "soon", "url": 5}, "option url = 5: must be a str, not int"),
        ({"ordered": "yes"}, "option ordered = 'yes': must be True or False, not str"),
    ],
)
def test_an_unknown_keyword_or_a_wrong_type_is_a_config_error(client: Any, options: Bad, text: str) -> None:
    error = raised(lambda: client(**{"url": "http://127.0.0.1:1", "group_id": GROUP, **options}))
    assert type(error) is ConfigError
    assert text in str(error)
