"""Whether a message could be written now, and why not."""

from __future__ import annotations

import asyncio
import threading

import pytest
from support import GROUP, STREAM, wait_until

from inlong_dataproxy import AsyncClient, Client, ClosedError, SendError
from inlong_dataproxy.testing import MockCluster


def why_not(client: Client) -> str:
    try:
        client.ready()
    except SendError as error:
        return f"{error.code} {error}"
    return ""


def test_ready_follows_the_nodes(cluster: MockCluster, client: Client) -> None:
    # A check of health that says yes while every node is gone.
    client.ready()
    for node in range(3):
        cluster.kill(node)
    wait_until(lambda: all(address in why_not(client) for address in cluster.addresses), "each node is named")
    assert why_not(client).startswith("10006 ")
    with pytest.raises(SendError, match="no available worker"):
        client.ready(0.02)
    waiting = threading.Thread(target=client.ready, args=(None,))
    waiting.start()
    cluster.revive(1)
    waiting.join(20)
    assert not waiting.is_alive()
    assert client.send(b"x", STREAM)


def test_ready_says_what_the_manager_said(cluster: MockCluster) -> None:
    cluster.manager_fault("http_status", code=503, standing=True)
    with Client(cluster.url, group_id=GROUP, lazy_start=True) as client:
        wait_until(lambda: "503" in why_not(client), "the Manager's fault is the reason")
        cluster.manager_clear_faults()
        client.ready(20)


def test_ready_is_awaited_and_does_not_hold_up_the_loop(cluster: MockCluster) -> None:
    async def main() -> None:
        async with AsyncClient(cluster.url, group_id=GROUP) as client:
            await client.ready()
            for node in range(3):
                cluster.kill(node)
            waiting: asyncio.Future[None] | None = None
            while waiting is None:
                try:
                    await client.ready()
                except SendError as error:
                    assert "no available worker" in str(error)  # noqa: PT017 - the first one after some that were ready
                    waiting = asyncio.ensure_future(client.ready(20))
            await asyncio.sleep(0)  # the loop has its turn while it waits
            cluster.revive(0)
            await waiting
        with pytest.raises(ClosedError):
            await client.ready()

    asyncio.run(main())
