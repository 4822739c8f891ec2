"""Carry out a plan: options, messages, flushes, a close; say in a line of JSON what became of each.

Run: python send_plan.py PLAN PAYLOADS

The conformance program writes the plan and judges the lines. PLAN is text, a line a step, carried out in order; "-" is none,
the last field goes to the end of the line, where a tab stands before attributes of the item:

    option KEY VALUE
    mode async|sync|bulk
    message GROUP STREAM TIME_MS OFFSET LENGTH ATTRIBUTES[TAB ITEM ATTRIBUTES]
    flush MS
    close MS

PAYLOADS is a file with all payloads.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from functools import cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, Optional, TypedDict, Union

from inlong_dataproxy import Client, InlongError, Result, SendError, options


class Common(NamedTuple):
    """What messages must share to go in one call."""

    group: str
    stream: str
    time_ms: int
    attributes: tuple[tuple[str, str], ...]
    item_attributes: tuple[tuple[str, str], ...]


class Given(TypedDict):
    """The same as keywords of the sending calls."""

    group_id: str
    attributes: Optional[Mapping[str, str]]
    event_time: Optional[float]
    item_attributes: Optional[Mapping[str, str]]


class Message(NamedTuple):
    """One message of the plan."""

    number: int
    common: Common
    payload: Union[bytes, str]


class Order(NamedTuple):
    """A flush or a close."""

    kind: str
    seconds: float


class Sender:
    """A client with what it says of its messages."""

    def __init__(self, client: Client, mode: str) -> None:
        self._client = client
        self._mode = mode
        self._lock = threading.Lock()
        self._results = 0

    def send(self, messages: list[Message]) -> None:
        """Send messages that have all but their payload in common."""
        common = messages[0].common
        given: Given = {
            "group_id": common.group,
            "attributes": dict(common.attributes) or None,
            "event_time": common.time_ms / 1000 if common.time_ms else None,
            "item_attributes": dict(common.item_attributes) or None,
        }
        if self._mode == "bulk":
            report = self._client.send_many((m.payload for m in messages), common.stream, **given)
            failed = {failure.index: failure.error for failure in report.failures}
            for place, message in enumerate(messages):
                self._say(message.number, failed.get(place))
            return
        for message in messages:
            try:
                if self._mode == "sync":
                    self._client.send(message.payload, common.stream, **given)
                    self._say(message.number, None)
                else:
                    future = self._client.send_async(message.payload, common.stream, **given)
                    future.add_done_callback(partial(self._done, message.number))
            except InlongError as error:
                self._say(message.number, error)

    def _done(self, index: int, future: Future[Result]) -> None:
        self._say(index, future.exception())

    def _say(self, index: int, error: Optional[BaseException]) -> None:
        line: dict[str, object] = {"step": "message", "index": index, **failure(error)}
        if isinstance(error, SendError):
            line |= {"server_code": error.server_code, "persisted": error.persisted.name.lower(), "attempts": error.attempts}
        text = json.dumps(line)
        with self._lock:
            self._results += 1
            print(text)

    def carry_out(self, order: Order) -> None:
        """Flush or close, and say what came of it."""
        line: dict[str, object] = {"step": order.kind}
        try:
            if order.kind == "flush":
                self._client.flush(order.seconds)
            else:
                report = self._client.close(order.seconds)
                line |= {"acked": report.acked, "unsent": report.unsent}
        except InlongError as error:
            line |= failure(error)
        with self._lock:
            print(json.dumps(line | {"results": self._results}))


def failure(error: Optional[BaseException]) -> dict[str, object]:
    """Return code and text of an error, nothing for none."""
    if error is None:
        return {}
    return {"code": error.code if isinstance(error, SendError) else -1, "text": str(error) or repr(error)}


def typed(key: str, text: str) -> Union[int, bool, str]:
    """Return an option's value as Python users give it."""
    kind = next(option.kind for option in options() if option.key == key)
    if kind == "int":
        return int(text)
    return text == "true" if kind == "bool" else text


def payload_of(data: bytes) -> Union[bytes, str]:
    """Return text outside ASCII as str, which must arrive as the same bytes."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return data
    return data if text.isascii() else text


@cache
def common_of(group: str, stream: str, time_ms: str, attributes: str) -> Common:
    """Return what stands in the plan for messages that share it."""
    of_batch, _, own = attributes.partition("\t")
    return Common("" if group == "-" else group, stream, int(time_ms), pairs_of(of_batch), pairs_of(own))


def pairs_of(attributes: str) -> tuple[tuple[str, str], ...]:
    """Return names and values, none of "-" and of nothing."""
    pairs = [] if attributes in ("-", "") else [pair.split("=", 1) for pair in attributes.split("&")]
    return tuple((key, value) for key, value in pairs)


def parse(lines: list[str], payloads: bytes) -> tuple[dict[str, Any], str, list[Union[Message, Order]]]:
    """Return options, mode and steps."""
    settings: dict[str, Any] = {}
    mode = ""
    steps: list[Union[Message, Order]] = []
    index = 0
    for line in lines:
        kind, rest = line.split(" ", 1)
        if kind == "option":
            key, text = rest.split(" ", 1)
            settings[key] = typed(key, text)
        elif kind == "mode":
            mode = rest
        elif kind == "message":
            group, stream, time_ms, offset, length, attributes = rest.split(" ", 5)
            start = int(offset)
            payload = payload_of(payloads[start : start + int(length)])
            steps.append(Message(index, common_of(group, stream, time_ms, attributes), payload))
            index += 1
        else:
            steps.append(Order(kind, int(rest) / 1000))
    return settings, mode, steps


def alike(step: Union[Message, Order]) -> object:
    """Return what neighbours must share to be carried out together."""
    return step.common if isinstance(step, Message) else step


def batches(steps: list[Union[Message, Order]]) -> Iterator[Union[list[Message], Order]]:
    for key, neighbours in groupby(steps, alike):
        if isinstance(key, Order):
            yield from (step for step in neighbours if isinstance(step, Order))
        else:
            yield [step for step in neighbours if isinstance(step, Message)]


def main() -> int:
    plan, payloads = (Path(argument).read_bytes() for argument in sys.argv[1:])
    settings, mode, steps = parse(plan.decode().splitlines(), payloads)
    try:
        client = Client(**settings)
    except InlongError as error:
        print(json.dumps({"step": "client", **failure(error)}))
        return 0
    print(json.dumps({"step": "client"}))
    with client:
        sender = Sender(client, mode)
        for batch in batches(steps):
            if isinstance(batch, Order):
                sender.carry_out(batch)
            else:
                sender.send(batch)
    return 0


if __name__ == "__main__":
    sys.exit(main())
