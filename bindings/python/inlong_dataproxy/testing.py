"""A fake InLong cluster inside this process, for tests of programs that send.

    with MockCluster() as cluster, Client(cluster.url, group_id="test_group") as client:
        client.send(b"hello", stream_id="s")
        assert cluster.payloads() == [b"hello"]

It is a Manager and some DataProxy nodes on 127.0.0.1 that answer as the real ones do, and fail when told to.
"""

from __future__ import annotations

import base64
import ctypes
import json
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Optional, Union

from . import _lowlevel as low
from .errors import InlongError

if TYPE_CHECKING:
    from typing_extensions import Self

_PAGE = 1000


@dataclass(frozen=True)
class ReceivedMessage:
    """One message that a node took.

    Attributes:
        payload: its bytes.
        group_id, stream_id: where it was sent to.
        attributes: all attributes of its batch, those of the protocol included.
        node: the node's number, from 0.
        acked: whether the node answered its batch.
    """

    payload: bytes
    group_id: str
    stream_id: str
    attributes: dict[str, str]
    node: int
    acked: bool


class MockCluster:
    """A fake Manager and nodes that run from construction until close, or the end of the with block.

    Args:
        nodes: how many DataProxy nodes, 1 to 64.

    Raises:
        InlongError: it could not be started.
    """

    def __init__(self, nodes: int = 3) -> None:
        if not isinstance(nodes, int) or not 1 <= nodes <= 64:
            raise ValueError(f"nodes = {nodes!r}: want 1 to 64")
        self._handle = low.MockHandle()
        low.mock_new(nodes, ctypes.byref(self._handle), None, 0)
        buffer = ctypes.create_string_buffer(256)
        low.mock_url(self._handle, buffer, len(buffer))
        self._url = buffer.value.decode("utf-8")

    @property
    def url(self) -> str:
        """The Manager's address, for Client."""
        return self._url

    def control(self, command: dict[str, Any]) -> dict[str, Any]:
        """Carry out a command of the fake cluster and return its answer; the other methods are made of this one.

        Args:
            command: {"op": name} and the fields that this op takes.

        Raises:
            InlongError: the command is not understood; the text names the field and the rule.
        """
        request = json.dumps(command).encode("utf-8")
        size = 1 << 16
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = low.mock_control(self._handle, request, buffer, size)
            if length < size:
                return json.loads(buffer.value)  # type: ignore[no-any-return]
            # Only answers of ops that change nothing are that long: they can be asked again.
            size = length + 4096

    def stats(self) -> dict[str, Any]:
        """Return counters of the Manager and of each node."""
        return self.control({"op": "stats"})

    def messages(self) -> list[ReceivedMessage]:
        """Return what arrived, node by node, duplicates included."""
        found: list[ReceivedMessage] = []
        while True:
            page = self.control({"op": "messages", "offset": len(found), "limit": _PAGE})["messages"]
            found += [
                ReceivedMessage(base64.b64decode(m["payload"]), m["group"], m["stream"], m["attr"] or {}, m["node"], m["acked"])
                for m in page
            ]
            if len(page) < _PAGE:
                return found

    def payloads(self) -> list[bytes]:
        """Return the payloads of what arrived."""
        return [message.payload for message in self.messages()]

    def reset(self) -> None:
        """Forget what arrived and all counters."""
        self.control({"op": "reset"})

    def kill(self, node: int) -> None:
        """Close the node's port and cut its connections, as when its process dies."""
        self.control({"op": "kill", "node": node})

    def revive(self, node: int) -> None:
        """Let a killed node listen on its port again."""
        self.control({"op": "revive", "node": node})

    def fault(self, node: int, kind: str, *, standing: bool = False, times: int = 1, **fields: Union[int, str]) -> None:
        """Make a node misbehave.

        Args:
            node: its number, from 0.
            kind: such as "error_code" (fields code, text), "silence", "close_after_read", "delay" (delay_ms),
                "refuse_connect".
            standing: until clear_faults, instead of a number of times.
            times: for how many events.
            fields: what the kind takes.
        """
        self.control({"op": "fault", "node": node, **_fault(kind, standing, times, fields)})

    def clear_faults(self, node: int) -> None:
        """End all faults of a node."""
        self.control({"op": "clear_faults", "node": node})

    def manager_fault(self, kind: str, *, standing: bool = True, times: int = 1, **fields: Union[int, str]) -> None:
        """Make the Manager misbehave: "http_status" (code, text), "http_body" (text), "failure" (text), "empty_list", "null_list",
        "silence", "refuse_connect". Arguments as for fault, but standing unless said otherwise.
        """
        self.control({"op": "manager_fault", **_fault(kind, standing, times, fields)})

    def manager_clear_faults(self) -> None:
        """End all faults of the Manager."""
        self.control({"op": "manager_clear_faults"})

    def close(self) -> None:
        """Stop everything and free the ports. Closing again does nothing."""
        handle, self._handle = self._handle, low.MockHandle()
        low.mock_free(handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()


def _fault(kind: str, standing: bool, times: int, fields: dict[str, Union[int, str]]) -> dict[str, Any]:
    if times < 1:
        raise InlongError(f"times = {times}: want 1 or more")
    fault = {"fault": {"kind": kind, **fields}}
    return {**fault, "standing": True} if standing else {**fault, "times": times}
