"""Clients' counters for prometheus_client (`pip install inlong-dataproxy[prometheus]`).

    from prometheus_client import REGISTRY
    from inlong_dataproxy import Client
    from inlong_dataproxy.prometheus import InlongCollector

    with Client("http://manager:8083", group_id="my_group") as client:
        REGISTRY.register(InlongCollector(client))
        client.send(b"payload", stream_id="my_stream")

Every metric has the label group_id, and comes from client.stats() when Prometheus asks:

    inlong_dataproxy_accepted_total     messages accepted
    inlong_dataproxy_acked_total        messages that a DataProxy acked
    inlong_dataproxy_failed_total       messages that were accepted and not acked
    inlong_dataproxy_refused_total      messages that were not accepted
    inlong_dataproxy_batches_total      batches made
    inlong_dataproxy_retries_total      attempts after the first
    inlong_dataproxy_pending_messages   messages without a result
    inlong_dataproxy_pending_bytes      memory that they take
    inlong_dataproxy_streams            streams seen lately
    inlong_dataproxy_nodes              nodes in use
    inlong_dataproxy_lanes_usable       connections that take messages
    inlong_dataproxy_spool_messages     messages in the spool that have no ack
    inlong_dataproxy_spool_bytes        bytes of its files
    inlong_dataproxy_spool_oldest_seconds   age of the oldest message in it, of all clients of the group
    inlong_dataproxy_spool_failing      clients whose spool is full, or whose disk fails
    inlong_dataproxy_spool_replayed_total   messages that were read back from it and acked
    inlong_dataproxy_spool_given_up_total   messages in it that were given up
    inlong_dataproxy_spool_lost_batches_total   batches whose files were removed or damaged
    inlong_dataproxy_spool_errors_total     errors of its disk
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Union

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from .errors import InlongError

if TYPE_CHECKING:
    from .async_client import AsyncClient
    from .client import Client

_PREFIX = "inlong_dataproxy_"
_COUNTERS = {
    "accepted": "messages accepted",
    "acked": "messages that a DataProxy acked",
    "failed": "messages that were accepted and not acked",
    "refused": "messages that were not accepted",
    "batches": "batches made",
    "retries": "attempts after the first",
    "spool_replayed": "messages that were read back from the spool and acked",
    "spool_given_up": "messages in the spool that failed for good",
    "spool_lost_batches": "batches of the spool whose files were removed or damaged",
    "spool_errors": "errors of the spool's disk",
}
_GAUGES = {
    "pending_messages": "messages without a result",
    "pending_bytes": "memory that messages without a result take",
    "streams": "streams seen lately",
    "nodes": "nodes in use",
    "lanes_usable": "connections that take messages",
    "spool_messages": "messages in the spool that have no ack",
    "spool_bytes": "bytes of the spool's files",
    "spool_oldest_seconds": "age of the oldest message in the spool, of all clients",
    "spool_failing": "clients whose spool is full, or whose disk fails",
}

Family = Union[CounterMetricFamily, GaugeMetricFamily]


class InlongCollector(Collector):
    """Collects the counters of clients. Clients of one group are summed up; a group whose clients are all closed gives none.

    What a closed client had counted when Prometheus last asked stays in the sum of its group. If a counter went down, it would look
    like a restart, and the rest like an increase.

    A registry takes one collector: a second one would have series of the same names, and is refused with ValueError. Give the first
    one all clients, or add them.

    Args:
        clients: Client or AsyncClient objects, which the collector keeps alive.
    """

    def __init__(self, *clients: Union[Client, AsyncClient]) -> None:
        self._clients = list(clients)
        self._counted: dict[int, dict[str, int]] = {}  # by the client's place: its counters when it was last asked

    def add(self, *clients: Union[Client, AsyncClient]) -> None:
        """Collect the counters of these clients too."""
        self._clients += clients

    def describe(self) -> Iterator[Family]:
        """Give all metrics without their values: the registry checks for names that it has already."""
        yield from _families({})

    def collect(self) -> Iterator[Family]:
        """Give all metrics. Does not block; any thread may call it."""
        groups: dict[str, Counter[str]] = {}
        closed: list[tuple[str, dict[str, int]]] = []
        for place, client in enumerate(list(self._clients)):
            try:
                values = _values(client.stats())
            except InlongError:
                closed.append((client.group_id, self._counted.get(place, {})))
                continue
            self._counted[place] = {name: values[name] for name in _COUNTERS}
            group = groups.setdefault(client.group_id, Counter())
            oldest = max(group["spool_oldest_seconds"], values["spool_oldest_seconds"])
            group.update(values)
            group["spool_oldest_seconds"] = oldest
        for group_id, counted in closed:
            if group_id in groups:
                groups[group_id].update(counted)
        yield from _families(groups)


def _families(groups: dict[str, Counter[str]]) -> Iterator[Family]:
    for name, text in _COUNTERS.items():
        yield _fill(CounterMetricFamily(_PREFIX + name, text, labels=["group_id"]), name, groups)
    for name, text in _GAUGES.items():
        yield _fill(GaugeMetricFamily(_PREFIX + name, text, labels=["group_id"]), name, groups)


def _values(stats: dict[str, Any]) -> dict[str, int]:
    nodes: list[object] = stats["nodes"] or []
    lanes: list[dict[str, Any]] = stats["lanes"] or []
    spool: dict[str, Any] = stats["spool"]
    flat: dict[str, int] = {
        **stats,
        "nodes": len(nodes),
        "lanes_usable": sum(bool(lane["usable"]) for lane in lanes),
        **{f"spool_{name}": spool[name] for name in ("replayed", "given_up", "errors", "messages", "bytes")},
        "spool_lost_batches": spool["lost"],
        "spool_oldest_seconds": spool["oldest_age"] // 10**9,
        "spool_failing": int(spool["state"] in ("full", "failed")),
    }
    return {name: flat[name] for name in (*_COUNTERS, *_GAUGES)}


def _fill(family: Family, name: str, groups: dict[str, Counter[str]]) -> Family:
    for group_id, values in groups.items():
        family.add_metric([group_id], values[name])
    return family
