"""Whatever a program may do to a client at a time, for long: nothing is lost, doubled, out of order or left behind.

Run: python stress.py [--messages N] [--seconds N] [--interval N] [SCENARIO...]; make stress-python does with every Python.
"""

from __future__ import annotations

import argparse
import asyncio
import concurrent.futures
import gc
import itertools
import logging
import random
import signal
import sys
import threading
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, Callable

from inlong_dataproxy import AsyncClient, Client, ClosedError, InlongError, InlongHandler, QueueFullError
from inlong_dataproxy._host.end import still_open
from inlong_dataproxy.testing import MockCluster

GROUP, STREAM = "test_group", "test_stream"
SURROUNDINGS: list[dict[str, Any]] = [
    {},
    {"attributes": {"a": "b"}},
    {"event_time": 1.7e9},
    {"group_id": GROUP},
    {"attributes": {"c": "d"}},
]
ROUND = 100_000  # messages that are compared at a time
# A machine that gives this program no processor for a while must not end a message, or have it sent again.
TIGHT: dict[str, Any] = {
    "ordered": True,
    "worker_num": 1,
    "max_pending_messages": 2000,
    "batching_max_messages": 300,
    "send_timeout": 600,
    "ack_timeout": 300,
}


def check(holds: bool, *what: object) -> None:
    if not holds:
        raise SystemExit(f"stress: {' '.join(map(str, what))}")


def compare(cluster: MockCluster, sent: list[bytes]) -> None:
    got = cluster.payloads(stream_id=STREAM)
    check(got == sent, len(sent), "sent,", len(got), "arrived, or not in this order")
    cluster.reset()


def slow_at_times(cluster: MockCluster, number: int) -> None:
    """Have the queue full in every fifth round."""
    cluster.clear_faults(0)
    if number % 5 == 1:
        cluster.fault(0, "delay", delay_ms=1, standing=True)


def order(options: argparse.Namespace, **more: Any) -> str:
    """All ways to send, attributes, times, groups, full queues, one thread."""
    numbers, dice = itertools.count(), random.Random(1)  # noqa: S311
    full = 0
    with MockCluster(1) as cluster, Client(cluster.url, group_id=GROUP, **TIGHT, **more) as client:
        for number in range(options.messages // 3 // ROUND):
            slow_at_times(cluster, number)
            sent: list[bytes] = []
            while len(sent) < ROUND:
                around = SURROUNDINGS[dice.randrange(5)] if dice.random() < 0.1 else {}
                payload = b"%d" % next(numbers)
                way = dice.random()
                try:
                    if way < 0.0005:
                        client.send(payload, STREAM, **around)
                        sent.append(payload)
                    elif way < 0.002:
                        some = [payload, *(b"%d" % next(numbers) for _ in range(dice.randrange(100)))]
                        check(client.send_many(some, STREAM, **around).acked == len(some), "send_many lost something")
                        sent += some
                    else:
                        client.send_async(payload, STREAM, **around)
                        sent.append(payload)
                except QueueFullError:
                    full += 1
                    time.sleep(0.0005)
            client.flush(600)
            compare(cluster, sent)
    return f"{next(numbers):,} messages, {full:,} refused by a full queue, 0 breaks"


def order_blocking(options: argparse.Namespace) -> str:
    """The same, with a full queue that is waited for."""
    return order(options, block_if_queue_is_full=True)


def order_asyncio(options: argparse.Namespace) -> str:
    """The same on a loop."""
    numbers, dice = itertools.count(), random.Random(2)  # noqa: S311

    async def main() -> None:
        with MockCluster(1) as cluster:
            async with AsyncClient(cluster.url, group_id=GROUP, block_if_queue_is_full=True, **TIGHT) as client:
                for number in range(options.messages // 3 // ROUND):
                    slow_at_times(cluster, number)
                    sent: list[bytes] = []
                    while len(sent) < ROUND:
                        around = SURROUNDINGS[dice.randrange(5)] if dice.random() < 0.1 else {}
                        sent.append(b"%d" % next(numbers))
                        way = dice.random()
                        if way < 0.0005:
                            await client.send(sent[-1], STREAM, **around)
                        elif way < 0.002:
                            some = [sent.pop(), *(b"%d" % next(numbers) for _ in range(dice.randrange(100)))]
                            sent += some
                            check((await client.send_many(some, STREAM, **around)).acked == len(some), "send_many lost something")
                        else:
                            client.send_nowait(sent[-1], STREAM, **around)
                            if way > 0.99:
                                await asyncio.sleep(0)
                    await client.flush(600)
                    compare(cluster, sent)

    asyncio.run(main())
    return f"{next(numbers):,} messages, 0 breaks"


def watchers(options: argparse.Namespace) -> str:
    """Futures that many watch in many ways when their results come."""
    called: Counter[str] = Counter()
    wanted: Counter[str] = Counter()
    end = time.monotonic() + options.seconds
    with MockCluster(1) as cluster, Client(cluster.url, group_id=GROUP, batching_max_publish_delay=0.001) as client:

        def count(kind: str) -> Callable[..., None]:
            return lambda *_: called.update([kind])  # on one thread: the client's

        while time.monotonic() < end:
            futures = [client.send_async(b"x", STREAM, callback=count("born")) for _ in range(200)]
            for future in futures:
                future.add_done_callback(count("first"))
            late: list[object] = []
            with concurrent.futures.ThreadPoolExecutor(len(WATCHES)) as pool:
                for done in [pool.submit(watch, futures, late) for watch in WATCHES]:
                    done.result(60)
            client.flush(30)
            check(len(late) == 200, len(late), "of 200 late callbacks were called")
            wanted.update({"born": 200, "first": 200})
            cluster.reset()
        check(called == wanted, "callbacks", called, "wanted", wanted)
    return f"{sum(wanted.values()):,} callbacks, each called once"


def awaited(futures: list[Any], _: list[object]) -> None:
    async def main() -> None:
        await asyncio.wait_for(asyncio.gather(*map(asyncio.wrap_future, futures)), 30)

    asyncio.run(main())


def result_of_each(futures: list[Any], _: list[object]) -> None:
    for future in futures:
        future.result(30)


def exception_of_each(futures: list[Any], _: list[object]) -> None:
    for future in reversed(futures):
        check(future.exception(30) is None, "a message failed")


def all_at_once(futures: list[Any], _: list[object]) -> None:
    check(not concurrent.futures.wait(futures, 30)[1], "wait gave up")


def as_they_come(futures: list[Any], _: list[object]) -> None:
    check(len(list(concurrent.futures.as_completed(futures, 30))) == len(futures), "as_completed missed some")


def one_more(futures: list[Any], late: list[object]) -> None:
    for future in futures:
        future.add_done_callback(late.append)


WATCHES = (awaited, result_of_each, exception_of_each, all_at_once, as_they_come, one_more)


def reentry(options: argparse.Namespace) -> str:
    """Signal handlers and finalizers that send and log, at any moment."""
    entered: Counter[str] = Counter()
    end, sent = time.monotonic() + options.seconds, 0
    with MockCluster(1) as cluster, Client(cluster.url, group_id=GROUP, **{**TIGHT, "max_pending_messages": 50_000}) as client:
        logger = logging.getLogger("stress")
        logger.propagate = False
        logger.addHandler(InlongHandler(client, "log"))

        def enter(kind: str) -> None:
            entered[kind] += 1
            logger.warning(kind)
            try:
                client.send_async(kind.encode(), "entered")
            except QueueFullError:
                entered["full"] += 1

        def on_signal(*_: object) -> None:
            enter("signal")
            if entered["signal"] % 100 == 0:
                client.send(b"sync", "sync")
                client.flush(30)

        class Finalized:
            def __init__(self) -> None:
                self.me = self

            def __del__(self) -> None:
                enter("finalized")

        thresholds = gc.get_threshold()
        gc.set_threshold(50, 2, 2)
        signal.signal(signal.SIGALRM, on_signal)
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        while time.monotonic() < end:
            Finalized()
            try:
                client.send_async(b"%d" % sent, STREAM, **SURROUNDINGS[sent % 50 % 5])
                sent += 1
            except QueueFullError:
                time.sleep(0.001)
            if sent % 1000 == 0:
                client.send_many([b"%d" % sent], STREAM)
                sent += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        gc.set_threshold(*thresholds)
        logger.handlers.clear()
        client.flush(60)
        compare(cluster, [b"%d" % n for n in range(sent)])
    return f"{sent:,} messages in order, entered by {entered['signal']:,} signals and {entered['finalized']:,} finalizers"


def closes(options: argparse.Namespace) -> str:
    """Closes under senders: each message that was accepted has one result, and close ends in its time."""
    end, clients, messages, slowest = time.monotonic() + options.seconds, 0, 0, 0.0
    with MockCluster(2) as cluster:
        while time.monotonic() < end:
            client = Client(cluster.url, group_id=GROUP, max_pending_messages=10_000)
            results: list[Counter[int]] = [Counter() for _ in range(4)]
            accepted: list[list[Any]] = [[] for _ in range(4)]

            def send(n: int, client: Client = client, results: Any = results, accepted: Any = accepted) -> None:
                for i in itertools.count():
                    try:
                        accepted[n].append(client.send_async(b"x", STREAM, callback=lambda *_, n=n, i=i: results[n].update([i])))
                    except ClosedError:
                        return
                    except InlongError:
                        accepted[n].append(None)

            threads = [threading.Thread(target=send, args=(n,)) for n in range(4)]
            for thread in threads:
                thread.start()
            time.sleep(random.random() * 0.05)  # noqa: S311
            if clients % 3 == 0:
                cluster.reset_connections(clients % 2)
            began = time.monotonic()
            client.close(5)
            slowest = max(slowest, time.monotonic() - began)
            for thread in threads:
                thread.join(30)
                check(not thread.is_alive(), "a sender hangs behind the close")
            for n, futures in enumerate(accepted):
                there = [i for i, future in enumerate(futures) if future is not None]
                check(all(futures[i].done() for i in there), "a future has no result behind the close")
                twice = [i for i, times in results[n].items() if times > 1]
                check(not twice, len(twice), "callbacks were called twice")
                messages += len(there)
            clients += 1
            cluster.reset()
    return f"{clients:,} clients, {messages:,} messages, the slowest close took {slowest:.2f} s"


def loops(options: argparse.Namespace) -> str:
    """Several loops at a time, whose clients are closed, cancelled while they close, or forgotten."""
    end, rounds = time.monotonic() + options.seconds, Counter[str]()
    asyncio.run(asyncio.sleep(0))

    async def use(cluster: MockCluster, way: str) -> None:
        client = await AsyncClient(cluster.url, group_id=GROUP).open()
        futures = [client.send_nowait(b"x", STREAM) for _ in range(200)]
        if way == "closed":
            await asyncio.gather(*futures)
            check((await client.send_many([b"y"] * 500, STREAM)).acked == 500, "send_many lost something")
            await client.close()
        elif way == "cancelled":
            task = asyncio.ensure_future(client.close())
            await asyncio.sleep(random.random() * 0.002)  # noqa: S311
            del task
        rounds[way] += 1

    with MockCluster(2) as cluster, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        before = descriptors()

        def one_after_the_other() -> None:
            while time.monotonic() < end:
                for way in ("closed", "cancelled", "forgotten"):
                    asyncio.run(use(cluster, way))

        threads = [threading.Thread(target=one_after_the_other) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(options.seconds + 60)
            check(not thread.is_alive(), "a loop hangs")
        gone = time.monotonic() + 20
        while time.monotonic() < gone and (still_open() or descriptors() > before + 2):
            gc.collect()
            time.sleep(0.05)
        check(not still_open(), len(still_open()), "clients stayed open")
        check(descriptors() <= before + 2, descriptors() - before, "descriptors stayed open")
    return f"{dict(rounds)} clients, nothing is left"


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


SCENARIOS = {function.__name__: function for function in (order, order_blocking, order_asyncio, watchers, reentry, closes, loops)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", nargs="*", choices=[[], *SCENARIOS], help="default: all")
    parser.add_argument("--messages", type=int, default=5_000_000, help="of the three about order, together")
    parser.add_argument("--seconds", type=float, default=20, help="of each of the others")
    parser.add_argument(
        "--interval", type=float, default=1e-6, help="seconds after which another thread gets its turn; not of those about order"
    )
    options = parser.parse_args()
    usual = sys.getswitchinterval()
    for name in options.scenario or SCENARIOS:
        sys.setswitchinterval(usual if name.startswith("order") else options.interval)
        began = time.monotonic()
        print(f"{sys.version.split()[0]} {name}: {SCENARIOS[name](options)}; {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
