"""The end of the interpreter with a client that nobody closed: messages are flushed within a bound, no hang, no crash."""

from __future__ import annotations

import time

import pytest
from support import run_python

from inlong_dataproxy.testing import MockCluster

ROUNDS = 30

PENDING = """
import sys
from inlong_dataproxy import Client
client = Client(sys.argv[1], group_id="test_group")
futures = [client.send_async(b"x", "s") for _ in range(1000)]
futures[0].add_done_callback(lambda future: None)
"""

ENDINGS = {
    "the end of the script": "",
    "sys.exit": "sys.exit(0)",
    "a thread that still sends": """
import threading, time
def send():
    try:
        while True:
            client.send_async(b"late", "s")
            time.sleep(0.0005)
    except Exception:
        pass
threading.Thread(target=send, daemon=True).start()
""",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_was_pending_is_flushed(cluster: MockCluster, ending: str) -> None:
    # H4
    for n in range(ROUNDS // len(ENDINGS)):
        done = run_python(PENDING + ENDINGS[ending], cluster.url, seconds=30)
        assert done.stderr == ""
        assert sum(1 for payload in cluster.payloads() if payload == b"x") == (n + 1) * 1000


def test_a_silent_server_holds_up_the_exit_no_longer_than_its_bound(cluster: MockCluster) -> None:
    script = """
import sys
import inlong_dataproxy.client
inlong_dataproxy.client.EXIT_SECONDS = 0.5
clients = [inlong_dataproxy.Client(sys.argv[1], group_id="test_group") for _ in range(3)]
print("open", flush=True)
sys.stdin.read()
"""
    # The nodes fall silent before anything is sent, but prove their connections before that.
    script = script.replace(
        'print("open", flush=True)\nsys.stdin.read()', 'for client in clients:\n    client.send_async(b"x", "s")'
    )
    for node in range(3):
        cluster.fault(node, "silence", standing=True)
    began = time.monotonic()
    done = run_python(script, cluster.url, seconds=30)
    assert done.stderr == ""
    assert time.monotonic() - began < 5


def test_an_exception_that_ends_the_script_still_flushes(cluster: MockCluster) -> None:
    done = run_python(PENDING + "raise ValueError('the end')", cluster.url, check=False)
    assert done.returncode == 1
    assert "ValueError: the end" in done.stderr
    assert len(cluster.payloads()) == 1000
