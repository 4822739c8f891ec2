"""The source archive builds the wheel where Go, a C compiler and make are, far from any checkout."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from support import PACKAGE, building

from inlong_dataproxy._version import CORE_FILE_NAME, FILE_NAME


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    command = "from setuptools import build_meta; import sys; build_meta.build_sdist(sys.argv[1])"
    with building():
        subprocess.run([sys.executable, "-c", command, str(folder)], check=True, cwd=PACKAGE, capture_output=True)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        if hasattr(tarfile, "data_filter"):
            tar.extractall(folder, filter="data")
        else:  # the Python of Debian 12
            tar.extractall(folder)  # noqa: S202 - this test made the archive
    return folder / archive.name.removesuffix(".tar.gz")


def build_wheel(package: Path, target: Path, within: Sequence[str] = (), **variables: str) -> subprocess.CompletedProcess[str]:
    command = "from setuptools import build_meta; import sys; build_meta.build_wheel(sys.argv[1])"
    environment = {key: value for key, value in os.environ.items() if key != "INLONG_DATAPROXY_LIB_DIR"}
    return subprocess.run(
        [*within, sys.executable, "-c", command, str(target)],
        env={**environment, **variables},
        cwd=package,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def hardened(tmp_path: Path, summary: list[str]) -> tuple[Path, list[str]]:
    """Return a folder where no program may be started, as in /tmp of many servers, and what a command is run by to see it so."""
    folder = tmp_path / "noexec"
    folder.mkdir()
    mount = f"mount -t tmpfs -o noexec none {shlex.quote(str(folder))}"
    become_root = ["--map-root-user"] if os.geteuid() else []
    within = ["unshare", *become_root, "--mount", "sh", "-c", mount + ' && exec "$@"', "sh"]
    try:
        subprocess.run([*within, "true"], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = str(getattr(error, "stderr", None) or error).strip()
        summary.append(f"skip sdist: built where programs in TMPDIR may be started: {reason}")
        return folder, []
    return folder, within


@pytest.mark.timeout(600)
def test_it_builds_a_wheel_with_libraries_and_program(unpacked: Path, tmp_path: Path, hardened: tuple[Path, list[str]]) -> None:
    # An archive from which a source file is missing; files that only their owner may read, as the umask was when it was unpacked; a
    # program that the build starts in a TMPDIR where it may not ("fork/exec ...: permission denied"); what users set for modules of
    # their own.
    for path in unpacked.rglob("*.py"):
        path.chmod(0o600)
    temporary, within = hardened
    workspace = tmp_path / "go.work"
    workspace.write_text("go 1.26.0\n")
    theirs = {"GOFLAGS": "-mod=vendor", "GOWORK": str(workspace), "CGO_ENABLED": "0"}
    done = build_wheel(unpacked, tmp_path, within, TMPDIR=str(temporary), **theirs)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    files = zipfile.ZipFile(wheel).infolist()
    assert {file.external_attr >> 16 & 0o777 for file in files if not file.filename.endswith("/RECORD")} == {0o755, 0o644}
    installed = tmp_path / "installed"
    shutil.unpack_archive(wheel, installed, "zip")
    script = """
from inlong_dataproxy import Client, __file__
from inlong_dataproxy.testing import MockCluster
with MockCluster() as cluster, Client(cluster.url, group_id="test_group") as client:
    client.send(b"hello", stream_id="s")
    print(__file__, cluster.payloads())
"""
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(installed)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout == f"{installed / 'inlong_dataproxy' / '__init__.py'} [b'hello']\n", ran.stderr
    assert (installed / "inlong_dataproxy" / "_lib" / "inlong-dataproxy").is_file()


@pytest.mark.parametrize("lacking", [("go",), ("cc", "make")])
def test_what_is_missing_for_the_build_is_named(unpacked: Path, tmp_path: Path, lacking: tuple[str, ...]) -> None:
    # A page of compiler output, for a tool that is not installed.
    for tool in {"go", "cc", "make"} - set(lacking):
        (tmp_path / tool).symlink_to(shutil.which(tool) or tool)
    package = tmp_path / "package"
    shutil.copytree(unpacked, package, ignore=shutil.ignore_patterns("build"))
    done = build_wheel(package, tmp_path, PATH=str(tmp_path), CC="cc -pipe")
    assert done.returncode != 0
    assert f"cannot be built here: {' and '.join(lacking)} not on the PATH" in done.stdout + done.stderr
    assert "INLONG_DATAPROXY_LIB_DIR" in done.stdout + done.stderr


def test_a_go_that_is_too_old_is_named(unpacked: Path, tmp_path: Path) -> None:
    # The Go of Debian 12 said that go.mod has errors, behind a word that the library works.
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho go version go1.19.8 linux/amd64\n")
    go.chmod(0o755)
    done = build_wheel(unpacked, tmp_path, PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert done.returncode != 0
    assert "go1.19.8 is too old" in done.stdout + done.stderr


def test_a_folder_without_the_libraries_is_named(tmp_path: Path) -> None:
    done = build_wheel(PACKAGE, tmp_path, INLONG_DATAPROXY_LIB_DIR=str(tmp_path))
    assert done.returncode != 0
    assert f"{FILE_NAME} and {CORE_FILE_NAME} not found in" in done.stdout + done.stderr
    assert "INLONG_DATAPROXY_LIB_DIR" in done.stdout + done.stderr


def test_the_package_alone_says_that_it_cannot_be_built(unpacked: Path, tmp_path: Path) -> None:
    package = tmp_path / "package"
    shutil.copytree(unpacked, package, ignore=shutil.ignore_patterns("native", "build"))
    done = build_wheel(package, tmp_path)
    assert done.returncode != 0
    assert "cannot be built here: this is neither a checkout of the repository nor its source archive" in done.stdout + done.stderr
