from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Coroutine
from typing import Any, Callable, TypeVar

import pytest
from support import GROUP, STREAM, silence, wait_until

from inlong_dataproxy import (
    AsyncClient,
    ClosedError,
    InlongError,
    InvalidMessageError,
    QueueFullError,
    SendError,
    ServerError,
)
from inlong_dataproxy._asyncio import delivery
from inlong_dataproxy._native import lowlevel as low
from inlong_dataproxy.testing import MockCluster

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]

# A full queue soon, and one that stays full: the nodes do not answer.
TIGHT: dict[str, Any] = {"worker_num": 1, "max_pending_messages": 10, "max_conn_lifetime": 0}


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run[Any]:
    if request.param == "asyncio":
        return asyncio.run
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")
    return uvloop.run  # type: ignore[no-any-return]


async def eventually(condition: Callable[[], bool], what: str, seconds: float = 10) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not condition():
        assert loop.time() < end, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.002)


def test_one_await_means_delivered(cluster: MockCluster, run: Run[None]) -> None:
    async def main() -> None:
        async with AsyncClient(cluster.url, group_id=GROUP) as client:
            for payload in (b"bytes", bytearray(b"array"), memoryview(b"view"), "text", b"x" * 5000):
                result = await client.send(payload, STREAM)
                assert (result.attempts, bool(result.batch_id)) == (1, True)
            await client.send(b"own", "s2", group_id="other_group", attributes={"k": "v"}, event_time=1_700_000_000)
            assert len(cluster.payloads()) == 6
        own = next(message for message in cluster.messages() if message.payload == b"own")
        assert (own.group_id, own.stream_id, own.attributes["k"]) == ("other_group", "s2", "v")

    run(main())


def test_a_lone_send_does_not_wait_for_the_linger(cluster: MockCluster) -> None:
    async def main() -> None:
        async with AsyncClient(cluster.url, group_id=GROUP, batching_max_publish_delay=60, send_timeout=20) as client:
            for _ in range(5):
                await asyncio.wait_for(client.send(b"x", STREAM), 10)

    asyncio.run(main())


def test_gathered_sends_share_batches_and_need_no_threads(cluster: MockCluster, run: Run[None]) -> None:
    # A thread for each call, or a batch for each message.
    async def main() -> None:
        async with AsyncClient(cluster.url, group_id=GROUP) as client:
            await client.send(b"first", STREAM)
            before = threading.active_count()
            results = await asyncio.gather(*(client.send(b"%d" % n, f"s{n % 3}") for n in range(3000)))
            assert threading.active_count() <= before
            assert len({result.batch_id for result in results}) < 600
        assert sorted(cluster.payloads()) == sorted([b"first", *(b"%d" % n for n in range(3000))])

    run(main())


def test_send_nowait_keeps_the_order_of_a_stream(cluster: MockCluster) -> None:
    async def main() -> None:
        async with AsyncClient(cluster.url, group_id=GROUP, ordered=True) as client:
            sizes = (1, 3000)  # small ones are gathered, long ones are not
            futures = [client.send_nowait(b"%05d" % n + b"x" * sizes[n % 7 == 0], STREAM) for n in range(2000)]
            await asyncio.gather(*futures)

    asyncio.run(main())
    assert [int(payload[:5]) for payload in cluster.payloads()] == list(range(2000))


def test_a_failed_message_says_why(cluster: MockCluster) -> None:
    for node in range(3):
        cluster.fault(node, "error_code", standing=True, code=109, text="no such group")

    async def main() -> None:
        async with AsyncClient(cluster.url, group_id=GROUP) as client:
            first, second = await asyncio.gather(client.send(b"x", STREAM), client.send(b"y", STREAM), return_exceptions=True)
            assert isinstance(first, ServerError)
            assert (first.server_code, first.group_id, first.stream_id) == (109, GROUP, STREAM)
            assert second is not first

    asyncio.run(main())


def test_one_bad_message_does_not_spoil_those_gathered_with_it(cluster: MockCluster) -> None:
    async def main() -> None:
        async with AsyncClient(cluster.url, group_id=GROUP) as client:
            sent = [client.send(payload, STREAM) for payload in (b"a", b"", b"b")]
            good, bad, other = await asyncio.gather(*sent, return_exceptions=True)
            assert isinstance(bad, InvalidMessageError)
            assert not isinstance(good, BaseException)
            assert not isinstance(other, BaseException)
            with pytest.raises(TypeError, match="payload must be bytes"):
                await client.send(None, STREAM)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="stream_id must be str"):
                await client.send(b"x", 5)  # type: ignore[arg-type]
            with pytest.raises(InvalidMessageError):
                await client.send(b"x", "no good stream")

    asyncio.run(main())
    assert sorted(cluster.payloads()) == [b"a", b"b"]


def test_a_cancelled_await_does_not_recall_the_message(cluster: MockCluster) -> None:
    silence(cluster)

    async def main() -> None:
        async with AsyncClient(cluster.url, group_id=GROUP) as client:
            task = asyncio.create_task(client.send(b"continues", STREAM))
            kept = client.send_nowait(b"fate known", STREAM)
            await eventually(lambda: client.stats()["accepted"] == 2, "both are accepted")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(asyncio.shield(kept), 0)
            for node in range(3):
                cluster.clear_faults(node)
                cluster.reset_connections(node)
            assert (await kept).node
            await client.flush()
            assert client.stats()["acked"] == 2

    asyncio.run(main())
    assert set(cluster.payloads()) == {b"continues", b"fate known"}  # the nodes had both before they were silent


def test_a_full_queue_raises(cluster: MockCluster) -> None:
    silence(cluster)

    async def main() -> None:
        client = await AsyncClient(cluster.url, group_id=GROUP, **TIGHT).open()
        futures = [client.send_nowait(b"x", STREAM) for _ in range(100)]
        await eventually(lambda: any(future.done() for future in futures), "some are refused")
        refused = [future for future in futures if future.done()]
        assert all(isinstance(future.exception(), QueueFullError) for future in refused)
        assert (await client.close(0)).unsent == 100 - len(refused) > 0
        assert all(isinstance(future.exception(), ClosedError) for future in futures if future not in refused)

    asyncio.run(main())


def test_with_block_if_queue_is_full_awaits_wait_for_room(cluster: MockCluster, run: Run[None]) -> None:
    async def main() -> None:
        async with AsyncClient(cluster.url, group_id=GROUP, block_if_queue_is_full=True, **TIGHT) as client:
            await asyncio.gather(*(client.send(b"x", f"s{n % 5}") for n in range(1000)))
            assert client.stats()["acked"] == 1000

    run(main())


def test_messages_with_attributes_that_wait_for_room_get_each_their_result(cluster: MockCluster) -> None:
    # Each has a model of its own, and is tried again with each that comes: the tags of two that were accepted must not be the same.
    async def main() -> None:
        async with AsyncClient(cluster.url, group_id=GROUP, block_if_queue_is_full=True, **TIGHT) as client:
            silence(cluster)
            futures = [client.send_nowait(b"x", STREAM, attributes={"k": "v"}) for _ in range(11)]
            for _ in range(5):
                await asyncio.sleep(0)
                futures.append(client.send_nowait(b"x", STREAM, attributes={"k": "v"}))
            await eventually(lambda: client.stats()["pending_messages"] == 16, "the queue is full")
            for node in range(3):
                cluster.clear_faults(node)
                cluster.reset_connections(node)
            await asyncio.wait_for(asyncio.gather(*futures), 10)

    asyncio.run(main())


def test_what_waits_for_room_gives_up_at_send_timeout_or_is_withdrawn(cluster: MockCluster) -> None:
    silence(cluster)

    async def main() -> None:
        options = {**TIGHT, "block_if_queue_is_full": True, "send_timeout": 1, "ack_timeout": 20}
        client = await AsyncClient(cluster.url, group_id=GROUP, **options).open()
        futures = [client.send_nowait(b"x", STREAM) for _ in range(100)]
        futures[-1].cancel()
        outcomes = await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), 30)
        assert isinstance(outcomes[-1], asyncio.CancelledError)
        assert all(isinstance(outcome, SendError) for outcome in outcomes[:-1])
        assert client.stats()["accepted"] < 100
        await client.close(0)

    asyncio.run(main())


def test_another_loop_is_refused(cluster: MockCluster) -> None:
    async def opened() -> AsyncClient:
        return await AsyncClient(cluster.url, group_id=GROUP).open()

    async def refused(call: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(InlongError, match="belongs to the event loop that opened it"):
            await call()

    loop = asyncio.new_event_loop()
    client = loop.run_until_complete(opened())
    for call in (lambda: client.send(b"x", STREAM), client.flush, client.close):
        asyncio.run(refused(call))
    loop.run_until_complete(client.send(b"x", STREAM))
    loop.run_until_complete(client.close())
    loop.close()


def test_two_loops_each_with_a_client_work_at_the_same_time(cluster: MockCluster) -> None:
    errors: list[BaseException] = []

    async def main() -> None:
        async with AsyncClient(cluster.url, group_id=GROUP) as client:
            await asyncio.gather(*(client.send(b"x", STREAM) for _ in range(500)))

    def in_thread() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=in_thread) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(cluster.payloads()) == 1500


def test_order_is_kept_between_the_ways_to_send(cluster: MockCluster, run: Run[None]) -> None:
    # send_many overtook what waited for the end of the round, and so did messages with attributes.
    others: list[dict[str, Any]] = [{}, {"attributes": {"a": "b"}}, {"event_time": 1.7e9}, {"group_id": GROUP}]
    sent: list[bytes] = []

    async def main() -> None:
        options: dict[str, Any] = {"worker_num": 1, "max_pending_messages": 300, "batching_max_messages": 50}
        async with AsyncClient(cluster.url, group_id=GROUP, ordered=True, block_if_queue_is_full=True, **options) as client:
            for n in range(2000):
                sent.append(b"%d" % n)
                if n % 100 == 99:
                    sent.extend(b"%d-%d" % (n, more) for more in range(5))
                    await client.send_many(sent[-6:], STREAM, **others[n // 100 % 4])
                else:
                    client.send_nowait(sent[-1], STREAM, **others[n % 7 % 4])
                if n % 37 == 0:
                    await asyncio.sleep(0)

    run(main())
    assert cluster.payloads() == sent


def test_waiting_for_room_costs_the_same_however_many_wait(cluster: MockCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    # Each try went through all that waited: 42 us a message with 160,000 of them.
    offered = 0
    push = low.client_send_packed_now

    def count(*arguments: Any) -> int:
        nonlocal offered
        offered += arguments[1].count
        return int(push(*arguments))

    monkeypatch.setattr(low, "client_send_packed_now", count)

    async def main() -> None:
        options: dict[str, Any] = {"worker_num": 1, "max_pending_messages": 500, "send_timeout": 60}
        async with AsyncClient(cluster.url, group_id=GROUP, block_if_queue_is_full=True, **options) as client:
            await asyncio.gather(*(client.send_nowait(b"x", STREAM) for _ in range(20_000)))

    asyncio.run(main())
    assert offered < 4 * 20_000


def test_results_are_handed_out_in_slices(cluster: MockCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    # 200,000 results in one turn: the loop stood still for 2.9 s.
    monkeypatch.setattr(delivery, "_TURN_SECONDS", 0)

    async def main() -> None:
        async with AsyncClient(cluster.url, group_id=GROUP, batching_max_messages=100) as client:
            futures = [client.send_nowait(b"x", STREAM) for _ in range(50_000)]
            client._delivery.push()  # type: ignore[union-attr]
            wait_until(lambda: client.stats()["acked"] == 50_000, "all results wait")
            turns = 0
            while not futures[-1].done():
                turns += 1
                await asyncio.sleep(0)
            assert turns > 5

    asyncio.run(main())


@pytest.mark.parametrize("moment", ["between", "another loop", "another thread"])
def test_a_call_outside_of_its_loop_is_refused(cluster: MockCluster, moment: str) -> None:
    # Which thread runs the loop is asked instead of which loop runs: a message must not get into a loop that stands still.
    async def other(client: AsyncClient) -> None:
        client.send_nowait(b"x", STREAM)

    loop = asyncio.new_event_loop()
    client = loop.run_until_complete(AsyncClient(cluster.url, group_id=GROUP).open())
    calls: dict[str, Callable[[], object]] = {
        "between": lambda: client.send_nowait(b"x", STREAM),
        "another loop": lambda: asyncio.run(other(client)),
        "another thread": lambda: loop.run_until_complete(loop.run_in_executor(None, client.send_nowait, b"x", STREAM)),
    }
    try:
        with pytest.raises(InlongError, match="belongs to the event loop"):
            calls[moment]()
    finally:
        loop.run_until_complete(client.close())
        loop.close()
