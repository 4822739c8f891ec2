from __future__ import annotations

import ctypes
import json
import math
import pickle
import random
import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, Optional

import pytest
from support import CHECKOUT, GROUP, STREAM

from inlong_dataproxy import Client, ConfigError, RowError, RowFormat, SendError
from inlong_dataproxy._native import library, lowlevel as low
from inlong_dataproxy.testing import MockCluster

TABLE = json.loads((CHECKOUT / "core" / "row" / "testdata" / "table.json").read_text("utf-8"))


class _Field(ctypes.Structure):
    """inlong_field."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("name_len", ctypes.c_size_t),
        ("kind", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
        ("data", ctypes.c_char_p),
        ("data_len", ctypes.c_size_t),
        ("value", ctypes.c_uint64),
    )


class Native:
    """The same rows by the C library."""

    def __init__(self, settings: dict[str, Any]) -> None:
        front = library.load()[0]
        self._new, self._write, self._free = (
            front["inlong_row_format_new"],
            front["inlong_row_write"],
            front["inlong_row_format_free"],
        )
        self._free.argtypes = (ctypes.c_void_p,)
        self._write.restype = ctypes.c_int64
        self._write.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t)
        columns = [name.encode() for name in settings.get("columns") or ()]
        s = low.RowSettings(
            struct_size=ctypes.sizeof(low.RowSettings),
            type=low.ROW_KV if settings["type"] == "kv" else low.ROW_CSV,
            encoding=low.ROW_GBK if settings.get("encoding") == "gbk" else low.ROW_UTF8,
            flags=bool(settings.get("refuse_empty_first")) + 2 * bool(settings.get("control_escapes")),
            columns=(ctypes.c_char_p * len(columns))(*columns),
            column_count=len(columns),
        )
        for name in ("separator", "kv_separator", "line_separator", "escape"):
            setattr(s, name, ord(settings.get(name) or "\0"))
        self._format = ctypes.c_void_p()
        assert self._new(ctypes.byref(s), ctypes.byref(self._format), None, 0) == 0, low.last_error()

    def row(self, names: Optional[list[str]], values: list[object], encoding: str) -> Optional[bytes]:
        """Return the row, None when it is refused."""
        fields = (_Field * len(values))()
        for i, value in enumerate(values):
            if names is not None:
                fields[i].name, fields[i].name_len = names[i].encode(), len(names[i].encode())
            if isinstance(value, str):
                text = value.encode(encoding)
                fields[i].kind, fields[i].data, fields[i].data_len = 2, text, len(text)
            elif isinstance(value, bool):
                fields[i].kind, fields[i].value = 6, value
            elif isinstance(value, int):
                fields[i].kind, fields[i].value = 3, value & (1 << 64) - 1
            elif isinstance(value, float):
                fields[i].kind, fields[i].value = 5, int.from_bytes(bytes(ctypes.c_double(value)), "little")
        to = ctypes.create_string_buffer(4096)
        length = self._write(self._format, fields, len(values), to, len(to))
        return None if length < 0 else to.raw[:length]

    def __del__(self) -> None:
        self._free(self._format)


def settings_of(line: dict[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {"type": "csv", "separator": "|", "escape": "\\"}
    if line.get("kv"):
        settings.update(type="kv", separator="&")
    for key in ("separator", "line_separator", "escape", "columns", "control_escapes", "refuse_empty_first"):
        if key in line:
            settings[key] = line[key]
    return settings


def made(rows: RowFormat, names: Optional[list[str]], values: list[object]) -> bytes:
    if names is None:
        return rows.row(values)
    return rows._writer.named(names, values)  # pyright: ignore[reportPrivateUsage] - a mapping has no key twice


@pytest.mark.parametrize("line", TABLE, ids=lambda line: repr(line.get("row", line.get("refused"))))
def test_rows_are_those_of_the_table(line: dict[str, Any]) -> None:
    # A row that differs from the rules' by a byte is read differently by somebody.
    rows = RowFormat(**settings_of(line))
    if "refused" in line:
        with pytest.raises(RowError) as caught:
            made(rows, line.get("names"), line["fields"])
        assert line["refused"].replace('"', "'") in str(caught.value).replace('"', "'")
        return
    assert made(rows, line.get("names"), line["fields"]) == line["row"].encode()


def random_settings(rng: random.Random) -> dict[str, Any]:
    alphabet = list("|&=\\,;\t1né日\r")
    if rng.random() < 0.4:
        alphabet = list("|&=\\,;\t1n\r")
    rng.shuffle(alphabet)
    settings: dict[str, Any] = {"type": "csv", "separator": alphabet[0], "escape": alphabet[1]}
    if rng.random() < 0.5:
        settings.update(type="kv", kv_separator=alphabet[2])
    if rng.random() < 0.25:
        settings["escape"] = None
    if rng.random() < 0.3:
        settings["line_separator"] = rng.choice([alphabet[3], "\n"])
    if all(char is None or char.isascii() for key, char in settings.items() if key != "type") and rng.random() < 0.5:
        settings["encoding"] = "gbk"
    if settings["type"] == "csv":
        settings["refuse_empty_first"] = rng.random() < 0.1
        escapable = settings["escape"] is not None and not {"\r", "n"} & set(settings.values())
        settings["control_escapes"] = escapable and rng.random() < 0.2
    return settings


def random_value(rng: random.Random, settings: dict[str, Any]) -> object:
    choice = rng.randrange(12)
    if choice == 0:
        return None
    if choice == 1:
        return rng.getrandbits(63) >> rng.randrange(63)
    if choice == 2:
        return rng.choice(
            [rng.gauss(0, 1), 10 ** rng.uniform(-12, 25), float(rng.randrange(10**6)), 1e-6, 1e21, math.inf, 0.0, -0.0]
        )
    if choice == 3:
        return rng.random() < 0.5
    marks = "".join(settings.get(key) or "" for key in ("separator", "kv_separator", "line_separator", "escape")) + "\nab\r\"'n0"
    wide = "日本" if settings.get("encoding") == "gbk" else "é日😀"
    return "".join(rng.choice(marks + wide) for _ in range(rng.randrange(6)))


def test_rows_are_those_of_the_library() -> None:
    # Python has rules of its own, since a call of the library for each row would cost more than the row.
    rng = random.Random(7)  # noqa: S311
    refused = 0
    for _ in range(5_000):
        settings = random_settings(rng)
        names: Optional[list[str]] = None
        count = rng.randrange(1, 5)
        if settings["type"] == "kv" or rng.random() < 0.3:
            settings["columns"] = [f"c{i}" for i in range(count)]
        if settings["type"] == "kv" or ("columns" in settings and rng.random() < 0.5):
            names = rng.sample(settings["columns"], rng.randrange(1, count + 1))
        values = [random_value(rng, settings) for _ in range(len(names) if names is not None else count)]
        try:
            native = Native(settings)
        except AssertionError:  # a column that cannot be a key
            with pytest.raises(ConfigError):
                RowFormat(**settings)
            continue
        encoding = settings.get("encoding", "utf-8")
        want = native.row(names, values, encoding)
        try:
            got: Optional[bytes] = made(RowFormat(**settings), names, values)
        except RowError:
            got = None
            refused += 1
        assert got == want, (settings, names, values)
    assert refused < 2_500


class _Size(IntEnum):
    SMALL = 1


class _Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 999999), "2026-01-02 03:04:05"),  # noqa: DTZ001
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=8))), "0001-01-01 00:00:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (time(3, 4, 5, 6), "03:04:05"),
        (Decimal("1.50"), "1.50"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (_Size.SMALL, "1"),
        (_Colour.RED, "red"),
        (True, "true"),
        (10**30, "1" + "0" * 30),
        (1e7, "10000000"),
        (1e-5, "0.00001"),
        (math.nan, "NaN"),
        (-math.inf, "-Infinity"),
        (b"bytes", "bytes"),
        (bytearray("é", "utf-8"), "é"),
        (memoryview(b"view"), "view"),
    ],
)
def test_values_are_written_as_readers_take_them(value: object, text: str) -> None:
    # A number in Python's own words, such as 1e-05 or nan, is null to a reader of decimals.
    assert RowFormat().row([value]) == text.encode()
    assert RowFormat().row(iter([value])) == text.encode()


class Huge(IntEnum):
    A = 10**5000


def test_what_has_no_text_names_its_field() -> None:
    # An object's repr in a column of numbers is found by nobody until the report is wrong.
    rows = RowFormat(escape="\\", columns=["a", "b"])
    values: list[tuple[object, str]] = [
        ({}, "dict"),
        ([1], "list"),
        (object(), "object"),
        (b"\xff", "UTF-8"),
        ("\ud800", "does not have"),
        (1j, "complex"),
        (10**5000, "is an integer of more digits than Python writes"),
        (Huge.A, "is an integer of more digits"),
    ]
    for value, reason in values:
        with pytest.raises(RowError, match=r"field 2 \('b'\)") as caught:
            rows.row(["x", value])
        assert reason in str(caught.value)
        assert (caught.value.index, caught.value.name) == (1, "b")
    for row in ("text", b"bytes", 5, None):
        with pytest.raises(RowError, match="a row is a list"):
            rows.row(row)
    with pytest.raises(RowError, match="GBK does not have"):
        RowFormat(encoding="gbk").row(["😀"])
    with pytest.raises(RowError, match="its name must be a str"):
        rows.row({1: 2})
    assert RowFormat(encoding="gbk", escape="\\").row(["誠|"]) == "誠\\|".encode("gbk")
    error = RowError("why", 1, "b", 7)
    error.seen = True  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue] - as notes, it was lost
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (str(copy), copy.index, copy.name, copy.row) == ("row 8: why", 1, "b", 7)
    assert vars(copy) == vars(error)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"type": "json"}, "must be"),
        ({"encoding": "latin-1"}, "utf-8"),
        ({"separator": "\n"}, "LF"),
        ({"separator": "ab"}, "one character"),
        ({"separator": "😀"}, "one character"),
        ({"separator": "\0"}, "NUL"),
        ({"escape": "|"}, "something else"),
        ({"kv_separator": "="}, "CSV has none"),
        ({"separator": "é", "encoding": "gbk"}, "ASCII"),
        ({"columns": ["a", "a"]}, "another one"),
        ({"columns": ["a", ""]}, "no name"),
        ({"type": "kv", "columns": ["a=b"]}, "kv separator"),
        ({"control_escapes": True}, "escape character"),
        ({"separator": "n", "escape": "\\", "control_escapes": True}, "separator 'n': must not be CR, n, r or 0"),
        ({"escape": "0", "control_escapes": True}, "escape '0': must not be CR, n, r or 0"),
        ({"type": "kv", "refuse_empty_first": True}, "first field"),
        ({"separator": ""}, "separator '': must be one character"),  # fields ran together
        ({"separator": 5, "escape": b"-"}, "separator 5: must be a str, not int; escape b'-': must be a str, not bytes"),
        ({"type": 5}, "type 5: must be a str, not int"),
        ({"encoding": None}, "encoding None: must be a str, not NoneType"),
        ({"columns": "ab"}, "columns 'ab': must be a list of names, not str"),
        ({"columns": 5}, "columns 5: must be a list of names, not int"),
        ({"refuse_empty_first": "no"}, "refuse_empty_first 'no': must be True or False, not str"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], fault: str) -> None:
    # Settings that contradict each other make rows that nobody reads back.
    with pytest.raises(ConfigError, match=fault):
        RowFormat(**settings)


def test_columns_may_be_any_list_of_names() -> None:
    # The truth of an Index of pandas is an error of its own.
    class Index(list[str]):
        def __bool__(self) -> bool:
            raise ValueError("The truth value is ambiguous")

    assert RowFormat(columns=Index(["a", "b"])) == RowFormat(columns=("a", "b"))
    assert RowFormat(columns=[]) == RowFormat()
    wrong: Any = 5
    with pytest.raises(TypeError, match="stream_id must be str, not int"):
        RowFormat.ask("http://127.0.0.1:1", group_id=GROUP, stream_id=wrong)


def test_a_bad_row_of_many_is_named_and_left_out() -> None:
    # One bad row of a million must not keep the rest, and not be missed.
    rows = RowFormat(columns=["a", "b"])
    source = [("x", 1), {"b": 2}, ("x|y", 3), ("only",), {"c": 1}, [None, None]]
    with pytest.raises(RowError, match=r"row 3: field 1 \('a'\): holds the separator"):
        list(rows.rows(source))
    faults: list[RowError] = []
    assert list(rows.rows(iter(source), on_error=faults.append)) == [b"x|1", b"|2", b"|"]
    assert [fault.row for fault in faults] == [2, 3, 4]
    for wrong in ("text", b"text", {"a": 1}, 5):
        with pytest.raises(TypeError, match="rows are an iterable"):
            list(rows.rows(wrong))


def test_format_is_a_value() -> None:
    # It is handed to worker processes.
    rows = RowFormat("KV", separator="&", escape="\\", columns=["a"])
    assert pickle.loads(pickle.dumps(rows)) == rows  # noqa: S301
    assert hash(rows) == hash(RowFormat("kv", separator="&", escape="\\", columns=("a",)))
    assert repr(rows).startswith("RowFormat(type='kv', separator='&'")


def test_settings_come_from_the_manager(cluster: MockCluster, client: Client) -> None:
    # Rows that are written by other settings than the stream's are read as other fields.
    fields = [{"fieldName": "name"}, {"fieldName": "n"}]
    data = {"dataType": "KV", "dataSeparator": "38", "dataEscapeChar": "\\", "lineSeparator": "10", "fieldList": fields}
    cluster.control({"op": "set_stream", "group": GROUP, "stream": STREAM, "data": data})
    rows = RowFormat.ask(cluster.url, group_id=GROUP, stream_id=STREAM)
    assert rows == RowFormat("kv", separator="&", escape="\\", line_separator="\n", columns=["name", "n"])
    report = client.send_many(rows.rows([("a&b", 1), {"n": 2}]), stream_id=STREAM)
    assert report.acked == 2
    assert cluster.payloads() == [b"name=a\\&b&n=1", b"n=2"]
    cluster.control({"op": "set_stream", "group": GROUP, "stream": STREAM, "data": {"dataType": "JSON"}})
    with pytest.raises(ConfigError, match="JSON"):
        RowFormat.ask(cluster.url, group_id=GROUP, stream_id=STREAM)
    cluster.manager_fault("failure", text="no such stream")
    with pytest.raises(SendError, match="no such stream"):
        RowFormat.ask(cluster.url, group_id=GROUP, stream_id=STREAM)
