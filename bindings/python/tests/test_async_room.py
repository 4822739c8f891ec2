"""AsyncClient while the library has no room: whose turn it is, and what a flush, a close and the end do."""

from __future__ import annotations

import _thread
import asyncio
import threading
import time
import warnings
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from support import GROUP, STREAM, Opcodes, silence, wait_until
from test_async import TIGHT, eventually

from inlong_dataproxy import AsyncClient, ClosedError, Persisted, Result
from inlong_dataproxy._asyncio.bulk_run import Mark
from inlong_dataproxy._asyncio.delivery import AsyncDelivery
from inlong_dataproxy._host import calls
from inlong_dataproxy._host.end import still_open
from inlong_dataproxy._native import codes, lowlevel as low
from inlong_dataproxy._sending.message import Model
from inlong_dataproxy._sending.models import Models
from inlong_dataproxy._sending.run import Packed, Run
from inlong_dataproxy.testing import MockCluster

WAITING: dict[str, Any] = {"block_if_queue_is_full": True, **TIGHT}


class Room:
    """Lets so many messages into the library; then it is full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, messages: int) -> None:
        self.messages = messages
        push = Packed._push

        def limited(packed: Packed, model: Model, handle: Any, tag: int, flags: int, wait_ms: int, most: int, gil: bool) -> Any:
            wanted = min(most, len(packed.lengths))
            if self.messages == 0:
                return codes.QUEUE_FULL, 0
            code, done = push(packed, model, handle, tag, flags, wait_ms, min(wanted, self.messages), gil)
            self.messages -= done
            return (code, done) if done == wanted else (codes.QUEUE_FULL, done)

        monkeypatch.setattr(Packed, "_push", limited)


def test_flush_waits_only_for_what_was_sent_before_it(cluster: MockCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    # It waited for the line to be empty: under senders who wait for room it never ended, and failed though all before it was acked.
    async def main() -> None:
        async with AsyncClient(cluster.url, group_id=GROUP, **WAITING) as client:
            room = Room(monkeypatch, 5)
            before = [client.send_nowait(b"before", STREAM) for _ in range(10)]
            await asyncio.sleep(0)
            flush = asyncio.create_task(client.flush(10))
            await asyncio.sleep(0)
            behind = [client.send_nowait(b"behind", STREAM) for _ in range(5)]
            assert not flush.done()
            room.messages = 5
            await flush
            assert all(future.done() for future in before)
            assert not any(future.done() for future in behind)
            room.messages = 100
            await asyncio.gather(*behind)

    asyncio.run(main())


def test_a_large_chunk_that_goes_bit_by_bit_has_nobody_refused(cluster: MockCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    # Until all of a chunk was in, the library counted as full since it began: behind send_timeout every other send was refused at
    # once, while acks came.
    passed = 0.0

    async def main() -> None:
        nonlocal passed
        loop = asyncio.get_running_loop()
        now = loop.time
        monkeypatch.setattr(loop, "time", lambda: now() + passed)
        async with AsyncClient(cluster.url, group_id=GROUP, send_timeout=10, **WAITING) as client:
            room = Room(monkeypatch, 0)
            many = asyncio.create_task(client.send_many([b"x"] * 10, STREAM))
            await eventually(lambda: len(client._delivery.line) == 1, "it is in line")  # type: ignore[union-attr]
            futures: list[asyncio.Future[Result]] = []
            for n in range(10):
                futures.append(client.send_nowait(b"%d" % n, STREAM))
                passed += 6
                room.messages = 1
                await eventually(lambda: not room.messages, "one is in")
                assert not any(future.done() for future in futures)
            room.messages = 100
            assert (await many).acked == 10
            await asyncio.gather(*futures)

    asyncio.run(main())


def test_what_an_async_source_gave_goes_when_there_is_room(cluster: MockCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    # What it gave while a chunk waited for room was held back until it gave more.
    async def main() -> None:
        async with AsyncClient(cluster.url, group_id=GROUP, **WAITING) as client:
            room = Room(monkeypatch, 0)
            silent, more = asyncio.Event(), asyncio.Event()

            async def source() -> AsyncIterator[bytes]:
                yield b"first"
                await eventually(lambda: len(client._delivery.line) == 1, "it is in line")  # type: ignore[union-attr]
                yield b"second"
                silent.set()
                await more.wait()

            many = asyncio.create_task(client.send_many(source(), STREAM))
            await silent.wait()
            for _ in range(3):
                await asyncio.sleep(0)
            room.messages = 100
            await eventually(lambda: client.stats()["acked"] == 2, "both are acked")
            more.set()
            assert (await many).acked == 2

    asyncio.run(main())


@pytest.mark.parametrize("end", ["exit", "forgotten", "forgotten without threads", "cancelled"])
def test_a_close_without_the_loop_delivers_what_waits_for_room(
    cluster: MockCluster, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    # It passed on what there was room for, once, and failed the rest: 90 of 100 messages, long before its time was over.
    async def main() -> None:
        client = await AsyncClient(cluster.url, group_id=GROUP, **WAITING).open()
        futures = [client.send_nowait(b"x", STREAM) for _ in range(100)]
        await asyncio.sleep(0)
        if end == "cancelled":
            asyncio.create_task(client.close())  # noqa: RUF006 - its end is what is tried
            await asyncio.sleep(0)
        elif end != "exit":
            if end != "forgotten":
                monkeypatch.setattr(calls, "_idle", [])
                monkeypatch.setattr(_thread, "start_new_thread", no_thread)
            del client
            monkeypatch.undo()
            await asyncio.wait(futures, timeout=10)
            assert all(future.exception() is None for future in futures)

    def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    for node in range(3):
        cluster.fault(node, "delay", delay_ms=5, standing=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        asyncio.run(main())
    for left in still_open():
        left.begin_close(time.monotonic() + 20)
        left.wait_closed(0)
    assert len(cluster.payloads()) == 100


def test_close_takes_no_longer_than_send_timeout(cluster: MockCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    # It waited as long for room, and as long again for results.
    waits: list[int] = []
    flush = low.client_flush

    def counted(handle: Any, wait_ms: int) -> Any:
        waits.append(wait_ms)
        return flush(handle, wait_ms)

    monkeypatch.setattr(low, "client_flush", counted)

    async def main() -> None:
        client = await AsyncClient(cluster.url, group_id=GROUP, send_timeout=7, **WAITING).open()
        await client.send(b"x", STREAM)
        await client.close()

    asyncio.run(main())
    assert all(0 <= wait <= 7000 for wait in waits)
    assert waits


def test_what_a_close_leaves_without_a_result_may_have_been_acked(cluster: MockCluster) -> None:
    # As with Client: it was told as not written. What never was in the library is.
    async def main() -> None:
        client = await AsyncClient(cluster.url, group_id=GROUP, **WAITING).open()
        delivery = client._delivery
        assert delivery is not None
        silence(cluster)
        futures = [client.send_nowait(b"x", STREAM) for _ in range(20)]
        await asyncio.sleep(0)
        low.client_close(delivery.handle, 0, None)
        low.client_drop_results(delivery.handle)  # as a close does that is over its time
        delivery.take()
        errors = [future.exception() for future in futures]
        assert len({id(error) for error in errors}) == 20
        assert all(isinstance(error, ClosedError) and (error.group_id, error.stream_id) == (GROUP, STREAM) for error in errors)
        assert [error.persisted for error in errors] == [Persisted.MAYBE_WRITTEN] * 10 + [Persisted.NOT_WRITTEN] * 10  # type: ignore[union-attr]
        with pytest.raises(ClosedError):  # its handle is
            await client.close()

    asyncio.run(main())


def test_a_push_that_ctrl_c_breaks_off_anywhere_loses_and_doubles_nothing(cluster: MockCluster) -> None:
    # As Python up to 3.10 has it, and handlers that raise: what had left the line was lost, and awaited for ever.
    functions = (
        *(getattr(AsyncDelivery, name) for name in ("_push", "_gather", "_enter_all", "_enter")),
        *(Run.enter, Packed.push, Packed._push, Packed.drop, Models.tags),
    )
    others: list[dict[str, Any]] = [{}, {}, {"attributes": {"a": "b"}}, {}]

    async def main() -> None:
        async with AsyncClient(cluster.url, group_id=GROUP, ordered=True) as client:
            delivery, number = client._delivery, 0
            assert delivery is not None
            while True:
                cluster.reset()
                futures = [client.send_nowait(b"%d" % n, STREAM, **other) for n, other in enumerate(others)]
                futures[1].cancel()  # which does not recall it
                with Opcodes(functions, number) as opcodes, suppress(KeyboardInterrupt):
                    delivery.push()
                done, _ = await asyncio.wait(futures, timeout=10)
                assert (len(done), delivery.pending) == (4, {}), number
                assert all(future.cancelled() or future.exception() is None for future in futures), number
                assert cluster.payloads() == [b"0", b"1", b"2", b"3"], number
                if not opcodes.hit:
                    break
                number += 3  # each step takes a minute where others keep the processors
            assert number > 200

    asyncio.run(main())


def test_a_chunk_that_ctrl_c_breaks_off_on_its_way_into_the_line_keeps_nobody_from_the_next(cluster: MockCluster) -> None:
    # Between the line and the note that it held a chunk a handler raised: the chunk was taken for a message, and nothing passed it.
    async def main() -> None:
        async with AsyncClient(cluster.url, group_id=GROUP) as client:
            delivery, number = client._delivery, 0
            assert delivery is not None
            while True:
                future = client.send_nowait(b"x", STREAM)
                with Opcodes((AsyncDelivery.put_in_line,), number) as opcodes, suppress(KeyboardInterrupt):
                    delivery.put_in_line(Mark(delivery.loop.create_future()))
                await asyncio.wait_for(future, 10)
                if not opcodes.hit:
                    break
                number += 1
            assert number > 10

    asyncio.run(main())


def test_a_push_that_ctrl_c_breaks_off_at_its_beginning_keeps_nobody_from_the_next(
    cluster: MockCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Between the lock and the try that releases it a handler raised: it stayed locked, and nothing was passed on any more.
    async def main() -> None:
        async with AsyncClient(cluster.url, group_id=GROUP) as client:
            delivery, number = client._delivery, 0
            assert delivery is not None
            push, begun = delivery._push, False

            def begin() -> None:
                nonlocal begun
                begun = True
                push()

            monkeypatch.setattr(delivery, "_push", begin)
            while True:
                begun = False
                future = client.send_nowait(b"x", STREAM)
                with Opcodes((AsyncDelivery.push,), number), suppress(KeyboardInterrupt):
                    delivery.push()
                if begun:
                    break
                assert (await asyncio.wait_for(future, 10)).node, number
                number += 1
            assert number > 5

    asyncio.run(main())


def test_a_send_that_ctrl_c_breaks_off_keeps_no_later_one_in_line(cluster: MockCluster) -> None:
    # Passing on was noted as asked for before it was: broken off in between, nothing went until 512 messages were there.
    async def main() -> None:
        async with AsyncClient(cluster.url, group_id=GROUP) as client:
            number = 0
            while True:
                with Opcodes((AsyncDelivery.schedule,), number) as opcodes, suppress(KeyboardInterrupt):
                    client.send_nowait(b"x", STREAM)
                assert (await asyncio.wait_for(client.send_nowait(b"x", STREAM), 10)).node, number
                if not opcodes.hit:
                    break
                number += 1
            assert number > 5

    asyncio.run(main())


def test_a_close_in_the_background_goes_on_where_the_library_does_not_answer(
    cluster: MockCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where the library gets no processor for a second its counters are an error. That ended the thread that closes: the client
    # stayed open, and what waited for room had no result.
    asked: list[None] = []

    def no_answer(*_: object) -> int:
        asked.append(None)
        if len(asked) == 2:
            monkeypatch.undo()
        raise codes.late_error("the library got no processor to take it")

    async def leave_in_line() -> asyncio.Future[Result]:
        client = await AsyncClient(cluster.url, group_id=GROUP).open()
        monkeypatch.setattr(AsyncDelivery, "push", lambda _: None)  # there is no room
        monkeypatch.setattr(low, "client_stats", no_answer)
        future, delivery = client.send_nowait(b"x", STREAM), client._delivery
        assert delivery is not None
        delivery.begin_close(time.monotonic() + 600)
        return future

    loop = asyncio.new_event_loop()
    try:
        future = loop.run_until_complete(leave_in_line())
        wait_until(lambda: still_open() == set(), "it is closed", 60)
        assert loop.run_until_complete(future).node
    finally:
        loop.close()


def test_a_push_in_a_forked_child_waits_for_no_thread_of_the_parent(cluster: MockCluster) -> None:
    # One that closed the client of a loop that had ended held the lock just then: the child's loop stood still for ever.
    async def main() -> None:
        async with AsyncClient(cluster.url, group_id=GROUP) as client:
            delivery, held, go_on = client._delivery, threading.Event(), threading.Event()
            assert delivery is not None

            def hold() -> None:
                with delivery._pushing:
                    held.set()
                    go_on.wait()

            parents, childs = threading.Thread(target=hold), threading.Thread(target=delivery.push)
            parents.start()
            held.wait()
            delivery.forked = True
            childs.start()
            childs.join(10)
            waits = childs.is_alive()
            go_on.set()
            parents.join()
            delivery.forked = False
            assert not waits

    asyncio.run(main())
