from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from support import GROUP

from inlong_dataproxy import Client
from inlong_dataproxy.testing import MockCluster

# A shell starts what runs in the background with Ctrl-C ignored, and Python leaves that as it is.
signal.signal(signal.SIGINT, signal.default_int_handler)

SUMMARY = pytest.StashKey[list[str]]()


@pytest.fixture
def summary(request: pytest.FixtureRequest) -> list[str]:
    """Lines for the end of the run: figures, and what was tried of what may be absent."""
    return request.config.stash.setdefault(SUMMARY, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(SUMMARY, []):
        terminalreporter.write_line(line)


@pytest.fixture
def cluster() -> Iterator[MockCluster]:
    with MockCluster() as running:
        yield running


@pytest.fixture
def client(cluster: MockCluster) -> Iterator[Client]:
    with Client(cluster.url, group_id=GROUP) as opened:
        yield opened
