"""Write inlong_dataproxy/_native/option_types.py, the options for type checkers and editors, from the library's table of options.

Run: make python-options, after a change of an option in the core. A test fails as long as the file is another than this writes.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

from inlong_dataproxy import OptionInfo, options
from inlong_dataproxy._native.option_docs import AUTH, OF_THE_SIGNATURE, describe

FILE = Path(__file__).resolve().parent / "inlong_dataproxy" / "_native" / "option_types.py"
HEAD = '''"""The keyword arguments of Client, for type checkers and editors. Made by generate_options.py: do not edit."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Literal, Optional, TypedDict, Union

from .auth import Auth

Duration = Union[float, timedelta, str]
"""Seconds, a timedelta, or a text with its unit such as "20ms"."""
Size = Union[int, str]
"""Bytes, or a text that ends in K, M or G (KiB, MiB, GiB)."""
FilePath = Union[str, "os.PathLike[str]"]


class Options(TypedDict, total=False):
    """The keyword arguments of Client beside url and group_id."""
'''
KINDS = {"duration": "Duration", "size": "Size", "int": "int", "bool": "bool", "string": "str", "map": "Mapping[str, str]"}
SPECIAL = {
    "static_nodes": "Union[str, Sequence[str]]",
    "basic_auth": "Union[str, tuple[str, str]]",
    "node_cache": "FilePath",
    "ca_file": "FilePath",
    "basic_auth_file": "FilePath",
    "client_cert_file": "FilePath",
    "client_key_file": "FilePath",
    "socks_auth": "Union[str, tuple[str, str]]",
    "spool_dir": "FilePath",
}
WIDTH = 132


def type_of(option: OptionInfo) -> str:
    """Return the type of an option's values."""
    if option.kind == "enum":
        return f"Literal[{', '.join(repr(value).replace(chr(39), chr(34)) for value in option.values.split('|'))}]"
    return SPECIAL.get(option.key) or KINDS[option.kind]


def module() -> str:
    """Return the text of the module."""
    text = HEAD
    for option in options():
        if option.key not in OF_THE_SIGNATURE:
            text += entry(option.key, type_of(option), describe(option))
    return text + entry("auth", "Optional[Auth]", AUTH)


def entry(key: str, kind: str, text: str) -> str:
    """Return one option's annotation and docstring."""
    lines = textwrap.wrap(text.replace("\\", "\\\\"), WIDTH - 10)
    end = '"' if len(lines) == 1 else '\n    "'
    return f'\n    {key}: {kind}\n    """{(chr(10) + "    ").join(lines)}{end}""\n'


def main() -> int:
    """Write the file."""
    FILE.write_text(module(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
