from __future__ import annotations

from pathlib import Path

import pytest
from support import GROUP, STREAM

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
    client.close(timeout=1)
    for node in range(3):
        cluster.revive(node)
    with Client(cluster.url, group_id=GROUP, spool_dir=tmp_path):
        cluster.wait_for(100)
    assert sorted(cluster.payloads()) == sorted(b"%d" % n for n in range(100))


def test_a_spool_that_cannot_be_used_is_an_error_at_the_start(cluster: MockCluster, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(Exception, match="spool_dir"):
        Client(cluster.url, group_id=GROUP, spool_dir=file)
    with pytest.raises(ValueError, match="ordered"):
        Client(cluster.url, group_id=GROUP, spool_dir=tmp_path, ordered=True)
