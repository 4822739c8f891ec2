"""H2: a forked child cannot use its parent's client: it says so at once, and never hangs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import LONG, PACKAGE, rounds, run_python

from inlong_dataproxy.testing import MockCluster

QUIET = "import warnings\nwarnings.simplefilter('ignore', DeprecationWarning)\n"
# In a child that was forked past its hooks, an interpreter without a lock waits at a collection for the parent's threads.
FREE_THREADED = not getattr(sys, "_is_gil_enabled", lambda: True)()
past_the_hooks = pytest.mark.skipif(FREE_THREADED, reason="a free-threaded CPython does not survive a fork past its hooks")

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
quiet = MockCluster()  # for what the children send; the busy one would keep gigabytes after many rounds
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
    with Client(quiet.url, group_id="test_group") as mine:
        mine.send(b"child", "s")

for _ in range(int(sys.argv[1])):
    child(check)
    cluster.reset()
stop = True
for thread in threads:
    thread.join()
client.send(b"parent", "s")
client.close()
assert quiet.payloads() == [b"child"] * int(sys.argv[1])
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


def test_h2_every_call_in_the_child_is_a_fork_error() -> None:
    run_python(QUIET + PRELUDE + USE)


@pytest.mark.skipif(FREE_THREADED, reason="a free-threaded CPython leaves locks of its own objects to the child, held by no one")
@pytest.mark.timeout(LONG)
def test_h2_forking_a_busy_parent_does_not_hang() -> None:
    # Locks that another thread holds at the moment of the fork stay locked in the child for ever.
    run_python(QUIET + PRELUDE + BUSY, str(rounds(20)), seconds=LONG)


def test_h2_the_exit_of_a_child_leaves_the_parents_client_alone() -> None:
    run_python(QUIET + PRELUDE + EXIT)


def test_h2_a_child_forked_before_the_first_client_works() -> None:
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


OWN = """
client = Client(cluster.url, group_id="test_group")
client.send(b"parent", "s")

def check(depth=3):
    with Client(cluster.url, group_id="test_group") as mine:
        mine.send(b"child %d" % depth, "s")
        assert all(future.result(timeout=10) for future in [mine.send_async(b"x", "s") for _ in range(1000)])
        if depth > 1:
            child(lambda: check(depth - 1))
        mine.send(b"again %d" % depth, "s")

child(check)
client.send(b"parent again", "s")
received = set(cluster.payloads())
assert {b"parent", b"parent again", *(b"%s %d" % (w, d) for w in (b"child", b"again") for d in (1, 2, 3))} <= received
client.close()
"""

IN_A_THREAD = """
client = Client(cluster.url, group_id="test_group")
failures = []
def fork():
    try:
        child(lambda: Client(cluster.url, group_id="test_group").close())
    except BaseException as error:
        failures.append(error)
for _ in range(int(sys.argv[1])):
    thread = threading.Thread(target=fork)
    thread.start()
    thread.join()
assert not failures, failures
client.close()
"""

OFF = """
from inlong_dataproxy import runtime
client = Client(cluster.url, group_id="test_group")
runtime.configure(fork_reload=False)
def check():
    try:
        Client(cluster.url, group_id="test_group")
    except ForkError:
        return
    raise AssertionError("no ForkError")
child(check)
client.close()
"""


def test_h2_a_child_makes_clients_of_its_own_also_when_forked_from_a_child() -> None:
    run_python(QUIET + PRELUDE + OWN)


@pytest.mark.timeout(LONG)
def test_h2_a_child_forked_in_a_thread_makes_one_too() -> None:
    run_python(QUIET + PRELUDE + IN_A_THREAD, str(rounds(5)), seconds=LONG)


def test_h2_where_the_reload_is_turned_off_it_is_a_fork_error() -> None:
    run_python(QUIET + PRELUDE + OFF)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_h2_workers_of_multiprocessing_send(cluster: MockCluster, tmp_path: Path, method: str) -> None:
    # A pool that is started while the parent has a client of its own.
    (tmp_path / "work.py").write_text(
        """
import multiprocessing, sys, warnings
from inlong_dataproxy import Client

def work(url, n):
    with Client(url, group_id="test_group") as client:
        return client.send(b"%d" % n, "s").attempts

if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)
    url = sys.argv[1]
    with Client(url, group_id="test_group") as client:
        client.send(b"parent", "s")
        with multiprocessing.get_context(sys.argv[2]).Pool(2) as pool:
            assert pool.starmap(work, [(url, n) for n in range(6)]) == [1] * 6
        client.send(b"parent again", "s")
"""
    )
    command = [sys.executable, str(tmp_path / "work.py"), cluster.url, method]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(PACKAGE)}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert sorted(cluster.payloads()) == sorted([b"parent", b"parent again", *(b"%d" % n for n in range(6))])


RAW = """
import ctypes, logging
from inlong_dataproxy import InlongHandler
libc = ctypes.PyDLL(None)   # keeps the GIL, as a server in C that embeds Python does; Python's own hooks do not run
os.fork = lambda: libc.fork()
client = Client(cluster.url, group_id="test_group")
client.send(b"parent", "s")   # its worker threads wait for calls; a thread that waits for the GIL would be the death of any child
for node in range(3):
    cluster.fault(node, "silence", standing=True)
pending = client.send_async(b"pending", "s")
quiet = MockCluster()

def check():
    for call in (
        lambda: client.send_async(b"x", "s").result(),
        lambda: client.send(b"x", "s"),
        lambda: client.send_many([b"x"], "s"),
        lambda: client.flush(),
        lambda: pending.result(),
    ):
        try:
            call()
        except ForkError as error:
            assert "parent" in str(error), error
        else:
            raise AssertionError("no ForkError")
    client.close()
    with Client(quiet.url, group_id="test_group") as mine:
        mine.send(b"child", "s")
        assert mine.send_async(b"child", "s").result(20).node
        mine.flush()

for _ in range(3):
    child(check)
client.close(timeout=0)
assert quiet.payloads() == [b"child"] * 6
"""


@past_the_hooks
def test_h2_a_child_that_was_forked_without_pythons_hooks_does_not_hang() -> None:
    # uWSGI forks so: a worker's client waited for ever, for threads that were its parent's.
    run_python(QUIET + PRELUDE + RAW)


LOGGING = """
import logging
from inlong_dataproxy import InlongHandler
if sys.argv[1] == "raw":
    import ctypes
    libc = ctypes.PyDLL(None)
    os.fork = lambda: libc.fork()
client = Client(cluster.url, group_id="test_group")
handler = InlongHandler(client, "s")
log = logging.getLogger("app")
log.addHandler(handler)
log.warning("parent")

def check():
    for _ in range(3):
        log.warning("child")
    handler.close()
    assert (handler.dropped, handler.failed) == (0, 0)

for _ in range(2):
    child(check)
client.close()
assert sorted(cluster.payloads()) == [b"child"] * 6 + [b"parent"], cluster.payloads()
"""


@pytest.mark.parametrize("fork", ["python", pytest.param("raw", marks=past_the_hooks)])
def test_h2_logging_that_was_set_up_before_the_fork_reaches_the_cluster(fork: str) -> None:
    # All that the workers of a pre-forking server logged was dropped in silence.
    run_python(QUIET + PRELUDE + LOGGING, fork)


IN_HAND = """
client = Client(cluster.url, group_id="test_group", batching_max_publish_delay=60)
client.send(b"parent", "s")
started, go = threading.Event(), threading.Event()

def slow(_):
    started.set()
    go.wait()

def check():
    for future in futures[1:]:
        try:
            future.result(10)
        except ForkError:
            continue
        raise AssertionError("no ForkError")

futures = client.send_async(b"a", "s"), client.send_async(b"b", "s")
futures[0].add_done_callback(slow)
futures[1].add_done_callback(lambda future: None)
client._line.empty(float("inf"))
client._delivery.seal()  # one batch, with one ack
assert started.wait(10)
child(check)
go.set()
client.close()
"""


def test_h2_a_future_that_was_about_to_have_its_result_at_the_fork_is_a_fork_error() -> None:
    # Its result was on its way in the parent, behind a slow callback: in the child it was waited for without end.
    run_python(QUIET + PRELUDE + IN_HAND)


INSIDE = """
def progress(_):
    if not pids:
        pids.append(os.fork())
        for node in range(3 if pids[0] else 0):
            cluster.clear_faults(node)
            cluster.reset_connections(node)

pids = []
client = Client(cluster.url, group_id="test_group")
for node in range(3):
    cluster.fault(node, "silence", standing=True)
try:
    report = client.send_many([b"x"] * 10, "s", progress=progress)
except ForkError:
    os._exit(0 if pids == [0] else 1)
if pids == [0]:
    os._exit(2)
assert report.acked == 10 and os.waitpid(pids[0], 0)[1] == 0, report
client.close()
"""


def test_h2_a_send_many_that_is_on_its_way_at_the_fork_is_a_fork_error() -> None:
    # In the child it waited without end for results that come to the parent.
    run_python(QUIET + PRELUDE + INSIDE)
