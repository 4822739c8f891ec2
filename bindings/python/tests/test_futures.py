from __future__ import annotations

import asyncio
import concurrent.futures
import copy
import functools
import logging
import pickle
import sys
import threading
from concurrent.futures import Future

import pytest
from support import LONG, STREAM, rounds, run_python, wait_until

from inlong_dataproxy import Client, ClosedError, InlongError, LibraryError, Persisted, Result, ServerError
from inlong_dataproxy._results.future import DeliveryFuture, Guard
from inlong_dataproxy._results.taker import Outcome
from inlong_dataproxy._sending import models
from inlong_dataproxy._sending.message import Model
from inlong_dataproxy.testing import MockCluster


def unresolved() -> DeliveryFuture:
    future = DeliveryFuture()
    future.model = Model(Guard(), "", "s")
    return future


def test_a_message_keeps_its_tag_for_itself_while_streams_come_and_go(
    cluster: MockCluster, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With more streams than are kept, their numbers wrapped while a message was pending. One that got its tag again took its
    # result, and with it the thread of results.
    monkeypatch.setattr(models, "_MODELS", 4)
    for node in range(3):
        cluster.fault(node, "silence", standing=True)
    futures = [client.send_async(b"x", f"stream{n}") for n in range(40)]
    for node in range(3):
        cluster.clear_faults(node)
        cluster.reset_connections(node)
    assert all(future.result(timeout=10).node for future in futures)


def test_every_future_gets_its_result(cluster: MockCluster, client: Client) -> None:
    # Results come in ranges of a batch: an index that is off by one, a stream whose tags mix with another's.
    futures = [client.send_async(b"%d" % n, f"stream{n % 7}") for n in range(5000)]
    results = [future.result(timeout=10) for future in futures]
    assert all(result.attempts == 1 for result in results)
    assert sorted(cluster.payloads(), key=int) == [b"%d" % n for n in range(5000)]


def test_messages_of_one_batch_share_its_id(client: Client) -> None:
    results = [future.result() for future in [client.send_async(b"x", STREAM) for _ in range(50)]]
    assert len({result.batch_id for result in results}) < 10


def test_many_threads_send_at_once(cluster: MockCluster, client: Client) -> None:
    futures: list[Future[Result]] = []

    def send(first: int) -> None:
        futures.extend(client.send_async(b"%d" % n, STREAM) for n in range(first, first + 500))

    threads = [threading.Thread(target=send, args=(n * 500,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for future in futures:
        future.result(timeout=10)
    assert sorted(cluster.payloads(), key=int) == [b"%d" % n for n in range(4000)]


def test_the_tools_of_the_standard_library_take_our_futures(client: Client) -> None:
    # as_completed, wait and asyncio reach into a Future's private parts, which ours makes on demand.
    futures = [client.send_async(b"x", STREAM) for _ in range(100)]
    assert set(concurrent.futures.as_completed(futures, timeout=10)) == set(futures)
    futures = [client.send_async(b"x", STREAM) for _ in range(100)]
    done, rest = concurrent.futures.wait(futures, timeout=10)
    assert done == set(futures)
    assert not rest

    async def wait() -> list[Result]:
        return await asyncio.gather(*[asyncio.wrap_future(client.send_async(b"x", STREAM)) for _ in range(100)])

    assert len(asyncio.run(wait())) == 100


def test_a_future_cannot_be_cancelled(cluster: MockCluster, client: Client) -> None:
    # A message that was accepted is not recalled: cancel must not claim that it is.
    future = client.send_async(b"x", STREAM)
    assert not future.cancel()
    assert not future.cancelled()
    future.result(timeout=10)
    assert not future.running()
    assert cluster.payloads() == [b"x"]


def test_callbacks_run_before_and_after_the_result(client: Client) -> None:
    # One added before the result, and one after it, are called once each.
    seen: list[Future[Result]] = []
    future = client.send_async(b"x", STREAM)
    future.add_done_callback(seen.append)
    future.result(timeout=10)
    wait_until(lambda: len(seen) == 1, "first callback")
    future.add_done_callback(seen.append)
    assert seen == [future, future]


def test_a_callback_that_raises_harms_nobody(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    # One thread gives out all results: an exception in user code must not end it.
    def bad(_: Future[Result]) -> None:
        raise SystemExit(5)

    for _ in range(3):
        client.send_async(b"x", STREAM).add_done_callback(bad)
    client.flush(timeout=10)
    client.send_async(b"x", STREAM).result(timeout=10)
    assert "a callback of a message's result raised" in caplog.text


def test_a_callback_may_send_flush_and_close(cluster: MockCluster, client: Client) -> None:
    # Each of them would wait for the thread that it is called on.
    ended = threading.Event()

    def use(_: Future[Result]) -> None:
        client.send(b"2", STREAM)
        client.send_async(b"3", STREAM)
        client.flush()
        with pytest.raises(InlongError, match="done-callback"):
            client.send_many([b"4"], STREAM)
        client.close()
        ended.set()

    client.send_async(b"1", STREAM).add_done_callback(use)
    assert ended.wait(10)
    assert sorted(cluster.payloads()) == [b"1", b"2", b"3"]


def test_as_completed_gives_a_future_once_that_finishes_meanwhile(client: Client) -> None:
    # A future that shows its result before it takes the lock is found finished, and then announced again.
    for _ in range(30):
        futures = [client.send_async(b"x", STREAM) for _ in range(200)]
        assert len(list(concurrent.futures.as_completed(futures, timeout=10))) == 200


def test_waiting_and_resolving_at_the_same_time_miss_nothing() -> None:
    # A waiter that comes between the resolver's look for waiters and its writing of the state would sleep for ever.
    for _ in range(2000):
        future = unresolved()
        seen = threading.Event()
        barrier = threading.Barrier(2)

        def wait(future: DeliveryFuture = future, seen: threading.Event = seen, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            if future.wait(10):
                seen.set()

        thread = threading.Thread(target=wait)
        thread.start()
        barrier.wait()
        future.resolve(Result("b", "n", 1))
        thread.join()
        assert seen.is_set()


def test_result_gives_up_after_its_timeout() -> None:
    with pytest.raises(concurrent.futures.TimeoutError):
        unresolved().result(timeout=0.01)


def test_errors_survive_pickling() -> None:
    # They cross process boundaries in pools.
    error = ServerError("text", code=10011, name="server_error", server_code=109, persisted=Persisted.MAYBE_WRITTEN, node="n:1")
    restored = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert type(restored) is ServerError
    assert str(restored) == "text"
    assert vars(restored) == vars(error)


@pytest.mark.parametrize("burst", [1, 1000])
def test_a_callback_gets_each_result_once_before_flush_returns(cluster: MockCluster, client: Client, burst: int) -> None:
    # One that is called twice, or not at all because the result came before somebody looked.
    seen: list[tuple[int, object, object]] = []

    def note(n: int, result: object, error: object) -> None:
        seen.append((n, result, error))

    for n in range(burst):
        client.send_async(b"%d" % n, STREAM, callback=functools.partial(note, n))
    client.flush(timeout=10)
    assert [n for n, _, _ in seen] == list(range(burst))
    assert all(isinstance(result, Result) and error is None for _, result, error in seen)
    for node in range(3):
        cluster.fault(node, "error_code", standing=True, code=109)
    errors: list[object] = []
    future = client.send_async(b"x", STREAM, callback=lambda *outcome: errors.append(outcome))
    client.flush(timeout=10)
    assert errors == [(None, future.exception())]


def test_callbacks_added_while_the_result_comes_are_called_once() -> None:
    # Between the resolver's look and the adding: both may see it, or neither.
    for _ in range(2000):
        future = unresolved()
        seen: list[object] = []
        future.callback = lambda *outcome, seen=seen: seen.append(outcome)
        barrier = threading.Barrier(2)

        def add(future: DeliveryFuture = future, seen: list[object] = seen, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            future.add_done_callback(seen.append)

        thread = threading.Thread(target=add)
        thread.start()
        barrier.wait()
        future.resolve(Result("b", "n", 1))
        thread.join()
        assert len(seen) == 2


LOST = """
import collections, concurrent.futures, sys, threading
from inlong_dataproxy._results.future import DeliveryFuture, Guard, Result
from inlong_dataproxy._sending.message import Model
sys.setswitchinterval(1e-6)
acked, called, rounds = Result("b", "n", 1), collections.Counter(), int(sys.argv[1])
for _ in range(rounds):
    model = Model(Guard(), "", "s")
    futures = [DeliveryFuture() for _ in range(40)]
    for future in futures:
        future.model = model
        future.add_done_callback(lambda _: called.update(["first"]))
    def wait_for_each():
        for future in futures:
            assert future.result(20) is acked
    def wait_for_all():
        done, rest = concurrent.futures.wait(futures, 20)
        assert len(done) == 40 and not rest
    def add():
        for future in futures:
            future.add_done_callback(lambda _: called.update(["second"]))
    def as_they_come():
        assert len(list(concurrent.futures.as_completed(futures, 20))) == 40
    threads = [threading.Thread(target=f) for f in (wait_for_each, wait_for_all, add, as_they_come)]
    for thread in threads:
        thread.start()
    DeliveryFuture.resolve_acked(futures[:20], acked, model.guard)
    DeliveryFuture.resolve_acked(futures[20:], acked, model.guard)
    for thread in threads:
        thread.join()
assert called == {"first": 40 * rounds, "second": 40 * rounds}, called
"""


def test_no_callback_is_lost_whoever_watches_the_future_when_its_result_comes() -> None:
    # One who waited, or added a callback, while a batch was resolved took the others' callbacks away: 71 of 753,000 were never
    # called, and an await of such a future never ended.
    run_python(LOST, str(rounds(60)), seconds=LONG)


def test_an_await_of_a_future_with_other_callbacks_ends(client: Client) -> None:
    async def wait() -> None:
        for _ in range(20):
            futures = [client.send_async(b"x", STREAM) for _ in range(100)]
            wrapped = [asyncio.wrap_future(future) for future in futures]
            for future in futures:
                future.add_done_callback(id)
            await asyncio.wait_for(asyncio.gather(*wrapped), 20)

    asyncio.run(wait())


def test_a_signal_handler_may_watch_a_future_that_is_being_watched() -> None:
    # A lock that the interrupted code holds would be waited for, for ever.
    future = unresolved()
    with future.model.guard.lock:  # where the signal comes
        future.add_done_callback(id)
        assert not future.wait(0)
    future.resolve(Result("b", "n", 1))


class Broken(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise OSError(f"no space left on device for {record.levelname}")


def test_results_go_on_when_logging_raises_for_a_callback_that_raised(
    cluster: MockCluster, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It ended the thread of results: later messages arrived, and had no result ever.
    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: told.append(unraisable.exc_value))
    own, broken = logging.getLogger("inlong_dataproxy"), Broken()
    own.addHandler(broken)
    try:
        client.send_async(b"x", STREAM, callback=lambda *_: 1 / 0)
        client.send_async(b"y", STREAM).add_done_callback(lambda _: 1 / 0)
        client.flush(timeout=10)
    finally:
        own.removeHandler(broken)
    assert client.send_async(b"z", STREAM).result(timeout=10)
    assert len(cluster.payloads()) == 3
    assert [str(error) for error in told] == ["no space left on device for ERROR"] * 2


def test_a_thread_of_results_that_ends_closes_its_client(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    # A fault of this package must not leave a client that accepts what nobody will have a result of.
    future = client.send_async(b"x", STREAM)
    future.result(timeout=10)
    delivery = client._delivery
    assert delivery is not None
    monkeypatch.setattr(delivery, "hand_out", lambda _: 1 / 0)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)  # its end is no fault of this test
    lost = client.send_async(b"y", STREAM)
    with pytest.raises(LibraryError):
        lost.result(timeout=10)
    wait_until(lambda: client.closed, "the client's close")
    with pytest.raises(ClosedError):
        client.send_many([b"z"], STREAM)
    delivery._thread.join()  # before its end is somebody's fault again


def test_a_thread_of_results_that_ends_in_a_batch_leaves_none_of_it_without_a_result(
    cluster: MockCluster, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whose outcome it was about to set, and what it was to do behind that, were in nobody's hands.
    cluster.fault(0, "error_code", standing=True, code=150)
    cluster.fault(1, "error_code", standing=True, code=150)
    cluster.fault(2, "error_code", standing=True, code=150)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)  # its end is no fault of this test
    sent = threading.Event()  # or the client could be closed before the last one is accepted
    monkeypatch.setattr(Outcome, "error", lambda *_: sent.wait(10) / 0)
    futures = [client.send_async(b"x", STREAM) for _ in range(10)]
    sent.set()
    for future in futures:
        assert isinstance(future.exception(timeout=10), LibraryError)
    assert client._delivery is not None
    client._delivery._thread.join()


def test_ctrl_c_in_a_callback_that_is_called_at_once_is_for_its_caller(client: Client) -> None:
    # It was logged, and the program continued.
    future = client.send_async(b"x", STREAM)
    future.result(timeout=10)

    def interrupted(_: Future[Result]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        future.add_done_callback(interrupted)


def test_a_future_cannot_be_copied(client: Client) -> None:
    # A copy never had a result: waiting for it did not end.
    future = client.send_async(b"x", STREAM)
    for way in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="a future cannot be copied or pickled"):
            way(future)
