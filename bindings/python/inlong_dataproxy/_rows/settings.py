"""The settings of rows, checked. The rules are those of core/row; both are tested with its table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Optional

from inlong_dataproxy.errors import ConfigError

_BEYOND = 0xFFFF
_SURROGATES = range(0xD800, 0xE000)
_REPLACEMENT = 0xFFFD


def check_types(settings: Mapping[str, object]) -> None:
    """Raise ConfigError for those of the wrong type, with all of them. None stands for the default."""
    faults: list[str] = []
    for name, value in settings.items():
        if name == "columns":
            good, want = isinstance(value, Iterable) and not isinstance(value, (str, bytes)), "a list of names"
        elif name in ("refuse_empty_first", "control_escapes"):
            good, want = isinstance(value, bool), "True or False"
        else:
            good, want = isinstance(value, str), "a str"
        if not good and (value is not None or name in ("type", "separator", "encoding")):
            kind = type(value).__name__  # pyright: ignore[reportUnknownArgumentType]
            faults.append(f"{name} {value!r}: must be {want}, not {kind}")
    if faults:
        raise ConfigError("; ".join(faults))


@dataclass(frozen=True)
class Settings:
    """As RowFormat documents them; "" is none."""

    type: str
    separator: str
    kv_separator: str
    line_separator: str
    escape: str
    encoding: str
    columns: Optional[tuple[str, ...]]
    refuse_empty_first: bool
    control_escapes: bool

    def check(self) -> None:
        """Raise ConfigError, with all that is wrong."""
        faults = [*self._kind_faults(), *self._character_faults(), *self._column_faults()]
        if faults:
            raise ConfigError("; ".join(faults))

    def _kind_faults(self) -> list[str]:
        faults: list[str] = []
        if self.type not in ("csv", "kv"):
            faults.append(f'type {self.type!r}: must be "csv" or "kv"')
        if self.encoding not in ("utf-8", "gbk"):
            faults.append(f'encoding {self.encoding!r}: must be "utf-8" or "gbk"')
        if self.type == "csv" and self.kv_separator:
            faults.append(f"kv_separator {self.kv_separator!r}: CSV has none")
        if self.control_escapes and (self.type != "csv" or not self.escape):
            faults.append("control_escapes needs CSV and an escape character")
        if self.refuse_empty_first and self.type != "csv":
            faults.append("refuse_empty_first: only rows of CSV have a first field")
        return faults

    def _character_faults(self) -> list[str]:
        faults: list[str] = []
        used: set[str] = set()
        for name in ("separator", "kv_separator", "line_separator", "escape"):
            char: str = getattr(self, name)
            if not char and name != "separator":
                continue
            if len(char) != 1 or char == "\0" or ord(char) > _BEYOND or ord(char) in _SURROGATES or ord(char) == _REPLACEMENT:
                faults.append(f"{name} {char!r}: must be one character up to U+FFFF, and not NUL")
            elif char == "\n" and name != "line_separator":
                faults.append(f"{name}: must not be LF, at which readers split rows")
            elif self.encoding == "gbk" and not char.isascii():
                faults.append(f"{name} {char!r}: must be ASCII with GBK")
            elif char in "\rnr0" and self.control_escapes:  # escaped it would be what a control character is written as
                faults.append(f"{name} {char!r}: must not be CR, n, r or 0 with control escapes")
            elif char in used:
                faults.append(f"{name} {char!r}: is used for something else already")
            used.add(char)
        return faults

    def _column_faults(self) -> list[str]:
        faults: list[str] = []
        seen: set[str] = set()
        for number, name in enumerate(self.columns or (), 1):
            if not isinstance(name, str) or not name:  # pyright: ignore[reportUnnecessaryIsInstance]
                faults.append(f"column {number}: has no name")
            elif name in seen:
                faults.append(f"column {number} ({name!r}): there is another one of that name")
            seen.add(name)
        return faults


class Marks:
    """The characters that cannot stand in a value as they are: what to write instead, or why they are refused."""

    def __init__(self, s: Settings) -> None:
        self.instead: dict[int, str] = {}
        self.refused: dict[str, str] = {}
        self._add(s, s.separator, "the separator")
        if s.type == "kv":
            self._add(s, s.kv_separator, "the kv separator")
        if s.escape:
            self._add(s, s.escape, "the escape character")
        self._add(s, "\n", "a newline")
        if s.line_separator not in ("", "\n"):
            self._add(s, s.line_separator, "the line separator")
        if s.control_escapes:
            self.instead.update({10: s.escape + "n", 13: s.escape + "r", 0: s.escape + "0"})

    def _add(self, s: Settings, char: str, what: str) -> None:
        if s.type == "kv" and char in ("\n", s.line_separator):
            self.refused[char] = f"holds {what}, which readers of KV take for the end of a row, also when it is escaped"
        elif s.escape:
            self.instead[ord(char)] = s.escape + char
        else:
            self.refused[char] = f"holds {what}, which takes an escape character, and the stream has none"

    @property
    def characters(self) -> str:
        """All of them."""
        return "".join(map(chr, self.instead)) + "".join(self.refused)
