"""H3: Ctrl-C ends every blocking call at once: the main thread must never wait inside the library."""

from __future__ import annotations

import itertools
from typing import Callable

import pytest
from support import GROUP, LONG, STREAM, interrupt, rounds, silence

from inlong_dataproxy import Client
from inlong_dataproxy.testing import MockCluster

LIMIT = 0.25

pytestmark = pytest.mark.timeout(LONG)


def waits_in_send(client: Client) -> None:
    client.send(b"x", STREAM)


def waits_for_a_future(client: Client) -> None:
    client.send_async(b"x", STREAM).result()


def waits_in_flush(client: Client) -> None:
    client.send_async(b"x", STREAM)
    client.flush()


def waits_for_the_end_of_send_many(client: Client) -> None:
    client.send_many([b"x"], STREAM)


def waits_for_room_in_send_many(client: Client) -> None:
    client.send_many(itertools.repeat(b"x"), STREAM)


def waits_in_close(client: Client) -> None:
    client.send_async(b"x", STREAM)
    client.close(timeout=0.5)


CALLS = [
    waits_in_send,
    waits_for_a_future,
    waits_in_flush,
    waits_for_the_end_of_send_many,
    waits_for_room_in_send_many,
    waits_in_close,
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_h3_a_call_that(cluster: MockCluster, call: Callable[[Client], None]) -> None:
    for _ in range(rounds(2, len(CALLS))):
        cluster.reset()
        client = Client(cluster.url, group_id=GROUP)
        silence(cluster)
        with interrupt(lambda: cluster.stats()["messages"] > 0) as since:
            with pytest.raises(KeyboardInterrupt):
                call(client)
            assert since() < LIMIT
        # The client is whole: what was accepted has its one result when it is closed.
        report = client.close(timeout=10 if client.closed else 0)  # a close that continues has a timeout of its own
        assert report.unsent >= 1
        assert report.acked == 0
        for node in range(3):
            cluster.clear_faults(node)


def test_h3_close_goes_on_in_the_background(cluster: MockCluster) -> None:
    client = Client(cluster.url, group_id=GROUP)
    silence(cluster)
    future = client.send_async(b"x", STREAM)
    with interrupt(lambda: cluster.stats()["messages"] > 0) as since:
        with pytest.raises(KeyboardInterrupt):
            client.close(timeout=1)
        assert since() < LIMIT
    assert client.close().unsent == 1
    assert future.exception(timeout=0) is not None


def test_h3_waiting_for_room(cluster: MockCluster) -> None:
    client = Client(cluster.url, group_id=GROUP, worker_num=1, max_pending_messages=1, block_if_queue_is_full=True)
    silence(cluster)
    with interrupt(lambda: cluster.stats()["messages"] > 0) as since:
        futures = []
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012
            while True:
                futures.append(client.send_async(b"x", STREAM))
        assert since() < LIMIT
    # Nothing is left of the message that was refused: a flush would wait for its result.
    assert client.stats()["pending_messages"] == len(futures)
    client.close(timeout=0)


def test_h3_making_a_client(cluster: MockCluster) -> None:
    cluster.manager_fault("silence")
    with interrupt(lambda: cluster.stats()["manager_calls"] > 0) as since:
        with pytest.raises(KeyboardInterrupt):
            Client(cluster.url, group_id=GROUP)
        assert since() < LIMIT
