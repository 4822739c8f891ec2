"""Spans for what a client sends, as a tracing backend sees them."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from support import GROUP, STREAM

from inlong_dataproxy import AsyncClient, Client, InvalidMessageError, QueueFullError
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
        with pytest.raises(ValueError, match="propagate_in = 'item_attributes': want"):
            instrument(client, spans.provider, propagate_in="item_attributes")
        instrument(client, spans.provider, propagate_in=propagate_in)
        client.send(b"x", STREAM)
    (span,) = spans.ended()
    assert parents(cluster, "attributes") == {span.context.span_id if propagate_in else 0}


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
