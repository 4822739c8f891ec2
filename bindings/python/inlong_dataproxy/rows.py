"""Rows of CSV and KV streams, which every reader of InLong reads back as the same fields.

    from inlong_dataproxy import Client, RowFormat

    rows = RowFormat("csv", escape="\\\\", columns=["name", "price"])
    with Client("http://manager:8083", group_id="my_group") as client:
        client.send(rows.row(["nuts|bolts", 2.5]), stream_id="my_stream")
        client.send_many(rows.rows([("wood", 1), {"name": "glue", "price": None}]), stream_id="my_stream")

core/docs/ROWS.md has the rules, and what readers make of rows.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Optional

from ._host.calls import interruptible
from ._native import handle, lowlevel as low
from ._native.auth import Signer
from ._rows.settings import Settings, check_types
from ._rows.sources import OnError, rows
from ._rows.writer import Writer
from .config import Config

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._native.option_types import Options

__all__ = ["RowFormat"]


class RowFormat:
    """How the rows of a stream are written. The settings must match the stream's. It never changes; any thread may use it.

    Args:
        type: "csv", values with separators between them, or "kv", pairs of key and value.
        separator: between two fields, one character.
        kv_separator: between key and value, of kv only; default "=".
        line_separator: where readers split a message into rows; None: nowhere. LF always counts as one.
        escape: one character; None, the default as in a stream: values with a special character are refused.
        encoding: "utf-8" or "gbk".
        columns: the names of the fields in their order. With them the number of fields is checked, mappings make rows of csv,
            and lists rows of kv.
        refuse_empty_first: refuse a row of csv whose first field is empty or None: a reader with deleteHeadDelimiter would shift
            all columns.
        control_escapes: write LF, CR and NUL in a value of csv as escape and n, r, 0. No reader of InLong undoes that; use it for
            loaders after InLong that do.

    Raises:
        ConfigError: settings that contradict each other; all faults are named.
    """

    __slots__ = ("_settings", "_writer")

    def __init__(
        self,
        type: str = "csv",  # noqa: A002 - the stream's word
        *,
        separator: str = "|",
        kv_separator: Optional[str] = None,
        line_separator: Optional[str] = None,
        escape: Optional[str] = None,
        encoding: str = "utf-8",
        columns: Optional[Sequence[str]] = None,
        refuse_empty_first: bool = False,
        control_escapes: bool = False,
    ) -> None:
        given: dict[str, object] = {name: value for name, value in locals().items() if name != "self"}
        check_types(given)
        self._settings = settings = Settings(
            type=type.lower(),
            separator=separator,
            kv_separator=kv_separator or ("=" if type.lower() == "kv" else ""),
            line_separator=line_separator or "",
            escape=escape or "",
            encoding=encoding.lower(),
            columns=None if columns is None else tuple(columns) or None,
            refuse_empty_first=refuse_empty_first,
            control_escapes=control_escapes,
        )
        settings.check()
        self._writer = Writer(settings)

    @classmethod
    def ask(cls, url: str = "", *, group_id: str, stream_id: str, **options: Unpack[Options]) -> RowFormat:
        """Ask the Manager for the format of a stream's rows. Blocks for manager_timeout (10 s) at most; Ctrl-C ends it.

        Args:
            url, group_id, options: as for Client; only those for the Manager are used.
            stream_id: the stream.

        Raises:
            ConfigError: the options are faulty; or the stream has no rows, or settings that readers take differently.
            SendError: the Manager could not be asked, or knows no such stream (code 10006).
        """
        if not isinstance(stream_id, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"stream_id must be str, not {type(stream_id).__name__}")
        return interruptible(_ask, cls, Config(url, group_id=group_id, **options), stream_id)

    def row(self, fields: object) -> bytes:
        """Return one row, a payload.

        Args:
            fields: a sequence or iterable of values in the order of the columns, or a mapping of names to values; a column that
                is missing there is null. A value is a str, bytes (a text in the stream's encoding), int, float, bool, None,
                datetime, date, time, Decimal, UUID, Enum or a scalar of numpy.

        Raises:
            RowError: names the field, and the reason why it cannot be written.
        """
        return self._writer.row(fields)

    def rows(self, source: object, *, on_error: Optional[OnError] = None) -> Iterator[bytes]:
        """Yield the rows of a source, for send_many.

        Args:
            source: an iterable of what row() takes, a DataFrame of pandas or polars, or an object with Arrow's __arrow_c_stream__,
                such as tables of pyarrow and duckdb. A table's names are its columns'; without columns in the settings its order is
                the row's. NaN is null to pandas.
            on_error: called with the RowError of a row that cannot be made; the row is left out. Without it the error is raised.

        Raises:
            TypeError: source is none of these.
        """
        return rows(self._writer, source, on_error)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RowFormat) and other._settings == self._settings

    def __hash__(self) -> int:
        return hash(self._settings)

    def __repr__(self) -> str:
        return repr(self._settings).replace("Settings(", "RowFormat(", 1)

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (self._settings,)


def _restore(settings: Settings) -> RowFormat:
    return RowFormat(**vars(settings))


def _ask(cls: type[RowFormat], config: Config, stream_id: str) -> RowFormat:
    signer = None if config.auth is None else Signer(config.auth)
    options = handle.native_options(config.texts, signer)
    found = low.RowFormatPointer()
    try:
        low.row_format_ask(options, stream_id.encode("utf-8", "surrogatepass"), ctypes.byref(found), None, 0)
    finally:
        low.options_free(options)
    try:
        settings = low.RowSettings(struct_size=ctypes.sizeof(low.RowSettings))
        low.row_format_settings(found, ctypes.byref(settings))
        return cls(
            "csv" if settings.type == low.ROW_CSV else "kv",
            separator=chr(settings.separator),
            kv_separator=_character(settings.kv_separator),
            line_separator=_character(settings.line_separator),
            escape=_character(settings.escape),
            encoding="utf-8" if settings.encoding == low.ROW_UTF8 else "gbk",
            columns=[settings.columns[i].decode() for i in range(settings.column_count)],
        )
    finally:
        low.row_format_free(found)


def _character(number: int) -> Optional[str]:
    return chr(number) if number else None
