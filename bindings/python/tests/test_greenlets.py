"""Processes whose threads gevent or eventlet has replaced by greenlets, and those where they have left the threads alone."""

from __future__ import annotations

import pytest
from support import GROUP, STREAM, run_python

from inlong_dataproxy.testing import MockCluster

PATCHES = {
    "gevent": "from gevent.monkey import patch_all as patch",
    "eventlet": "from eventlet import monkey_patch as patch",
}

REFUSED = f"""
import sys
early = sys.argv[2] == "before the import"
if early:
    patch()
from inlong_dataproxy import Client, LibraryError
if not early:
    patch()
try:
    Client(sys.argv[1], group_id="{GROUP}")
except LibraryError as error:
    print(error)
"""

SENDS = f"""
import sys
patch(thread=False)
from inlong_dataproxy import Client
with Client(sys.argv[1], group_id="{GROUP}") as client:
    futures = [client.send_async(b"%d" % n, "{STREAM}") for n in range(100)]
    client.send(b"x", "{STREAM}")
    print(len([future.result(20) for future in futures]))
"""


@pytest.mark.parametrize("when", ["before the import", "after the import"])
@pytest.mark.parametrize("library", PATCHES)
def test_threads_that_are_greenlets_are_refused(cluster: MockCluster, library: str, when: str) -> None:
    # The thread of the log lines is one of them then, waits in the library and stops all others: the first client hung for ever.
    done = run_python(f"{PATCHES[library]}\n{REFUSED}", cluster.url, when)
    assert done.stdout.startswith(f"{library} has replaced the threads of this process by greenlets")
    assert "thread=False" in done.stdout


@pytest.mark.parametrize("library", PATCHES)
def test_real_threads_beside_greenlets_work(cluster: MockCluster, library: str) -> None:
    assert run_python(f"{PATCHES[library]}\n{SENDS}", cluster.url).stdout == "100\n"
    assert len(cluster.payloads()) == 101
