"""What processes that are killed, stopped or forked have stored in a folder that they share."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest
from support import GROUP, LONG, rounds, running, wait_until

from inlong_dataproxy import Client
from inlong_dataproxy.testing import MockCluster

ADOPTED = 65
"""Seconds within which a client that is open sends what a dead one has left."""

UNDER_LOAD = """
import os, sys, time
from inlong_dataproxy import Client, SendError

url, folder, life = sys.argv[1:]
client = Client(url, group_id="test_group", spool_dir=folder, send_timeout=0.5, lazy_start=True, block_if_queue_is_full=True,
                max_pending_messages=5000)

def told(payload):
    def tell(future):
        error = future.exception()
        kind = b"acked" if error is None else b"stored" if getattr(error, "name", "") == "stored" else b"refused"
        os.write(1, kind + b" " + payload + b"\\n")
    return tell

number = 0
while True:
    for _ in range(100):
        payload = b"%s.%d" % (life.encode(), number)
        number += 1
        try:
            client.send_async(payload, "s").add_done_callback(told(payload))
        except SendError:
            pass
    time.sleep(0.01)
"""

STORES = """
import os, sys, time
from inlong_dataproxy import Client

def store(name):
    client = Client(sys.argv[1], group_id="test_group", spool_dir=sys.argv[2], send_timeout=600, lazy_start=True)
    for n in range(100):
        client.send_async(b"%s.%d" % (name, n), "s")
    while client.stats()["spool"]["messages"] < 100:
        time.sleep(0.005)
    return client

name = sys.argv[3].encode()
mine = store(name)
child = os.fork()
if child == 0:
    name += b" child"
    mine = store(name)
os.write(1, b"%s %d\\n" % (name, os.getpid()))
sys.stdin.read()
os._exit(1)
"""


def refuse(cluster: MockCluster, refused: bool) -> None:
    """Have all nodes refuse messages for now, with no answer lost, or take them again."""
    for node in range(3):
        if refused:
            cluster.fault(node, "error_code", code=114, standing=True)
        else:
            cluster.clear_faults(node)


@pytest.mark.timeout(LONG)
def test_processes_killed_under_load_lose_nothing_that_was_acked_or_stored(
    cluster: MockCluster, tmp_path: Path, summary: list[str]
) -> None:
    # S2: what a killed process was told of is lost, or something arrives that nobody has sent.
    promised: set[bytes] = set()
    lives = rounds(4)
    for life in range(lives):
        refuse(cluster, life % 2 == 1)
        with running(UNDER_LOAD, cluster.url, str(tmp_path), str(life)) as process:
            assert process.stdout is not None
            for told, line in enumerate(process.stdout):
                kind, _, payload = line.rstrip(b"\n").partition(b" ")
                if kind != b"refused" and line.endswith(b"\n"):
                    promised.add(payload)
                if told == 1000:
                    refuse(cluster, False)
                if told == 3000 + 777 * life:
                    process.kill()
    refuse(cluster, False)
    with Client(cluster.url, group_id=GROUP, spool_dir=tmp_path) as client:
        wait_until(lambda: client.stats()["spool"]["batches"] == 0, "all is delivered", 60)
    times = Counter(cluster.payloads())
    assert promised <= times.keys()
    assert all(0 <= int(payload.split(b".")[0]) < lives for payload in times)
    doubled = sum(count - 1 for count in times.values())
    summary.append(f"spool: {lives} kills, {len(promised)} messages promised, {len(times)} arrived, {doubled} of them again")


@pytest.mark.timeout(LONG + ADOPTED)
def test_processes_and_their_forks_share_a_folder_and_what_a_dead_one_has_left(cluster: MockCluster, tmp_path: Path) -> None:
    # S6: two send the same, the slot of a dead owner waits for ever, or that of a stopped one is taken from it.
    refuse(cluster, True)
    with running(STORES, cluster.url, str(tmp_path), "a") as a, running(STORES, cluster.url, str(tmp_path), "b") as b:
        for process in (a, b):
            assert process.stdout is not None
            assert len({process.stdout.readline(), process.stdout.readline()}) == 2
        assert len(list(tmp_path.glob("slot-*"))) == 4
        b.send_signal(signal.SIGSTOP)
        a.kill()
        a.wait()
        refuse(cluster, False)
        cluster.wait_for(300, timeout=ADOPTED)  # those of the dead one by a process that is open
        with Client(cluster.url, group_id=GROUP, spool_dir=tmp_path) as client:
            client.send(b"new", "s")
        assert not any(payload.startswith(b"b.") for payload in cluster.payloads())
        b.send_signal(signal.SIGCONT)
        cluster.wait_for(401)
        whole = Counter(b"%s.%d" % (name, n) for name in (b"a", b"a child", b"b", b"b child") for n in range(100))
        whole[b"new"] = 1
        assert Counter(cluster.payloads()) == whole
