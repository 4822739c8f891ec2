"""Measure sending from Python: the messages of a corpus, again and again, to a cluster that someone else runs.

Run: python bench.py --url URL --group G --stream S --corpus FILE --size 100 --count 1000000 --mode send_many

Prints {"messages", "seconds", "cpu_seconds"} of the sending, from the first message to the last ack, CPU of all threads.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

from inlong_dataproxy import AsyncClient, Client, Config, QueueFullError, Result

WINDOW = 8_000  # futures that are kept before the older half is looked at
ROUND = 10_000  # messages that an event loop sends before it awaits those of the round before


def read_corpus(path: Path, size: int) -> list[bytes]:
    """Return the corpus's lines, each cut or padded to size bytes; size 0 leaves them as they are."""
    lines = [line for line in path.read_bytes().split(b"\n") if line]
    if not lines:
        raise SystemExit(f"bench: --corpus {path}: holds no line")
    return [line[:size].ljust(size, b".") for line in lines] if size else lines


def payloads(corpus: list[bytes], count: int) -> Iterator[bytes]:
    """Return an iterator of count messages."""
    return itertools.islice(itertools.cycle(corpus), count)


def send_many(client: Client, corpus: list[bytes], stream: str, count: int) -> int:
    return client.send_many(payloads(corpus, count), stream).acked


def send_async(client: Client, corpus: list[bytes], stream: str, count: int) -> int:
    """Send with futures, and look at every one of them."""
    acked = 0
    futures = []
    for payload in payloads(corpus, count):
        while True:
            try:
                futures.append(client.send_async(payload, stream))
                break
            except QueueFullError:
                time.sleep(0.001)
        if len(futures) >= WINDOW:
            acked += sum(future.exception() is None for future in futures[: WINDOW // 2])
            del futures[: WINDOW // 2]
    return acked + sum(future.exception() is None for future in futures)


def send_async_callback(client: Client, corpus: list[bytes], stream: str, count: int) -> int:
    """Send with a callback for every result."""
    acked = 0

    def done(_: Result | None, error: Exception | None) -> None:
        nonlocal acked
        acked += error is None

    for payload in payloads(corpus, count):
        while True:
            try:
                client.send_async(payload, stream, callback=done)
                break
            except QueueFullError:
                time.sleep(0.001)
    client.flush()
    return acked


async def asyncio_send(client: AsyncClient, corpus: list[bytes], stream: str, count: int) -> int:
    """Send from an event loop, and await every message."""
    acked = 0
    source = payloads(corpus, count)
    before: list[asyncio.Future[Result]] = []
    while before or count:
        futures = [client.send_nowait(payload, stream) for payload in itertools.islice(source, ROUND)]
        count -= len(futures)
        for future in before:
            await future
            acked += 1
        before = futures
    return acked


MODES = {"send_many": send_many, "send_async": send_async, "send_async_callback": send_async_callback}
ASYNCIO = "asyncio"
WARM_UP = 20_000  # messages: pools, connections and caches


class Meter:
    """Wall clock and CPU of all threads, from its making on."""

    def __init__(self) -> None:
        self.began, self.cpu_began = time.monotonic(), time.process_time()

    def read(self) -> tuple[float, float]:
        """Return both, in seconds."""
        return time.monotonic() - self.began, time.process_time() - self.cpu_began


def measure(config: Config, mode: Callable[..., int], corpus: list[bytes], stream: str, count: int) -> tuple[int, float, float]:
    """Return how many were acked, and the seconds and CPU seconds that it took."""
    with Client.from_config(config) as client:
        mode(client, corpus, stream, min(count, WARM_UP))
        meter = Meter()
        return (mode(client, corpus, stream, count), *meter.read())


async def measure_async(config: Config, corpus: list[bytes], stream: str, count: int) -> tuple[int, float, float]:
    """Do the same on an event loop."""
    async with AsyncClient.from_config(config) as client:
        await asyncio_send(client, corpus, stream, min(count, WARM_UP))
        meter = Meter()
        return (await asyncio_send(client, corpus, stream, count), *meter.read())


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure sending from Python.")
    parser.add_argument("--url", required=True)
    parser.add_argument("--group", required=True)
    parser.add_argument("--stream", required=True)
    parser.add_argument("--corpus", required=True, type=Path, metavar="FILE")
    parser.add_argument("--size", type=int, default=0, metavar="BYTES", help="cut or pad lines to it; 0: as they are")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--mode", choices=[*MODES, ASYNCIO], default="send_many")
    arguments = parser.parse_args()

    corpus = read_corpus(arguments.corpus, arguments.size)
    config = Config(arguments.url, group_id=arguments.group)
    if arguments.mode in MODES:
        measured = measure(config, MODES[arguments.mode], corpus, arguments.stream, arguments.count)
    else:
        measured = asyncio.run(measure_async(config, corpus, arguments.stream, arguments.count))
    acked, seconds, cpu_seconds = measured
    print(json.dumps({"messages": arguments.count, "seconds": round(seconds, 6), "cpu_seconds": round(cpu_seconds, 6)}))
    if acked < arguments.count:
        print(f"bench: only {acked} of {arguments.count} messages were acked", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
