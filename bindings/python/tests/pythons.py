"""The Pythons of this machine that the wheel is made for."""

from __future__ import annotations

import glob
import json
import os
import subprocess
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

OLDEST = (3, 9)
PLACES = (  # beside the PATH: where pyenv, uv, the manylinux images and people put them
    "~/.pyenv/versions/*/bin/python3",
    "~/.local/share/uv/python/*/bin/python3",
    "/opt/python/*/bin/python3",
    "/usr/local/bin/python3*",
)
WHAT_IT_IS = """
import ensurepip, json, platform, sys, sysconfig, venv
free = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
print(json.dumps([platform.python_implementation(), list(sys.version_info[:3]), free, sys.executable]))
"""


@dataclass(frozen=True)
class Python:
    version: tuple[int, ...]
    free_threaded: bool
    path: str

    @property
    def name(self) -> str:
        return ".".join(map(str, self.version)) + ("t" if self.free_threaded else "")


def find() -> list[Python]:
    """Return one Python of each minor version, oldest first, the newest where there are several."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    patterns = [*PLACES, *(f"{glob.escape(folder)}/python3*" for folder in folders)]
    files = sorted(set(chain.from_iterable(glob.glob(os.path.expanduser(pattern)) for pattern in patterns)))  # noqa: PTH111, PTH207
    best: dict[tuple[tuple[int, ...], bool], Python] = {}
    for python in filter(None, map(_ask, filter(_is_python, files))):
        key = (python.version[:2], python.free_threaded)
        if python.version >= OLDEST and (key not in best or python.version > best[key].version):
            best[key] = python
    return [best[key] for key in sorted(best)]


def _is_python(path: str) -> bool:
    return Path(path).name.removeprefix("python3").replace(".", "").removesuffix("t").isdigit() or Path(path).name == "python3"


def _ask(path: str) -> Python | None:
    try:
        done = subprocess.run([path, "-I", "-c", WHAT_IT_IS], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None  # a stand-in for a version that is not installed, or one that can make no environments
    implementation, version, free_threaded, executable = json.loads(done.stdout)
    return Python(tuple(version), free_threaded, executable) if implementation == "CPython" else None
