"""Rows from fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Optional, cast

from inlong_dataproxy.errors import ConfigError, RowError

from .settings import Marks, Settings
from .values import Unwritable, to_text

_KEYS_KEPT = 1024


class Writer:
    """Writes rows by settings that were checked."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._marks = Marks(settings)
        self._marked = re.compile("[" + re.escape(self._marks.characters) + "]").search
        self._csv = settings.type == "csv"
        self._columns = settings.columns
        self._places = {name: place for place, name in enumerate(settings.columns or ())}
        self._keys: dict[str, str] = {}  # key to what stands in front of its value
        for number, name in enumerate(settings.columns or (), 1):
            if not self._csv:
                try:
                    self._key(name)
                except Unwritable as fault:
                    raise ConfigError(f"column {number} ({name!r}): {fault}") from None

    def row(self, fields: object) -> bytes:
        """Return the row of a mapping or of a list of values."""
        kind = type(fields).__name__
        if isinstance(fields, Mapping):
            mapping = cast("Mapping[str, object]", fields)
            return self.named(list(mapping), list(mapping.values()))
        if isinstance(fields, (str, bytes, bytearray, memoryview)) or not isinstance(fields, Iterable):
            raise RowError(f"a row is a list of values or a mapping, not {kind}")
        values = cast("Iterable[object]", fields)
        return self.placed(values if isinstance(values, Sequence) else list(values))

    def placed(self, values: Sequence[object]) -> bytes:
        """Return the row of values that are the columns in their order."""
        columns = self._columns
        if not self._csv and columns is None:
            raise RowError("fields without names: a row of KV needs them, or columns in the settings")
        if columns is not None and values and len(values) != len(columns):
            raise RowError(f"the row has {len(values)} fields and the stream {len(columns)} columns")
        return self._write(values, columns)

    def named(self, names: Sequence[str], values: Sequence[object]) -> bytes:
        """Return the row of values with these names."""
        if not names:
            raise RowError("the row is empty: no message has no bytes")
        if self._columns is None and self._csv:
            raise RowError("fields with names: the settings must have columns then, which say where each goes")
        return self.ordered(self.places(names), names, values)

    def places(self, names: Sequence[str]) -> Optional[list[int]]:
        """Return where each column finds its value among the names, -1 for nowhere; None where the fields stay in their order.

        Raises:
            RowError: a name is no column, is there twice, or is none.
        """
        for index, name in enumerate(names):
            if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise RowError(f"field {index + 1}: its name must be a str, not {type(name).__name__}", index)
            if self._columns is not None and name not in self._places:
                raise self._error(index, names, "the stream has no such column")
            if names.index(name) < index:
                raise self._error(index, names, "there is another one of that name")
        if self._columns is None or not self._csv:
            return None
        found = {name: index for index, name in enumerate(names)}
        return [found.get(name, -1) for name in self._columns]

    def ordered(self, places: Optional[Sequence[int]], names: Sequence[str], values: Sequence[object]) -> bytes:
        """Return the row of values that lie where places says."""
        if places is None:
            return self._write(values, names)
        return self._write([values[i] if i >= 0 else None for i in places], self._columns)

    def _write(self, values: Sequence[object], names: Optional[Sequence[str]]) -> bytes:
        texts: list[Optional[str]] = []
        encoding = self._settings.encoding
        try:
            for value in values:
                texts.append(value if type(value) is str else to_text(value, encoding))  # noqa: PERF401 - it counts
        except Unwritable as fault:
            raise self._error(len(texts), names, str(fault)) from None
        if self._marked("".join([text for text in texts if text])):
            texts = self._escaped(texts, names)
        row = self._joined(texts) if self._csv else self._paired(texts, names or ())
        if not row:
            raise RowError("the row is empty: no message has no bytes")
        try:
            return row.encode(encoding)
        except UnicodeEncodeError:
            raise self._unencodable(texts, names) from None

    def _joined(self, texts: list[Optional[str]]) -> str:
        if self._settings.refuse_empty_first and not (texts and texts[0]):
            raise self._error(
                0, self._columns, "the first field is empty: a reader with deleteHeadDelimiter would shift all columns"
            )
        if None not in texts:
            return self._settings.separator.join(texts)  # type: ignore[arg-type]
        last = len(texts)  # nulls at the end are left out, which readers know from empty texts
        while last and texts[last - 1] is None:
            last -= 1
        row = self._settings.separator.join([text or "" for text in texts[:last]])
        return row or self._settings.separator * (len(texts) - 1)

    def _paired(self, texts: list[Optional[str]], names: Sequence[str]) -> str:
        pairs: list[str] = []
        for index, text in enumerate(texts):
            if text is None:
                continue
            name = names[index]
            try:
                pairs.append((self._keys.get(name) or self._key(name)) + text)
            except Unwritable as fault:
                raise self._error(index, names, str(fault)) from None
        return self._settings.separator.join(pairs)

    def _key(self, name: str) -> str:
        if not name:
            raise Unwritable("its key is empty")
        try:
            key = self._escape(name) + self._settings.kv_separator
            key.encode(self._settings.encoding)
        except Unwritable as fault:
            raise Unwritable(f"its key: {fault}") from None
        except UnicodeEncodeError:
            raise Unwritable(f"its key: has a character that {self._settings.encoding.upper()} does not have") from None
        if len(self._keys) >= _KEYS_KEPT:
            self._keys.clear()
        self._keys[name] = key
        return key

    def _escaped(self, texts: list[Optional[str]], names: Optional[Sequence[str]]) -> list[Optional[str]]:
        escaped: list[Optional[str]] = []
        for index, text in enumerate(texts):
            try:
                escaped.append(text and self._escape(text))
            except Unwritable as fault:
                raise self._error(index, names, str(fault)) from None
        return escaped

    def _escape(self, text: str) -> str:
        for char, refusal in self._marks.refused.items():
            if char in text:
                raise Unwritable(refusal)
        return text.translate(self._marks.instead)

    def _unencodable(self, texts: list[Optional[str]], names: Optional[Sequence[str]]) -> RowError:
        encoding = self._settings.encoding
        for index, text in enumerate(texts):
            try:
                (text or "").encode(encoding)
            except UnicodeEncodeError as fault:
                char = fault.object[fault.start]
                return self._error(index, names, f"has a character that {encoding.upper()} does not have: {char!a}")
        return RowError(f"the row has a character that {encoding.upper()} does not have")

    @staticmethod
    def _error(index: int, names: Optional[Sequence[str]], reason: str) -> RowError:
        name = (names[index] if names else "") or None
        where = f"field {index + 1}" + (f" ({name!r})" if name else "")
        return RowError(f"{where}: {reason}", index, name)
