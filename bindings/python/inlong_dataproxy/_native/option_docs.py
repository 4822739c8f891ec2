"""Signature and docstring of the clients, from the library's table of options: what help() shows cannot be out of date."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from typing import Any, TypeVar

from . import option_types
from .handle import OptionInfo, option_table

OF_THE_SIGNATURE = ("url", "group_id")
"""Options that are written into the signatures in the source."""

AUTH = (
    "Signs the requests to the Manager: called with the group before each, on a thread of its own, it returns the value of the "
    "header Authorization, or a tuple of name and value of another header. What it raises is logged, and fails the request, which "
    "waits for it for manager_timeout at most. It excludes basic_auth and basic_auth_file."
)
"""Of the option auth, which is no text and so in no table of the library."""

_WIDTH = 120
_CONVERT: dict[str, Callable[[str], object]] = {"int": int, "bool": lambda text: text == "true"}

T = TypeVar("T")


class _Unset:
    def __repr__(self) -> str:
        return "<unset>"


def describe(option: OptionInfo) -> str:
    """Return what an option does, with its default and bounds, as a sentence."""
    facts: list[str] = []
    if option.default:
        facts.append(f"default {_convert(option) if option.kind == 'bool' else option.default}")
    if option.values:
        facts.append(option.values.replace("|", " or "))
    if option.min and option.max:
        facts.append(f"{option.min} to {option.max}")
    elif option.min:
        facts.append(f"{option.min} or more")
    elif option.max:
        facts.append(f"at most {option.max}")
    return f"{_capital(option.doc)}." + (f" {_capital('; '.join(facts))}." if facts else "")


def _capital(text: str) -> str:
    word = text.split(maxsplit=1)[0]
    return text[0].upper() + text[1:] if word.rstrip(":,").isalpha() and word.islower() else text


def _convert(option: OptionInfo) -> object:
    return _CONVERT.get(option.kind, str)(option.default)


def with_options(client: type[T]) -> type[T]:
    """Give a client class its whole signature, and a list of all options at the end of its docstring."""
    parameters = list(inspect.signature(client.__init__).parameters.values())[1:-1]
    lines: list[str] = []
    for option in option_table().values():
        if option.key in OF_THE_SIGNATURE:
            continue
        default = _convert(option) if option.default else _Unset()
        annotation: Any = option_types.Options.__annotations__.get(option.key, object)
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters.append(inspect.Parameter(option.key, kind, default=default, annotation=_named(annotation)))
        lines += _lines(option.key, describe(option))
    annotation = _named(option_types.Options.__annotations__.get("auth", object))
    parameters.append(inspect.Parameter("auth", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation))
    lines += _lines("auth", AUTH)
    client.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    client.__doc__ = f"{(client.__doc__ or '').rstrip()}\n\n    Options:\n" + "\n".join(lines) + "\n    "
    return client


def _lines(key: str, text: str) -> list[str]:
    indent = " " * 8
    return textwrap.wrap(f"{key}: {text}", _WIDTH, initial_indent=indent, subsequent_indent=indent + "    ")


def _named(annotation: Any) -> object:
    # From a module with postponed annotations they come as references, whose text is what a reader wants.
    return getattr(annotation, "__forward_arg__", annotation)
