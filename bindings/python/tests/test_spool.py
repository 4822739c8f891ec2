from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from support import GROUP, STREAM, wait_until

from inlong_dataproxy import Client, Persisted, SendError
from inlong_dataproxy.testing import MockCluster


def test_stored_messages_outlive_an_outage_and_their_client(cluster: MockCluster, tmp_path: Path) -> None:
    # An outage that is longer than send_timeout costs what was sent in it, or its result says that it may be sent again.
    client = Client(cluster.url, group_id=GROUP, spool_dir=tmp_path, spool_sync="batch", send_timeout=2)
    client.send(b"first", STREAM)
    cluster.reset()
    for node in range(3):
        cluster.kill(node)
    futures = [client.send_async(b"%d" % n, STREAM) for n in range(100)]
    for future in futures:
        with pytest.raises(SendError) as caught:
            future.result(10)
        assert (caught.value.code, caught.value.name) == (30001, "stored")
        assert caught.value.persisted is Persisted.STORED
        assert not caught.value.retriable
    spool = client.stats()["spool"]
    assert (spool["state"], spool["messages"], spool["given_up"], spool["errors"]) == ("ok", 100, 0, 0)
    assert spool["bytes"] > 0
    assert spool["oldest_age"] > 0
    client.close(timeout=1)
    for node in range(3):
        cluster.revive(node)
    with Client(cluster.url, group_id=GROUP, spool_dir=tmp_path) as following:
        cluster.wait_for(100)
        wait_until(lambda: following.stats()["spool"]["replayed"] == 100, "all are known to be acked")
    assert sorted(cluster.payloads()) == sorted(b"%d" % n for n in range(100))


def test_a_spool_that_cannot_be_used_is_an_error_at_the_start(cluster: MockCluster, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(Exception, match="spool_dir"):
        Client(cluster.url, group_id=GROUP, spool_dir=file)


def test_an_outage_fills_memory_ten_times_over_and_costs_nothing(cluster: MockCluster, tmp_path: Path) -> None:
    # S1: memory is full in an outage, and senders wait or fail although the disk has room; or the outage costs or doubles messages.
    bound, messages, payload = 4 << 20, 20_000, b"x" * 2000
    options: dict[str, Any] = {"max_pending_bytes": bound, "block_if_queue_is_full": True, "send_timeout": 60}
    with Client(cluster.url, group_id=GROUP, spool_dir=tmp_path, **options) as client:
        client.send(b"first", STREAM)
        cluster.reset()
        for node in range(3):
            cluster.kill(node)
        futures = []
        for n in range(messages):
            futures.append(client.send_async(b"%d %s" % (n, payload), STREAM))
            assert n % 1000 or client.stats()["pending_bytes"] <= 2 * bound
        for node in range(3):
            cluster.revive(node)
        cluster.wait_for(messages)
        client.flush(60)
        wait_until(lambda: client.stats()["spool"]["messages"] == 0, "nothing is left")
        stats = client.stats()
        assert stats["acked"] + stats["spool"]["replayed"] == messages + 1
    assert sum(future.exception() is None for future in futures) + stats["failed"] == messages
    numbers = sorted(int(arrived.split()[0]) for arrived in cluster.payloads())
    assert numbers == list(range(messages))


def test_a_folder_that_is_removed_stops_nothing(cluster: MockCluster, tmp_path: Path) -> None:
    # S5: a disk that fails while the client runs fails its messages.
    folder = tmp_path / "spool"
    with Client(cluster.url, group_id=GROUP, spool_dir=folder) as client:
        client.send(b"first", STREAM)
        shutil.rmtree(folder)
        for n in range(20):
            client.send(b"%d" % n, STREAM)
    assert len(cluster.payloads()) == 21
