"""Spans of OpenTelemetry for what a client sends (`pip install inlong-dataproxy[opentelemetry]`).

    from inlong_dataproxy import Client
    from inlong_dataproxy.opentelemetry import instrument

    with Client("http://manager:8083", group_id="my_group", message_format="binary") as client:
        instrument(client)
        client.send(b"payload", stream_id="my_stream")

Each message has a span "send my_group/my_stream" of kind PRODUCER, from the call to its result; a send_many has one for all. What
is sent under a span that is not sampled has none, and carries no context. The sampler is asked for what is sent under no span,
which takes many times what the rest of the send does. The attributes of spans follow the semantic conventions for messaging:

    messaging.system, messaging.operation.name, messaging.operation.type    "inlong", "send", "send"
    messaging.destination.name          group and stream, with "/" between
    messaging.message.body.size         bytes, of a single message
    messaging.batch.message_count       taken by a send_many
    messaging.inlong.failed             those of them that failed
    messaging.inlong.batch_id           the batch's id on the wire
    messaging.inlong.attempts           how often the message was written
    server.address, server.port         the node that answered
    messaging.inlong.stored             True: it is in the spool, and will be delivered
    error.type                          the number of the code, such as "10004", or the exception's name

The span's context travels with the message: a consumer passes its attributes to a propagator's extract. With
message_format="binary" it travels in item_attributes, and messages share batches as before. Otherwise it travels only if you choose
attributes, which puts each message into a batch of its own. Attributes of the program stay as they are. A header that
attributes cannot carry, such as a tracestate with "=" in it, is left out. So is the whole context of a message that would be
refused with it, for instance as too long. The span reports that:

    messaging.inlong.context_left_out   True: the context, or a part of it, was left out, of one message at least
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Optional, TypeVar, Union, cast

from opentelemetry import context, propagate, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TraceFlags, Tracer, TracerProvider

from ._sending.message import Carried
from .client import Client
from .errors import Persisted, SendError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ._results.future import Result, ResultCallback
    from ._sending.bulk import SendReport
    from .async_client import AsyncClient

Place = Literal["item_attributes", "attributes"]

C = TypeVar("C", bound="Union[Client, AsyncClient]")


def instrument(client: C, tracer_provider: Optional[TracerProvider] = None, *, propagate_in: Optional[Place] = None) -> C:
    """Make spans for what this client sends from now on. Call it once, before others use the client.

    Args:
        client: a Client or an AsyncClient.
        tracer_provider: default: the global one.
        propagate_in: where the span's context travels, see the top of this module. Default: item_attributes with
            message_format="binary", else nowhere.

    Returns:
        The client.

    Raises:
        ValueError: propagate_in is neither, or item_attributes without message_format="binary".
    """
    binary = client.config.texts.get("message_format") == "binary"
    if propagate_in not in (None, "item_attributes", "attributes") or (propagate_in == "item_attributes" and not binary):
        raise ValueError(
            f'propagate_in = {propagate_in!r}: must be "attributes", None, or with message_format="binary" "item_attributes"'
        )
    place: Optional[Place] = "item_attributes" if propagate_in is None and binary else propagate_in
    tracing = _Tracing(client, trace.get_tracer("inlong_dataproxy", tracer_provider=tracer_provider), place)
    names = ("send", "send_async", "send_many") if isinstance(client, Client) else ("send_nowait", "send_many")
    for name in names:
        kind = "send_many_async" if name == "send_many" and len(names) == 2 else name
        setattr(client, name, getattr(tracing, kind))
    return client


class _Tracing:
    """The methods that replace a client's own. It does not reference the client, which references it."""

    def __init__(self, client: Union[Client, AsyncClient], tracer: Tracer, place: Optional[Place]) -> None:
        self._client = weakref.ref(client)
        self._kind: Any = type(client)
        self._tracer = tracer
        self._place: Optional[Place] = place

    def send(self, payload: Any, stream_id: str, **more: Any) -> Result:
        """Client.send."""
        span, more = self._begin(stream_id, payload, more)
        if span is None:
            return cast("Result", self._kind.send(self._client(), payload, stream_id, **more))
        with span:
            result: Result = self._kind.send(self._client(), payload, stream_id, **more)
        span.end(result, None)
        return result

    def send_async(self, payload: Any, stream_id: str, *, callback: Optional[ResultCallback] = None, **more: Any) -> Future[Result]:
        """Client.send_async."""
        span, more = self._begin(stream_id, payload, more)
        if span is None:
            return cast("Future[Result]", self._kind.send_async(self._client(), payload, stream_id, callback=callback, **more))

        def ended(result: Optional[Result], error: Optional[SendError]) -> None:
            span.end(result, error)
            if callback is not None:
                callback(result, error)

        wrapped: Any = ended if callback is None or callable(callback) else callback  # which the client refuses
        with span:
            return cast("Future[Result]", self._kind.send_async(self._client(), payload, stream_id, callback=wrapped, **more))

    def send_nowait(self, payload: Any, stream_id: str, **more: Any) -> Any:
        """AsyncClient.send_nowait, by which its send goes."""
        span, more = self._begin(stream_id, payload, more)
        if span is None:
            return self._kind.send_nowait(self._client(), payload, stream_id, **more)

        def ended(future: Any) -> None:
            cancelled = future.cancelled()  # nobody waits, and the outcome of the message is unknown
            error = None if cancelled else future.exception()
            span.end(None if cancelled or error else future.result(), error)

        with span:
            future = self._kind.send_nowait(self._client(), payload, stream_id, **more)
        future.add_done_callback(ended)
        return future

    def send_many(self, messages: Any, stream_id: str, **more: Any) -> SendReport:
        """Client.send_many."""
        span, more = self._begin(stream_id, None, more)
        if span is None:
            return cast("SendReport", self._kind.send_many(self._client(), messages, stream_id, **more))
        with span:
            report: SendReport = self._kind.send_many(self._client(), messages, stream_id, **more)
        span.end_many(report)
        return report

    async def send_many_async(self, messages: Any, stream_id: str, **more: Any) -> SendReport:
        """AsyncClient.send_many."""
        span, more = self._begin(stream_id, None, more)
        if span is None:
            return cast("SendReport", await self._kind.send_many(self._client(), messages, stream_id, **more))
        with span:
            report: SendReport = await self._kind.send_many(self._client(), messages, stream_id, **more)
        span.end_many(report)
        return report

    def _begin(self, stream_id: str, payload: Any, more: dict[str, Any]) -> tuple[Optional[_Traced], dict[str, Any]]:
        """Return the span of a message, None for one that is not sampled, and the arguments that carry its context."""
        parent = trace.get_current_span().get_span_context()
        if not parent.trace_flags & TraceFlags.SAMPLED and parent.is_valid:
            return None, more
        client = self._client()
        destination = f"{more.get('group_id') or (client.group_id if client is not None else '')}/{stream_id}"
        span = self._tracer.start_span(f"send {destination}", kind=SpanKind.PRODUCER)
        if not span.get_span_context().trace_flags & TraceFlags.SAMPLED and not span.is_recording():
            return None, more
        if span.is_recording():
            span.set_attributes(
                {
                    "messaging.system": "inlong",
                    "messaging.operation.name": "send",
                    "messaging.operation.type": "send",
                    "messaging.destination.name": destination,
                }
            )
            if isinstance(payload, (bytes, bytearray)):
                span.set_attribute("messaging.message.body.size", len(payload))
        traced = _Traced(span)
        if self._place is not None and _is_good(more.get(self._place)):  # else the client says what is wrong with it
            given = _names(more.get(self._place))
            headers: dict[str, str] = {}
            propagate.inject(headers, trace.set_span_in_context(span, context.get_current()))
            there = {*given, *_names(more.get("attributes")), *_names(more.get("item_attributes"))}
            new = {name: value for name, value in headers.items() if name not in there}
            fitting = {name: value for name, value in new.items() if _fits(name) and _fits(value)}
            traced.whole = len(fitting) == len(new)
            if fitting:
                traced.carried = Carried(given, fitting)
                more = {**more, self._place: traced.carried}
        return traced, more


def _is_good(attributes: object) -> bool:
    return attributes is None or isinstance(attributes, Mapping)


def _names(attributes: Any) -> Mapping[str, str]:
    return attributes if isinstance(attributes, Mapping) else {}  # pyright: ignore[reportUnknownVariableType]


def _fits(text: str) -> bool:
    return text.isascii() and text.isprintable() and "&" not in text and "=" not in text and text == text.strip() != ""


class _Traced:
    """The span of a message, or of those of a send_many, with what takes its context to the consumer.

    Attributes:
        carried: the attributes that do; None where nothing does.
        whole: whether attributes can carry all of it.
    """

    def __init__(self, span: Span) -> None:
        self._span = span
        self.carried: Optional[Carried] = None
        self.whole = True

    def __enter__(self) -> None:
        """Begin the call that it is of."""

    def __exit__(self, _kind: object, error: Optional[BaseException], _trace: object) -> None:
        """End it where the call raised."""
        if error is not None:
            self.end(None, error)

    def end(self, result: Optional[Result], error: Optional[BaseException]) -> None:
        """End it with what became of the message."""
        if self._span.is_recording():
            told: Any = result if result is not None else error if isinstance(error, SendError) else None
            if told is not None and told.node:
                host, _, port = str(told.node).rpartition(":")
                self._span.set_attributes({"server.address": host.strip("[]"), "server.port": int(port) if port.isdecimal() else 0})
            if told is not None and told.batch_id:
                self._span.set_attributes({"messaging.inlong.batch_id": told.batch_id, "messaging.inlong.attempts": told.attempts})
            if isinstance(error, SendError) and error.persisted is Persisted.STORED:  # no failure: it will be delivered
                self._span.set_attribute("messaging.inlong.stored", True)
            elif error is not None:
                code = str(error.code) if isinstance(error, SendError) and error.code else type(error).__name__
                self._fail(code, str(error))
        self._end()

    def end_many(self, report: SendReport) -> None:
        """End it with a report."""
        if self._span.is_recording():
            self._span.set_attributes({"messaging.batch.message_count": report.taken, "messaging.inlong.failed": report.failed})
            if report.failed:
                self._fail("partial" if report.acked else "failed", f"{report.failed} of {report.taken} messages failed")
        self._end()

    def _fail(self, kind: str, text: str) -> None:
        self._span.set_attribute("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR, text))

    def _end(self) -> None:
        if not self.whole or (self.carried is not None and self.carried.left_out):
            self._span.set_attribute("messaging.inlong.context_left_out", True)
        self._span.end()
