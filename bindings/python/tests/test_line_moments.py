"""Moments of the line's thread that only a test can choose."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from support import GROUP, STREAM, wait_until
from test_line import full_queue, held

from inlong_dataproxy import Client, ClosedError, ConfigError, QueueFullError
from inlong_dataproxy._host.ticket import Ticket
from inlong_dataproxy._results.future import DeliveryFuture
from inlong_dataproxy._sending.run import Run
from inlong_dataproxy._threads import delivery as delivery_module, line as line_module
from inlong_dataproxy.testing import MockCluster


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
        line.put(line_module.Command(ticket.answer))
        monkeypatch.setattr(line_module, "split", lambda *_: 1 / 0)
    assert ticket.wait(time.monotonic() + 10)
    error = future.exception(10)
    assert isinstance(error, ClosedError)
    assert isinstance(future, DeliveryFuture)
    assert future.payload == b"", "the future kept what was not passed on for as long as it lived"
    assert (error.group_id, error.stream_id) == (GROUP, STREAM)


def test_what_waits_behind_commands_is_looked_at_once(client: Client) -> None:
    # Messages behind a command were put back, and taken once more for each command in front of them: with as many flushes as
    # messages in the queue the thread did the square of that.
    class Watched(line_module.Command):
        looks = 0

        @property
        def model(self) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
            Watched.looks += 1

    order: list[int] = []
    with held(client):
        for n in range(100):
            client._line.put(Watched(partial(order.append, n)))
            client.send_async(b"x", STREAM)
    client.flush()
    assert (order, Watched.looks) == (list(range(100)), 100)


def test_a_flush_that_waited_for_room_and_results_does_not_blame_a_callback(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By default the two take twice send_timeout: callbacks that had run had no time left to be waited for, and it failed.
    monkeypatch.setattr(delivery_module, "_GRACE_SECONDS", 10)
    client.send(b"x", STREAM)
    monkeypatch.setattr(client._delivery, "end", lambda _: time.monotonic() - 20)
    client.flush()


def test_a_full_queue_says_that_it_is_full(cluster: MockCluster) -> None:
    # The thread of the line meets the full queue. What its sender was told was the text of its own last fault.
    with full_queue(cluster) as client:
        for send in (client.send_async, client.send):
            with pytest.raises(ConfigError):
                Client(cluster.url, no_such_option=1)  # type: ignore[call-arg]
            with pytest.raises(QueueFullError, match="queue is full: the bound of max_pending_messages"):
                send(b"x", STREAM)


class Changing(deque[Any]):
    """A deque that another thread changes while it is looked through for the first time."""

    looks = 0

    def __iter__(self) -> Iterator[Any]:
        self.looks += 1
        for entry in super().__iter__():
            if self.looks == 1:
                self.append(entry)
            yield entry


def test_what_waits_can_be_counted_while_it_changes(client: Client) -> None:
    # Without the GIL the line's thread changes it in the middle: stats and send_async raised "deque mutated during iteration".
    line, future = client._line, DeliveryFuture()
    future.model, future.payload = line.models(STREAM), b"x"
    line._behind = Changing([future])
    try:
        assert line.waiting() == (2, 2)
    finally:
        line._behind = deque()


def test_threads_that_make_room_at_the_same_time_wake_the_line(cluster: MockCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    # Each put a ticket of its own in the place of the one that it answered: the line could wait with one that nobody had any more,
    # and a close(0) took 0.6 s.
    parked, go_on = threading.Event(), threading.Event()
    tries = 0
    enter = Run.enter

    class Parking(Ticket):
        def __init__(self) -> None:
            if threading.current_thread().name == "slow":
                parked.set()
                go_on.wait(30)
            super().__init__()

    def counted(*arguments: Any) -> Any:
        nonlocal tries
        tries += 1
        return enter(*arguments)

    def wake() -> None:
        before = tries
        line.made_room()
        wait_until(lambda: tries > before, "it tries again")

    with full_queue(cluster) as client:
        line = client._line
        monkeypatch.setattr(Run, "enter", counted)
        monkeypatch.setattr(line_module, "_LOOK_SECONDS", 30)
        monkeypatch.setattr(line_module, "_LOOK_SECONDS_MOST", 30)
        wake()
        monkeypatch.setattr(line_module, "Ticket", Parking)
        slow = threading.Thread(target=line.made_room, name="slow")
        slow.start()
        wait_until(lambda: parked.is_set() or not slow.is_alive(), "it has come as far as it can")
        wake()
        go_on.set()
        slow.join()
        wake()
