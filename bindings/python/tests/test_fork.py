"""A forked child cannot use its parent's client: it says so at once, and never hangs."""

from __future__ import annotations

from support import run_python

PRELUDE = """
import os, sys, threading
from inlong_dataproxy import Client, ForkError
from inlong_dataproxy.testing import MockCluster

def child(check):
    pid = os.fork()
    if pid == 0:
        try:
            check()
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    assert status == 0, f"child: status {status}"

cluster = MockCluster()
"""

USE = """
client = Client(cluster.url, group_id="test_group", ack_timeout=0.5)
client.send(b"parent", "s")
for node in range(3):
    cluster.fault(node, "silence", standing=True)
pending = client.send_async(b"pending", "s")

def check():
    for call in (
        lambda: client.send(b"x", "s"),
        lambda: client.send_async(b"x", "s"),
        lambda: client.send_many([b"x"], "s"),
        lambda: client.flush(),
        lambda: client.stats(),
        lambda: pending.result(),
    ):
        try:
            call()
        except ForkError as error:
            assert "parent" in str(error), error
        else:
            raise AssertionError("no ForkError")
    client.close()   # so that a with block around the fork ends in silence
    client.__del__()

for _ in range(10):
    child(check)
for node in range(3):
    cluster.clear_faults(node)
client.send(b"parent again", "s")
client.close(timeout=0)
"""

BUSY = """
client = Client(cluster.url, group_id="test_group")
stop = False
def send():
    while not stop:
        try:
            client.send_async(b"x", "s").add_done_callback(lambda future: None)
        except Exception:
            pass
threads = [threading.Thread(target=send) for _ in range(3)]
for thread in threads:
    thread.start()

def check():
    try:
        client.send_async(b"x", "s")
    except ForkError:
        pass
    else:
        raise AssertionError("no ForkError")
    client.close()

for _ in range(30):
    child(check)
stop = True
for thread in threads:
    thread.join()
client.close()
"""

EXIT = """
client = Client(cluster.url, group_id="test_group")
for _ in range(10):
    pid = os.fork()
    if pid == 0:
        sys.exit(0)   # runs the child's exit handlers, with the parent's client in hand
    assert os.waitpid(pid, 0)[1] == 0
client.close()
"""


def test_every_call_in_the_child_is_a_fork_error() -> None:
    run_python("import warnings\nwarnings.simplefilter('ignore', DeprecationWarning)\n" + PRELUDE + USE)


def test_forking_a_busy_parent_does_not_hang() -> None:
    # Locks that another thread holds at the moment of the fork stay locked in the child for ever.
    run_python("import warnings\nwarnings.simplefilter('ignore', DeprecationWarning)\n" + PRELUDE + BUSY)


def test_the_exit_of_a_child_leaves_the_parents_client_alone() -> None:
    run_python("import warnings\nwarnings.simplefilter('ignore', DeprecationWarning)\n" + PRELUDE + EXIT)


def test_a_child_forked_before_the_first_client_works() -> None:
    # Importing must not start the library's threads.
    script = """
import os, inlong_dataproxy
from inlong_dataproxy import Client
from inlong_dataproxy.testing import MockCluster
pid = os.fork()
with MockCluster() as cluster, Client(cluster.url, group_id="test_group") as client:
    client.send(b"x", "s")
    assert cluster.payloads() == [b"x"]
if pid:
    assert os.waitpid(pid, 0)[1] == 0
"""
    run_python(script)
