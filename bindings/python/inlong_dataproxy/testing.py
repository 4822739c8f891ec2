"""A fake InLong cluster inside this process, for tests of programs that send.

    from inlong_dataproxy import Client
    from inlong_dataproxy.testing import MockCluster

    with MockCluster() as cluster, Client(cluster.url, group_id="test_group") as client:
        client.send(b"hello", stream_id="s")
        assert cluster.payloads() == [b"hello"]

        cluster.kill(0)  # a node dies
        cluster.fault(1, "error_code", code=114, times=3)  # another one is overloaded, three times
        client.send(b"still there", stream_id="s")
        assert cluster.payloads(stream_id="s") == [b"hello", b"still there"]

It is a Manager with DataProxy nodes on 127.0.0.1. They answer as the real ones do, and fail on request. Each request of
`inlong-dataproxy mock --help` is a method here.

Faults of a node's answers to data (fault), by kind with their fields:
    error_code: refuse with a code, 1 to 9999 (code; text: another than the server's own). service_stopped, unready: codes 2 and 1.
    silence: take the message and answer nothing more on that connection. drop_answer: only this answer never comes.
    delay: answer late, and later answers too (delay_ms). duplicate_answer: answer twice. reorder_answers: hold n answers, send
        the last one first (n). malformed: send these bytes instead of the answer (raw).
    close_after_read, reset_after_read: take the message, then close or reset the connection. reset_mid_frame: reset when so
        many bytes of a frame came (bytes). slow_read: read so many bytes a second from then on (rate).
Of its connections: refuse_connect (standing: the port is closed), black_hole (accepted, never read), drop_heartbeat.
Faults of the Manager (manager_fault):
    http_status: this status (code, 200 to 599; text: the body). http_body: status 200 with this body (text). failure: the
        Manager's own refusal (text). group_status: that of a group in this status (text). empty_list, null_list: no nodes.
    silence, delay, close_after_read, reset_after_read, refuse_connect: as of a node.
"""

from __future__ import annotations

import base64
import ctypes
import json
import sys
import time
import warnings
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Optional, Union

from ._native import lowlevel as low
from .errors import InlongError

if TYPE_CHECKING:
    from typing_extensions import Self

_PAGE = 1000
_LOOK_SECONDS = 0.005

NodeFault = Literal[
    "error_code",
    "service_stopped",
    "unready",
    "silence",
    "close_after_read",
    "reset_after_read",
    "reset_mid_frame",
    "delay",
    "malformed",
    "drop_answer",
    "duplicate_answer",
    "reorder_answers",
    "slow_read",
    "refuse_connect",
    "black_hole",
    "drop_heartbeat",
]
ManagerFault = Literal[
    "http_status",
    "http_body",
    "failure",
    "group_status",
    "null_list",
    "empty_list",
    "silence",
    "delay",
    "close_after_read",
    "reset_after_read",
    "refuse_connect",
]


@dataclass(frozen=True)
class ReceivedMessage:
    """One message that a node received.

    Attributes:
        payload: its bytes.
        group_id, stream_id: where it was sent to.
        attributes: all attributes of its batch, those of the protocol included.
        node: the node's number, from 0.
        acked: whether the node answered its batch.
        item_attributes: those of the message alone.
    """

    payload: bytes
    group_id: str
    stream_id: str
    attributes: dict[str, str]
    node: int
    acked: bool
    item_attributes: dict[str, str] = field(default_factory=dict)


class MockCluster:
    """A fake Manager and nodes that run from construction until close, or the end of the with block.

    Args:
        nodes: how many DataProxy nodes, 1 to 64.

    Raises:
        ValueError: nodes is not a number from 1 to 64.
        InlongError: it could not be started.

    Any thread may call its methods. They block shortly, wait_for as long as it says. After close each raises
    InlongError. So they do for a node that does not exist, an unknown kind of fault, and a field that the kind does not take:
    the text names the field, its value and the rule.
    """

    _handle = low.MockHandle()

    def __init__(self, nodes: int = 3) -> None:
        if not isinstance(nodes, int) or isinstance(nodes, bool) or not 1 <= nodes <= 64:
            raise ValueError(f"nodes = {nodes!r}: must be 1 to 64")
        self._handle = low.MockHandle()
        low.mock_new(nodes, ctypes.byref(self._handle), None, 0)
        buffer = ctypes.create_string_buffer(256)
        low.mock_url(self._handle, buffer, len(buffer))
        self._url = buffer.value.decode("utf-8")

    @property
    def url(self) -> str:
        """The Manager's address, for Client."""
        return self._url

    @property
    def addresses(self) -> list[str]:
        """host:port of every node, even of those that are down, for the option static_nodes."""
        return [node["addr"] for node in self.stats()["nodes"]]

    def control(self, command: dict[str, Any]) -> dict[str, Any]:
        """Carry out a command of the fake cluster and return its answer; the other methods use this one.

        Args:
            command: {"op": name} and the fields that this op takes.
        """
        if not self._handle:
            raise InlongError("the cluster is closed")
        request = json.dumps(command).encode("utf-8")
        size = 1 << 16
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = low.mock_control(self._handle, request, buffer, size)
            if length < size:
                return json.loads(buffer.value)  # type: ignore[no-any-return]
            # Only answers of ops that change nothing are that long: they can be asked again.
            size = length + 4096

    # ---- what arrived ----

    def messages(self, *, stream_id: Optional[str] = None, group_id: Optional[str] = None) -> list[ReceivedMessage]:
        """Return the messages that arrived, in the order of arrival, duplicates included; only of one stream or group if given.

        Messages that a node refused with an error code are left out; those that it took and did not answer are included.
        """
        found: list[ReceivedMessage] = []
        while True:
            page = self.control({"op": "messages", "offset": len(found), "limit": _PAGE})["messages"]
            found += [
                ReceivedMessage(
                    base64.b64decode(m["payload"]),
                    m["group"],
                    m["stream"],
                    m["attr"] or {},
                    m["node"],
                    m["acked"],
                    dict(pair.split("=", 1) for pair in m.get("item_attr", "").split("&") if pair),
                )
                for m in page
            ]
            if len(page) < _PAGE:
                return [m for m in found if stream_id in (None, m.stream_id) and group_id in (None, m.group_id)]

    def payloads(self, *, stream_id: Optional[str] = None, group_id: Optional[str] = None) -> list[bytes]:
        """Return the payloads of messages."""
        return [message.payload for message in self.messages(stream_id=stream_id, group_id=group_id)]

    def wait_for(self, count: int, *, timeout: float = 10) -> list[ReceivedMessage]:
        """Wait until enough messages have arrived, and return all of them: for programs that send in the background.

        Args:
            count: how many, at least, since the start or the last reset.
            timeout: seconds.

        Raises:
            AssertionError: fewer arrived in time; the text has their number.
        """
        end = time.monotonic() + timeout
        while (arrived := self.stats()["messages"]) < count:
            if time.monotonic() >= end:
                raise AssertionError(f"{arrived} messages arrived within {timeout} s, not {count}")
            time.sleep(_LOOK_SECONDS)
        return self.messages()

    def stats(self) -> dict[str, Any]:
        """Return counters: "messages", "manager_calls", and under "nodes" of each node its number and address, whether it is
        listed and running, connections, heartbeats, frames (refused, acked), messages, bytes and pending_faults.
        """
        return self.control({"op": "stats"})

    def reset(self) -> None:
        """Forget what arrived and all counters. Nodes, faults and connections stay as they are."""
        self.control({"op": "reset"})

    # ---- nodes up and down ----

    def kill(self, node: int) -> None:
        """Close the node's port and reset its connections, as when its process dies."""
        self.control({"op": "kill", "node": node})

    def revive(self, node: int) -> None:
        """Start a killed or stopped node again, on its port."""
        self.control({"op": "revive", "node": node})

    def stop(self, node: int) -> None:
        """Stop the node as SIGTERM does: its connections are closed, new ones are accepted and never read or answered."""
        self.control({"op": "stop", "node": node})

    def reset_connections(self, node: int) -> None:
        """Reset the node's connections, as a firewall does; new ones work."""
        self.control({"op": "reset_connections", "node": node})

    def add_node(self) -> int:
        """Start one more node, which the Manager lists from now on. Return its number."""
        return int(self.control({"op": "add_node"})["node"])

    def remove_node(self, node: int) -> None:
        """Take the node off the Manager's list; it keeps working. Clients learn it at their next update (update_interval)."""
        self.control({"op": "remove_node", "node": node})

    def list_node(self, node: int) -> None:
        """Put a removed node back on the Manager's list."""
        self.control({"op": "list_node", "node": node})

    # ---- faults ----

    def fault(
        self, node: int, kind: NodeFault, *, standing: bool = False, times: int = 1, **fields: Union[int, str, bytes]
    ) -> None:
        """Make a node misbehave.

        Args:
            node: its number, from 0.
            kind: see the top of this module.
            standing: until clear_faults, instead of a number of times.
            times: for how many events.
            fields: what the kind takes.
        """
        self.control({"op": "fault", "node": node, **_fault(kind, standing, times, fields)})

    def clear_faults(self, node: int) -> None:
        """End all faults of a node."""
        self.control({"op": "clear_faults", "node": node})

    def manager_fault(self, kind: ManagerFault, *, standing: bool = True, times: int = 1, **fields: Union[int, str, bytes]) -> None:
        """Make the Manager misbehave. Arguments as for fault, but standing unless said otherwise."""
        self.control({"op": "manager_fault", **_fault(kind, standing, times, fields)})

    def manager_clear_faults(self) -> None:
        """End all faults of the Manager."""
        self.control({"op": "manager_clear_faults"})

    def set_group_status(self, group_id: str, status: str) -> None:
        """Make the Manager refuse one group, with a status such as "config_ing"; "" makes the group ready again."""
        self.control({"op": "group_status", "group": group_id, "status": status})

    # ---- life ----

    def close(self) -> None:
        """Stop everything and free the ports. Closing again does nothing."""
        handle, self._handle = self._handle, low.MockHandle()
        low.mock_free(handle)

    def __reduce__(self) -> Any:
        raise TypeError("a MockCluster cannot be copied or pickled: give senders its url")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._url if self._handle else 'closed'}>"

    def __del__(self) -> None:
        if self._handle and not sys.is_finalizing():
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()


def _fault(kind: str, standing: bool, times: int, fields: dict[str, Union[int, str, bytes]]) -> dict[str, Any]:
    if times < 1:
        raise InlongError(f"times = {times}: must be 1 or more")
    plain = {name: base64.b64encode(value).decode() if isinstance(value, bytes) else value for name, value in fields.items()}
    fault = {"fault": {"kind": kind, **plain}}
    return {**fault, "standing": True} if standing else {**fault, "times": times}
