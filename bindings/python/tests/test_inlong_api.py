"""Programs written for InLong's own Python SDK."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import pythons
from support import run_python, wait_until

import inlong_dataproxy
from inlong_dataproxy import inlong_api as codes
from inlong_dataproxy.testing import MockCluster


def config(folder: Path, url: str, **more: Any) -> str:
    path = folder / "config.json"
    values = {
        "manager_url": url + "/inlong/manager/openapi/dataproxy/getIpList",
        "inlong_group_ids": "test_group, other_group",
        "log_path": "./",
        "log_level": 3,
        "tcp_idle_time": 600000,
        **more,
    }
    path.write_text(json.dumps({"other": 1, "init-param": values}))
    return str(path)


def test_a_program_of_the_other_sdk_delivers(cluster: MockCluster, tmp_path: Path) -> None:
    failed: list[tuple[object, ...]] = []

    def callback(*args: object) -> int:
        failed.append(args)
        return 0

    api = inlong_dataproxy.InLongApi()
    path = config(tmp_path, cluster.url, pack_timeout=3000, pack_size=409600, enable_zip=True, msg_type=7, need_auth=False)
    assert api.init_api(path) == 0
    msg = "python sdk|1234"
    for _ in range(1000):
        assert api.send("test_group", "stream1", msg, len(msg), callback) == 0
    # There the length counted characters and a NUL ended the message: both were cut.
    assert api.send("other_group", "stream1", "größer", len("größer"), callback) == 0
    assert api.send("third_group", "stream1", b"a\0b", 3) == 0
    began = time.monotonic()
    assert api.close_api(10000) == 0
    assert time.monotonic() - began < 5
    assert failed == []
    assert sorted(cluster.payloads()) == sorted([msg.encode()] * 1000 + ["größer".encode(), b"a\0b"])
    assert api.send("test_group", "stream1", msg, len(msg)) == codes.SEND_AFTER_CLOSE
    assert api.close_api(0) == 0


def test_each_message_that_fails_has_its_own_callback(cluster: MockCluster, tmp_path: Path) -> None:
    # There one callback served all messages, and no error answer was a failure.
    for node in range(3):
        cluster.fault(node, "error_code", code=100, standing=True)
    failed: list[tuple[str, tuple[object, ...]]] = []
    api = inlong_dataproxy.InLongApi()
    assert api.init_api(config(tmp_path, cluster.url, ser_ip="10.1.2.3")) == 0
    assert api.send("test_group", "stream1", "first", 5, lambda *args: failed.append(("one", args))) == 0
    assert api.send("test_group", "stream1", "größer", 6, lambda *args: failed.append(("two", args))) == 0
    assert api.close_api(10000) == 0
    assert [(name, args[:4], args[5]) for name, args in failed] == [
        ("one", ("test_group", "stream1", "first", 5), "10.1.2.3"),
        ("two", ("test_group", "stream1", "größer", 8), "10.1.2.3"),
    ]


def test_a_close_is_bounded_and_tells(cluster: MockCluster, tmp_path: Path) -> None:
    for node in range(3):
        cluster.fault(node, "silence", standing=True)
    failed: list[object] = []
    api = inlong_dataproxy.InLongApi()
    assert api.init_api(config(tmp_path, cluster.url)) == 0
    assert api.send("test_group", "stream1", "lost", 4, lambda *args: failed.append(args)) == 0
    assert api.close_api(200) == codes.FAIL_SEND_PROXY
    # The close is over its time: on a busy machine its thread may call this behind it.
    wait_until(lambda: len(failed) == 1, "the callback")


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"pack_timeout": "long"}, "pack_timeout"),
        ({"enable_zip": 1}, "enable_zip"),
        ({"need_auth": True}, "auth_id"),
        ({"max_proxy_num": 0}, "worker_num"),
        ({"manager_url": 1}, "manager_url"),
        ({"inlong_group_ids": "test_group,x"}, "group"),
    ],
)
def test_a_wrong_configuration_is_named(cluster: MockCluster, tmp_path: Path, wrong: dict[str, Any], named: str) -> None:
    api = inlong_dataproxy.InLongApi()
    assert api.init_api(config(tmp_path, cluster.url, **wrong)) == codes.ERROR_INIT
    assert named in api.last_error
    assert api.init_api(config(tmp_path, cluster.url)) == 0
    assert api.close_api(0) == 0


def test_what_is_refused_has_its_code(cluster: MockCluster, tmp_path: Path) -> None:
    api = inlong_dataproxy.InLongApi()
    assert api.send("test_group", "stream1", "x", 1) == codes.SEND_BEFORE_INIT
    assert api.init_api("/nowhere") == codes.ERROR_INIT
    (tmp_path / "none.json").write_text("{}")
    assert api.init_api(str(tmp_path / "none.json")) == codes.ERROR_INIT
    assert "init-param" in api.last_error
    path = config(
        tmp_path, cluster.url, ext_pack_size=100, send_buf_size=5000, recv_buf_size=3000, max_proxy_num=1, pack_timeout=60000
    )
    assert api.init_api(path) == 0
    assert api.init_api(path) == codes.MULTI_INIT
    assert api.send("test_group", "stream1", "", 0) == codes.INVALID_INPUT
    assert api.send("test_group", "stream 1", "x", 1) == codes.INVALID_INPUT
    assert api.send("test_group", "stream1", "\ud800", 1) == codes.INVALID_INPUT
    assert api.send("x", "stream1", "x", 1) == codes.FAIL_GET_REV_GROUP
    assert "group" in api.last_error
    assert api.send("test_group", "stream1", "x" * 101, 101) == codes.MSG_TOO_LONG
    for node in range(3):
        cluster.fault(node, "silence", standing=True)
    assert codes.RECV_BUFFER_FULL in {api.send("test_group", "stream1", "x" * 100, 100) for _ in range(10000)}
    api.close_api(0)


AT_EXIT = """
import atexit, json, pathlib, sys, tempfile
import inlong_dataproxy
api = inlong_dataproxy.InLongApi()
path = pathlib.Path(tempfile.mkdtemp()) / "config"
path.write_text(json.dumps({"init-param": {"manager_url": sys.argv[1], "inlong_group_ids": "test_group"}}))
atexit.register(lambda: print(api.close_api(5000), flush=True))
assert api.init_api(str(path)) == 0
assert api.send("test_group", "s", "\u00e4") == 0
"""


@pytest.mark.parametrize("python", pythons.find(), ids=lambda python: python.name)
def test_close_api_in_an_exit_handler_returns_its_number(cluster: MockCluster, python: pythons.Python) -> None:
    # It raised: no thread can be started any more by then.
    assert run_python(AT_EXIT, cluster.url, python=python.path).stdout == "0\n"
    assert cluster.payloads() == ["\u00e4".encode()]


REENTRY = """
import faulthandler, os, signal, sys, threading
import inlong_dataproxy
faulthandler.dump_traceback_later(20, exit=True)
api = inlong_dataproxy.InLongApi()
assert api.init_api(sys.argv[1]) == 0
make, inside, go = api._config.client, threading.Event(), threading.Event()

def client(group):
    if group == "own_group":
        os.kill(os.getpid(), signal.SIGUSR1)
    elif group == "slow_group":
        inside.set()
        go.wait()
    return make(group)

api._config.client = client
signal.signal(signal.SIGUSR1, lambda *_: print(api.send("test_group", "s", b"signal")))
print(api.send("own_group", "s", b"x"))

thread = threading.Thread(target=api.send, args=("slow_group", "s", b"x"))
thread.start()
inside.wait()
pid = os.fork()
if pid == 0:
    os._exit(api.send("test_group", "s", b"x"))
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
go.set()
thread.join()
print(api.close_api(5000))
"""


def test_a_signal_handler_and_a_forked_child_do_not_wait_for_a_lock(cluster: MockCluster, tmp_path: Path) -> None:
    # While a client was made for a new group: the handler waited for its own thread, the child for one of its parent's.
    done = run_python("import warnings\nwarnings.simplefilter('ignore')\n" + REENTRY, config(tmp_path, cluster.url))
    assert done.stdout.split() == ["0", "0", str(codes.FAIL_GET_REV_GROUP), "0"]
    assert sorted(cluster.payloads()) == [b"signal", b"x", b"x"]
