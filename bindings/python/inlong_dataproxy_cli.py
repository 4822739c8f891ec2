"""Starts the command-line program, a binary that the wheel holds. Not in the package, whose import would load the library."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

PROGRAM = "inlong-dataproxy"


def main() -> NoReturn:
    """Become the program, with the arguments of this process."""
    spec = find_spec("inlong_dataproxy")
    folders = (spec.submodule_search_locations if spec else None) or []
    for folder in folders:
        program = Path(folder) / "_lib" / PROGRAM
        if program.is_file():
            os.execv(program, [PROGRAM, *sys.argv[1:]])  # noqa: S606 - no shell is wanted
    sys.exit(f"{PROGRAM}: this installation has no command-line program: build it with `make build` before installing")
