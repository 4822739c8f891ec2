"""What an outage costs a process with a spool, and what a large backlog does: memory stays flat, all arrives, in order.

INLONG_TEST_BACKLOG=1000000 for the long way, with a line for each second that `inlong-dataproxy bench --from` plots.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support import LONG, running

from inlong_dataproxy.testing import MockCluster

MESSAGES = int(os.environ.get("INLONG_TEST_BACKLOG") or 60_000)
ALONE = "INLONG_TEST_BACKLOG" in os.environ
GROWTH_MIB = 24
"""The messages are 600 bytes each."""

# The nodes go and come as this process says, in a line, and are told of in another one.
PRELUDE = """
import json, sys, time
from inlong_dataproxy import Client

url, folder, messages, alone = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "True"
began, shown, resident = time.monotonic(), 0, []

def nodes(what):
    print(what, flush=True)
    sys.stdin.readline()

def look(client, sent):
    global shown
    with open("/proc/self/statm") as file:
        resident.append(int(file.read().split()[1]) * 4096 / (1 << 20))
    now = time.monotonic() - began
    if alone and now >= shown:
        shown = now + 1
        stats = client.stats()
        spool = stats["spool"]
        print(f"{now:.1f} s: {sent} sent, {stats['acked']} acked, {spool['replayed']} replayed, {spool['messages']} stored, "
              f"{resident[-1]:.1f} MiB", file=sys.stderr, flush=True)

kinds = {}

def count(future):
    error = future.exception()
    kind = "acked" if error is None else error.name
    kinds[kind] = kinds.get(kind, 0) + 1

def send(client, first, end):
    for n in range(first, end):
        client.send_async(b"%012d %s" % (n, b"x" * 587), "s").add_done_callback(count)
        if n % 5000 == 0:
            look(client, n)

def deliver(client):
    while client.stats()["spool"]["messages"] > 0:
        look(client, messages)
        time.sleep(0.01)

def client(**more):
    return Client(url, group_id="test_group", spool_dir=folder, ordered=True, max_pending_bytes=4 << 20,
                  block_if_queue_is_full=True, send_timeout=600, lazy_start=True, **more)
"""

OUTAGE = """
tenth = messages // 10
with client() as c:
    send(c, 0, tenth)
    nodes("down")
    send(c, tenth, 9 * tenth)
    nodes("up")
    send(c, 9 * tenth, messages)
    c.flush()
    deliver(c)
print(json.dumps([min(resident), max(resident), 0, kinds]), flush=True)
"""

BACKLOG = """
nodes("down")
with client(spool_result="stored") as c:
    send(c, 0, messages)
    c.flush()
nodes("up")
opened = time.monotonic()
with client() as c:
    while c.stats()["spool"]["replayed"] == 0:
        time.sleep(0.001)
    first = time.monotonic() - opened
    deliver(c)
print(json.dumps([min(resident), max(resident), first, kinds]), flush=True)
"""


def assert_in_order(numbers: list[int]) -> None:
    # A node that dies may have taken a batch whose ack nobody gets: it comes again, and what is sent behind it comes behind it.
    first, previous, last = 0, -1, -1
    for number in numbers:
        if number != previous + 1:
            assert first <= number <= last == previous, f"{number} came behind {previous}, and before that {first} to {last}"
            first = number
        previous, last = number, max(number, last)
    assert previous == last == MESSAGES - 1


@pytest.mark.timeout(LONG + MESSAGES // 1000)
@pytest.mark.parametrize("script", [OUTAGE, BACKLOG], ids=["an_outage", "a_backlog"])
def test_memory_stays_flat_and_order_is_kept_in(script: str, tmp_path: Path, summary: list[str]) -> None:
    # What an outage or a backlog (S11) costs goes with its length: memory, messages, their order, and the time to the first ack.
    line = ""
    with MockCluster() as cluster, running(PRELUDE + script, cluster.url, str(tmp_path), str(MESSAGES), str(ALONE)) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for told in process.stdout:
            line = told.decode().strip()
            if line in ("down", "up"):
                for node in range(3):
                    (cluster.kill if line == "down" else cluster.revive)(node)
                process.stdin.write(b"\n")
                process.stdin.flush()
        assert process.wait() == 0
        numbers = [int(payload[:12]) for payload in cluster.payloads()]
    least, most, first, kinds = json.loads(line)
    assert_in_order(numbers)
    assert sum(kinds.values()) == MESSAGES
    assert kinds.keys() <= {"acked", "stored"}
    assert most - least < GROWTH_MIB
    if ALONE:  # else other processes take that time
        assert first < 2
    summary.append(f"spool: {MESSAGES} messages, {least:.1f} to {most:.1f} MiB, first ack {first:.2f} s, {kinds}")
