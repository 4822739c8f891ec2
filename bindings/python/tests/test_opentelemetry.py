"""Spans for what a client sends, as a tracing backend sees them."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from support import GROUP, STREAM, wait_until

from inlong_dataproxy import AsyncClient, Client, InvalidMessageError, Persisted, QueueFullError
from inlong_dataproxy.testing import MockCluster

sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="opentelemetry-sdk is not installed")
export = pytest.importorskip("opentelemetry.sdk.trace.export")
memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")

from opentelemetry import propagate, trace  # noqa: E402 - behind the look whether it is there

from inlong_dataproxy.opentelemetry import instrument  # noqa: E402


class Spans:
    """A provider whose spans are kept."""

    def __init__(self) -> None:
        self._exporter = memory.InMemorySpanExporter()
        self.provider = sdk.TracerProvider()
        self.provider.add_span_processor(export.SimpleSpanProcessor(self._exporter))

    def ended(self) -> list[Any]:
        return list(self._exporter.get_finished_spans())


@pytest.fixture
def spans() -> Iterator[Spans]:
    found = Spans()
    yield found
    found.provider.shutdown()


def parents(cluster: MockCluster, place: str = "item_attributes") -> set[int]:
    """Return the spans that consumers of what arrived continue."""
    found: set[int] = set()
    for message in cluster.messages():
        continued = propagate.extract(getattr(message, place))
        found.add(trace.get_current_span(continued).get_span_context().span_id)
    return found


def test_each_message_has_a_span_from_the_call_to_its_result(cluster: MockCluster, spans: Spans) -> None:
    # What a backend shows of a message: where it went, how long that took, and whose child it is.
    called: list[object] = []
    with Client(cluster.url, group_id=GROUP, message_format="binary") as client:
        assert instrument(client, spans.provider) is client
        with spans.provider.get_tracer("test").start_as_current_span("parent") as parent:
            client.send(b"sync", STREAM)
            future = client.send_async(b"async", STREAM, item_attributes={"own": "1"}, callback=lambda *told: called.append(told))
            assert client.send_many([b"a", b"b", b""], STREAM).failed == 1
        assert future.result(10).node
        assert called == [(future.result(), None)]
    one, two, many = sorted(
        (span for span in spans.ended() if span.name == f"send {GROUP}/{STREAM}"), key=lambda span: span.start_time
    )
    for span in (one, two, many):
        assert span.parent.span_id == parent.get_span_context().span_id
        assert span.kind is trace.SpanKind.PRODUCER
        assert span.attributes["messaging.system"] == "inlong"
        assert span.attributes["messaging.destination.name"] == f"{GROUP}/{STREAM}"
    for span, size in ((one, 4), (two, 5)):
        assert span.status.is_unset
        assert span.attributes["messaging.message.body.size"] == size
        assert f"{span.attributes['server.address']}:{span.attributes['server.port']}" in cluster.addresses
        assert span.attributes["messaging.inlong.attempts"] == 1
        assert span.attributes["messaging.inlong.batch_id"]
    assert (many.attributes["messaging.batch.message_count"], many.attributes["messaging.inlong.failed"]) == (3, 1)
    assert many.status.status_code is trace.StatusCode.ERROR
    assert parents(cluster) == {span.context.span_id for span in (one, two, many)}
    assert [message.item_attributes["own"] for message in cluster.messages() if message.payload == b"async"] == ["1"]


def test_what_is_not_sampled_has_no_span_and_carries_nothing(cluster: MockCluster, spans: Spans) -> None:
    # Of a hundred messages 99 were given a span that nobody keeps, and attributes of their own: a send took forty times as long.
    never = sdk.TracerProvider(sampler=pytest.importorskip("opentelemetry.sdk.trace.sampling").ALWAYS_OFF)
    unsampled = trace.NonRecordingSpan(trace.SpanContext(1, 1, is_remote=True))
    called: list[object] = []

    async def by_loop() -> None:
        async with instrument(AsyncClient(cluster.url, group_id=GROUP, message_format="binary"), spans.provider) as client:
            await client.send(b"loop", STREAM)
            assert (await client.send_many([b"loop many"], STREAM)).acked == 1

    with Client(cluster.url, group_id=GROUP, message_format="binary") as client:
        instrument(client, spans.provider)
        with trace.use_span(unsampled):
            client.send(b"sync", STREAM)
            client.send_async(b"async", STREAM, callback=lambda *told: called.append(told)).result(10)
            assert client.send_many([b"many"], STREAM).acked == 1
            asyncio.run(by_loop())
    with instrument(Client(cluster.url, group_id=GROUP, message_format="binary"), never) as client:
        client.send(b"the sampler wants none", STREAM)
    assert len(called) == 1
    assert spans.ended() == []
    arrived = cluster.messages()
    assert len(arrived) == 6
    assert not any("traceparent" in message.item_attributes for message in arrived)


def test_contexts_of_their_own_split_no_batch(cluster: MockCluster, spans: Spans) -> None:
    # Attributes would have made 500 batches of 500 messages.
    with Client(cluster.url, group_id=GROUP, message_format="binary") as client:
        instrument(client, spans.provider)
        for _ in range(500):
            client.send_async(b"x", STREAM)
    assert len(parents(cluster)) == len(spans.ended()) == 500
    assert sum(node["frames"] for node in cluster.stats()["nodes"]) < 100


@pytest.mark.parametrize("propagate_in", [None, "attributes"])
def test_a_context_travels_only_where_it_can(cluster: MockCluster, spans: Spans, propagate_in: Any) -> None:
    with Client(cluster.url, group_id=GROUP) as client:
        with pytest.raises(ValueError, match="propagate_in = 'item_attributes': must be"):
            instrument(client, spans.provider, propagate_in="item_attributes")
        instrument(client, spans.provider, propagate_in=propagate_in)
        client.send(b"x", STREAM)
    (span,) = spans.ended()
    assert parents(cluster, "attributes") == {span.context.span_id if propagate_in else 0}


def left_out(spans: Spans) -> list[bool]:
    return ["messaging.inlong.context_left_out" in span.attributes for span in spans.ended()]


LIMIT = 4096


@pytest.fixture(scope="module")
def shared() -> Iterator[MockCluster]:
    with MockCluster() as opened:
        yield opened


@pytest.fixture(scope="module")
def longest(shared: MockCluster) -> int:
    """Return how long a payload may be that has no attributes; that of the binary format is the same."""
    with Client(shared.url, group_id=GROUP, max_frame_size=LIMIT) as client, pytest.raises(InvalidMessageError) as raised:
        client.send(bytes(LIMIT), STREAM)
    return int(str(raised.value).partition("must have ")[2].split()[0])


def send_many(client: Client, payload: bytes, **more: Any) -> None:
    for failure in client.send_many([payload], STREAM, **more).failures:
        raise failure.error


WAYS: dict[str, Any] = {
    "send": lambda client, payload, **more: client.send(payload, STREAM, **more),
    "send_async": lambda client, payload, **more: client.send_async(payload, STREAM, **more).result(10),
    "send_many": send_many,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("place", ["item_attributes", "attributes"])
def test_a_message_that_just_fits_is_accepted_when_it_is_traced(
    shared: MockCluster, spans: Spans, longest: int, way: str, place: Any
) -> None:
    # It was refused as too long for being traced.
    shared.reset()
    message_format: Any = "binary" if place == "item_attributes" else "text"
    with Client(shared.url, group_id=GROUP, max_frame_size=LIMIT, message_format=message_format) as client:
        longest -= client.send_many([bytes(longest)], STREAM).failed  # of the binary format it may be one less
        instrument(client, spans.provider, propagate_in=place)
        for less in (0, 1, 200):
            WAYS[way](client, bytes(longest - less))
        wait_until(lambda: len(spans.ended()) == 3, "the spans' ends, which follow the results")
        assert left_out(spans) == [True, True, False]
        WAYS[way](client, bytes(longest - 50), **{place: {"own": "1"}})
        assert getattr(shared.messages()[-1], place)["own"] == "1"
        with pytest.raises(InvalidMessageError, match="the payload has"):
            WAYS[way](client, bytes(longest + 1))


def test_an_async_client_sends_what_just_fits_too(shared: MockCluster, spans: Spans, longest: int) -> None:
    shared.reset()

    async def main() -> None:
        async with AsyncClient(shared.url, group_id=GROUP, max_frame_size=LIMIT, message_format="binary") as client:
            instrument(client, spans.provider)
            await client.send(bytes(longest - 10), STREAM)
            report = await client.send_many([b"short", bytes(longest - 10), b"also short"], STREAM)
            assert (report.acked, report.failed) == (3, 0)

    asyncio.run(main())
    assert left_out(spans) == [True, True]
    carried = {message.payload: "traceparent" in message.item_attributes for message in shared.messages()}
    assert carried == {b"short": True, bytes(longest - 10): False, b"also short": True}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["mid", "long", "auditVersion", "tracé", "a=b", ""])
def test_a_header_that_no_attribute_can_be_refuses_no_message(
    shared: MockCluster, spans: Spans, monkeypatch: pytest.MonkeyPatch, way: str, name: str
) -> None:
    # Those of a propagator of the program's: each traced message was one that is refused.
    shared.reset()
    value = "x" * 5000 if name == "long" else "x"
    monkeypatch.setattr(propagate, "inject", lambda carrier, _: carrier.update({name: value}))
    with Client(shared.url, group_id=GROUP, message_format="binary") as client:
        instrument(client, spans.provider)
        WAYS[way](client, b"x", item_attributes={"own": "1"})
        WAYS[way](client, b"x", item_attributes={"own": "1"})  # the library knows its ids by now
    assert [message.item_attributes for message in shared.messages()] == [{"own": "1"}] * 2
    assert left_out(spans) == [True, True]


def test_what_the_program_has_put_there_stays(shared: MockCluster, spans: Spans) -> None:
    # A context that it passes on from elsewhere was replaced; one in attributes made the message one that is refused.
    shared.reset()
    other = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    with Client(shared.url, group_id=GROUP, message_format="binary") as client:
        instrument(client, spans.provider)
        client.send(b"x", STREAM, item_attributes=other)
        client.send(b"y", STREAM, attributes=other)
        for wrong in ([("a", "b")], ""):
            with pytest.raises(TypeError, match="item_attributes must be a mapping of str to str"):
                client.send(b"x", STREAM, item_attributes=wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        with pytest.raises(TypeError, match="callback must be callable or None, not str"):
            client.send_async(b"x", STREAM, callback="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert [message.item_attributes for message in shared.messages()] == [other, {}]
    assert len(spans.ended()) == 5


def test_what_is_stored_has_not_failed(shared: MockCluster, spans: Spans, tmp_path: Path) -> None:
    # It will be delivered: an alert for it has somebody send it again.
    shared.reset()
    for node in range(3):
        shared.fault(node, "silence", standing=True)
    client = instrument(Client(shared.url, group_id=GROUP, spool_dir=str(tmp_path)), spans.provider)
    future = client.send_async(b"x", STREAM)
    client.close(timeout=0.1)
    assert cast("Any", future.exception(10)).persisted is Persisted.STORED
    (span,) = spans.ended()
    assert span.status.is_unset
    assert span.attributes["messaging.inlong.stored"] is True
    for node in range(3):
        shared.clear_faults(node)


def test_what_failed_is_marked(cluster: MockCluster, spans: Spans) -> None:
    with Client(cluster.url, group_id=GROUP, send_timeout=1, max_retries=0) as client:
        instrument(client, spans.provider)
        with pytest.raises(InvalidMessageError):
            client.send(b"", STREAM)
        with pytest.raises(InvalidMessageError):
            client.send_async(b"", STREAM)
        with pytest.raises(TypeError):
            client.send(None, STREAM)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        for node in range(3):
            cluster.fault(node, "error_code", code=7, standing=True)
        assert client.send_async(b"x", STREAM).exception(30) is not None
    assert [span.attributes["error.type"] for span in spans.ended()] == ["10010", "10010", "TypeError", "10011"]
    assert all(span.status.status_code is trace.StatusCode.ERROR for span in spans.ended())


def test_an_async_client_has_spans_too(cluster: MockCluster, spans: Spans) -> None:
    async def main() -> None:
        async with AsyncClient(cluster.url, group_id=GROUP, message_format="binary", max_pending_messages=20) as client:
            instrument(client, spans.provider)
            await client.send(b"x", STREAM)
            assert (await client.send_many([b"y"] * 3, STREAM)).acked == 3
            for node in range(3):
                cluster.fault(node, "silence", standing=True)
            futures = [client.send_nowait(b"z", STREAM) for _ in range(100)]
            done, _ = await asyncio.wait(futures, timeout=0.2)
            assert all(isinstance(future.exception(), QueueFullError) for future in done)
            await client.close(timeout=0.1)
            await asyncio.gather(*futures, return_exceptions=True)

    asyncio.run(main())
    ended = spans.ended()
    assert len(ended) == 102
    assert [span.status.is_unset for span in ended[:2]] == [True, True]
    assert ended[1].attributes["messaging.batch.message_count"] == 3
    assert "10004" in {span.attributes["error.type"] for span in ended[2:]}


def test_an_instrumented_client_is_forgotten_as_any_other(cluster: MockCluster, spans: Spans) -> None:
    # The methods before its own held it: a circle, which only the collector of garbage ends.
    client = instrument(Client(cluster.url, group_id=GROUP), spans.provider)
    client.send(b"x", STREAM)
    client.close()
    gone = weakref.ref(client)
    gc.disable()
    try:
        del client
        assert gone() is None
    finally:
        gc.enable()


def test_opentelemetry_is_imported_only_for_those_who_use_it() -> None:
    program = "import sys, inlong_dataproxy; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    subprocess.run([sys.executable, "-c", program], check=True)
