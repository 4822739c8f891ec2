"""Moments of the line's thread that only a test can choose."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from support import GROUP, STREAM
from test_line import held

from inlong_dataproxy import Client, ClosedError
from inlong_dataproxy._host.ticket import Ticket
from inlong_dataproxy._threads import line as line_module


class Parking:
    """A queue that keeps the line's thread for once behind a look at its size."""

    def __init__(self, queue: Any, line_thread: threading.Thread) -> None:
        self._queue, self._line_thread = queue, line_thread
        self.parked, self.go_on = threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)

    def qsize(self) -> int:
        size: int = self._queue.qsize()
        if threading.current_thread() is self._line_thread and not self.parked.is_set():
            self.parked.set()
            self.go_on.wait(30)
        return size


def test_a_message_that_the_line_has_just_seen_counts_as_not_sent(client: Client) -> None:
    # Between the look at the queue and what it told of it a sender read that the line was idle: flush returned before a queued
    # message had its result, and send and send_many overtook it.
    line = client._line
    with held(client):
        queue: Any = Parking(line._queue, line.thread)
        line._queue = queue
        future = client.send_async(b"x", STREAM)
    assert queue.parked.wait(10)
    try:
        assert not line.empty(time.monotonic())
    finally:
        queue.go_on.set()
    client.flush(10)
    assert future.done()


def test_a_line_that_ends_by_a_fault_answers_the_commands_that_it_has_put_back(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A command behind the messages that it had in its hand was looked at by nobody: send_many waited for ever.
    monkeypatch.setattr(threading, "excepthook", lambda _: None)  # its end is no fault of this test
    line, ticket = client._line, Ticket()
    with held(client):
        future = client.send_async(b"x", STREAM)
        line.put((None, ticket.answer, None))
        monkeypatch.setattr(line_module, "split", lambda _: 1 / 0)
    assert ticket.wait(time.monotonic() + 10)
    error = future.exception(10)
    assert isinstance(error, ClosedError)
    assert (error.group_id, error.stream_id) == (GROUP, STREAM)
