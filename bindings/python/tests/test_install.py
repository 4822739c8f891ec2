from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from support import CHECKOUT, PACKAGE

LIBRARIES = CHECKOUT / "build" / "lib"
QUICK_START = """
from inlong_dataproxy import Client
from inlong_dataproxy.testing import MockCluster
with MockCluster() as cluster, Client(cluster.url, group_id="test_group") as client:
    client.send(b"hello", stream_id="s")
    assert cluster.payloads() == [b"hello"]
import inlong_dataproxy
print(inlong_dataproxy.__file__)
"""


@pytest.mark.timeout(300)
def test_it_installs_into_a_clean_environment_and_works_there(tmp_path: Path) -> None:
    # A package that finds its libraries only in the checkout.
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PIP_TARGET"))}
    environment["INLONG_DATAPROXY_LIB_DIR"] = str(LIBRARIES)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(PACKAGE)]
    subprocess.run(pip, check=True, env=environment, cwd=tmp_path)
    environment["PATH"] = str(tmp_path / "venv" / "bin")  # no go, no gcc
    assert shutil.which("go", path=environment["PATH"]) is None
    program = subprocess.run(["inlong-dataproxy", "version"], env=environment, cwd=tmp_path, capture_output=True, text=True)  # noqa: S607, PLW1510
    if (LIBRARIES.parent / "bin" / "inlong-dataproxy").is_file():
        assert program.returncode == 0, program.stderr
    done = subprocess.run([python, "-c", QUICK_START], check=True, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.startswith(str(tmp_path / "venv"))
    listed = subprocess.run([python, "-m", "pip", "list"], check=True, capture_output=True, text=True, env=environment).stdout
    assert "inlong-dataproxy" in listed
    leftovers = [name.name for name in PACKAGE.iterdir() if name.name in ("build", "dist") or name.suffix == ".egg-info"]
    assert leftovers == []


def build_wheel(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = "from setuptools import build_meta; import sys; print(build_meta.build_wheel(sys.argv[1]))"
    return subprocess.run(
        [sys.executable, "-c", command, str(tmp_path)],
        env={**os.environ, **variables},
        cwd=PACKAGE,
        capture_output=True,
        text=True,
        check=False,
    )


def test_one_wheel_serves_every_python(tmp_path: Path) -> None:
    # A wheel tagged for one version of Python, without the libraries, or without the types.
    done = build_wheel(tmp_path, INLONG_DATAPROXY_LIB_DIR=str(LIBRARIES))
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert re.fullmatch(r"inlong_dataproxy-0\.1\.0-py3-none-manylinux_2_\d+_\w+\.whl", wheel.name)
    names = zipfile.ZipFile(wheel).namelist()
    for name in ("_lib/libinlong_dataproxy.so.1", "_lib/libinlong_dataproxy_core.so", "py.typed", "client.py"):
        assert f"inlong_dataproxy/{name}" in names
    assert not any(name.startswith("tests/") for name in names)


def test_missing_libraries_are_named(tmp_path: Path) -> None:
    done = build_wheel(tmp_path, INLONG_DATAPROXY_LIB_DIR=str(tmp_path))
    assert done.returncode != 0
    assert "libinlong_dataproxy.so.1 and libinlong_dataproxy_core.so not found in" in done.stdout + done.stderr
    assert "INLONG_DATAPROXY_LIB_DIR" in done.stdout + done.stderr


def test_without_go_and_without_libraries_the_error_says_what_to_do(tmp_path: Path) -> None:
    # A copy of the package alone, as in an unpacked source archive.
    copy = tmp_path / "package"
    copy.mkdir()
    for name in (
        "pyproject.toml",
        "setup.py",
        "README.md",
        "inlong_dataproxy",
        "inlong_dataproxy_pytest.py",
        "inlong_dataproxy_cli.py",
    ):
        subprocess.run(["cp", "-r", str(PACKAGE / name), str(copy)], check=True)  # noqa: S607
    command = "from setuptools import build_meta; build_meta.build_wheel('.')"
    done = subprocess.run([sys.executable, "-c", command], cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "the native libraries are missing and cannot be built here" in done.stdout + done.stderr
