"""S8: what has no ack when a client or its process ends is stored, and nothing waits longer than it may."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from support import GROUP, STREAM, running, silence, wait_until

from inlong_dataproxy import Client, Persisted, SendError
from inlong_dataproxy.testing import MockCluster

MESSAGES = 100
BOUND_SECONDS = 10
"""Of an end of a process. The exit itself may take EXIT_SECONDS, which is 5."""

SENDS = """
import atexit, signal, sys, time
from inlong_dataproxy import Client

client = Client(sys.argv[1], group_id="test_group", spool_dir=sys.argv[2], spool_after=float(sys.argv[3]), send_timeout=7200)
for n in range(100):
    client.send_async(b"%d" % n, "s")
client.stats()  # what was queued is with the client

def exits(*signal):
    sys.exit(0)
"""


class Ending(NamedTuple):
    """How a process ends: what its script does, and the signals that it gets, each behind a line that it prints."""

    script: str
    signals: tuple[signal.Signals, ...] = ()
    status: int = 0


ENDINGS = {
    "the end of the script": Ending('print("ends", flush=True)'),
    "a close whose deadline passes": Ending('print("closes", flush=True)\nclient.close(timeout=0.5)'),
    "Ctrl-C in a flush": Ending('print("waits", flush=True)\nclient.flush()', (signal.SIGINT,), -signal.SIGINT),
    "SIGTERM that is an exit": Ending(
        'signal.signal(signal.SIGTERM, exits)\nprint("waits", flush=True)\ntime.sleep(60)', (signal.SIGTERM,)
    ),
    "SIGTERM that is an exit, once more in the exit": Ending(
        """
atexit.register(print, "exits", flush=True)
signal.signal(signal.SIGTERM, exits)
print("waits", flush=True)
time.sleep(60)
""",
        (signal.SIGTERM, signal.SIGTERM),
    ),
    "SIGTERM in the exit": Ending(
        """
import threading
delivery = client._delivery
def print_later():
    while super(type(delivery), delivery).stats()["spool"]["messages"] < 100:  # which no spool_after delays in a close
        time.sleep(0.002)
    print("exits", flush=True)
atexit.register(threading.Thread(target=print_later, daemon=True).start)
""",
        (signal.SIGTERM,),
        -signal.SIGTERM,
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("after", ["0", "3600"])
def test_what_has_no_ack_is_stored_at(cluster: MockCluster, tmp_path: Path, ending: str, after: str) -> None:
    # What was accepted is lost with its process, or the process does not end in time.
    silence(cluster)
    script, signals, status = ENDINGS[ending]
    with running(SENDS + script, cluster.url, str(tmp_path), after) as process:
        assert process.stdout is not None
        for each in signals or (None,):
            assert process.stdout.readline()
            if each is not None:
                process.send_signal(each)
        began = time.monotonic()
        assert process.wait(60) == status
        assert time.monotonic() - began < BOUND_SECONDS
    for node in range(3):
        cluster.clear_faults(node)
    cluster.reset()
    with Client(cluster.url, group_id=GROUP, spool_dir=tmp_path) as client:
        wait_until(lambda: client.stats()["spool"]["replayed"] == MESSAGES, "what was stored is delivered")
    # As a set: a node may read what the ended process wrote last behind the reset.
    assert set(cluster.payloads()) == {b"%d" % n for n in range(MESSAGES)}


def test_a_close_reports_what_it_leaves_to_the_spool(cluster: MockCluster, tmp_path: Path) -> None:
    # A result says "closed", so that what is stored is sent again; or the close does not count it.
    silence(cluster)
    client = Client(cluster.url, group_id=GROUP, spool_dir=tmp_path)
    futures = [client.send_async(b"x", STREAM) for _ in range(MESSAGES)]
    began = time.monotonic()
    report = client.close(timeout=0.5)
    assert time.monotonic() - began < 5
    assert (report.acked, report.failed) == (0, MESSAGES)
    for future in futures:
        with pytest.raises(SendError) as caught:
            future.result(10)  # a close that ran out of its time returns, and the last results continue behind it
        assert (caught.value.name, caught.value.persisted, caught.value.retriable) == ("stored", Persisted.STORED, False)
