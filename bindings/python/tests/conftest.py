from __future__ import annotations

import signal
from collections.abc import Iterator
from itertools import chain

import pytest
from support import GROUP

from inlong_dataproxy import Client
from inlong_dataproxy.testing import MockCluster

# A shell starts what runs in the background with Ctrl-C ignored, and Python leaves that as it is.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def summary(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Lines for the end of the run: figures, and what was tried of what may be absent."""
    lines: list[str] = []
    yield lines
    request.node.user_properties.extend(("summary", line) for line in lines)  # those come from xdist's processes


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in chain.from_iterable(terminalreporter.stats.values()):
        if isinstance(report, pytest.TestReport) and report.when == "teardown":
            for name, line in report.user_properties:
                if name == "summary":
                    terminalreporter.write_line(str(line))


@pytest.fixture
def cluster() -> Iterator[MockCluster]:
    with MockCluster() as running:
        yield running


@pytest.fixture
def client(cluster: MockCluster) -> Iterator[Client]:
    with Client(cluster.url, group_id=GROUP) as opened:
        yield opened
