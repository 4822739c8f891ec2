"""H2: servers that fork their workers, with a client in the process that they fork from: gunicorn and celery, the real ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import LONG, PACKAGE, rounds, wait_until

from inlong_dataproxy.testing import MockCluster

WEB = """
import os
from inlong_dataproxy import Client, ForkError

url = os.environ["MANAGER"]
parents = Client(url, group_id="test_group")  # the application is loaded before the workers are forked
parents.send(b"master", "s")
own = None

def application(environ, start_response):
    global own
    path = environ["PATH_INFO"].lstrip("/")
    if own is None:
        try:
            parents.send(b"never", "s")
        except ForkError:
            own = Client(url, group_id="test_group", batching_max_publish_delay=60)
    if path.startswith("async"):
        own.send_async(path.encode(), "s")  # the end of the worker has to deliver it
    else:
        own.send(path.encode(), "s")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""

TASKS = """
import os
from celery import Celery
from celery.signals import worker_process_init, worker_process_shutdown
from inlong_dataproxy import Client

folder = os.environ["FOLDER"]
app = Celery("work", broker="filesystem://")
app.conf.broker_transport_options = {name: folder for name in ("data_folder_in", "data_folder_out", "control_folder")}
app.conf.worker_max_tasks_per_child = 3
app.conf.broker_connection_retry_on_startup = True
parents = Client(os.environ["MANAGER"], group_id="test_group")
parents.send(b"parent", "s")

@worker_process_init.connect
def open_client(**_):
    global client
    client = Client(os.environ["MANAGER"], group_id="test_group", batching_max_publish_delay=60)

@worker_process_shutdown.connect
def close_client(**_):
    client.close()

@app.task
def ship(n):
    client.send(b"sync %d" % n, "s")
    client.send_async(b"async %d" % n, "s")
"""


@contextmanager
def running(folder: Path, *command: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server, whose output a failure shows, and end it as an administrator does."""
    log = folder / "log"
    environment = {**os.environ, "PYTHONPATH": f"{PACKAGE}:{folder}", "PYTHONDONTWRITEBYTECODE": "1", **variables}
    with log.open("wb") as out:
        server = subprocess.Popen([sys.executable, "-m", *command], cwd=folder, env=environment, stdout=out, stderr=out)
    try:
        yield server
        server.send_signal(signal.SIGTERM)
        # Celery takes seconds of its own for its pool, many on a busy machine.
        assert server.wait(90) == 0
    except BaseException:
        sys.stderr.write(log.read_text())
        raise
    finally:
        server.kill()
        server.wait()


@pytest.mark.timeout(LONG + 90)
def test_h2_gunicorns_workers_send_through_clients_of_their_own(cluster: MockCluster, tmp_path: Path) -> None:
    # A worker that hangs in its first message, or whose last ones are lost when it is replaced or stopped.
    pytest.importorskip("gunicorn", reason="gunicorn is not installed")
    (tmp_path / "web.py").write_text(WEB)
    where, booted = tmp_path / "port", tmp_path / "booted"
    booted.touch()
    (tmp_path / "settings.py").write_text(
        f"""
def when_ready(server):
    open({str(where)!r}, "w").write(str(server.LISTENERS[0].getsockname()[1]))

def post_worker_init(worker):  # it has its signal handlers: a signal before that is lost in gunicorn
    open({str(booted)!r}, "a").write(f"{{worker.pid}}\\n")
"""
    )
    command = ("gunicorn", "--preload", "--workers", "2", "--bind", "127.0.0.1:0", "--config", "settings.py", "web:application")
    count = rounds(20)
    workers: set[bytes] = set()
    sent: list[bytes] = []

    def ask(path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{where.read_text()}/{path}", timeout=30) as answer:
            sent.append(path.encode())
            return bytes(answer.read())

    def boots() -> int:
        return len(booted.read_text().split())

    with running(tmp_path, *command, MANAGER=cluster.url) as server:
        wait_until(lambda: where.exists() and where.read_text() != "", "gunicorn listens", 30)
        for n in range(count):
            workers.update([ask(f"sync{n}"), ask(f"async{n}")])
        wait_until(lambda: boots() == 2, "two workers", 30)
        os.kill(int(next(iter(workers))), signal.SIGKILL)  # the master forks another one; what was pending in this one is lost
        wait_until(lambda: boots() == 3, "a new worker", 30)
        last = [f"async-last{n}" for n in range(20)]
        for path in last:
            workers.add(ask(path))
        server.send_signal(signal.SIGHUP)  # every worker is replaced
        wait_until(lambda: boots() == 5, "two new workers", 30)
    received = set(cluster.payloads())
    assert b"never" not in received
    assert {b"master", *(path for path in sent if not path.startswith(b"async"))} <= received
    assert {path.encode() for path in last} <= received


@pytest.mark.timeout(LONG + 90)
def test_h2_celerys_prefork_pool_sends_through_clients_of_its_own(cluster: MockCluster, tmp_path: Path) -> None:
    pytest.importorskip("celery", reason="celery is not installed")
    (tmp_path / "work.py").write_text(TASKS)
    folder = tmp_path / "queue"
    folder.mkdir()
    variables = {"MANAGER": cluster.url, "FOLDER": str(folder)}
    count = rounds(12)
    command = ("celery", "-A", "work", "worker", "--pool", "prefork", "--concurrency", "2", "--without-gossip", "--without-mingle")
    with running(tmp_path, *command, **variables):
        ask = f"import work\nfor n in range({count}):\n    work.ship.delay(n)\nwork.parents.close()\n"
        environment = {**os.environ, **variables, "PYTHONPATH": f"{PACKAGE}:{tmp_path}"}
        subprocess.run([sys.executable, "-c", ask], check=True, env=environment, cwd=tmp_path, timeout=60)
        wanted = {b"%s %d" % (kind, n) for kind in (b"sync", b"async") for n in range(count)}
        wait_until(lambda: len([p for p in cluster.payloads() if p.startswith(b"sync")]) >= count, "all tasks ran", LONG - 30)
    assert wanted <= set(cluster.payloads())
