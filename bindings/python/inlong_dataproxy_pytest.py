"""The pytest plugin of this package: fixtures for tests of programs that send.

    from inlong_dataproxy import Client

    def test_my_program(inlong_cluster):
        with Client(inlong_cluster.url, group_id="my_group") as client:
            client.send(b"hello", stream_id="my_stream")
        assert inlong_cluster.payloads() == [b"hello"]

pytest finds it by itself where the package is installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from inlong_dataproxy.testing import MockCluster


@pytest.fixture
def inlong_cluster_nodes() -> int:
    """How many nodes inlong_cluster has: 3. Override it in a test module or with parametrize."""
    return 3


@pytest.fixture
def inlong_cluster(inlong_cluster_nodes: int) -> Iterator[MockCluster]:
    """A fake InLong cluster, new for each test: see inlong_dataproxy.testing.MockCluster."""
    # Not at the top, nor a module of the package: the library would be loaded in every run of pytest, also where no test uses it.
    from inlong_dataproxy.testing import MockCluster  # noqa: PLC0415

    with MockCluster(inlong_cluster_nodes) as cluster:
        yield cluster
