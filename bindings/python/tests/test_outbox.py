"""send_async passes messages on one by one when they come slowly, and in chunks when they come fast."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import pytest
from support import GROUP, STREAM, run_python, wait_until

from inlong_dataproxy import Client, InvalidMessageError, QueueFullError, Result, TimeoutError_, _lowlevel as low, _outbox
from inlong_dataproxy._future import DeliveryFuture
from inlong_dataproxy._pending import CHUNK_MESSAGES, CHUNK_TAG, Pending
from inlong_dataproxy.testing import MockCluster


def start_queueing(client: Client, stream: str = STREAM) -> None:
    """Make the client take what comes next for part of a burst."""
    client.send_async(b"first", stream).result(timeout=10)
    queue(client)


def queue(client: Client) -> None:
    client._outbox.fast = client._outbox.model.proven
    client._outbox._wake_up()


def outbox_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "inlong-outbox"]


def test_a_burst_is_queued_and_its_end_is_pushed(cluster: MockCluster, client: Client) -> None:
    # What is left in a chunk that nobody fills must not wait for the next message.
    wait_until(lambda: burst(client), "a burst was seen")
    start_queueing(client)
    last = client.send_async(b"last", STREAM)
    assert last.result(timeout=10).attempts == 1
    wait_until(lambda: not client._outbox.fast, "the end of the burst was seen")
    assert b"last" in cluster.payloads()


def burst(client: Client) -> bool:
    for _ in range(1000):
        client.send_async(b"x", STREAM)
    return bool(client._outbox.fast)


def test_slow_senders_cost_no_thread(client: Client) -> None:
    for _ in range(20):
        client.send_async(b"x", STREAM).result(timeout=10)
    assert outbox_threads() == []


def test_order_is_kept_between_the_ways_to_send(cluster: MockCluster) -> None:
    # A message passed on alone must not overtake those that are queued.
    with Client(cluster.url, group_id=GROUP, ordered=True, worker_num=1) as client:
        start_queueing(client)
        sent = [b"first"]
        for n in range(300):
            if n % 3 == 0:
                client._outbox.fast = {}
            else:
                queue(client)
            sent.append(b"%d" % n)
            if n % 50 == 49:
                client.send(sent[-1], STREAM)
            elif n % 50 == 48:
                client.send_many([sent[-1]], STREAM)
            else:
                client.send_async(sent[-1], STREAM)
    assert cluster.payloads() == sent


def test_a_message_refused_in_a_chunk_fails_alone(cluster: MockCluster) -> None:
    with Client(cluster.url, group_id=GROUP, max_frame_size=1024) as client:
        start_queueing(client)
        futures = [client.send_async(b"x" * (1500 if n in (0, 7, 99) else 10), STREAM) for n in range(100)]
        client.flush(timeout=10)
        for n, future in enumerate(futures):
            if n in (0, 7, 99):
                assert isinstance(future.exception(timeout=0), InvalidMessageError)
            else:
                assert future.result(timeout=0).attempts == 1
    assert cluster.stats()["messages"] == 98


def test_an_empty_message_is_refused_at_once_in_a_burst_too(client: Client) -> None:
    start_queueing(client)
    with pytest.raises(InvalidMessageError, match="empty"):
        client.send_async(b"", STREAM)


def test_a_full_queue_is_told_to_the_next_sender(cluster: MockCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    # What was accepted before stays accepted: it is in a chunk for which there is no room yet.
    monkeypatch.setattr(_outbox, "_BURST_MESSAGES", 0)  # or the thread, without the GIL, finds the burst at its end in the middle
    with Client(cluster.url, group_id=GROUP, worker_num=1, max_pending_messages=10, ack_timeout=0.3) as client:
        start_queueing(client)
        for node in range(3):
            cluster.fault(node, "silence", standing=True)
        futures: list[Future[Result]] = []
        with pytest.raises(QueueFullError):  # noqa: PT012
            while len(futures) < 10 + 2 * CHUNK_MESSAGES:
                queue(client)
                futures.append(client.send_async(b"%d" % len(futures), STREAM))
        assert len(futures) >= CHUNK_MESSAGES
        for node in range(3):
            cluster.clear_faults(node)
        for future in futures:
            future.result(timeout=20)
    assert {int(payload) for payload in cluster.payloads()[1:]} == set(range(len(futures)))


def test_a_flush_of_what_finds_no_room_keeps_its_timeout(cluster: MockCluster) -> None:
    # It waits for room and then for results: the second wait has what the first one left.
    with Client(cluster.url, group_id=GROUP, worker_num=1, max_pending_messages=5, send_timeout=10, ack_timeout=10) as client:
        start_queueing(client)
        for node in range(3):
            cluster.fault(node, "silence", standing=True)
        for _ in range(20):
            queue(client)
            client.send_async(b"x", STREAM)
        began = time.monotonic()
        with pytest.raises(TimeoutError_):
            client.flush(timeout=2)
        assert time.monotonic() - began < 3.5
        client.close(timeout=0)


def test_a_refusal_does_not_cost_a_chunk(cluster: MockCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    # What logs into a full queue must not copy all that waits there for every record that is dropped.
    with Client(cluster.url, group_id=GROUP, worker_num=1, max_pending_messages=10) as client:
        start_queueing(client)
        for node in range(3):
            cluster.fault(node, "silence", standing=True)
        model = client._outbox.models[STREAM]
        while len(model.queue) < CHUNK_MESSAGES or not client._outbox._full:
            queue(client)
            with suppress(QueueFullError):
                client.send_async(b"x", STREAM)
        offered: list[int] = []
        push = low.client_send_packed_now

        def count(*arguments: Any) -> int:
            offered.append(arguments[5])
            return int(push(*arguments))

        monkeypatch.setattr(low, "client_send_packed_now", count)
        for _ in range(20):
            queue(client)
            with pytest.raises(QueueFullError):
                client.send_async(b"x", STREAM)
        assert len(offered) >= 20
        assert set(offered) == {1}
        client.close(timeout=0.1)


def test_flush_and_close_push_what_is_queued(cluster: MockCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    with Client(cluster.url, group_id=GROUP) as client:
        start_queueing(client)
        monkeypatch.setattr(client._outbox, "mark", lambda _: None)  # nobody looks after the queue
        client.send_async(b"1", STREAM)
        client.flush(timeout=10)
        assert b"1" in cluster.payloads()
        client._outbox.fast = client._outbox.model.proven
        future = client.send_async(b"2", STREAM)
    assert future.result(timeout=0)
    assert b"2" in cluster.payloads()


CTRL_C = """
import os, signal, sys, threading, time
from inlong_dataproxy import Client

def press(futures, caught):
    while len(futures) < 3000:
        time.sleep(0.0001)
    # Again when it hit a finaliser, where Python drops exceptions.
    while not caught.is_set():
        os.kill(os.getpid(), signal.SIGINT)
        caught.wait(2)

for _ in range(30):
    client, futures, caught = Client(sys.argv[1], group_id="test_group"), [], threading.Event()
    thread = threading.Thread(target=press, args=(futures, caught))
    thread.start()
    try:
        while True:
            futures.append(client.send_async(b"x", "s"))
    except KeyboardInterrupt:
        caught.set()
    thread.join()
    client.close(timeout=20)
    assert all(future.done() for future in futures)
    assert all(future.exception() is None for future in futures)
"""


def test_ctrl_c_in_the_middle_of_sending_loses_nothing(cluster: MockCluster) -> None:
    # KeyboardInterrupt is raised between any two steps of the sender: every future that was given out gets its result.
    run_python(CTRL_C, cluster.url)


def test_results_may_come_in_any_ranges() -> None:
    # Ranges that end inside a chunk, go on in the next one, or come before the sender knows what was accepted.
    pending: Pending[DeliveryFuture] = Pending()
    futures = [DeliveryFuture() for _ in range(2 * CHUNK_MESSAGES + 10)]
    for first in range(0, len(futures), CHUNK_MESSAGES):
        chunk = pending.add_chunk(CHUNK_TAG + first, futures[first : first + CHUNK_MESSAGES])
    assert pending.take(CHUNK_TAG + 5, CHUNK_MESSAGES) == futures[5 : CHUNK_MESSAGES + 5]
    assert pending.take(CHUNK_TAG, 5) == futures[:5]
    assert pending.take(CHUNK_TAG + CHUNK_MESSAGES + 5, CHUNK_MESSAGES - 5) == futures[CHUNK_MESSAGES + 5 : 2 * CHUNK_MESSAGES]
    assert pending.take(CHUNK_TAG + 2 * CHUNK_MESSAGES, 4) == futures[2 * CHUNK_MESSAGES :][:4]
    pending.shorten(CHUNK_TAG + 2 * CHUNK_MESSAGES, chunk, 4)
    assert list(pending) == []
    with pytest.raises(KeyError):
        pending.take(CHUNK_TAG + 2 * CHUNK_MESSAGES, 1)


def test_memory_of_finished_messages_is_given_back(client: Client) -> None:
    for _ in range(5):
        burst(client)
    client.flush(timeout=10)
    end = time.monotonic() + 10
    while time.monotonic() < end and list(client._outbox._delivery.pending):
        time.sleep(0.002)
    pending = client._outbox._delivery.pending
    assert (pending.alone, pending._chunks) == ({}, {})
