from __future__ import annotations

import gc
import threading
import time
import warnings
from contextlib import suppress
from typing import Any

import pytest
from support import GROUP, STREAM, silence, wait_until

from inlong_dataproxy import Client, ClosedError, CloseReport, Persisted, QueueFullError, SendTimeoutError
from inlong_dataproxy._host.end import still_open
from inlong_dataproxy._native import lowlevel as low
from inlong_dataproxy.testing import MockCluster

SLACK = 1  # for a machine whose processors others keep busy; the promise is 0.1 s


def heal(cluster: MockCluster) -> None:
    for node in range(3):
        cluster.clear_faults(node)


def our_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name in ("inlong-results", "inlong-line")]


def test_leaving_the_with_block_delivers_what_was_accepted(cluster: MockCluster) -> None:
    with Client(cluster.url, group_id=GROUP) as client:
        futures = [client.send_async(b"%d" % n, STREAM) for n in range(100)]
    assert all(future.done() for future in futures)
    assert len(cluster.payloads()) == 100


def test_flush_delivers_and_resolves_everything_before_it(cluster: MockCluster) -> None:
    # A flush that returns while results are still in the queue, or that waits for the linger.
    with Client(cluster.url, group_id=GROUP, batching_max_publish_delay=60) as client:
        called: list[object] = []
        for n in range(120):
            client.send_async(b"%d" % n, STREAM).add_done_callback(called.append)
        client.flush(timeout=10)
        assert len(called) == 120


def test_flush_waits_for_results_that_come_when_a_look_for_results_has_found_none(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A refused message woke the thread of results, which found none; until it looked at what else to do, acks came and the flush
    # behind them asked to be told. It was, before the acks were handed out.
    delivery = client._usable()
    poll, inside, go_on, looked_at = delivery.poll, threading.Event(), threading.Event(), threading.Event()

    def poll_and_stand_still() -> int:
        if go_on.is_set():
            looked_at.wait(30)
        count = poll()
        if count == 0:
            inside.set()
            go_on.wait(30)
        return count

    monkeypatch.setattr(delivery, "poll", poll_and_stand_still)
    client.send_async(b"first", STREAM).result(timeout=10)
    low.client_wake(delivery.handle)
    assert inside.wait(10)
    future = client.send_async(b"x", STREAM)
    flush = threading.Thread(target=client.flush, args=(10,))
    flush.start()
    wait_until(lambda: bool(delivery._inbox._functions), "the flush asks to be told")
    go_on.set()
    flush.join(10)
    try:
        assert future.done()
    finally:
        looked_at.set()


def test_flush_gives_up_after_its_timeout(cluster: MockCluster, client: Client) -> None:
    silence(cluster)
    future = client.send_async(b"x", STREAM)
    began = time.monotonic()
    with pytest.raises(SendTimeoutError):
        client.flush(timeout=0.2)
    assert time.monotonic() - began < 0.2 + SLACK
    assert not future.done()
    client.close(timeout=0)


def test_close_reports_and_joins_its_threads(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    # The thread of results ends when it is joined: which may take longer than the 0.1 s that close has for it.
    delivery, joined = client._usable(), threading.Event()
    join, answer = delivery._thread.join, delivery._answer_closers
    monkeypatch.setattr(delivery, "_answer_closers", lambda: (answer(), joined.wait(10)))
    monkeypatch.setattr(delivery._thread, "join", lambda _: (joined.set(), join(10)))  # type: ignore[func-returns-value]
    for _ in range(1000):
        client.send_async(b"x", STREAM)
    report = client.close()
    assert isinstance(report, CloseReport)
    assert (report.acked, report.failed, report.unsent, report.by_code) == (1000, 0, 0, {})
    assert client.closed
    assert our_threads() == []


def test_close_fails_what_it_cannot_deliver(cluster: MockCluster, client: Client) -> None:
    # F3: a silent server: close returns at its deadline and every future has its one result.
    silence(cluster)
    futures = [client.send_async(b"x", STREAM) for _ in range(10)]
    began = time.monotonic()
    report = client.close(timeout=0.2)
    assert time.monotonic() - began < 0.2 + SLACK
    assert report.unsent == 10
    assert report.by_code == {10003: 10}
    # A close that ran out of its time returns, and the last results continue behind it.
    assert all(isinstance(future.exception(timeout=10), ClosedError) for future in futures)


def test_what_a_late_close_leaves_without_a_result_may_have_been_acked(client: Client) -> None:
    # It was told as not written, though it was acked: who sent it again had it twice. And all had one error, without ids.
    inside, go_on = threading.Event(), threading.Event()

    def slow(*_: object) -> None:
        inside.set()
        go_on.wait(30)

    client.send_async(b"x", STREAM, callback=slow)
    assert inside.wait(10)
    futures = [client.send_async(b"x", STREAM) for _ in range(3)]
    wait_until(lambda: client.stats()["acked"] == 4, "all are acked")
    low.client_drop_results(client._handle)  # as a close does that is over its time
    go_on.set()
    client.close(10)
    errors = [future.exception(0) for future in futures]
    assert len({id(error) for error in errors}) == 3
    for error in errors:
        assert isinstance(error, ClosedError)
        assert (error.persisted, error.group_id, error.stream_id) == (Persisted.MAYBE_WRITTEN, GROUP, STREAM)


def test_closing_again_gives_the_same_report(client: Client) -> None:
    # F4: from many threads at once, and afterwards.
    client.send(b"x", STREAM)
    reports: list[CloseReport] = []
    threads = [threading.Thread(target=lambda: reports.append(client.close())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reports.append(client.close())
    assert len(reports) == 9
    assert all(report is reports[0] for report in reports)


def test_closing_again_waits_no_longer_than_its_own_timeout(cluster: MockCluster, client: Client) -> None:
    # The first close has the whole send_timeout for a silent server.
    silence(cluster)
    client.send_async(b"x", STREAM)
    first = threading.Thread(target=client.close, args=(20,))
    first.start()
    wait_until(lambda: client.closed, "the first close has begun")
    began = time.monotonic()
    with pytest.raises(SendTimeoutError, match="first call of close"):
        client.close(timeout=0.1)
    assert time.monotonic() - began < 0.1 + SLACK
    heal(cluster)
    cluster.reset_connections(0)
    cluster.reset_connections(1)
    cluster.reset_connections(2)
    first.join()
    assert client.close(timeout=0).acked == 1


def test_the_first_close_has_its_report_though_the_machine_is_busy(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    # Where the library answered 0.2 s late, close(timeout=0) raised that "the first call" had not returned, which it was itself.
    client.send(b"x", STREAM)
    close, late = low.client_close, threading.Event()

    def busy(*args: Any) -> Any:
        late.wait(0.6)
        return close(*args)

    monkeypatch.setattr(low, "client_close", busy)
    assert client.close(timeout=0).acked == 1


@pytest.mark.parametrize("state", ["silent nodes", "full queue", "a callback that does not return", "senders"])
@pytest.mark.parametrize("seconds", [0, 1])
def test_close_returns_in_its_time_whatever_the_client_is_at(cluster: MockCluster, state: str, seconds: float) -> None:
    # Client.close(timeout=1) took 20 s: it waited without a bound for a thread that ran the user's callbacks.
    client = Client(cluster.url, group_id=GROUP, worker_num=1, max_pending_messages=2000, send_timeout=20)
    client.send(b"x", STREAM)
    go_on = threading.Event()
    threads: list[threading.Thread] = []
    if state == "a callback that does not return":
        inside = threading.Event()
        client.send_async(b"x", STREAM, callback=lambda *_: (inside.set(), go_on.wait(30)))  # type: ignore[func-returns-value]
        assert inside.wait(10)
    else:
        silence(cluster)
        client.send_async(b"x", STREAM)
    if state in ("full queue", "senders"):

        def send() -> None:
            with suppress(ClosedError):
                while not go_on.is_set():
                    with suppress(QueueFullError):
                        client.send_async(b"x" * 100, STREAM)

        threads = [threading.Thread(target=send) for _ in range(1 if state == "full queue" else 4)]
        for thread in threads:
            thread.start()
        wait_until(lambda: client._line.full, "the queue is full")
    if state == "full queue":
        go_on.set()
    began = time.monotonic()
    client.close(timeout=seconds)
    took = time.monotonic() - began
    go_on.set()
    for thread in threads:
        thread.join()
    assert took < seconds + 0.1 + SLACK


def test_closing_under_senders_gives_every_message_one_result(cluster: MockCluster) -> None:
    # F2: a message that slips in between the close and the last result.
    for _ in range(20):
        client = Client(cluster.url, group_id=GROUP)
        futures: list[Any] = []

        def send(client: Client = client, futures: list[Any] = futures) -> None:
            while True:
                try:
                    futures.append(client.send_async(b"x", STREAM))
                except ClosedError:
                    return

        threads = [threading.Thread(target=send) for _ in range(4)]
        for thread in threads:
            thread.start()
        wait_until(lambda futures=futures: len(futures) > 100, "senders are at work")  # type: ignore[misc]
        client.close()
        for thread in threads:
            thread.join()
        assert all(future.done() for future in futures)


def test_a_full_queue_is_an_error_or_is_waited_for_as_chosen(cluster: MockCluster) -> None:
    # F1
    def make(block: bool) -> Client:
        return Client(
            cluster.url,
            group_id=GROUP,
            worker_num=1,
            max_pending_messages=10,
            block_if_queue_is_full=block,
            send_timeout=30,
            ack_timeout=0.3,
        )

    with make(False) as client:
        silence(cluster)
        for _ in range(10):
            client.send_async(b"x", STREAM)
        with pytest.raises(QueueFullError) as caught:
            client.send_async(b"x", STREAM)
        assert caught.value.retriable
        assert client.stats()["pending_messages"] == 10
        heal(cluster)
    with make(True) as client:
        silence(cluster)
        futures = [client.send_async(b"x", STREAM) for _ in range(10)]
        threading.Timer(0.2, heal, [cluster]).start()
        futures.append(client.send_async(b"x", STREAM))
        assert all(future.result(timeout=30) for future in futures)


def test_stats_count(client: Client) -> None:
    client.send_many([b"x"] * 100, STREAM)
    client.flush()  # the counters follow the results
    stats = client.stats()
    assert (stats["accepted"], stats["acked"], stats["failed"], stats["pending_messages"]) == (100, 100, 0, 0)
    assert len(stats["lanes"]) == 8
    assert len(stats["nodes"]) == 3


def test_metrics_are_prometheus_text(client: Client) -> None:
    client.send_many([b"x"] * 100, STREAM)
    client.flush()
    text = client.metrics()
    assert "# TYPE data_proxy_msg_count counter\n" in text
    assert 'data_proxy_msg_count{code="0",name="dataproxy-go"} 100\n' in text
    client.close()
    with pytest.raises(ClosedError):
        client.metrics()


def test_a_forgotten_client_warns_and_still_delivers(cluster: MockCluster) -> None:
    # Without a warning nobody learns that messages hang on the garbage collector.
    client = Client(cluster.url, group_id=GROUP, batching_max_publish_delay=60)
    client.send_async(b"x", STREAM)
    with pytest.warns(ResourceWarning, match="unclosed <Client group_id='test_group'>"):  # noqa: PT031
        del client
        gc.collect()
    wait_until(lambda: cluster.payloads() == [b"x"], "the message of the forgotten client arrived")
    wait_until(lambda: our_threads() == [], "its thread ended")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_forgotten_client_is_closed_also_where_warnings_are_errors(cluster: MockCluster) -> None:
    # As in a test run with -W error: the warning was raised, and the close behind it never came.
    client = Client(cluster.url, group_id=GROUP)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del client
        gc.collect()
    wait_until(lambda: our_threads() == [], "its threads ended")


def test_a_client_in_a_cycle_is_collected(cluster: MockCluster) -> None:
    # The thread of results must not keep the client alive.
    client: Any = Client(cluster.url, group_id=GROUP)
    client.myself = client
    with pytest.warns(ResourceWarning):  # noqa: PT031
        del client
        gc.collect()
    wait_until(lambda: our_threads() == [], "its thread ended")


def test_a_closed_client_is_forgotten_in_silence(cluster: MockCluster) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client = Client(cluster.url, group_id=GROUP)
        client.close()
        del client
        gc.collect()
    assert still_open() == set()


def test_many_streams_do_not_pile_up(cluster: MockCluster, client: Client) -> None:
    # D13: what is kept for a stream must be bounded, and dropping it must not lose a result.
    futures = [client.send_async(b"x", f"stream{n}") for n in range(10_000)]
    client.flush(timeout=30)
    assert all(future.result(timeout=0) for future in futures)
    assert len(client._line.models._known) <= 4096
    assert cluster.stats()["messages"] == 10_000
