from __future__ import annotations

from support import run_python

import inlong_dataproxy.testing


def test_the_sample_of_the_module_runs() -> None:
    docstring = inlong_dataproxy.testing.__doc__ or ""
    sample = "\n".join(line[4:] for line in docstring.splitlines() if line.startswith("    "))
    assert "cluster.payloads()" in sample
    run_python("from inlong_dataproxy import Client\nfrom inlong_dataproxy.testing import MockCluster\n" + sample)
