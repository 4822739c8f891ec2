"""The pytest plugin, in runs of pytest of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support import PACKAGE

MODULE = """
import pytest
from inlong_dataproxy import Client

def send(cluster):
    with Client(cluster.url, group_id="test_group") as client:
        client.send(b"hello", "s")
    return len(cluster.payloads())

@pytest.mark.parametrize("round", [1, 2])
def test_each_has_a_new_cluster(inlong_cluster, round):
    assert send(inlong_cluster) == 1
    assert len(inlong_cluster.stats()["nodes"]) == 3

@pytest.mark.parametrize("inlong_cluster_nodes", [5])
def test_the_number_of_nodes_can_be_chosen(inlong_cluster):
    assert len(inlong_cluster.stats()["nodes"]) == 5
"""


def run_pytest(tmp_path: Path, module: str) -> str:
    (tmp_path / "test_it.py").write_text(module)
    # As the entry point of an installed package does.
    command = [sys.executable, "-m", "pytest", "-q", "-p", "inlong_dataproxy_pytest", "-p", "no:cacheprovider", "test_it.py"]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(PACKAGE)}, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr


def test_every_test_gets_a_cluster_of_its_own(tmp_path: Path) -> None:
    assert "3 passed" in run_pytest(tmp_path, MODULE)


def test_a_run_without_the_fixture_does_not_load_the_library(tmp_path: Path) -> None:
    # A broken library would break every run of pytest in the environment.
    module = "import sys\ndef test_it():\n    assert 'inlong_dataproxy._native.lowlevel' not in sys.modules\n"
    assert "1 passed" in run_pytest(tmp_path, module)
