"""The wheel, as someone has it who has no Go, no compiler and no headers: on every Python of this machine."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import zipfile
from pathlib import Path

import pytest
import pythons
from support import PACKAGE, building

from inlong_dataproxy._version import CORE_FILE_NAME, FILE_NAME

LIMIT_SECONDS = 60

FIVE_LINES = """
import sys
from inlong_dataproxy import Client
with Client(sys.argv[1], group_id="test_group") as client:
    print(client.send(b"hello", stream_id="s").attempts)
"""

EVERYTHING = """
import asyncio, gc, logging, pickle, sys, threading, warnings
import inlong_dataproxy
from inlong_dataproxy import AsyncClient, Client, Config, InlongHandler, options, runtime
from inlong_dataproxy.testing import MockCluster

warnings.simplefilter("error")
assert inlong_dataproxy.__file__.startswith(sys.argv[1]), inlong_dataproxy.__file__
assert len(options()) > 30
cluster = MockCluster()
config = pickle.loads(pickle.dumps(Config(cluster.url, group_id="test_group", send_timeout=20)))
sent = []

with Client.from_config(config) as client:
    for payload in (b"bytes", bytearray(b"a" * 5000), memoryview(b"b" * 5000), "text"):
        client.send(payload, "s", attributes={"a": "b"}, event_time=1e9)
        sent.append(payload.encode() if isinstance(payload, str) else bytes(payload))
    called = []
    def send(n):
        for i in range(2000):
            client.send_async(b"%d %d" % (n, i), "s", callback=lambda *result: called.append(result))
    threads = [threading.Thread(target=send, args=(n,)) for n in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    client.flush()
    assert len(called) == 8000 and all(error is None for _, error in called)
    sent += [b"%d %d" % (n, i) for n in range(4) for i in range(2000)]
    report = client.send_many((b"line %d" % n for n in range(5000)), "s")
    assert (report.acked, report.failed) == (5000, 0)
    sent += [b"line %d" % n for n in range(5000)]
    assert client.stats()["failed"] == 0 and "data_proxy_msg_count" in client.metrics()
    handler = InlongHandler(client, "s")
    logging.getLogger("x").addHandler(handler)
    logging.getLogger("x").warning("logged")
    handler.close()
    sent.append(b"logged")

async def main():
    async with AsyncClient.from_config(config) as client:
        await asyncio.gather(*(client.send(b"async %d" % n, "s") for n in range(500)))
        assert (await client.send_many([b"many"] * 500, "s")).acked == 500
asyncio.run(main())
sent += [b"async %d" % n for n in range(500)] + [b"many"] * 500
gc.collect()
assert sorted(cluster.payloads()) == sorted(sent)
cluster.close()

try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
inside = interpreters.create()
interpreters.run_string(inside, '''
try:
    import inlong_dataproxy
except ImportError as error:
    print(error, flush=True)
''')
interpreters.destroy(inside)
if hasattr(sys, "_is_gil_enabled"):
    print("GIL", sys._is_gil_enabled())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = "from setuptools import build_meta; import sys; build_meta.build_wheel(sys.argv[1])"
    libraries = PACKAGE.parent.parent / "build" / "lib"
    built = f"lib.{sysconfig.get_platform()}-{sys.implementation.cache_tag}"
    modules = libraries.parent / "python" / "setuptools" / built / "inlong_dataproxy"
    with building():
        modules.mkdir(parents=True, exist_ok=True)
        (modules / "of_an_older_commit.py").touch()
        subprocess.run(
            [sys.executable, "-c", command, str(folder)],
            check=True,
            env={**os.environ, "INLONG_DATAPROXY_LIB_DIR": str(libraries)},
            cwd=PACKAGE,
            capture_output=True,
        )
    (wheel,) = folder.glob("*.whl")
    return wheel


def test_it_holds_libraries_program_types_licences_and_bill_and_nothing_else(wheel: Path) -> None:
    # A wheel tagged for one version of Python, without the libraries, or with the tests.
    assert re.fullmatch(r"inlong_dataproxy-[\d.]+-py3-none-manylinux_2_\d+_x86_64\.whl", wheel.name)
    names = zipfile.ZipFile(wheel).namelist()
    for name in (
        f"_lib/{FILE_NAME}",
        f"_lib/{CORE_FILE_NAME}",
        "_lib/inlong-dataproxy",
        "py.typed",
        "client.py",
    ):
        assert f"inlong_dataproxy/{name}" in names
    tops = {name.split("/")[0] for name in names}
    info = next(top for top in tops if top.endswith(".dist-info"))
    assert tops == {
        "inlong_dataproxy",
        "inlong_dataproxy_pyinstaller",
        "inlong_dataproxy_pytest.py",
        "inlong_dataproxy_cli.py",
        info,
    }
    for name in ("licenses/LICENSE", "licenses/THIRD_PARTY_LICENSES.txt", "sboms/inlong-dataproxy.cdx.json"):
        assert f"{info}/{name}" in names
    leftovers = [path.name for path in PACKAGE.iterdir() if path.name in ("build", "dist") or path.suffix == ".egg-info"]
    assert leftovers == []


def test_it_holds_nothing_that_an_older_commit_left_in_the_build(wheel: Path) -> None:
    # A module that was taken away stayed in every wheel of a checkout that had built it once.
    assert "inlong_dataproxy/of_an_older_commit.py" not in zipfile.ZipFile(wheel).namelist()


def test_its_bill_has_the_sums_of_its_files(wheel: Path) -> None:
    # They were those of the files before their symbols were taken out.
    with zipfile.ZipFile(wheel) as archive:
        (bill,) = (name for name in archive.namelist() if name.endswith("/sboms/inlong-dataproxy.cdx.json"))
        parts = json.loads(archive.read(bill))["metadata"]["component"]["components"]
        told = {part["name"]: part["hashes"][0]["content"] for part in parts}
        found = {name: hashlib.sha256(archive.read(f"inlong_dataproxy/_lib/{name}")).hexdigest() for name in told}
    assert set(told) == {CORE_FILE_NAME, "inlong-dataproxy"}
    assert told == found


def test_its_tag_is_the_one_that_the_libraries_need(wheel: Path) -> None:
    # pip would install it where it cannot be loaded, or refuse it where it can.
    tag = wheel.stem.split("none-")[1]
    shown = subprocess.run([sys.executable, "-m", "auditwheel", "show", str(wheel)], check=True, capture_output=True, text=True)
    assert f'is consistent with the following platform tag: "{tag}"' in " ".join(shown.stdout.split())


@pytest.mark.timeout(300)
def test_a_program_frozen_by_pyinstaller_has_its_libraries(wheel: Path, tmp_path: Path) -> None:
    # No import leads to them: the frozen program said that the package should be installed again.
    pytest.importorskip("PyInstaller", reason="PyInstaller is not installed")
    try:
        ctypes.CDLL(sysconfig.get_config_var("INSTSONAME"))
    except OSError:  # Debian has it in a package of its own
        pytest.skip("PyInstaller needs the shared library of Python, which is not there: libpython3-dev")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    program = tmp_path / "app.py"
    program.write_text(
        "from inlong_dataproxy.testing import MockCluster\nwith MockCluster(1) as cluster:\n    print(cluster.url)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    command = [sys.executable, "-m", "PyInstaller", "--onedir", "--log-level", "ERROR", str(program)]
    subprocess.run(command, check=True, cwd=tmp_path, env=environment, timeout=200)
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    frozen = [str(tmp_path / "dist" / "app" / "app")]
    done = subprocess.run(frozen, check=True, cwd=tmp_path, env=environment, timeout=60, capture_output=True, text=True)
    assert done.stdout.startswith("http://127.0.0.1:")


def test_this_python_is_among_those_that_are_tried(summary: list[str]) -> None:
    # A search that finds nothing tries nothing, and all is green.
    found = pythons.find()
    assert sys.version_info[:2] in [python.version[:2] for python in found]
    names = [f"3.{minor}" for minor in range(9, 15)]
    missing = [name for name in names if not any(python.name.startswith(name + ".") for python in found)]
    if not any(python.free_threaded for python in found):
        missing.append("a free-threaded build")
    if missing:
        summary.append(f"skip wheel: not on this machine: {', '.join(missing)}")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("python", pythons.find(), ids=lambda python: python.name)
def test_a_first_message_from_a_clean_environment(wheel: Path, tmp_path: Path, python: pythons.Python, summary: list[str]) -> None:
    # A package that finds its libraries only in the checkout, or works on one version of Python.
    folder = tmp_path / "venv"
    environment = {"HOME": str(tmp_path), "PATH": str(folder / "bin"), "LANG": "C.UTF-8"}
    for tool in ("go", "gcc", "cc", "clang", "make"):
        assert shutil.which(tool, path=environment["PATH"]) is None

    def run(*command: str) -> str:
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    run(python.path, "-I", "-m", "venv", str(folder))
    inside = str(folder / "bin" / "python")
    began = time.monotonic()
    run(inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", str(wheel))
    mock = subprocess.Popen(
        [str(folder / "bin" / "inlong-dataproxy"), "mock", "--until-eof"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with mock:
        assert mock.stdin is not None
        assert mock.stdout is not None
        url = mock.stdout.readline().strip()
        assert run(inside, "-c", FIVE_LINES, url) == "1\n"
        seconds = time.monotonic() - began
        mock.stdin.close()
    assert seconds < LIMIT_SECONDS
    printed = run(inside, "-X", "faulthandler", "-c", EVERYTHING, str(folder))
    # A free-threaded interpreter takes its lock back when a package asks for it.
    gil = "" if python.version < (3, 13) else f"GIL {not python.free_threaded}\n"
    refused = "inlong_dataproxy cannot be imported in a sub-interpreter: use it in the main interpreter of a process\n"
    assert printed == refused + gil
    summary.append(f"wheel on CPython {python.name}: first message after {seconds:.1f} s, limit {LIMIT_SECONDS} s")
