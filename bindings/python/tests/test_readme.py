from __future__ import annotations

import re

import pytest
from support import PACKAGE, run_python

import inlong_dataproxy.testing
from inlong_dataproxy.testing import MockCluster

BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
SAMPLES = BLOCK.findall((PACKAGE / "README.md").read_text())


@pytest.mark.parametrize("sample", SAMPLES, ids=[f"sample {n}" for n in range(1, len(SAMPLES) + 1)])
def test_every_sample_of_the_readme_runs(cluster: MockCluster, sample: str) -> None:
    # A sample that was true once. Only the Manager's address is replaced.
    assert run_python(sample.replace("http://manager:8083", cluster.url)).stderr == ""


def test_the_quick_start_says_what_it_should(cluster: MockCluster) -> None:
    printed = run_python(SAMPLES[0].replace("http://manager:8083", cluster.url)).stdout
    assert re.fullmatch(r"127\.0\.0\.1:\d+ acked it\n100000 acked, 0 failed\n", printed)
    assert cluster.stats()["messages"] == 100_002


def test_the_sample_of_the_testing_module_runs() -> None:
    docstring = inlong_dataproxy.testing.__doc__ or ""
    sample = "\n".join(line[4:] for line in docstring.splitlines() if line.startswith("    "))
    assert "cluster.payloads()" in sample
    run_python("from inlong_dataproxy import Client\nfrom inlong_dataproxy.testing import MockCluster\n" + sample)
