"""Measure confluent-kafka's produce() with delivery callbacks as bench.py measures send_async, against its own mock cluster.

Run: python bench_kafka.py --corpus FILE --size 100 --count 1000000

Prints what bench.py prints. The mock cluster is a thread of the same process, whose CPU is left out of cpu_seconds and printed as
broker_cpu_seconds.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from pathlib import Path

from confluent_kafka import KafkaError, Message, Producer

from bench import WARM_UP, Meter, read_corpus

TOPIC = "bench"
POLL_EVERY = 500  # messages: a poll for each one costs as much as the message
TICK = 1 / os.sysconf("SC_CLK_TCK")


def produce(producer: Producer, corpus: list[bytes], count: int) -> int:
    """Send, and return how many were acked."""
    acked = 0

    def done(error: KafkaError | None, _: Message) -> None:
        nonlocal acked
        acked += error is None

    for number, payload in enumerate(itertools.islice(itertools.cycle(corpus), count)):
        while True:
            try:
                producer.produce(TOPIC, payload, on_delivery=done)
                break
            except BufferError:
                producer.poll(0.001)
        if number % POLL_EVERY == 0:
            producer.poll(0)
    producer.flush()
    return acked


def broker_seconds() -> float:
    """Return the CPU time of the mock cluster's threads until now."""
    ticks = 0
    for task in Path("/proc/self/task").iterdir():
        name, _, rest = (task / "stat").read_text().partition("(")[2].rpartition(")")
        if name.startswith("rdk:mock"):
            ticks += sum(map(int, rest.split()[11:13]))
    return ticks * TICK


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure confluent-kafka.")
    parser.add_argument("--corpus", required=True, type=Path, metavar="FILE")
    parser.add_argument("--size", type=int, default=0, metavar="BYTES", help="cut or pad lines to it; 0: as they are")
    parser.add_argument("--count", type=int, default=1_000_000)
    arguments = parser.parse_args()

    corpus = read_corpus(arguments.corpus, arguments.size)
    producer = Producer({"test.mock.num.brokers": 3, "bootstrap.servers": "overridden"})
    produce(producer, corpus, min(arguments.count, WARM_UP))
    broker, meter = broker_seconds(), Meter()
    acked = produce(producer, corpus, arguments.count)
    seconds, cpu_seconds = meter.read()
    broker = broker_seconds() - broker
    figures = {"messages": arguments.count, "seconds": seconds, "cpu_seconds": cpu_seconds - broker, "broker_cpu_seconds": broker}
    print(json.dumps({name: round(figure, 6) for name, figure in figures.items()}))
    if acked < arguments.count:
        print(f"bench_kafka: only {acked} of {arguments.count} messages were acked", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
