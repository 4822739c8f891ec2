"""A send that comes in the middle of another one of its thread: by a signal, a finalizer, a log record, Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections import deque
from concurrent import futures
from typing import Any, Callable

import pytest
from support import GROUP, LONG, STREAM, rounds, run_python, silence, wait_until

from inlong_dataproxy import AsyncClient, Client, InlongError, QueueFullError, Result
from inlong_dataproxy._asyncio import offloop
from inlong_dataproxy._sending.bulk import Bulk
from inlong_dataproxy._sending.message import Model
from inlong_dataproxy._sending.models import Models
from inlong_dataproxy.testing import MockCluster

REENTRY = """
import faulthandler, gc, logging, signal, sys, threading, time
from inlong_dataproxy import Client, InlongError, InlongHandler
faulthandler.dump_traceback_later(50, exit=True)
url, seconds = sys.argv[1], float(sys.argv[2])
client = Client(url, group_id="test_group", ordered=True, block_if_queue_is_full=False)
log = logging.getLogger("mine")
log.propagate = False
handler = InlongHandler(client, "log")
log.addHandler(handler)
entered = [0, 0, 0]

def on_signal(*_):
    entered[0] += 1
    log.warning("a signal came")
    client.send_async(b"signal %d" % entered[0], "signals")
    if entered[0] % 50 == 0:
        client.flush(10)
        client.send(b"sync", "sync")

class Finalized:
    def __init__(self):
        self.me = self
    def __del__(self):
        entered[1] += 1
        log.warning("finalized")
        client.send_async(b"finalized %d" % entered[1], "finalized")

signal.signal(signal.SIGALRM, on_signal)
signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
gc.set_threshold(50, 2, 2)
sys.setswitchinterval(1e-6)
end, n = time.time() + seconds, 0
refused = 0
while time.time() < end:
    Finalized()
    try:
        client.send_async(b"%d" % n, "main")
        n += 1
        if n % 500 == 0:
            client.send_async(b"%d" % n, "main", attributes={"a": "b"})
            n += 1
            client.send_many([b"%d" % n, b"%d" % (n + 1)], "main")
            n += 2
    except InlongError:
        refused += 1
        time.sleep(0.001)
signal.setitimer(signal.ITIMER_REAL, 0)
gc.disable()
client.flush(30)
stats = client.stats()
assert stats["failed"] == 0 and stats["pending_messages"] == 0, stats
assert client.close(10).unsent == 0
print(n, *entered[:2], handler.dropped)
"""


def test_a_re_entered_send_never_waits_for_itself(cluster: MockCluster) -> None:
    # A signal handler, a finalizer, or a log record of either, that came while the thread was inside send_async waited for its
    # lock for ever: after some 10,000 messages.
    done = run_python(REENTRY, cluster.url, str(rounds(4)), seconds=LONG)
    sent, signals, finalized, dropped = map(int, done.stdout.split())
    assert min(signals, finalized) > 10
    assert cluster.payloads(stream_id="main") == [b"%d" % n for n in range(sent)]
    assert cluster.payloads(stream_id="finalized") == [b"finalized %d" % n for n in range(1, finalized + 1)] or dropped


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
    began = time.time()
    client.flush(timeout=20)
    assert time.time() - began < 10
    client.close(timeout=20)
    assert all(future.done() for future in futures)
    assert all(future.exception() is None for future in futures)
"""


def test_ctrl_c_in_the_middle_of_sending_loses_nothing(cluster: MockCluster) -> None:
    # KeyboardInterrupt is raised between any two steps of the sender: every future that was given out gets its result, and no flush
    # waits for one that is in nobody's hands.
    run_python(CTRL_C, cluster.url)


@pytest.mark.parametrize("call", [Client.flush, Client.close])
def test_a_signal_handler_may_flush_and_close_wherever_it_comes(client: Client, call: Callable[[Client, float], object]) -> None:
    # In the middle of add_done_callback its thread holds what the thread of results needs: flush failed after its whole time.
    future = client.send_async(b"x", STREAM)
    future.add_done_callback(lambda _: None)
    began = time.monotonic()
    with client._line.models.guard.lock:
        call(client, 20)
    assert time.monotonic() - began < 10
    future.result(timeout=10)


@pytest.mark.parametrize("call", [Client.flush, Client.close])
def test_a_signal_handler_may_flush_and_close_in_the_middle_of_waiting_for_several_futures(
    client: Client, call: Callable[[Client, float], object]
) -> None:
    # concurrent.futures.wait holds what the thread of results needs of each: flush failed, close took its whole time.
    future = client.send_async(b"x", STREAM)
    condition, began = future._condition, time.monotonic()
    with condition:
        call(client, 20)
    assert time.monotonic() - began < 10
    future.result(timeout=10)


def test_a_signal_handler_that_waits_for_a_result_where_none_can_come_hears_of_it(cluster: MockCluster, client: Client) -> None:
    # It waited for its own thread, for ever.
    with client._line.models.guard.lock:  # as in the middle of add_done_callback
        future = client.send_async(b"x", STREAM)
        for wait in (future.result, future.exception, lambda: client.send_many([b"y"], STREAM), lambda: futures.wait([future])):
            with pytest.raises(InlongError, match="no result comes until it has returned"):
                wait()
        assert not future.done()
        assert "running" in repr(future)
    future.result(timeout=10)
    silence(cluster)
    watched = client.send_async(b"x", STREAM)
    with watched._condition:  # as in the middle of concurrent.futures.wait
        for node in range(3):
            cluster.clear_faults(node)
            cluster.reset_connections(node)
        wait_until(lambda: client._line.models.guard.wanted is not None, "the result comes")
        other = client.send_async(b"y", STREAM)
        with pytest.raises(InlongError, match="no result comes until it has returned"):
            other.result()
    other.result(timeout=10)


def test_a_signal_handler_in_the_middle_of_send_many_gets_results(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    # The call that it interrupted held what the thread of results needs: the handler waited for ever.
    got: list[Result] = []
    outstanding = Bulk.outstanding

    def interrupted(bulk: Bulk) -> int:
        if threading.current_thread() is threading.main_thread() and not got:
            got.append(Result("", "", 0))  # once
            signal.raise_signal(signal.SIGUSR1)
        return outstanding(bulk)

    def handler(*_: object) -> None:
        got.append(client.send_async(b"signal", STREAM).result(timeout=10))
        assert client.send_many([b"many"], STREAM).acked == 1
        client.flush(10)

    monkeypatch.setattr(Bulk, "outstanding", interrupted)
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        assert client.send_many([b"main"] * 10, STREAM).acked == 10
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert got[1].attempts == 1


LARGE = b"x" * 3000  # AsyncClient passes it on at once, and not at the end of the round


class Interrupted(deque[Any]):
    """A line in which a finalizer runs behind the first step of who takes from it."""

    def __init__(self, finalizer: Callable[[], object]) -> None:
        super().__init__()
        self._finalizer: Callable[[], object] | None = finalizer

    def popleft(self) -> Any:
        entry = super().popleft()
        finalizer, self._finalizer = self._finalizer, None
        if finalizer is not None:
            finalizer()
        return entry


@pytest.mark.parametrize("moment", ["tags", "gather"])
def test_a_finalizer_may_send_in_the_middle_of_passing_on_to_the_library(
    cluster: MockCluster, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    # AsyncClient began to pass on again inside of it: tags were given twice, or the line was empty in the middle of a run. Messages
    # that were acked had no result, the others came in another order.
    async def main() -> None:
        async with AsyncClient(cluster.url, group_id=GROUP, ordered=True) as client:
            await client.send(b"first", STREAM)
            got: list[asyncio.Future[Result]] = []
            tags = Models.tags

            def finalizer() -> None:
                got.append(client.send_nowait(LARGE + b"finalizer", STREAM))

            def interrupted(models: Models, model: Model, count: int) -> int:
                first = tags(models, model, count)
                monkeypatch.setattr(Models, "tags", tags)
                finalizer()
                return first

            if moment == "tags":
                monkeypatch.setattr(Models, "tags", interrupted)
            else:
                client._delivery.line = Interrupted(finalizer)  # type: ignore[union-attr]
            sent = [client.send_nowait(LARGE + b"%d" % n if moment == "tags" else b"%d" % n, STREAM) for n in range(5)]
            await asyncio.wait_for(asyncio.gather(*sent), 10)
            await asyncio.wait_for(got[0], 10)
            assert client._delivery.pending == {}  # type: ignore[union-attr]

    asyncio.run(main())
    arrived = [payload.removeprefix(LARGE) for payload in cluster.payloads()[1:]]
    assert [payload for payload in arrived if payload != b"finalizer"] == [b"%d" % n for n in range(5)]
    assert arrived.count(b"finalizer") == 1


def test_a_finalizer_may_send_while_a_full_queue_refuses_what_waits(cluster: MockCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    # "deque mutated during iteration" came out of the loop.
    faults: list[object] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
        async with AsyncClient(cluster.url, group_id=GROUP, worker_num=1, max_pending_messages=10) as client:
            await client.send(b"first", STREAM)
            silence(cluster)
            got: list[asyncio.Future[Result]] = []
            answer = offloop.answer

            def interrupted(future: asyncio.Future[Any], outcome: object) -> None:
                monkeypatch.setattr(offloop, "answer", answer)
                got.append(client.send_nowait(b"finalizer", STREAM))
                answer(future, outcome)

            monkeypatch.setattr(offloop, "answer", interrupted)
            sent = [client.send_nowait(b"x", STREAM) for _ in range(20)]
            await asyncio.wait(sent[10:], timeout=10)
            await asyncio.wait(got, timeout=10)
            assert all(isinstance(future.exception(), QueueFullError) for future in [*sent[10:], *got])
            await client.close(0)
            await asyncio.gather(*sent, return_exceptions=True)

    asyncio.run(main())
    assert faults == []
