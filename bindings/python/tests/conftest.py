from __future__ import annotations

from collections.abc import Iterator

import pytest
from support import GROUP

from inlong_dataproxy import Client
from inlong_dataproxy.testing import MockCluster


@pytest.fixture
def cluster() -> Iterator[MockCluster]:
    with MockCluster() as running:
        yield running


@pytest.fixture
def client(cluster: MockCluster) -> Iterator[Client]:
    with Client(cluster.url, group_id=GROUP) as opened:
        yield opened
