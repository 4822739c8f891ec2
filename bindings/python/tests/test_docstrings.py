"""Every sample of a docstring runs: one that does not teaches a mistake."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from support import PACKAGE, run_python

import inlong_dataproxy
from inlong_dataproxy.testing import MockCluster


def modules() -> list[ModuleType]:
    names = [info.name for info in pkgutil.iter_modules(inlong_dataproxy.__path__, "inlong_dataproxy.")]
    return [inlong_dataproxy, *map(importlib.import_module, [*names, "inlong_dataproxy_pytest"])]


def documented(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Give the name and docstring of a module and of what is defined in it."""
    yield module.__name__, module.__doc__ or ""
    for name, thing in vars(module).items():
        if getattr(thing, "__module__", None) == module.__name__ and (inspect.isclass(thing) or inspect.isfunction(thing)):
            yield f"{module.__name__}.{name}", thing.__doc__ or ""
            for part, member in vars(thing).items() if inspect.isclass(thing) else ():
                if inspect.isfunction(member):
                    yield f"{module.__name__}.{name}.{part}", member.__doc__ or ""


def samples() -> dict[str, str]:
    """Return the indented parts of docstrings that begin with an import, by whose docstring it is."""
    found: dict[str, str] = {}
    for name, doc in (pair for module in modules() for pair in documented(module)):
        for part in re.split(r"\n(?=\S)", inspect.cleandoc(doc)):
            if begin := re.search(r"(?m)^ +(from|import) ", part):
                found[name] = textwrap.dedent(part[begin.start() :])
    return found


def test_the_samples_are_found() -> None:
    # A search that finds none runs none.
    assert set(samples()) == {
        "inlong_dataproxy",
        "inlong_dataproxy.config.Config",
        "inlong_dataproxy.opentelemetry",
        "inlong_dataproxy.prometheus",
        "inlong_dataproxy.rows",
        "inlong_dataproxy.runtime",
        "inlong_dataproxy.testing",
        "inlong_dataproxy_pytest",
    }


@pytest.mark.parametrize("name", samples())
def test_the_sample_runs(cluster: MockCluster, tmp_path: Path, name: str) -> None:
    code = samples()[name].replace("http://manager:8083", cluster.url)
    if "def test_" not in code:
        run_python("import warnings\nwarnings.simplefilter('error')\n" + code)
        return
    (tmp_path / "test_it.py").write_text(code)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "inlong_dataproxy_pytest", "-p", "no:cacheprovider", "test_it.py"]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(PACKAGE)}, capture_output=True, text=True, timeout=60, check=False
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
