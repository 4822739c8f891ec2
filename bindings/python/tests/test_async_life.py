"""AsyncClient: opening, closing, loops that end first."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import warnings
import weakref
from pathlib import Path
from typing import Any

import pytest
from support import GROUP, STREAM, run_python, silence, wait_until
from test_async import eventually

from inlong_dataproxy import (
    AsyncClient,
    ClosedError,
    ConfigError,
    InlongError,
    Result,
    SendError,
    SendTimeoutError,
)
from inlong_dataproxy._asyncio import offloop
from inlong_dataproxy._host.end import still_open
from inlong_dataproxy._native import codes, handle, lowlevel as low
from inlong_dataproxy.testing import MockCluster


def test_a_client_that_is_not_open_or_closed_says_so(cluster: MockCluster) -> None:
    async def main() -> None:
        client = AsyncClient(cluster.url, group_id=GROUP)
        with pytest.raises(InlongError, match="not open"):
            await client.send(b"x", STREAM)
        await client.close()  # never opened: nothing to do
        async with client:
            await client.send(b"x", STREAM)
            with pytest.raises(InlongError, match="opened before"):
                await client.open()
        for call in (client.send(b"x", STREAM), client.send_many([b"x"], STREAM), client.flush()):
            with pytest.raises(ClosedError):
                await call
        first, second = await asyncio.gather(client.close(), client.close())
        assert first == second
        assert first.acked == 1

    asyncio.run(main())
    with pytest.raises(ConfigError, match="grup_id"):
        AsyncClient(cluster.url, grup_id=GROUP)  # type: ignore[call-arg]


def test_closing_again_waits_no_longer_than_its_own_timeout(cluster: MockCluster) -> None:
    async def main() -> None:
        client = await AsyncClient(cluster.url, group_id=GROUP).open()
        silence(cluster)
        client.send_nowait(b"x", STREAM)
        first = asyncio.create_task(client.close(timeout=3))
        await asyncio.sleep(0)
        with pytest.raises(SendTimeoutError, match="first call of close"):
            await client.close(timeout=0.01)
        assert not first.done()
        assert await client.close(timeout=20) == await first

    asyncio.run(main())


def test_the_loop_goes_on_while_a_client_opens_and_closes(cluster: MockCluster) -> None:
    # A Manager that does not answer must not stop the loop until manager_timeout.
    cluster.manager_fault("silence")

    async def main() -> None:
        opening = asyncio.create_task(AsyncClient(cluster.url, group_id=GROUP, manager_timeout=1).open())
        ticks = 0
        while not opening.done():
            await asyncio.sleep(0.01)
            ticks += 1
        with pytest.raises(SendError):
            opening.result()
        assert ticks > 5
        cancelled = asyncio.create_task(AsyncClient(cluster.url, group_id=GROUP, manager_timeout=1).open())
        await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled

    asyncio.run(main())


def test_close_flushes_and_fails_what_does_not_get_through(cluster: MockCluster) -> None:
    async def main() -> None:
        client = await AsyncClient(cluster.url, group_id=GROUP).open()
        futures = [client.send_nowait(b"x", STREAM) for _ in range(1000)]
        assert (await client.close()).acked == 1000
        assert all(future.result() for future in futures)
        silence(cluster)
        client = await AsyncClient(cluster.url, group_id=GROUP).open()
        last = client.send_nowait(b"x", STREAM)
        closing = asyncio.create_task(client.close(0.2))
        await asyncio.sleep(0)
        closing.cancel()  # ends the wait only
        assert (await client.close()).unsent == 1
        assert isinstance(last.exception(), ClosedError)

    asyncio.run(main())


def test_a_forgotten_client_warns_and_is_closed(cluster: MockCluster) -> None:
    async def main() -> None:
        client = await AsyncClient(cluster.url, group_id=GROUP).open()
        closed = client._delivery
        assert closed is not None
        future = client.send_nowait(b"x", STREAM)
        holder = [client]
        del client
        with pytest.warns(ResourceWarning, match="unclosed <AsyncClient"):
            holder.clear()
        await eventually(lambda: closed not in still_open(), "it is closed")
        assert (await asyncio.wait_for(future, 10)).attempts == 1  # anyone who kept it must not wait for ever

    asyncio.run(main())
    assert cluster.payloads() == [b"x"]


def test_what_is_pending_when_the_interpreter_exits_is_delivered(cluster: MockCluster) -> None:
    script = """
import asyncio, sys
from inlong_dataproxy import AsyncClient
async def main():
    global client, futures
    client = await AsyncClient(sys.argv[1], group_id="test_group").open()
    futures = [client.send_nowait(b"x", "s") for _ in range(1000)]
    await asyncio.sleep(0)
asyncio.run(main())
"""
    for _ in range(3):
        run_python(script, cluster.url, seconds=30)
    assert len(cluster.payloads()) == 3000


def test_a_forked_child_is_refused_and_the_parent_goes_on(cluster: MockCluster) -> None:
    script = """
import asyncio, os, sys
from inlong_dataproxy import AsyncClient, ForkError
async def main():
    async with AsyncClient(sys.argv[1], group_id="test_group") as client:
        future = client.send_nowait(b"x", "s")
        pid = os.fork()
        if pid == 0:
            try:
                client.send_nowait(b"x", "s")
            except ForkError:
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        await future
        await client.send(b"y", "s")
asyncio.run(main())
"""
    run_python(script, cluster.url, seconds=30)
    assert sorted(cluster.payloads()) == [b"x", b"y"]


def test_a_close_that_the_end_of_the_loop_keeps_from_beginning_is_made_up_for(cluster: MockCluster) -> None:
    # Its task was cancelled before its first step: the client counted as closed, and stayed open until the process ended.
    async def main() -> None:
        client = await AsyncClient(cluster.url, group_id=GROUP).open()
        client.send_nowait(b"x", STREAM)
        asyncio.create_task(client.close())  # noqa: RUF006 - its end is what is tried

    with pytest.warns(ResourceWarning, match="unclosed <AsyncClient"):  # noqa: PT031
        asyncio.run(main())
        gc.collect()
    wait_until(lambda: still_open() == set(), "it is closed")
    assert cluster.payloads() == [b"x"]


def test_results_that_a_closed_loop_does_not_take_hold_up_no_message_and_stay_nowhere(cluster: MockCluster) -> None:
    # Behind 65,536 of them the library passes on nothing more: what waited for room failed, and they kept their memory.
    messages = 80_000
    options: dict[str, Any] = {"batching_max_messages": 1, "max_pending_messages": 2000, "block_if_queue_is_full": True}

    async def main() -> AsyncClient:
        client = await AsyncClient(cluster.url, group_id=GROUP, **options).open()
        for _ in range(messages):
            client.send_nowait(b"x", STREAM)
        return client

    client = asyncio.run(main())
    left = client._delivery
    assert left is not None
    left.begin_close(time.monotonic() + 60)
    left.wait_closed(0)
    assert client.closed
    assert cluster.stats()["messages"] == messages
    assert low.client_drop_results(left.handle) == codes.ERR_HANDLE


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_close_that_the_end_of_the_loop_cancels_goes_on_without_it(cluster: MockCluster) -> None:
    # It left 80 sockets and 5 clients behind 5 loops, without a word.
    async def main() -> None:
        client = await AsyncClient(cluster.url, group_id=GROUP, send_timeout=20).open()
        client.send_nowait(b"x", STREAM)
        asyncio.create_task(client.close())  # noqa: RUF006 - its end is what is tried
        await eventually(lambda: client.closed, "its close has begun")

    silence(cluster)
    asyncio.run(asyncio.sleep(0))
    before = descriptors()
    for _ in range(3):
        with pytest.warns(ResourceWarning, match="ended before its close did"):  # noqa: PT031
            asyncio.run(main())
            gc.collect()
    wait_until(lambda: still_open() == set(), "all are closed")
    gc.collect()
    wait_until(lambda: descriptors() <= before, "no descriptor stays")


@pytest.mark.parametrize("what", ["open", "close"])
def test_a_loop_that_is_closed_in_the_middle_leaves_no_client(
    cluster: MockCluster, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    # It cancels nobody: what it was at ends by GeneratorExit. 5 rounds left 5 clients and 90 descriptors.
    go = threading.Event()
    make_handle = handle.make_handle
    monkeypatch.setattr(offloop, "make_handle", lambda *given: (go.wait(), make_handle(*given))[1])
    silence(cluster)
    asyncio.run(asyncio.sleep(0))
    before = descriptors()

    async def opening() -> None:
        await AsyncClient(cluster.url, group_id=GROUP).open()

    async def closing() -> None:
        go.set()
        client = await AsyncClient(cluster.url, group_id=GROUP, send_timeout=1).open()
        client.send_nowait(b"x", STREAM)
        asyncio.create_task(client.close())  # noqa: RUF006 - its end is what is tried
        asyncio.get_running_loop().call_later(0.1, asyncio.get_running_loop().stop)

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # asyncio tells of a task that nobody ended
    task = loop.create_task(opening() if what == "open" else closing())
    if what == "open":
        loop.call_later(0.1, loop.stop)
    loop.run_forever()
    loop.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del task, loop
        go.set()
        wait_until(lambda: gc.collect() >= 0 and still_open() == set() and descriptors() <= before, "nothing stays")
        # Once more: before the client was made, there was nothing to stay.
        wait_until(
            lambda: gc.collect() >= 0 and sum(node["connections"] for node in cluster.stats()["nodes"]) == 0,
            "its connections are closed",
        )


def test_a_client_that_comes_into_being_behind_the_end_of_its_loop_is_closed_at_once(
    cluster: MockCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its opener was garbage by then, and the client stayed until somebody collected that.
    go, made = threading.Event(), threading.Event()
    make_handle = handle.make_handle

    def make_late(*given: Any) -> Any:
        go.wait()
        client = make_handle(*given)
        made.set()
        return client

    monkeypatch.setattr(offloop, "make_handle", make_late)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # asyncio tells of a task that nobody ended
    task = loop.create_task(AsyncClient(cluster.url, group_id=GROUP).open())
    loop.call_later(0.1, loop.stop)
    gc.disable()
    try:
        loop.run_forever()
        loop.close()
        del task, loop
        go.set()
        assert made.wait(10)
        wait_until(lambda: sum(node["connections"] for node in cluster.stats()["nodes"]) == 0, "its connections are closed")
    finally:
        gc.enable()
        gc.collect()


def test_what_a_closed_loop_cannot_be_told_keeps_no_client_open(cluster: MockCluster) -> None:
    # Passing on what its loop left in line raised "Event loop is closed": neither this client nor any behind it was closed at exit.
    loop = asyncio.new_event_loop()
    client = loop.run_until_complete(AsyncClient(cluster.url, group_id=GROUP).open())
    futures: list[asyncio.Future[Result]] = []

    def last_round(client: AsyncClient) -> None:
        for payload in (b"", b"x"):
            futures.append(client.send_nowait(payload, STREAM))
            futures[-1].add_done_callback(lambda _: None)
        loop.stop()

    loop.call_soon(last_round, client)
    loop.run_forever()
    loop.close()
    with pytest.warns(ResourceWarning, match="unclosed"):  # noqa: PT031
        del client
        gc.collect()
    wait_until(lambda: still_open() == set(), "it is closed")
    assert isinstance(futures[0].exception(), SendError)
    assert cluster.payloads() == [b"x"]


def test_a_client_that_is_forgotten_behind_its_loops_last_round_is_closed(cluster: MockCluster) -> None:
    # As test runners do: 5 of 5 stayed open, with 40 connections.
    asyncio.run(asyncio.sleep(0))
    before = descriptors()
    for _ in range(3):
        loop = asyncio.new_event_loop()
        client = loop.run_until_complete(AsyncClient(cluster.url, group_id=GROUP).open())
        loop.run_until_complete(client.send(b"x", STREAM))
        with pytest.warns(ResourceWarning, match="unclosed"):  # noqa: PT031
            del client
            gc.collect()
        loop.close()
    wait_until(lambda: still_open() == set(), "all are closed")
    gc.collect()
    wait_until(lambda: descriptors() <= before, "no descriptor stays")


def test_a_loop_that_cannot_watch_the_results_leaves_no_client(cluster: MockCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    # The connections stayed open for ever.
    async def main() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "add_reader", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await AsyncClient(cluster.url, group_id=GROUP).open()

    asyncio.run(main())
    wait_until(lambda: sum(node["connections"] for node in cluster.stats()["nodes"]) == 0, "its connections are closed")


def test_a_closed_client_goes_without_the_collector(cluster: MockCluster) -> None:
    # With the collector off, as in many web workers, what a cycle keeps is kept for ever.
    async def main() -> list[weakref.ref[Any]]:
        client = await AsyncClient(cluster.url, group_id=GROUP).open()
        await client.send(b"x", STREAM)
        await client.send_many([b"x", b"y"], STREAM)
        kept: list[weakref.ref[Any]] = [weakref.ref(client), weakref.ref(client._delivery)]
        await client.close()
        return kept

    gc.collect()
    gc.disable()
    try:
        kept = asyncio.run(main())
        wait_until(lambda: all(part() is None for part in kept), "all of it is gone")
    finally:
        gc.enable()


def test_a_loop_that_stands_still_with_more_results_than_the_librarys_queue_holds_loses_none(cluster: MockCluster) -> None:
    # The queue holds 65,536: the rest of the messages could have waited for a loop that nobody runs any more.
    count = 100_000
    loop = asyncio.new_event_loop()
    try:

        async def send() -> list[asyncio.Future[Result]]:
            client = await AsyncClient(cluster.url, group_id=GROUP, send_timeout=300).open()
            return [client.send_nowait(b"x", STREAM) for _ in range(count)]

        with pytest.warns(ResourceWarning, match="unclosed"):
            futures = loop.run_until_complete(send())
        wait_until(lambda: cluster.stats()["messages"] == count and not still_open(), "all arrived, and it is closed", 60)
        assert loop.run_until_complete(asyncio.wait(futures, timeout=60))[1] == set()
        assert all(future.exception() is None for future in futures)
    finally:
        loop.close()
