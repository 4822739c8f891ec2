"""H3: Ctrl-C ends every blocking call at once: the main thread must never wait inside the library."""

from __future__ import annotations

import gc
import itertools
import os
import signal
import threading
from contextlib import suppress
from typing import Any, Callable

import pytest
from support import GROUP, LONG, STREAM, Opcodes, interrupt, rounds, silence, wait_until

from inlong_dataproxy import Client
from inlong_dataproxy._host.end import still_open
from inlong_dataproxy._native import handle, lowlevel as low
from inlong_dataproxy._threads.delivery import Delivery
from inlong_dataproxy._threads.line import Line
from inlong_dataproxy.testing import MockCluster

PROMISE = 0.25
LIMIT = 1.0  # for a machine whose processors others keep busy; each of these calls would wait twice as long and more

pytestmark = pytest.mark.timeout(LONG)


def waits_in_send(client: Client) -> None:
    client.send(b"x", STREAM)


def waits_for_a_future(client: Client) -> None:
    client.send_async(b"x", STREAM).result()


def waits_in_flush(client: Client) -> None:
    client.send_async(b"x", STREAM)
    client.flush()


def waits_for_the_end_of_send_many(client: Client) -> None:
    client.send_many([b"x"], STREAM)


def waits_for_room_in_send_many(client: Client) -> None:
    client.send_many(itertools.repeat(b"x"), STREAM)


def waits_in_close(client: Client) -> None:
    client.send_async(b"x", STREAM)
    client.close(timeout=2)


CALLS = [
    waits_in_send,
    waits_for_a_future,
    waits_in_flush,
    waits_for_the_end_of_send_many,
    waits_for_room_in_send_many,
    waits_in_close,
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_h3_a_call_that(cluster: MockCluster, call: Callable[[Client], None]) -> None:
    took: list[float] = []
    while len(took) < rounds(2, len(CALLS)) or (min(took) >= PROMISE and len(took) < 20):  # others may keep the processors for long
        cluster.reset()
        client = Client(cluster.url, group_id=GROUP)
        silence(cluster)
        with interrupt(lambda: cluster.stats()["messages"] > 0) as since:
            with pytest.raises(KeyboardInterrupt):
                call(client)
            took.append(since())
            assert took[-1] < LIMIT
        # The client is whole: what was accepted has its one result when it is closed.
        report = client.close(timeout=10 if client.closed else 0)  # a close that continues has a timeout of its own
        assert report.unsent >= 1
        assert report.acked == 0
        for node in range(3):
            cluster.clear_faults(node)
        # The nodes still read what is on its way: the next round would have its Ctrl-C before its call.
        wait_until(lambda: sum(node["connections"] for node in cluster.stats()["nodes"]) == 0, "the nodes have read all")
    assert min(took) < PROMISE


def test_h3_close_goes_on_in_the_background(cluster: MockCluster) -> None:
    client = Client(cluster.url, group_id=GROUP)
    silence(cluster)
    future = client.send_async(b"x", STREAM)
    with interrupt(lambda: client.closed and cluster.stats()["messages"] > 0) as since:
        with pytest.raises(KeyboardInterrupt):
            client.close(timeout=3)
        assert since() < LIMIT
    assert client.close().unsent == 1
    assert future.exception(timeout=0) is not None


def test_h3_a_close_that_is_broken_off_in_its_first_steps_is_done_by_the_next(cluster: MockCluster) -> None:
    # In a few steps of the interpreter it counted as begun, and nobody was going to do it: the next one waited for it for ever.
    number = 0
    while True:
        client = Client(cluster.url, group_id=GROUP)
        client.send_async(b"x", STREAM)
        with Opcodes((Delivery.begin_close, Line.refuse_all, Line.close), number) as opcodes, suppress(KeyboardInterrupt):
            client.close(timeout=10)
        assert client.close(timeout=10).acked == 1
        assert still_open() == set()
        if not opcodes.hit:
            break
        number += 1
    assert number > 20


def test_h3_waiting_for_room(cluster: MockCluster) -> None:
    client = Client(cluster.url, group_id=GROUP, worker_num=1, max_pending_messages=1, block_if_queue_is_full=True)
    silence(cluster)
    with interrupt(lambda: cluster.stats()["messages"] > 0) as since:
        futures = []
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012
            while True:
                futures.append(client.send_async(b"x", STREAM))
        assert since() < LIMIT
    # Nothing is left of the message that was refused: a flush would wait for its result.
    assert client.stats()["pending_messages"] == len(futures)
    client.close(timeout=0)


def test_h3_making_a_client(cluster: MockCluster) -> None:
    cluster.manager_fault("silence")
    with interrupt(lambda: cluster.stats()["manager_calls"] > 0) as since:
        with pytest.raises(KeyboardInterrupt):
            Client(cluster.url, group_id=GROUP)
        assert since() < LIMIT


def test_h3_a_client_whose_making_a_signal_handler_breaks_off_is_closed(
    cluster: MockCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only after Ctrl-C it was, not after what a handler of a time limit raises.
    go, closed = threading.Event(), threading.Event()
    make_handle, client_close = handle.make_handle, low.client_close

    def make_late(*given: Any) -> Any:
        os.kill(os.getpid(), signal.SIGALRM)
        go.wait()
        return make_handle(*given)

    monkeypatch.setattr(handle, "make_handle", make_late)

    def close_and_tell(*given: Any) -> Any:
        closed.set()
        return client_close(*given)

    monkeypatch.setattr(low, "client_close", close_and_tell)

    def too_long(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, too_long)
    try:
        with pytest.raises(TimeoutError):
            Client(cluster.url, group_id=GROUP)
    finally:
        signal.signal(signal.SIGALRM, before)
        go.set()
    assert closed.wait(10)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_h3_a_client_that_ctrl_c_keeps_from_being_used_is_closed(cluster: MockCluster) -> None:
    # In the steps between the library's client and its threads nobody owned it: its connections stayed until the end.
    number = 0
    functions = (handle.new_handle, Client.__init__, Delivery.__init__, Delivery.start)
    while True:
        with Opcodes(functions, number) as opcodes, suppress(KeyboardInterrupt):
            client = Client(cluster.url, group_id=GROUP)
        if not opcodes.hit:
            break
        number += 5
        gc.collect()
        wait_until(lambda: still_open() == set(), "nothing is open")
        wait_until(lambda: sum(node["connections"] for node in cluster.stats()["nodes"]) == 0, f"it is closed at step {number}")
    assert number > 100
    client.close()


@pytest.mark.parametrize("name", ["inlong-line", "inlong-results"])
def test_h3_a_client_whose_threads_ctrl_c_keeps_from_beginning_is_closed(
    cluster: MockCluster, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    # Its connections and the thread that had begun stayed until the end of the process.
    start = threading.Thread.start

    def interrupted(self: threading.Thread) -> None:
        start(self)
        if self.name == name:
            raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Client(cluster.url, group_id=GROUP)
    wait_until(lambda: name not in {thread.name for thread in threading.enumerate()}, "its threads ended")
    wait_until(lambda: sum(node["connections"] for node in cluster.stats()["nodes"]) == 0, "its connections are closed")


def test_h3_a_send_many_that_ctrl_c_breaks_off_at_once_leaves_no_thread(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    # The thread that stands in for its caller looked every 10 ms for ever.
    start = threading.Thread.start

    def interrupted(self: threading.Thread) -> None:
        start(self)
        if self.name == "inlong-send-many":
            raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        client.send_many([b"x"], STREAM)
    wait_until(lambda: "inlong-send-many" not in {thread.name for thread in threading.enumerate()}, "it ended")
