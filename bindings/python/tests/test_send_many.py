from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from _thread import allocate_lock
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import GROUP, STREAM, wait_until

from inlong_dataproxy import AsyncClient, Client, ClosedError, InvalidMessageError, Progress, SendError, SendReport, ServerError
from inlong_dataproxy._results import taker
from inlong_dataproxy._sending import bulk
from inlong_dataproxy._sending.message import Model
from inlong_dataproxy._sending.run import Packed
from inlong_dataproxy._threads import bulk as threads_bulk
from inlong_dataproxy.testing import MockCluster


def test_a_list_a_generator_and_a_file_arrive(cluster: MockCluster, client: Client, tmp_path: Path) -> None:
    lines = [b"%d\n" % n for n in range(1000)]
    path = tmp_path / "lines"
    path.write_bytes(b"".join(lines))
    with path.open("rb") as binary, path.open() as text:
        for source in (lines, iter(lines), binary, text):
            report = client.send_many(source, STREAM)
            assert (report.taken, report.acked, report.failed, report.failures) == (1000, 1000, 0, [])
    assert sorted(cluster.payloads()) == sorted(lines * 4)


def test_nothing_is_a_report_of_zeros(client: Client) -> None:
    report = client.send_many([], STREAM)
    assert (report.taken, report.acked, report.failed) == (0, 0, 0)


def test_bad_messages_fail_alone_with_their_index(cluster: MockCluster, client: Client) -> None:
    # One bad line must not stop the rest, shift the index of another, or be counted as sent.
    long = b"x" * (21 << 20)
    messages: list[Any] = [b"0", b"", "2", None, b"4", long, 6, "\ud800", bytearray(b"8"), memoryview(b"9"), ""]
    report = client.send_many(messages, STREAM)
    assert (report.taken, report.acked, report.failed) == (11, 5, 6)
    assert [failure.index for failure in report.failures] == [1, 3, 5, 6, 7, 10]
    kinds = [type(failure.error) for failure in report.failures]
    assert kinds == [InvalidMessageError, TypeError, InvalidMessageError, TypeError, InvalidMessageError, InvalidMessageError]
    assert sorted(cluster.payloads()) == [b"0", b"2", b"4", b"8", b"9"]


def test_a_released_view_and_what_is_too_long_for_its_length_fail_alone(cluster: MockCluster, client: Client) -> None:
    # A ValueError and an OverflowError came out of the call, without a report of the others.
    released = memoryview(b"")
    released.release()
    try:
        huge = bytes(1 << 32)  # of zeros, which no memory is taken for
    except MemoryError:
        huge = b""
    report = client.send_many([b"0", released, b"2", huge, b"4"], STREAM)
    assert (report.taken, report.acked, [failure.index for failure in report.failures]) == (5, 3, [1, 3])
    assert {type(failure.error) for failure in report.failures} == {InvalidMessageError}
    assert cluster.payloads() == [b"0", b"2", b"4"]
    for send in (client.send, client.send_async):
        with pytest.raises(InvalidMessageError, match="the payload is a memoryview that was released"):
            send(released, STREAM)


def test_a_line_that_is_only_a_newline_fails_alone_where_newlines_are_cut(cluster: MockCluster) -> None:
    # Empty only behind the library's own cut: it stopped the whole call.
    with Client(cluster.url, group_id="test_group", trim_trailing_newline=True) as client:
        report = client.send_many([b"one\n", b"\n", b"three\n"], STREAM)
        assert [failure.index for failure in report.failures] == [1]
        assert isinstance(report.failures[0].error, InvalidMessageError)
        assert sorted(cluster.payloads()) == [b"one", b"three"]
        with pytest.raises(InvalidMessageError):  # the stream's fault is nobody's line's
            client.send_many([b"one\n"], "no such stream!")


def test_views_of_wide_items_arrive_whole(cluster: MockCluster, client: Client) -> None:
    # len() of such a view is its items, not its bytes.
    view = memoryview(b"abcdefgh").cast("I")
    assert client.send_many([b"1", view, b"2"], STREAM).acked == 3
    assert sorted(cluster.payloads()) == [b"1", b"2", b"abcdefgh"]


def test_refused_batches_are_failures_of_their_messages(cluster: MockCluster, client: Client) -> None:
    # Acks are counted in bulk: a refused batch between them must be found, with the index of each message.
    cluster.fault(0, "error_code", code=109, times=2)
    cluster.fault(1, "error_code", code=109, times=2)
    cluster.fault(2, "error_code", code=109, times=2)
    messages = [b"%d" % n for n in range(1000)]
    report = client.send_many(messages, STREAM)
    assert report.taken == 1000
    assert 0 < report.failed < 1000
    assert report.acked == 1000 - report.failed
    failed = {failure.index for failure in report.failures}
    assert len(failed) == report.failed
    assert sorted(cluster.payloads()) == sorted(m for n, m in enumerate(messages) if n not in failed)
    error = report.failures[0].error
    assert isinstance(error, ServerError)
    assert error.server_code == 109
    assert error.stream_id == STREAM


def test_a_full_queue_is_waited_for(cluster: MockCluster, client: Client) -> None:
    # More messages than the client may hold.
    client.close()
    for block in (False, True):
        with Client(
            cluster.url, group_id="test_group", worker_num=1, max_pending_messages=100, block_if_queue_is_full=block
        ) as small:
            cluster.reset()
            report = small.send_many((b"%d" % n for n in range(5000)), STREAM)
            assert report.acked == 5000
            assert len(cluster.payloads()) == 5000


def test_memory_is_bounded(client: Client) -> None:
    # A generator that is taken whole before anything is sent would need as much memory as the file has.
    taken = 0
    acked_when_taken: list[int] = []

    def generate() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(400_000):
            taken += 1
            if taken % 100_000 == 0:
                acked_when_taken.append(client.stats()["acked"])
            yield b"x" * 10

    assert client.send_many(generate(), STREAM).acked == 400_000
    assert acked_when_taken[-1] >= 400_000 - (1 << 17) - 4096 - 1


def test_a_slow_source_is_sent_as_it_comes(cluster: MockCluster, client: Client) -> None:
    # A live source, such as a pipe, must not wait until a chunk of thousands is full.
    def generate() -> Iterator[bytes]:
        for n in range(5):
            yield b"%d" % n
            if n < 4:
                wait_until(lambda n=n: cluster.stats()["messages"] > max(n - 3, -1), "an earlier message arrived")  # type: ignore[misc]

    assert client.send_many(generate(), STREAM).acked == 5


def test_progress_is_told_and_ends_at_the_total(client: Client) -> None:
    seen: list[Progress] = []
    threads: set[threading.Thread] = set()

    def progress(now: Progress) -> None:
        seen.append(now)
        threads.add(threading.current_thread())

    client.send_many((b"x" for _ in range(10_000)), STREAM, progress=progress)
    assert seen[-1] == Progress(10_000, 10_000, 0)
    assert all(a.acked <= b.acked for a, b in zip(seen, seen[1:]))
    assert threads == {threading.current_thread()}


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_progress_is_told_while_a_slow_source_is_read(client: Client, kind: type[Any]) -> None:
    # What such a source gives is passed on every few milliseconds: no chunk was ever full, and none was told before the end.
    seen: list[Progress] = []
    told: list[int] = []

    def source() -> Iterator[Any]:
        end = time.monotonic() + 10
        while not seen and time.monotonic() < end:
            yield kind(b"x")
            time.sleep(0.01)
        told.append(len(seen))

    client.send_many(source(), STREAM, progress=seen.append)
    assert told[0] > 0


def test_a_bad_stream_stops_it_at_once(client: Client) -> None:
    # It is no payload's fault: a million failures would say the same.
    with pytest.raises(InvalidMessageError, match="stream"):
        client.send_many([b"x"] * 1000, "bad stream")


def test_an_error_of_the_source_comes_out(cluster: MockCluster, client: Client) -> None:
    # What it gave before is sent, also what is in a chunk that is not full.
    given = [b"%d" % n for n in range(1000)]

    def generate() -> Iterator[bytes]:
        yield from given
        raise OSError("disk on fire")

    with pytest.raises(OSError, match="disk on fire"):
        client.send_many(generate(), STREAM)
    client.flush()
    assert sorted(cluster.payloads()) == sorted(given)


def test_one_that_lasts_keeps_its_results_while_many_others_come_and_go(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    # Their numbers wrap: one that got its number again would take its results, and it would wait for them without end.
    monkeypatch.setattr(taker, "_BULKS", 1)

    def follow() -> Iterator[bytes]:
        for n in range(5):
            yield b"%d" % n
            assert client.send_many([b"short"] * 3, STREAM).acked == 3

    assert client.send_many(follow(), STREAM).acked == 5


def test_a_client_closed_meanwhile_ends_it(client: Client) -> None:
    def generate() -> Iterator[bytes]:
        for _ in range(100_000):
            yield b"x"
        client.close()
        while True:
            yield b"x"

    with pytest.raises(ClosedError):
        client.send_many(generate(), STREAM)


def test_killing_a_node_under_load_loses_nothing(cluster: MockCluster, client: Client) -> None:
    # What was un-acked on the dead node has to be sent to another one.
    killed = threading.Event()

    def generate() -> Iterator[bytes]:
        for n in range(60_000):
            if n == 20_000:
                cluster.kill(1)
                killed.set()
            if n == 40_000:
                cluster.revive(1)
            yield b"%d" % n

    futures = [client.send_async(b"f%d" % n, "futures") for n in range(2000)]
    report = client.send_many(generate(), STREAM)
    assert killed.is_set()
    assert (report.acked, report.failed) == (60_000, 0)
    for future in futures:
        assert future.result(timeout=10).attempts >= 1
    received = cluster.payloads()
    assert set(received) == {b"%d" % n for n in range(60_000)} | {b"f%d" % n for n in range(2000)}


def test_no_node_at_all_fails_everything_in_time(cluster: MockCluster) -> None:
    with Client(cluster.url, group_id="test_group", send_timeout=0.5) as client:
        for node in range(3):
            cluster.kill(node)
        report = client.send_many([b"x"] * 100, STREAM)
    assert (report.acked, report.failed) == (0, 100)
    assert all(isinstance(failure.error, SendError) for failure in report.failures)


@pytest.mark.parametrize("view", [bytes, bytearray, memoryview])
def test_a_buffer_that_is_filled_anew_arrives_as_it_was(cluster: MockCluster, view: Any) -> None:
    # Read later, 1,000 payloads were the last few ones again and again, all of them "acked".
    buffer = bytearray(4)

    def source() -> Iterator[Any]:
        for n in range(1000):
            buffer[:] = b"%04d" % n
            yield view(buffer) if view is not bytearray else buffer
            if n % 10 == 9:
                yield b"%04d." % n

    with Client(cluster.url, group_id=GROUP, ordered=True) as client:
        assert client.send_many(source(), STREAM).acked == 1100
    assert [payload for payload in cluster.payloads() if len(payload) == 4] == [b"%04d" % n for n in range(1000)]


def test_what_a_source_gave_before_it_became_slow_is_not_held_back(cluster: MockCluster, client: Client) -> None:
    # A backlog, then `tail -f`: chunks had grown to 4,096 messages, and nobody passed on the open one.
    arrived = 0

    def source() -> Iterator[bytes]:
        nonlocal arrived
        yield from (b"backlog" for _ in range(20_000))
        for n in range(3):
            yield b"slow"
            wait_until(lambda n=n: cluster.stats()["messages"] == 20_001 + n, "what was given has arrived")  # type: ignore[misc]
            arrived += 1

    assert client.send_many(source(), STREAM).acked == 20_003
    assert arrived == 3


def test_what_a_source_gave_before_ctrl_c_is_sent(cluster: MockCluster, client: Client) -> None:
    # It was dropped: neither sent nor reported.
    def source() -> Iterator[bytes]:
        yield from (b"x" for _ in range(5000))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.send_many(source(), STREAM)
    wait_until(lambda: cluster.stats()["messages"] == 5000, "it arrived")


def test_a_report_keeps_nothing_of_what_was_sent(client: Client) -> None:
    # The traceback of a value that is no payload held the frame, and that its chunk: 442 MB instead of 49.
    class Bad:
        pass

    bad, text = Bad(), "\udc80"
    kept = weakref.ref(bad)
    values: list[Any] = [b"x", bad, text, b"y"]
    report = client.send_many(iter(values), STREAM)
    values.clear()
    del bad
    gc.collect()
    assert kept() is None
    assert (report.acked, report.failed) == (2, 2)
    for failure in report.failures:
        assert failure.error.__traceback__ is None
        assert failure.error.__context__ is None


class _Weighed(Packed):
    most = 0

    def __init__(self, model: Model, payloads: list[bytes]) -> None:
        super().__init__(model, payloads)
        _Weighed.most = max(_Weighed.most, self.left()[1])


@pytest.mark.parametrize("way", ["bytes", "bytearray", "async", "async source"])
def test_a_source_whose_messages_become_large_takes_no_more_memory(
    cluster: MockCluster, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    # Chunks are counted in messages of the size so far: 4,096 of 400 KB came behind small ones, and 450 MB were in memory at once.
    small, large = b"x" * 10, b"x" * 100_000
    monkeypatch.setattr(bulk, "Packed", _Weighed)
    _Weighed.most = 0

    def source() -> Iterator[Any]:
        for payload in [small] * 20_000 + [large] * 500:
            yield bytearray(payload) if way == "bytearray" else payload

    async def async_source() -> AsyncIterator[bytes]:
        for payload in source():
            yield payload

    async def main() -> SendReport:
        async with AsyncClient(cluster.url, group_id=GROUP) as client:
            return await client.send_many(async_source() if way == "async source" else source(), STREAM)

    if way.startswith("async"):
        report = asyncio.run(main())
    else:
        with Client(cluster.url, group_id=GROUP) as client:
            report = client.send_many(source(), STREAM)
    assert (report.taken, report.acked) == (20_500, 20_500)
    assert _Weighed.most <= 10 << 20


def test_a_chunk_of_a_source_whose_messages_grow_stays_short(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    # Its count is of the size so far, and 4 KB a message was not looked at: a chunk of 14 MB had to be joined, and passed on.
    monkeypatch.setattr(bulk, "Packed", _Weighed)
    _Weighed.most = 0
    report = client.send_many([b"x"] * 5000 + [b"x" * 4200] * 5000, STREAM)
    assert report.acked == 10_000
    assert _Weighed.most <= 1 << 20


class _LateLock:
    """Behind its release the thread that stands in continues when another one has taken it."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._taken = threading.Event()

    def __enter__(self) -> None:
        self._lock.acquire()
        self._taken.set()

    def __exit__(self, *_: object) -> None:
        self._taken.clear()
        self._lock.release()
        if threading.current_thread().name == "inlong-send-many":
            assert self._taken.wait(10)


def test_what_the_thread_that_stands_in_could_not_pass_on_is_an_error(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    # It told so behind its lock: a caller who came in between returned a report in which the message had no result.
    taken = threading.Event()

    def closed(*_: object) -> None:
        taken.set()
        raise ClosedError("closed meanwhile")

    def source() -> Iterator[bytes]:
        yield b"x"
        assert taken.wait(10)

    kept = SimpleNamespace(Lock=_LateLock, Event=threading.Event, Thread=threading.Thread)
    monkeypatch.setattr(threads_bulk, "threading", kept)
    monkeypatch.setattr(threads_bulk.ThreadBulk, "push", closed)
    with pytest.raises(ClosedError, match="closed meanwhile"):
        client.send_many(source(), STREAM)
