"""H4: the end of the interpreter with a client that nobody closed: messages are flushed within a bound, no hang, no crash."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import pythons
from support import LONG, PACKAGE, rounds, run_python

from inlong_dataproxy.testing import MockCluster

PENDING = """
import sys, time
from inlong_dataproxy import Client
client = Client(sys.argv[1], group_id="test_group")
futures = [client.send_async(b"x", "s") for _ in range(1000)]
futures[0].add_done_callback(lambda future: None)
print(time.monotonic(), flush=True)
"""

BOUND_SECONDS = 10
"""From a process's last message to its end. The exit itself may take EXIT_SECONDS, which is 5."""

ENDINGS = {
    "the end of the script": "",
    "results that nobody took": "del futures",
    "AsyncClients": """
import asyncio
from inlong_dataproxy import AsyncClient
async def main():
    global left
    left = await AsyncClient(sys.argv[1], group_id="test_group").open()
    left.send_nowait(b"async", "s")
    await asyncio.sleep(0)
asyncio.run(main())
""",
    "a callback that sends": """
def again(future):
    try:
        client.send_async(b"late", "s").add_done_callback(again)
    except Exception:
        pass
for future in futures[:10]:
    future.add_done_callback(again)
""",
    "daemon threads that wait": """
import threading
for call in (client.flush, lambda: client.send(b"late", "s"), lambda: client.send_many([b"late"] * 1000, "s")):
    def wait(call=call):
        try:
            while True:
                call()
        except Exception:
            pass
    threading.Thread(target=wait, daemon=True).start()
""",
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


@pytest.mark.timeout(LONG)
@pytest.mark.parametrize("ending", ENDINGS)
def test_h4_what_was_pending_is_flushed(cluster: MockCluster, ending: str) -> None:
    for _ in range(rounds(4, len(ENDINGS))):
        cluster.reset()
        done = run_python(PENDING + ENDINGS[ending], cluster.url, seconds=60)
        assert time.monotonic() - float(done.stdout) < BOUND_SECONDS
        assert done.stderr == ""
        assert cluster.payloads().count(b"x") == 1000


# In a process of multiprocessing no exit handler runs: it ends with os._exit.
PROCESS = """
import multiprocessing, sys, warnings
from inlong_dataproxy import Client

def work(url):
    global client
    client = Client(url, group_id="test_group", batching_max_publish_delay=60)
    for _ in range(1000):
        client.send_async(b"x", "s")

if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)
    url, method, parents, count = sys.argv[1:]
    if parents == "with":
        client = Client(url, group_id="test_group")
    for _ in range(int(count)):
        process = multiprocessing.get_context(method).Process(target=work, args=(url,))
        process.start()
        process.join(30)
        assert process.exitcode == 0, process.exitcode
"""


@pytest.mark.timeout(LONG)
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("parents", ["with", "without"])
def test_h4_what_a_process_of_multiprocessing_left_pending_is_flushed(
    cluster: MockCluster, tmp_path: Path, method: str, parents: str
) -> None:
    count = rounds(3, 6)
    (tmp_path / "work.py").write_text(PROCESS)
    command = [sys.executable, str(tmp_path / "work.py"), cluster.url, method, parents, str(count)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(PACKAGE)}, capture_output=True, text=True, timeout=LONG, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert cluster.stats()["messages"] == count * 1000


def test_h4_a_silent_server_holds_up_the_exit_no_longer_than_its_bound(cluster: MockCluster) -> None:
    script = """
import sys
import inlong_dataproxy
from inlong_dataproxy._host import end
end.EXIT_SECONDS = 0.5
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


def test_h4_the_background_close_of_a_forgotten_async_client_is_waited_for(cluster: MockCluster) -> None:
    # The library answers the exit's own close at once, since one is under way.
    script = """
import asyncio
import sys
import time
from inlong_dataproxy import AsyncClient
from inlong_dataproxy._native import codes, lowlevel
async def main():
    client = await AsyncClient(sys.argv[1], group_id="test_group").open()
    print("open", flush=True)
    sys.stdin.readline()
    client.send_nowait(b"pending", "s")
    return client._delivery.handle
handle = asyncio.run(main())
while lowlevel.client_seal(handle, 0) != codes.ERR_HANDLE:  # until it is under way
    time.sleep(0.001)
"""
    command = [sys.executable, "-c", script, cluster.url]
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        for node in range(3):
            cluster.kill(node)
        process.stdin.write("\n")
        process.stdin.flush()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        for node in range(3):
            cluster.revive(node)
        assert process.wait(BOUND_SECONDS) == 0
    assert cluster.payloads() == [b"pending"]


FAULTY = """
import asyncio, sys
from inlong_dataproxy import AsyncClient
from inlong_dataproxy._host import end
from inlong_dataproxy._results.taker import ResultTaker

async def main():
    return await AsyncClient(sys.argv[1], group_id="test_group").open()

client = asyncio.run(main())
ResultTaker.stats = lambda _: 1 / 0
end.at_the_end(lambda: print("the rest"))
"""


def test_h4_a_fault_in_the_close_of_one_client_does_not_end_the_exit_of_others(cluster: MockCluster) -> None:
    # It was raised again where the exit waits: no client behind it was waited for, and its last log lines were lost.
    assert run_python(FAULTY, cluster.url).stdout == "the rest\n"


def test_h4_a_close_that_ctrl_c_left_holds_up_the_exit_no_longer_than_its_bound(cluster: MockCluster) -> None:
    # The close continues in the background with a timeout of its own, the exit's close would wait for it without end.
    script = """
import os
import signal
import sys
import threading
import time
import inlong_dataproxy
from inlong_dataproxy._host import end
end.EXIT_SECONDS = 0.5
client = inlong_dataproxy.Client(sys.argv[1], group_id="test_group", send_timeout=60)
client.send_async(b"x", "s")
def press():
    while not client._delivery._closers:  # until close waits
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=press).start()
try:
    client.close()
except KeyboardInterrupt:
    print("interrupted")
"""
    for node in range(3):
        cluster.fault(node, "silence", standing=True)
    done = run_python(script, cluster.url, seconds=20)
    assert (done.stdout, done.stderr) == ("interrupted\n", "")


def test_h4_an_exception_that_ends_the_script_still_flushes(cluster: MockCluster) -> None:
    done = run_python(PENDING + "raise ValueError('the end')", cluster.url, check=False)
    assert done.returncode == 1
    assert "ValueError: the end" in done.stderr
    assert len(cluster.payloads()) == 1000


MANY = """
import sys, time
from inlong_dataproxy import AsyncClient, Client
from inlong_dataproxy._host import end
from inlong_dataproxy.testing import MockCluster
import asyncio
end.EXIT_SECONDS = 2.0
silent, healthy = MockCluster(1), MockCluster(1)
clients = [Client(silent.url, group_id="test_group") for _ in range(3)]
good = Client(healthy.url, group_id="test_group", batching_max_publish_delay=60)
loop = asyncio.new_event_loop()
of_loops = [loop.run_until_complete(AsyncClient(silent.url, group_id="test_group").open()) for _ in range(2)]
silent.fault(0, "silence", standing=True)
for client in clients:
    client.send_async(b"x", "s")
async def send(client):
    client.send_nowait(b"x", "s")
for client in of_loops:
    loop.run_until_complete(send(client))
time.sleep(1.5)  # threads that could be used again have ended
good.send_async(b"x", "s")
began = time.monotonic()
end.at_the_end(lambda: print(len(healthy.payloads()), time.monotonic() - began, flush=True))
"""


@pytest.mark.parametrize("python", pythons.find(), ids=lambda python: python.name)
def test_h4_all_clients_share_one_deadline_at_the_exit(python: pythons.Python) -> None:
    # Where no thread can be started at the exit, as in 3.12, they were closed one after the other, 5 s each.
    done = run_python(MANY, python=python.path, seconds=60, variables={"PYTHONWARNINGS": "ignore"})
    arrived, took = done.stdout.split()
    assert arrived == "1"
    assert 1.9 < float(took) < 4


LAST_WORDS = """
import atexit, sys
from inlong_dataproxy import Client
client = Client(sys.argv[1], group_id="test_group")
atexit.register(lambda: print(client.send_many([b"x"] * 1000, "s").acked, flush=True))
"""


@pytest.mark.parametrize("python", pythons.find(), ids=lambda python: python.name)
def test_an_exit_handler_may_send_many(cluster: MockCluster, python: pythons.Python) -> None:
    # Where no thread can be started any more, nobody stands in while the source is waited for.
    assert run_python(LAST_WORDS, cluster.url, python=python.path).stdout == "1000\n"
