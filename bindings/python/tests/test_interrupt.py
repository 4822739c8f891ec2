"""Ctrl-C ends every blocking call at once: the main thread must never wait inside the library."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Callable

import pytest
from support import GROUP, STREAM, interrupt

from inlong_dataproxy import Client
from inlong_dataproxy.testing import MockCluster

LIMIT = 0.25


@pytest.fixture
def silent(cluster: MockCluster) -> Iterator[Client]:
    client = Client(cluster.url, group_id=GROUP)
    for node in range(3):
        cluster.fault(node, "silence", standing=True)
    yield client
    client.close(timeout=0)


def arrived(cluster: MockCluster) -> Callable[[], bool]:
    return lambda: cluster.stats()["messages"] > 0


def test_send(cluster: MockCluster, silent: Client) -> None:
    with interrupt(arrived(cluster)) as since:
        with pytest.raises(KeyboardInterrupt):
            silent.send(b"x", STREAM)
        assert since() < LIMIT


def test_waiting_for_a_future(cluster: MockCluster, silent: Client) -> None:
    future = silent.send_async(b"x", STREAM)
    with interrupt(arrived(cluster)) as since:
        with pytest.raises(KeyboardInterrupt):
            future.result()
        assert since() < LIMIT


def test_flush(cluster: MockCluster, silent: Client) -> None:
    silent.send_async(b"x", STREAM)
    with interrupt(arrived(cluster)) as since:
        with pytest.raises(KeyboardInterrupt):
            silent.flush()
        assert since() < LIMIT


@pytest.mark.parametrize("messages", [[b"x"], itertools.repeat(b"x")])
def test_send_many(cluster: MockCluster, silent: Client, messages: Any) -> None:
    with interrupt(arrived(cluster)) as since:
        with pytest.raises(KeyboardInterrupt):
            silent.send_many(messages, STREAM)
        assert since() < LIMIT


def test_close_goes_on_in_the_background(cluster: MockCluster, silent: Client) -> None:
    future = silent.send_async(b"x", STREAM)
    with interrupt(arrived(cluster)) as since:
        with pytest.raises(KeyboardInterrupt):
            silent.close(timeout=1)
        assert since() < LIMIT
    assert silent.close().unsent == 1
    assert future.exception(timeout=0) is not None


def test_waiting_for_room(cluster: MockCluster) -> None:
    client = Client(cluster.url, group_id=GROUP, worker_num=1, max_pending_messages=1, block_if_queue_is_full=True)
    for node in range(3):
        cluster.fault(node, "silence", standing=True)
    with interrupt(arrived(cluster)) as since:
        client.send_async(b"x", STREAM)
        with pytest.raises(KeyboardInterrupt):
            client.send_async(b"x", STREAM)
        assert since() < LIMIT
    client.close(timeout=0)


def test_making_a_client(cluster: MockCluster) -> None:
    cluster.manager_fault("silence")
    with interrupt(lambda: cluster.stats()["manager_calls"] > 0) as since:
        with pytest.raises(KeyboardInterrupt):
            Client(cluster.url, group_id=GROUP)
        assert since() < LIMIT
