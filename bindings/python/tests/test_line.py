"""Whatever goes through send_async, send and send_many enters the library in its order, in runs, from one thread."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest
from support import GROUP, STREAM, silence, wait_until

from inlong_dataproxy import Client, ClosedError, InvalidMessageError, QueueFullError, Result, SendTimeoutError
from inlong_dataproxy._native import lowlevel as low
from inlong_dataproxy._results.future import DeliveryFuture
from inlong_dataproxy._sending.run import Run
from inlong_dataproxy._threads import line
from inlong_dataproxy._threads.line import Command
from inlong_dataproxy.testing import MockCluster

OTHERS: list[dict[str, Any]] = [{}, {"attributes": {"a": "b"}}, {"event_time": 1.7e9}, {"group_id": GROUP}]


@contextmanager
def held(client: Client) -> Iterator[None]:
    """Keep the line's thread from taking anything."""
    client.send_async(b"first", STREAM).result(timeout=10)
    inside, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        inside.set()
        go_on.wait(30)

    client._line.put(Command(wait))
    assert inside.wait(10)
    try:
        yield
    finally:
        go_on.set()


def test_order_is_kept_between_the_ways_to_send_and_whatever_surrounds_a_message(cluster: MockCluster) -> None:
    # A message with attributes, a time or a group_id, a send and a send_many overtook what send_async had queued: 110 breaks
    # in 500,000.
    with Client(cluster.url, group_id=GROUP, ordered=True) as client:
        sent: list[bytes] = []
        for n in range(3000):
            sent.append(b"%d" % n)
            if n % 100 == 99:
                client.send(sent[-1], STREAM, **OTHERS[n // 100 % 4])
            elif n % 100 == 49:
                sent += [b"%d-%d" % (n, more) for more in range(5)]
                client.send_many(sent[-6:], STREAM, **OTHERS[n // 100 % 4])
            else:
                client.send_async(sent[-1], STREAM, **OTHERS[n % 7 % 4])
    assert cluster.payloads() == sent


@pytest.mark.parametrize("way", ["send", "send_many"])
def test_order_is_kept_when_the_queue_is_full(cluster: MockCluster, way: str) -> None:
    # send and send_many did not look whether what was queued before had found room: 4 to 6 breaks in 3,500 messages.
    options: dict[str, Any] = {"worker_num": 1, "max_pending_messages": 400, "batching_max_messages": 50}
    with Client(cluster.url, group_id=GROUP, ordered=True, block_if_queue_is_full=True, **options) as client:
        for node in range(3):
            cluster.fault(node, "delay", delay_ms=15, standing=True)
        sent = [b"%d" % n for n in range(7010)]
        for n, payload in enumerate(sent):
            if n % 701 != 700:
                client.send_async(payload, STREAM)
            elif way == "send":
                client.send(payload, STREAM)
            else:
                client.send_many([payload], STREAM)
    assert cluster.payloads() == sent


def test_streams_that_alternate_share_calls_of_the_library(
    cluster: MockCluster, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A run of one message each would cost several times as much. The order within each stream is what counts.
    for stream in ("a", "b"):
        client.send_async(b"first", stream).result(timeout=10)
    calls: list[int] = []
    push = low.client_send_packed

    def count(*arguments: Any) -> int:
        calls.append(arguments[1].count)
        return int(push(*arguments))

    monkeypatch.setattr(low, "client_send_packed", count)
    with held(client):
        for n in range(200):
            client.send_async(b"%d" % n, "ab"[n % 2])
    client.flush(timeout=10)
    assert max(calls) == 100
    assert cluster.payloads(stream_id="a")[1:] == [b"%d" % n for n in range(0, 200, 2)]
    assert cluster.payloads(stream_id="b")[1:] == [b"%d" % n for n in range(1, 200, 2)]


def test_a_message_refused_in_a_run_fails_alone(cluster: MockCluster) -> None:
    with Client(cluster.url, group_id=GROUP, max_frame_size=1024) as client:
        with held(client):
            futures = [client.send_async(b"x" * (1500 if n in (0, 7, 99) else 10), STREAM) for n in range(100)]
        client.flush(timeout=10)
        for n, future in enumerate(futures):
            if n in (0, 7, 99):
                assert isinstance(future.exception(timeout=0), InvalidMessageError)
            else:
                assert future.result(timeout=0).attempts == 1
    assert cluster.stats()["messages"] == 98


def test_what_is_refused_is_told_on_the_thread_of_results(cluster: MockCluster) -> None:
    # Callbacks of refused messages ran inside another message's send_async: a lock around sending and in the callback locked up.
    threads: set[str] = set()
    lock = threading.Lock()

    def told(_: Result | None, __: Exception | None) -> None:
        with lock:
            threads.add(threading.current_thread().name)

    with Client(cluster.url, group_id=GROUP, max_frame_size=1024) as client:
        for n in range(5000):
            with lock:
                client.send_async(b"x" * (1500 if n % 3 == 1 else 10), STREAM, callback=told)
        client.flush(timeout=20)
    assert threads == {"inlong-results"}


@pytest.mark.parametrize("payload", [b"", b"\n"])
def test_an_empty_message_is_refused_at_once(cluster: MockCluster, payload: bytes) -> None:
    with Client(cluster.url, group_id=GROUP, trim_trailing_newline=True) as client, held(client):  # noqa: SIM117
        with pytest.raises(InvalidMessageError, match="empty"):
            client.send_async(payload, STREAM)


@pytest.mark.parametrize("others", [{"stream_id": "b c"}, {"attributes": {"a": "&"}}, {"group_id": "g"}])
def test_wrong_ids_and_attributes_are_refused_at_once(client: Client, others: dict[str, Any]) -> None:
    # Anyone who has a future must not look into it to learn that nothing can ever be sent so.
    called: list[object] = []
    for _ in range(2):
        with pytest.raises(InvalidMessageError):
            client.send_async(b"x", **{"stream_id": STREAM, **others}, callback=lambda *outcome: called.append(outcome))
    client.flush(timeout=10)
    assert called == []


def test_what_waits_in_python_counts_for_the_bounds(cluster: MockCluster) -> None:
    # Up to 512 messages a stream waited beside them: 155 MB with max_pending_bytes of 4 MB. The sum of the two is bounded.
    with Client(cluster.url, group_id=GROUP, worker_num=1, max_pending_messages=2000, ack_timeout=20) as client:
        client.send(b"x", STREAM)
        silence(cluster)
        accepted = 0
        with pytest.raises(QueueFullError):  # noqa: PT012
            while accepted <= 2000:
                client.send_async(b"x", STREAM)
                accepted += 1
        assert client.stats()["pending_messages"] == accepted == 2000
        client.close(timeout=0)
    with Client(cluster.url, group_id=GROUP, worker_num=1, max_pending_bytes=1 << 20, ack_timeout=20) as client:
        for n in range(3000):
            try:
                client.send_async(b"x" * 1000, f"stream{n % 100}")
            except QueueFullError:
                break
        pending = client.stats()["pending_bytes"]
        # A buffer that grows may be larger than the message that it grew for: a sixteenth, as in the tests of the core.
        assert 900_000 < pending <= (1 << 20) * 17 // 16
        client.close(timeout=0)


def test_a_large_message_among_small_ones_keeps_the_bound(cluster: MockCluster) -> None:
    # The queue is counted in messages: it must shrink when they are large, and be what it was when they are small again.
    with Client(cluster.url, group_id=GROUP, ordered=True) as client:
        limit = client._line.limit
        for size in (10, 200_000, 10):
            for _ in range(20):
                client.send_async(b"x" * size, STREAM)
        client.flush(timeout=20)
        client.send_async(b"x", STREAM).result(timeout=10)
        assert client._line.limit == limit
    assert [len(payload) for payload in cluster.payloads()] == [10] * 20 + [200_000] * 20 + [10] * 20 + [1]


@contextmanager
def full_queue(cluster: MockCluster) -> Iterator[Client]:
    """Give a client whose queue stays full: no node answers."""
    with Client(cluster.url, group_id=GROUP, worker_num=1, max_pending_messages=100, send_timeout=60) as client:
        client.send(b"x", STREAM)
        silence(cluster)
        with pytest.raises(QueueFullError):  # noqa: PT012
            while True:
                client.send_async(b"x", STREAM)
        try:
            yield client
        finally:
            client.close(timeout=0)


def test_waiting_for_room_burns_nothing(cluster: MockCluster) -> None:
    # 12 to 76 % of a core went into looks every millisecond while nodes were away.
    with full_queue(cluster):
        with Client(cluster.url, group_id=GROUP) as idle:
            spent = []
            for _ in range(2):
                began = time.thread_time(), time.process_time()
                time.sleep(1)
                spent.append(time.process_time() - began[1])
            idle.close()
        assert min(spent) < 0.05


def test_room_is_looked_for_less_and_less_while_nothing_comes_back(cluster: MockCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    # A look each 50 ms for as long as the nodes were away: 3 % of a core, most of it in the library.
    tries = 0
    enter = Run.enter

    def counted(*args: Any) -> Any:
        nonlocal tries
        tries += 1
        return enter(*args)

    with full_queue(cluster):
        monkeypatch.setattr(Run, "enter", counted)
        began = time.monotonic()
        wait_until(lambda: tries >= 8, "it looks all the same")
        assert time.monotonic() - began > 1.8  # 0.02 + 0.04 + ... + 0.64 + 0.64 at least


def test_who_waits_for_room_is_woken_when_there_is_some(cluster: MockCluster) -> None:
    options: dict[str, Any] = {"worker_num": 1, "max_pending_messages": 64, "batching_max_messages": 16}
    with Client(cluster.url, group_id=GROUP, block_if_queue_is_full=True, **options) as client:
        senders = [threading.Thread(target=lambda: [client.send_async(b"x", STREAM) for _ in range(3000)]) for _ in range(4)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join(30)
        client.flush(timeout=10)
        assert client.stats()["acked"] == 12_000


def test_messages_that_find_no_room_in_their_time_fail(cluster: MockCluster) -> None:
    # What was accepted into a full queue must have its result in the end, though nobody ever makes room.
    with Client(cluster.url, group_id=GROUP, worker_num=1, max_pending_messages=64, send_timeout=1, ack_timeout=1) as client:
        client.send(b"x", STREAM)
        silence(cluster)
        futures: list[Future[Result]] = []
        with pytest.raises(QueueFullError):  # noqa: PT012
            while True:
                futures.append(client.send_async(b"x", STREAM))
        errors = [future.exception(timeout=10) for future in futures]
        assert all(isinstance(error, (QueueFullError, SendTimeoutError)) for error in errors)


def test_a_full_queue_is_told_to_the_next_sender(cluster: MockCluster) -> None:
    # What was accepted before stays accepted, and one that is refused costs no call of the library.
    with Client(cluster.url, group_id=GROUP, worker_num=1, max_pending_messages=100, ack_timeout=0.3) as client:
        client.send(b"first", STREAM)
        silence(cluster)
        futures: list[Future[Result]] = []
        with pytest.raises(QueueFullError):  # noqa: PT012
            while True:
                futures.append(client.send_async(b"%d" % len(futures), STREAM))
        assert len(futures) == 100
        began = time.thread_time()
        for _ in range(1000):
            with pytest.raises(QueueFullError):
                client.send_async(b"x", STREAM)
        assert time.thread_time() - began < 1
        for node in range(3):
            cluster.clear_faults(node)
        for future in futures:
            future.result(timeout=20)
    assert {int(payload) for payload in cluster.payloads()[1:]} == set(range(len(futures)))


def test_a_flush_of_what_finds_no_room_keeps_its_timeout(cluster: MockCluster) -> None:
    # It waits for room and then for results: the second wait has what the first one left.
    with Client(cluster.url, group_id=GROUP, worker_num=1, max_pending_messages=5, send_timeout=10, ack_timeout=10) as client:
        client.send(b"x", STREAM)
        silence(cluster)
        with pytest.raises(QueueFullError):  # noqa: PT012
            while True:
                client.send_async(b"x", STREAM)
        began = time.monotonic()
        with pytest.raises(SendTimeoutError):
            client.flush(timeout=1)
        with pytest.raises(QueueFullError):
            client.send(b"x", STREAM)
        client.close(timeout=1)
        assert time.monotonic() - began < 3.5


def test_flush_and_close_pass_on_what_is_queued(cluster: MockCluster) -> None:
    with Client(cluster.url, group_id=GROUP) as client:
        with held(client):
            client.send_async(b"1", STREAM)
            flusher = threading.Thread(target=client.flush, args=(10,))
            flusher.start()
        flusher.join()
        assert b"1" in cluster.payloads()
        with held(client):
            future = client.send_async(b"2", STREAM)
            client._delivery.begin_close(time.monotonic() + 10)  # type: ignore[union-attr]
            with pytest.raises(ClosedError):
                client.send_async(b"3", STREAM)
    assert future.result(timeout=0)
    assert cluster.payloads()[-1] == b"2"


def test_what_is_put_in_behind_the_end_is_refused(client: Client) -> None:
    # A sender that had looked before a close, and puts its message in behind its end, would wait for ever.
    client.close()
    line = client._line
    line.limit = 1  # as it was when the sender looked
    with pytest.raises(ClosedError):
        client.send_async(b"x", STREAM)
    assert line.size() == 0


def test_a_message_that_slips_in_at_the_very_end_has_its_result(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    # Its sender has looked before the end, and the line's thread has looked into the queue: nobody would call its callback.
    client.send_async(b"x", STREAM).result(timeout=10)
    line, called = client._line, threading.Event()
    future = DeliveryFuture()
    future.model, future.payload = line.models(STREAM), b"late"
    future.callback = lambda *_: called.set()
    sweep = line._sweep

    def slip_in() -> None:
        monkeypatch.setattr(line, "_sweep", sweep)
        line.put(future)
        sweep()

    monkeypatch.setattr(line, "_sweep", slip_in)
    client.close(timeout=5)
    assert called.is_set()
    assert isinstance(future.exception(timeout=0), ClosedError)


def test_a_line_that_ends_by_a_fault_closes_its_client(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing may be accepted that nobody passes on.
    client.send_async(b"x", STREAM).result(timeout=10)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)  # its end is no fault of this test
    with held(client):
        futures = [client.send_async(b"x", STREAM) for _ in range(10)]
        monkeypatch.setattr(client._line, "_pass_on", lambda _: 1 / 0)
    for future in futures:
        assert isinstance(future.exception(timeout=10), ClosedError)
    with pytest.raises(ClosedError):
        client.send_async(b"x", STREAM)
    client.close(timeout=5)


def test_memory_of_finished_messages_is_given_back(client: Client) -> None:
    for _ in range(5000):
        client.send_async(b"x", STREAM)
    client.flush(timeout=10)
    delivery = client._delivery
    assert delivery is not None
    assert delivery.pending == {}
    assert (client._line._proofs, client._line._run, len(client._line._hand)) == ({}, None, 0)


def test_a_closed_client_goes_without_the_collector(cluster: MockCluster) -> None:
    # Delivery and outbox held each other: with the collector off, as in many web workers, each closed client kept 100 KB.
    import weakref

    gc.collect()
    gc.disable()
    try:
        client = Client(cluster.url, group_id=GROUP)
        client.send_async(b"x", STREAM).add_done_callback(id)
        client.send_many([b"x", b"y"], STREAM)
        kept = [weakref.ref(part) for part in (client, client._delivery, client._line, client._line.models)]
        client.close()
        client._line.thread.join(10)
        del client
        wait_until(lambda: all(part() is None for part in kept), "all of it is gone")
    finally:
        gc.enable()


@pytest.mark.parametrize("part", ["split", "Run"])
def test_a_line_that_ends_between_queue_and_hand_leaves_nobody_without_a_result(
    client: Client, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    # As without memory for what it makes of the messages: those it had taken were in nobody's hands.
    client.send_async(b"x", STREAM).result(timeout=10)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)  # its end is no fault of this test
    with held(client):
        futures = [client.send_async(b"x", STREAM) for _ in range(10)]
        monkeypatch.setattr(line, part, lambda *_: 1 / 0)
    for future in futures:
        assert isinstance(future.exception(timeout=10), ClosedError)
