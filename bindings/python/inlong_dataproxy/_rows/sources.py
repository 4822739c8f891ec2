"""Where rows come from: lists, mappings, dataframes, what speaks Arrow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Callable, Optional, cast

from inlong_dataproxy.errors import RowError

from . import arrow
from .writer import Writer

OnError = Callable[[RowError], object]
_Row = Callable[[], bytes]


def rows(writer: Writer, source: Any, on_error: Optional[OnError]) -> Iterator[bytes]:
    """Yield the rows of a source. One that cannot be made is handed to on_error and left out, or raised."""
    for number, make in enumerate(_makers(writer, source)):
        try:
            yield make()
        except RowError as error:
            error.row = number
            if on_error is None:
                raise
            on_error(error)


def _makers(writer: Writer, source: Any) -> Iterator[_Row]:
    if isinstance(source, (str, bytes, bytearray, memoryview, Mapping)):
        raise TypeError(
            f"rows are an iterable of lists or mappings, or a dataframe, not a single {type(cast('object', source)).__name__}"
        )
    if hasattr(source, "itertuples") and hasattr(source, "columns"):  # pandas: its Arrow would take pyarrow
        values = (_without_nan(row) for row in source.itertuples(index=False, name=None))
        yield from _table(writer, [str(name) for name in source.columns], values)
    elif hasattr(source, "iter_rows") and hasattr(source, "columns"):  # polars
        yield from _table(writer, list(source.columns), source.iter_rows())
    elif hasattr(source, "__arrow_c_stream__"):
        for names, columns in arrow.batches(source):
            yield from _table(writer, names, zip(*columns))
    elif isinstance(source, Iterable):
        for fields in cast("Iterable[object]", source):
            yield lambda fields=fields: writer.row(fields)  # type: ignore[misc]
    else:
        raise TypeError(f"rows are an iterable of lists or mappings, or a dataframe, not {type(source).__name__}")


def _table(writer: Writer, names: list[str], values: Iterable[Sequence[object]]) -> Iterator[_Row]:
    order = writer.places(names)
    for row in values:
        yield lambda row=row: writer.ordered(order, names, row)  # type: ignore[misc]


def _without_nan(row: Sequence[Any]) -> list[object]:
    """Put None in place of NaN, which is null to pandas."""
    return [None if type(value) is float and value != value else value for value in row]
