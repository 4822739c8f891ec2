"""The fake cluster as users of the package have it: what arrived, faults, nodes up and down."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
from typing import Any

import pytest
from support import GROUP, STREAM, wait_until

from inlong_dataproxy import Client, InlongError, Persisted, SendError, ServerError
from inlong_dataproxy.testing import MockCluster


def test_what_arrived_can_be_asked_for_by_stream_and_group(cluster: MockCluster, client: Client) -> None:
    client.send(b"1", "one")
    client.send(b"2", "two", attributes={"a": "b"})
    client.send(b"3", "one", group_id="other_group")
    assert cluster.payloads() == [b"1", b"2", b"3"]
    assert cluster.payloads(stream_id="one") == [b"1", b"3"]
    assert cluster.payloads(group_id=GROUP) == [b"1", b"2"]
    (message,) = cluster.messages(stream_id="two")
    assert (message.payload, message.group_id, message.stream_id, message.acked) == (b"2", GROUP, "two", True)
    assert message.attributes["a"] == "b"
    cluster.reset()
    assert (cluster.payloads(), cluster.stats()["messages"]) == ([], 0)


def test_more_than_a_page_arrived(cluster: MockCluster, client: Client) -> None:
    # Pages that overlap, or a last full one that hides what follows.
    client.send_many((b"%d" % n for n in range(3000)), STREAM)
    assert sorted(map(int, cluster.payloads())) == list(range(3000))


def test_waiting_for_what_a_program_sends_in_the_background(cluster: MockCluster, client: Client) -> None:
    sender = threading.Timer(0.05, lambda: [client.send_async(b"x", STREAM) for _ in range(10)])
    sender.start()
    assert [message.payload for message in cluster.wait_for(10)] == [b"x"] * 10
    sender.join()
    with pytest.raises(AssertionError, match=r"10 messages arrived within 0\.05 s, not 11"):
        cluster.wait_for(11, timeout=0.05)


def test_nodes_die_hang_and_come_back(cluster: MockCluster) -> None:
    def running() -> list[bool]:
        return [node["running"] for node in cluster.stats()["nodes"]]

    with Client(cluster.url, group_id=GROUP, ack_timeout=0.3) as client:
        cluster.kill(0)
        cluster.stop(1)
        assert running() == [False, False, True]
        for _ in range(10):
            client.send(b"x", STREAM)
        assert {message.node for message in cluster.messages() if message.acked} <= {0, 1, 2}
        assert cluster.messages()[-1].node == 2
        before = cluster.stats()["nodes"][2]["connections_total"]
        cluster.reset_connections(2)
        wait_until(lambda: cluster.stats()["nodes"][2]["connections_total"] > before, "it connects again")
        cluster.revive(0)
        cluster.revive(1)
        assert running() == [True] * 3
        client.send(b"x", STREAM)


def test_nodes_are_added_and_taken_off_the_list(cluster: MockCluster) -> None:
    with Client(cluster.url, group_id=GROUP, update_interval=0.1) as client:
        assert cluster.add_node() == 3
        assert len(cluster.addresses) == 4
        for node in range(3):
            cluster.remove_node(node)
        assert [node["listed"] for node in cluster.stats()["nodes"]] == [False, False, False, True]
        # A lane stays where it is until its successor is connected.
        wait_until(lambda: {lane["node"] for lane in client.stats()["lanes"]} == {cluster.addresses[3]}, "the lanes have moved")
        client.send(b"x", STREAM)
        assert cluster.messages()[-1].node == 3
        cluster.list_node(0)
        wait_until(lambda: len(client.stats()["nodes"]) == 2, "the client knows")


def test_the_addresses_serve_as_static_nodes(cluster: MockCluster) -> None:
    with Client(group_id=GROUP, static_nodes=cluster.addresses) as client:
        client.send(b"x", STREAM)
    assert cluster.stats()["manager_calls"] == 0


FAULTS: dict[str, dict[str, Any]] = {
    "error_code": {"code": 114},
    "service_stopped": {},
    "unready": {},
    "silence": {},
    "close_after_read": {},
    "reset_after_read": {},
    "reset_mid_frame": {"bytes": 10},
    "delay": {"delay_ms": 10},
    "malformed": {"raw": b"\0\1\2"},
    "drop_answer": {},
    "duplicate_answer": {},
    "reorder_answers": {"n": 2},
    "slow_read": {"rate": 100_000},
    "refuse_connect": {},
    "black_hole": {},
    "drop_heartbeat": {},
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_happens_and_the_client_gets_over_it(cluster: MockCluster, kind: Any) -> None:
    # A kind that is documented and not understood, or that the client does not survive.
    with Client(cluster.url, group_id=GROUP, ack_timeout=0.3) as client:
        for node in range(2):  # a message is written three times at most
            cluster.fault(node, kind, **FAULTS[kind])
        for _ in range(5):
            client.send(b"x", STREAM)
        for node in range(2):
            cluster.clear_faults(node)
        assert all(node["pending_faults"] == 0 for node in cluster.stats()["nodes"])
        client.send(b"x", STREAM)


def test_a_fault_waits_for_its_event(cluster: MockCluster) -> None:
    cluster.fault(0, "error_code", code=114, times=3)
    assert [node["pending_faults"] for node in cluster.stats()["nodes"]] == [3, 0, 0]


def test_a_standing_fault_lasts_until_it_is_cleared(cluster: MockCluster, client: Client) -> None:
    for node in range(3):
        cluster.fault(node, "error_code", code=109, text="Parse attr failure", standing=True)
    for _ in range(5):
        with pytest.raises(ServerError, match="Parse attr failure") as caught:
            client.send(b"x", STREAM)
        assert (caught.value.server_code, caught.value.persisted) == (109, Persisted.NOT_WRITTEN)
    assert cluster.payloads() == []
    for node in range(3):
        cluster.clear_faults(node)
    client.send(b"x", STREAM)


MANAGER_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "http_status": ({"code": 403, "text": "go away"}, "403"),
    "http_body": ({"text": "<html>"}, "JSON"),
    "failure": ({"text": "no such group"}, "no such group"),
    "group_status": ({"text": "config_ing"}, "config_ing"),
    "null_list": ({}, "no endpoints"),
    "empty_list": ({}, "no endpoints"),
    "silence": ({}, "no answer of the Manager in time"),
    "close_after_read": ({}, "EOF"),
    "reset_after_read": ({}, "reset by peer"),
    "refuse_connect": ({}, "refused"),
}


@pytest.mark.parametrize("kind", MANAGER_FAULTS)
def test_a_fault_of_the_manager_keeps_a_client_from_starting(cluster: MockCluster, kind: Any) -> None:
    fields, text = MANAGER_FAULTS[kind]
    cluster.manager_fault(kind, **fields)
    with pytest.raises(SendError, match=text):
        Client(cluster.url, group_id=GROUP, manager_timeout=0.3 if kind == "silence" else 10)
    cluster.manager_clear_faults()
    with Client(cluster.url, group_id=GROUP) as client:
        client.send(b"x", STREAM)


def test_one_group_is_not_ready(cluster: MockCluster) -> None:
    cluster.set_group_status(GROUP, "config_ing")
    with pytest.raises(SendError, match="config_ing"):
        Client(cluster.url, group_id=GROUP)
    with Client(cluster.url, group_id="other_group") as client:
        client.send(b"x", STREAM)
    cluster.set_group_status(GROUP, "")
    with Client(cluster.url, group_id=GROUP) as client:
        client.send(b"x", STREAM)


@pytest.mark.parametrize(
    ("node", "kind", "fields", "text"),
    [
        (7, "silence", {}, r"node: 7 is outside 0\.\.2"),
        (0, "lazy", {}, r'kind: "lazy" is not one of error_code, '),
        (0, "error_code", {}, "code"),
        (0, "error_code", {"code": 0}, r"code: 0 is outside 1\.\.9999"),
        (0, "silence", {"code": 1}, "code"),
        (0, "http_status", {"code": 500}, "http_status"),
        (0, "silence", {"times": 0}, "times = 0: must be 1 or more"),
    ],
)
def test_a_fault_that_is_none_is_named_with_its_rule(
    cluster: MockCluster, node: int, kind: Any, fields: dict[str, Any], text: str
) -> None:
    with pytest.raises(InlongError, match=text):
        cluster.fault(node, kind, **fields)


@pytest.mark.parametrize("nodes", [0, -1, 65, "3", None, 1.5, True])
def test_a_number_of_nodes_that_is_none_is_refused(nodes: Any) -> None:
    with pytest.raises(ValueError, match=rf"nodes = {nodes!r}: must be 1 to 64"):
        MockCluster(nodes)


def test_a_closed_cluster_says_so(cluster: MockCluster) -> None:
    cluster.close()
    cluster.close()
    assert repr(cluster) == "<MockCluster closed>"
    for call in (cluster.stats, cluster.payloads, cluster.reset, lambda: cluster.kill(0), lambda: cluster.wait_for(1)):
        with pytest.raises(InlongError, match="the cluster is closed"):
            call()


def test_a_forgotten_cluster_warns_and_frees_its_ports() -> None:
    cluster = MockCluster()
    addresses = cluster.addresses
    with pytest.warns(ResourceWarning, match=r"unclosed <MockCluster http://127\.0\.0\.1:\d+>"):  # noqa: PT031
        del cluster
        gc.collect()
    with pytest.raises(SendError):
        Client(group_id=GROUP, static_nodes=addresses, conn_timeout=0.3)


def test_a_cluster_cannot_be_copied(cluster: MockCluster) -> None:
    # The end of a copy ended the original, or, in another process, whatever cluster had its number there.
    for way in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="a MockCluster cannot be copied or pickled"):
            way(cluster)
    assert cluster.payloads() == []
