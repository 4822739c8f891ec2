"""Measure sending from Python: the messages of a corpus, again and again, to a cluster that someone else runs.

Run: python bench.py --url URL --group G --stream S --corpus FILE --size 100 --count 1000000 --mode send_many

Prints {"messages", "seconds", "cpu_seconds"} of the sending, from the first message to the last ack, CPU of all threads.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from pathlib import Path

from inlong_dataproxy import Client, QueueFullError


def read_corpus(path: Path, size: int) -> list[bytes]:
    """Return the corpus's lines, each cut or padded to size bytes; size 0 leaves them as they are."""
    lines = [line for line in path.read_bytes().split(b"\n") if line]
    if not lines:
        raise SystemExit(f"bench: --corpus {path}: holds no line")
    return [line[:size].ljust(size, b".") for line in lines] if size else lines


def send_many(client: Client, corpus: list[bytes], stream: str, count: int) -> int:
    return client.send_many(itertools.islice(itertools.cycle(corpus), count), stream).acked


def send_async(client: Client, corpus: list[bytes], stream: str, count: int) -> int:
    failed = 0
    for payload in itertools.islice(itertools.cycle(corpus), count):
        while True:
            try:
                client.send_async(payload, stream)
                break
            except QueueFullError:
                time.sleep(0.001)
    client.flush()
    failed = int(client.stats()["failed"])
    return count - failed


MODES = {"send_many": send_many, "send_async": send_async}


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure sending from Python.")
    parser.add_argument("--url", required=True)
    parser.add_argument("--group", required=True)
    parser.add_argument("--stream", required=True)
    parser.add_argument("--corpus", required=True, type=Path, metavar="FILE")
    parser.add_argument("--size", type=int, default=0, metavar="BYTES", help="cut or pad lines to it; 0: as they are")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--mode", choices=sorted(MODES), default="send_many")
    arguments = parser.parse_args()

    corpus = read_corpus(arguments.corpus, arguments.size)
    mode = MODES[arguments.mode]
    with Client(arguments.url, group_id=arguments.group) as client:
        mode(client, corpus, arguments.stream, min(arguments.count, 20_000))  # pools, connections and caches are warm
        began, cpu_began = time.monotonic(), time.process_time()
        acked = mode(client, corpus, arguments.stream, arguments.count)
        seconds, cpu_seconds = time.monotonic() - began, time.process_time() - cpu_began
    print(json.dumps({"messages": arguments.count, "seconds": round(seconds, 6), "cpu_seconds": round(cpu_seconds, 6)}))
    if acked < arguments.count:
        print(f"bench: only {acked} of {arguments.count} messages were acked", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
