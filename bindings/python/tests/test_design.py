"""The walls of the package, as DESIGN.md draws them."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

from support import PACKAGE

ROOT = PACKAGE / "inlong_dataproxy"
LAYERS: tuple[set[str], ...] = ({"_host"}, {"_native", "_rows"}, {"_results"}, {"_sending"}, {"_threads", "_asyncio"})
LEAVES = {"inlong_dataproxy.errors", "inlong_dataproxy._version"}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def imports() -> dict[str, set[str]]:
    """Return what each module imports of the package: at its top, in functions, and for type checkers."""
    modules = {name_of(path): path for path in ROOT.rglob("*.py")}
    found: dict[str, set[str]] = {}
    for module, path in modules.items():
        found[module] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom):
                continue
            parts = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
            base = (
                ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [node.module])]) if node.level else node.module or ""
            )
            for alias in node.names:
                target = f"{base}.{alias.name}"
                found[module] |= {target if target in modules else base} & modules.keys()
    return found


def test_modules_import_each_other_one_way() -> None:
    # Circles, also those that only type checkers see, made no module readable by itself.
    found = {module: targets - {module} for module, targets in imports().items()}
    order = list(TopologicalSorter(found).static_order())  # raises CycleError
    assert order.index("inlong_dataproxy.client") > order.index("inlong_dataproxy._threads.line")


def test_folders_import_only_those_below() -> None:
    below: set[str] = set()
    allowed: dict[str, set[str]] = {}
    for layer in LAYERS:
        for folder in layer:
            allowed[folder] = below | {folder}
        below = below | layer
    for module, targets in imports().items():
        parts = module.split(".")
        if len(parts) > 2 or (len(parts) == 2 and parts[1] in allowed):
            for target in targets - LEAVES - {"inlong_dataproxy"}:
                assert target.split(".")[1] in allowed[parts[1]], f"{module} imports {target}"


def test_asyncio_is_imported_only_for_those_who_use_it() -> None:
    # Half of the time of the import was that of asyncio.
    program = """
import sys
import inlong_dataproxy
assert "asyncio" not in sys.modules
assert inlong_dataproxy.Options.__annotations__["send_timeout"]
assert "asyncio" not in sys.modules
from inlong_dataproxy import AsyncClient
assert inlong_dataproxy.AsyncClient is AsyncClient
try:
    inlong_dataproxy.nothing
except AttributeError as error:
    assert str(error) == "module 'inlong_dataproxy' has no attribute 'nothing'"
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", program], check=True)
