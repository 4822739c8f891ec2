"""H2: a fork at a moment in which the parent's client is closed already, or one that only the exit of the child finds."""

from __future__ import annotations

from support import run_python
from test_fork import PRELUDE, QUIET, RAW, USE, past_the_hooks

CLOSED = """
client = Client(cluster.url, group_id="test_group")
inside, go = threading.Event(), threading.Event()
client.send_async(b"a", "s", callback=lambda *_: (inside.set(), go.wait()))
assert inside.wait(10)
future = client.send_async(b"b", "s")
client.close(0)

def check():
    try:
        future.result(10)
    except ForkError:
        assert client.forked
    else:
        raise AssertionError("no ForkError")

assert not future.done()
child(check)
go.set()
"""


def test_h2_a_future_of_a_client_that_was_closed_before_the_fork_is_a_fork_error() -> None:
    # Its result waited in the parent behind a slow callback. The child had forgotten the client, and waited without end.
    run_python(QUIET + PRELUDE + CLOSED)


EXIT = """
import ctypes
from inlong_dataproxy._host import end
from inlong_dataproxy._threads.delivery import Delivery

def check():
    Delivery.begin_close = lambda *_: 1 / 0
    end._close_all()

client = Client(cluster.url, group_id="test_group")
os.fork = ctypes.PyDLL(None).fork
child(check)
client.close()
"""


@past_the_hooks
def test_h2_the_exit_of_a_child_that_was_forked_past_the_hooks_waits_for_no_client_of_its_parent() -> None:
    # Nobody had told it that it is a child: it waited for the parent's threads until its bound, 5 s.
    run_python(QUIET + PRELUDE + EXIT)


OLD_KERNEL = """
import mmap

class Refused(mmap.mmap):
    def madvise(self, *_):
        raise OSError("no such advice")

mmap.mmap = Refused
"""


@past_the_hooks
def test_h2_a_child_is_known_also_where_the_kernel_clears_no_page_in_it() -> None:
    # Linux before 4.14 and some sandboxes refuse that: no child without Python's hooks would be known, and it would wait for ever.
    run_python(QUIET + OLD_KERNEL + PRELUDE + RAW)


EMULATOR = """
import mmap

class Ignored(mmap.mmap):
    def madvise(self, *_):
        pass

mmap.mmap = Ignored
"""


def test_h2_a_child_is_known_also_where_the_kernels_stand_in_takes_any_advice_and_ignores_it() -> None:
    # So do emulators, as qemu's: the page stays as it was in the child, which took the parent's client for its own and hung.
    run_python(QUIET + EMULATOR + PRELUDE + USE)


COUNTED = """
import os
calls, real = 0, os.getpid

def counted():
    global calls
    calls += 1
    return real()

os.getpid = counted
"""

SEND = """
import mmap
from inlong_dataproxy._host import fork

with Client(cluster.url, group_id="test_group") as client:
    client.send(b"first", "s")
    calls = 0
    for _ in range(100):
        client.send_async(b"x", "s")
    assert calls == 0 or not isinstance(fork.known, mmap.mmap), calls
"""


def test_h2_whether_this_is_a_child_costs_a_message_no_system_call() -> None:
    # It was asked for with each message, and was a fifth of what that cost its sender.
    run_python(COUNTED + PRELUDE + SEND)
