from __future__ import annotations

import math
from datetime import date, datetime, time, timezone
from decimal import Decimal
from typing import Any

import pytest
from support import GROUP, STREAM

from inlong_dataproxy import Client, RowError, RowFormat
from inlong_dataproxy.testing import MockCluster

ROWS = RowFormat(escape="\\")


class Arrow:
    """A source of which nothing is known but that it speaks Arrow's C stream interface."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


def test_dataframe_of_pandas_is_read_without_pyarrow() -> None:
    # NaN, NaT and NA are pandas' words for null: as texts they are wrong in every reader.
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "text": ["a|b", None, "c"],
            "float": [1.5, math.nan, 3.0],
            "int": pandas.array([1, None, 3], dtype="Int64"),
            "time": pandas.to_datetime(["2026-01-02 03:04:05", None, "2026-01-02 00:00:00"]),
            "last": [True, False, True],
        }
    )
    assert list(ROWS.rows(frame)) == [
        b"a\\|b|1.5|1|2026-01-02 03:04:05|true",
        b"||||false",
        b"c|3|3|2026-01-02 00:00:00|true",
    ]
    by_name = RowFormat(escape="\\", columns=["last", "int", "more", "text", "float", "time"])
    assert list(by_name.rows(frame[["text", "int"]]))[2] == b"|3||c"
    with pytest.raises(RowError, match=r"'float'.*no such column"):
        list(RowFormat(columns=["text"]).rows(frame))


def test_a_dataframe_is_sent_as_rows(cluster: MockCluster) -> None:
    # One bad row of a frame must not stop the others, nor be sent.
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"name": ["glue", "nuts|bolts", "wood"], "price": [2.5, 1.0, math.nan], "note": ["", "x", "brown"]})
    bad: list[RowError] = []
    with Client(cluster.url, group_id=GROUP) as client:
        report = client.send_many(RowFormat().rows(frame, on_error=bad.append), stream_id=STREAM)
    assert (report.acked, report.failed) == (2, 0)
    assert sorted(cluster.payloads()) == [b"glue|2.5|", b"wood||brown"]
    assert [str(error) for error in bad] == [
        "row 2: field 1 ('name'): holds the separator, which takes an escape character, and the stream has none"
    ]


def test_scalars_of_numpy_are_numbers() -> None:
    # Lists are often made of arrays.
    numpy = pytest.importorskip("numpy")
    values = [numpy.int8(-1), numpy.uint64(2**64 - 1), numpy.float32(0.5), numpy.float64(1e7), numpy.bool_(True), numpy.str_("x"),
              numpy.datetime64("2026-01-02T03:04:05.6789", "ns"), numpy.datetime64("NaT", "ns")]  # fmt: skip
    assert ROWS.row([*values, "end"]) == b"-1|18446744073709551615|0.5|10000000|true|x|2026-01-02 03:04:05||end"
    with pytest.raises(RowError, match="ndarray"):
        ROWS.row([numpy.array([1])])


def test_dataframe_of_polars() -> None:
    # Its own rows, and by Arrow, where its texts are views.
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(
        {
            "text": ["a|b", None, "a text of more than twelve bytes: é"],
            "float": [1.5, None, 3.0],
            "day": [date(2026, 1, 2), None, date(1969, 12, 31)],
            "word": polars.Series(["x", None, "y"], dtype=polars.Categorical),
            "flag": [True, None, False],
        }
    )
    want = [b"a\\|b|1.5|2026-01-02|x|true", b"||||", "a text of more than twelve bytes: é|3|1969-12-31|y|false".encode()]
    assert list(ROWS.rows(frame)) == want
    assert list(ROWS.rows(Arrow(frame))) == want
    assert list(RowFormat("kv", separator="&", escape="\\").rows(frame[2:, ["flag", "float"]])) == [b"flag=false&float=3"]


def test_every_type_of_arrow_that_has_a_text() -> None:
    # Slices, nulls, chunks and offsets: a mistake in the layout of memory reads garbage, or ends the process.
    pa = pytest.importorskip("pyarrow")
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901)  # noqa: DTZ001
    columns = {
        "i8": (pa.int8(), [-1, None, 127]),
        "u64": (pa.uint64(), [2**64 - 1, None, 0]),
        "f32": (pa.float32(), [0.1, None, 16777216.0]),
        "f64": (pa.float64(), [0.1, None, math.inf]),
        "bool": (pa.bool_(), [True, None, False]),
        "utf8": (pa.string(), ["é", None, ""]),
        "large": (pa.large_string(), ["x" * 40, None, "y"]),
        "view": (pa.string_view(), ["short", None, "longer than twelve bytes"]),
        "binary": (pa.binary(), [b"b", None, b""]),
        "d32": (pa.date32(), [date(1969, 12, 31), None, date(2026, 1, 2)]),
        "d64": (pa.date64(), [date(1969, 12, 31), None, date(2026, 1, 2)]),
        "ts_s": (pa.timestamp("s"), [datetime(1901, 1, 2, 3, 4, 5), None, datetime(2026, 1, 2)]),  # noqa: DTZ001
        "ts_us": (pa.timestamp("us"), [moment, None, moment]),
        "ts_zone": (pa.timestamp("ns", "+05:30"), [moment.replace(tzinfo=timezone.utc), None, moment.replace(tzinfo=timezone.utc)]),
        "t32": (pa.time32("ms"), [time(3, 4, 5), None, time(0)]),
        "t64": (pa.time64("ns"), [time(23, 59, 59, 999999), None, time(0)]),
        "dec": (pa.decimal128(20, 2), [Decimal("-1.50"), None, Decimal("0.01")]),
        "null": (pa.null(), [None, None, None]),
        "words": (pa.dictionary(pa.int8(), pa.string()), ["w", None, "w"]),
        "end": (pa.string(), ["e", "e", "e"]),
    }
    one = pa.table({name: pa.array(values, kind) for name, (kind, values) in columns.items()})
    table = pa.concat_tables([one.slice(1), one.slice(2, 0), one])
    first = (
        "-1|18446744073709551615|0.1|0.1|true|é|" + "x" * 40 + "|short|b|1969-12-31|1969-12-31|1901-01-02 03:04:05|"
        "2026-01-02 03:04:05|2026-01-02 08:34:05|03:04:05|23:59:59|-1.50||w|e"
    )
    last = (
        "127|0|16777216|Infinity|false||y|longer than twelve bytes||2026-01-02|2026-01-02|2026-01-02 00:00:00|"
        "2026-01-02 03:04:05|2026-01-02 08:34:05|00:00:00|00:00:00|0.01||w|e"
    )
    want = [first.encode(), b"|" * 19 + b"e", last.encode()]
    assert list(ROWS.rows(table)) == [want[1], want[2], *want]
    assert list(ROWS.rows(Arrow(table))) == [want[1], want[2], *want]
    long = pa.table({"n": pa.array(range(1000)), "flag": pa.array([i % 3 == 0 for i in range(1000)])}).slice(13, 900)
    assert list(ROWS.rows(long)) == [b"%d|%s" % (i, b"true" if i % 3 == 0 else b"false") for i in range(13, 913)]


def test_arrow_that_is_no_table_or_has_no_text_is_refused() -> None:
    # A list in a column has no text that a reader would understand.
    pa = pytest.importorskip("pyarrow")
    with pytest.raises(RowError, match=r"column 'a'.*no text"):
        list(ROWS.rows(pa.table({"a": [[1, 2]]})))
    with pytest.raises(RowError, match="no table"):
        list(ROWS.rows(pa.chunked_array([[1, 2]])))
    broken = pa.RecordBatchReader.from_batches(pa.schema([("a", pa.int8())]), (1 / 0 for _ in range(1)))
    with pytest.raises(RowError, match="cannot be read"):
        list(ROWS.rows(broken))
