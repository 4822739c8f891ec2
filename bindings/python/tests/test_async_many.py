from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from support import GROUP, STREAM, silence
from test_async import TIGHT, Run, eventually, run  # noqa: F401 - run is a fixture

from inlong_dataproxy import AsyncClient, ClosedError, InvalidMessageError, Progress
from inlong_dataproxy._asyncio import bulk
from inlong_dataproxy.testing import MockCluster


async def arriving(count: int) -> AsyncIterator[bytes]:
    for n in range(count):
        if n % 1000 == 0:
            await asyncio.sleep(0)
        yield b"%d" % n


def test_every_message_of_either_kind_of_iterable_arrives(cluster: MockCluster, run: Run[None]) -> None:  # noqa: F811
    async def main() -> None:
        seen: list[Progress] = []
        async with AsyncClient(cluster.url, group_id=GROUP) as client:
            plain, waiting = await asyncio.gather(
                client.send_many((b"%d" % n for n in range(20_000)), STREAM, progress=seen.append),
                client.send_many(arriving(20_000), "s2"),
            )
            assert (plain.taken, plain.acked, plain.failed) == (20_000, 20_000, 0)
            assert (waiting.taken, waiting.acked, waiting.failed) == (20_000, 20_000, 0)
            assert seen[-1] == Progress(20_000, 20_000, 0)
            assert (await client.send_many([], STREAM)).taken == 0

    run(main())
    messages = cluster.messages()
    for stream in (STREAM, "s2"):
        arrived = sorted(int(message.payload) for message in messages if message.stream_id == stream)
        assert arrived == list(range(20_000))


def test_progress_is_told_while_an_async_source_waits(cluster: MockCluster, run: Run[None]) -> None:  # noqa: F811
    # What such a source gives is passed on whenever it waits: no chunk was ever full, and none was told before the end.
    seen: list[Progress] = []

    async def source() -> AsyncIterator[bytes]:
        end = time.monotonic() + 10
        while not seen and time.monotonic() < end:
            yield b"x"
            await asyncio.sleep(0.01)
        assert seen

    async def main() -> None:
        async with AsyncClient(cluster.url, group_id=GROUP) as client:
            await client.send_many(source(), STREAM, progress=seen.append)

    run(main())


def test_bad_messages_fail_with_their_index(cluster: MockCluster) -> None:
    async def mixed() -> AsyncIterator[Any]:
        for payload in (b"good", b"", None, "text", bytearray(b"array"), 5):
            yield payload

    async def main() -> None:
        async with AsyncClient(cluster.url, group_id=GROUP) as client:
            report = await client.send_many(mixed(), STREAM)
            assert (report.taken, report.acked, report.failed) == (6, 3, 3)
            kinds = {failure.index: type(failure.error) for failure in report.failures}
            assert kinds == {1: InvalidMessageError, 2: TypeError, 5: TypeError}
            with pytest.raises(InvalidMessageError):
                await client.send_many([b"x"], "no good stream")

    asyncio.run(main())


def test_a_source_that_waits_does_not_hold_back_what_it_gave(cluster: MockCluster) -> None:
    async def main() -> None:
        more = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            for n in range(100):
                yield b"%d" % n
            await more.wait()
            yield b"last"

        async with AsyncClient(cluster.url, group_id=GROUP) as client:
            task = asyncio.create_task(client.send_many(slow(), STREAM))
            await eventually(lambda: client.stats()["acked"] == 100, "what the source gave is acked while it waits")
            assert not task.done()
            more.set()
            assert (await task).acked == 101

    asyncio.run(main())


def test_timers_run_between_any_two_turns_of_a_slow_source(
    cluster: MockCluster,
    run: Run[None],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A turn of 6 ms was followed by one pass of the loop. A timer needs three until its waiter resumes: it was 19 ms late.
    monkeypatch.setattr(bulk, "_TURN_SECONDS", 0)
    turns = 500

    async def main() -> None:
        woken = 0

        async def watch() -> None:
            nonlocal woken
            while True:
                await asyncio.sleep(1e-9)
                woken += 1

        async with AsyncClient(cluster.url, group_id=GROUP) as client:
            watching = asyncio.create_task(watch())
            begun: list[int] = []
            await client.send_many((begun.append(woken) or b"x" for _ in range(turns)), STREAM)  # type: ignore[func-returns-value]
            watching.cancel()
            assert begun[-1] - begun[1] >= turns - 2

    run(main())


def test_a_full_queue_holds_back_the_source_and_not_the_loop(cluster: MockCluster) -> None:
    # Memory that grows with the input, or a loop that stands still meanwhile.
    silence(cluster)

    async def main() -> None:
        taken = 0

        def endless() -> Iterator[bytes]:
            nonlocal taken
            while True:
                taken += 1
                yield b"x"

        client = await AsyncClient(cluster.url, group_id=GROUP, **TIGHT).open()
        task = asyncio.create_task(client.send_many(endless(), STREAM))
        await eventually(lambda: client.stats()["accepted"] >= 10, "the queue is full")
        for _ in range(20):
            await asyncio.sleep(0.01)
        assert taken < 10_000
        await client.close(0)
        with pytest.raises(ClosedError):
            await task

    asyncio.run(main())


def test_it_goes_on_when_there_is_room(cluster: MockCluster, run: Run[None]) -> None:  # noqa: F811
    async def main() -> None:
        async with AsyncClient(cluster.url, group_id=GROUP, **TIGHT) as client:
            assert (await client.send_many(arriving(300), STREAM)).acked == 300

    run(main())


def test_what_the_source_raises_and_a_cancelled_await_end_it(cluster: MockCluster) -> None:
    given = [b"%d" % n for n in range(1000)]

    def broken() -> Iterator[bytes]:
        yield from given
        raise LookupError("the source broke")

    async def broken_async() -> AsyncIterator[bytes]:
        for payload in broken():
            yield payload

    async def endless() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.001)
            yield b"y"

    async def main() -> None:
        async with AsyncClient(cluster.url, group_id=GROUP) as client:
            for source in (broken(), broken_async()):
                with pytest.raises(LookupError, match="the source broke"):
                    await client.send_many(source, STREAM)
                await client.flush()
                assert sorted(cluster.payloads()) == sorted(given)  # also what was in a chunk that was not full
                cluster.reset()
            task = asyncio.create_task(client.send_many(endless(), STREAM))
            await eventually(lambda: client.stats()["acked"] > 5, "some are acked")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await client.send(b"z", STREAM)).node

    asyncio.run(main())


def test_a_slow_plain_source_lets_the_loop_have_its_turns(cluster: MockCluster) -> None:
    # Chunks grew whatever the source took: the loop stood still for 7.9 s.
    taken, most = 0, 0

    def source() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(2000):
            yield b"quick"
        for _ in range(200):
            time.sleep(0.001)
            taken += 1
            yield b"slow"

    async def watch() -> None:
        nonlocal most
        before = 0
        while True:
            await asyncio.sleep(0)
            most, before = max(most, taken - before), taken

    async def main() -> None:
        async with AsyncClient(cluster.url, group_id=GROUP) as client:
            watching = asyncio.create_task(watch())
            assert (await client.send_many(source(), STREAM)).acked == 2200
            watching.cancel()

    asyncio.run(main())
    assert 0 < most < 10


def test_a_buffer_that_is_filled_anew_arrives_as_it_was(cluster: MockCluster) -> None:
    # Read later, 1,000 payloads were the last few ones again and again, all of them "acked".
    buffer = bytearray(4)

    def source() -> Iterator[object]:
        for n in range(1000):
            buffer[:] = b"%04d" % n
            yield memoryview(buffer) if n % 3 else buffer

    async def asynchronous() -> AsyncIterator[object]:
        for payload in source():
            yield payload

    async def main() -> None:
        async with AsyncClient(cluster.url, group_id=GROUP, ordered=True) as client:
            for messages in (source(), asynchronous()):
                assert (await client.send_many(messages, STREAM)).acked == 1000  # type: ignore[arg-type]
                assert cluster.payloads() == [b"%04d" % n for n in range(1000)]
                cluster.reset()

    asyncio.run(main())
