from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support import CHECKOUT, GROUP, PACKAGE, STREAM

from inlong_dataproxy.testing import MockCluster

WITHOUT_TQDM = """
import runpy, sys
sys.modules["tqdm"] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        env={"PYTHONPATH": str(PACKAGE)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def example(name: str) -> str:
    return str(PACKAGE / "examples" / name)


def ship(cluster: MockCluster, path: Path, *prefix: str) -> subprocess.CompletedProcess[str]:
    return run(*prefix, example("03_ship_file.py"), "--url", cluster.url, "--group", GROUP, "--stream", STREAM, str(path))


def test_01_sends_one_message(cluster: MockCluster) -> None:
    done = run(example("01_send.py"), cluster.url, GROUP, STREAM, "hello")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("after 1 attempt(s)\n")
    assert cluster.payloads() == [b"hello"]


def test_01_says_why_it_could_not(cluster: MockCluster) -> None:
    cluster.manager_fault("failure", text="group not found")
    done = run(example("01_send.py"), cluster.url, GROUP, STREAM, "hello")
    assert done.returncode == 1
    assert "not sent: " in done.stderr
    assert "group not found" in done.stderr


def test_02_accounts_for_every_message(cluster: MockCluster) -> None:
    done = run(example("02_send_async.py"), cluster.url, GROUP, STREAM, "1000")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1000 acked, 0 failed\n", "")
    assert len(cluster.payloads()) == 1000


@pytest.mark.parametrize("prefix", [(), ("-c", WITHOUT_TQDM)], ids=["with tqdm", "without tqdm"])
def test_03_ships_a_file(cluster: MockCluster, tmp_path: Path, prefix: tuple[str, ...]) -> None:
    # Lines keep every byte but their newline, the last one needs none, empty ones are skipped and counted.
    path = tmp_path / "log"
    path.write_bytes(b"first\r\n\n\xff\x00 second\n\n\nlast")
    done = ship(cluster, path, *prefix)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    summary = json.loads(line)
    assert set(summary) == {"language", "lines", "acked", "failed", "skipped", "seconds", "cpu_seconds"}
    assert (summary["language"], summary["lines"], summary["acked"]) == ("python", 3, 3)
    assert (summary["failed"], summary["skipped"]) == (0, 3)
    assert sorted(cluster.payloads()) == sorted([b"first\r", b"\xff\x00 second", b"last"])


def test_03_fails_when_a_line_failed(cluster: MockCluster, tmp_path: Path) -> None:
    for node in range(3):
        cluster.fault(node, "error_code", standing=True, code=109)
    path = tmp_path / "log"
    path.write_bytes(b"one\ntwo\n")
    done = ship(cluster, path)
    assert done.returncode == 1
    summary = json.loads(done.stdout)
    assert (summary["lines"], summary["acked"], summary["failed"]) == (2, 0, 2)
    assert "109" in done.stderr


def test_03_names_what_it_cannot_use(cluster: MockCluster, tmp_path: Path) -> None:
    missing = ship(cluster, tmp_path / "nowhere")
    assert missing.returncode == 1
    assert "nowhere" in missing.stderr
    cluster.manager_fault("empty_list")
    (tmp_path / "log").write_bytes(b"one\n")
    empty = ship(cluster, tmp_path / "log")
    assert empty.returncode == 1
    assert "03_ship_file: " in empty.stderr
    assert "Traceback" not in missing.stderr + empty.stderr


@pytest.mark.parametrize("mode", ["send_many", "send_async"])
def test_the_benchmark_prints_its_numbers(cluster: MockCluster, tmp_path: Path, mode: str) -> None:
    corpus = tmp_path / "corpus"
    corpus.write_bytes(b"a line of the corpus\nanother one, which is longer\n")
    where = ("--url", cluster.url, "--group", GROUP, "--stream", STREAM, "--corpus", str(corpus))
    done = run(str(PACKAGE / "bench" / "bench.py"), *where, "--size", "25", "--count", "5000", "--mode", mode)
    assert done.returncode == 0, done.stderr
    numbers = json.loads(done.stdout)
    assert set(numbers) == {"messages", "seconds", "cpu_seconds"}
    assert numbers["messages"] == 5000
    assert {len(payload) for payload in cluster.payloads()} == {25}


def test_04_prints_each_message_of_a_topic_once() -> None:
    # Real bytes of a DataProxy, behind confluent-kafka's own cluster; a batch of them twice, and something else among them.
    kafka = pytest.importorskip("confluent_kafka")
    captured = json.loads((CHECKOUT / "core" / "internal" / "wire" / "testdata" / "kafka.json").read_text())["records"]
    values = {bytes.fromhex(record["value"]): len(record["items"]) for record in captured}
    own = text_value(b"groupId=g&streamId=s&mid=1", b"payload")
    producer = kafka.Producer({"test.mock.num.brokers": 1})
    try:
        (broker,) = producer.list_topics(timeout=20).brokers.values()
        for value in (*values, own, b"something else", own):
            producer.produce("topic", value, partition=0)
        assert producer.flush(20) == 0
        done = run(example("04_read_topic.py"), f"{broker.host}:{broker.port}", "topic")
    finally:
        del producer
    *lines, last = done.stdout.splitlines()
    assert lines[-1] == "s 1 0 b'payload'"
    assert last == f"{sum(values.values()) + 1} messages, 1 batches twice, 1 records unreadable"
    assert len(lines) == sum(values.values()) + 1
    assert (done.returncode, done.stderr) == (1, f"offset {len(values) + 1} of partition 0: {NO_MESSAGE}\n")


NO_MESSAGE = "malformed InLongMsg: it starts with 73 6f and ends with 73 65"


def text_value(attributes: bytes, payload: bytes) -> bytes:
    item = len(payload).to_bytes(4, "big") + payload
    block = len(attributes).to_bytes(2, "big") + attributes + (len(item) + 1).to_bytes(4, "big") + b"\0" + item
    return b"\x0f\x01" + bytes(8) + b"\0\0\0\1" + block + b"\x0f\x01"
