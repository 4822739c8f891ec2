from __future__ import annotations

import inspect
import math
import pickle
from datetime import timedelta
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest
from support import GROUP, STREAM

from inlong_dataproxy import AsyncClient, Client, Config, ConfigError, options
from inlong_dataproxy._native.option_types import Options
from inlong_dataproxy._native.options import duration_seconds, size_bytes, to_text
from inlong_dataproxy.testing import MockCluster


def make(url: Any = "http://127.0.0.1:1", group_id: Any = GROUP, **more: Any) -> Client:
    """Make a client whose arguments no type checker has seen."""
    return Client(url, group_id=group_id, **more)


def test_the_generated_types_are_those_of_the_library() -> None:
    # An option added to the table that editors and type checkers call unknown, or whose text changed.
    generate_options = pytest.importorskip("generate_options", reason="a wheel has no generator")
    assert generate_options.FILE.read_text() == generate_options.module(), "run: make python-options"
    assert {*(info.key for info in options()), "auth"} == {*Options.__annotations__, "url", "group_id"}


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_signature_and_docstring_show_every_option(client: type) -> None:
    # **options tells a reader of help() nothing.
    parameters = inspect.signature(client).parameters
    assert list(parameters)[:2] == ["url", "group_id"]
    assert set(parameters) == {*(info.key for info in options()), "auth"}
    assert (parameters["max_retries"].default, parameters["ordered"].default, parameters["send_timeout"].default) == (
        2,
        False,
        "30s",
    )
    for info in options():
        assert f"        {info.key}: " in (client.__doc__ or "") or info.key in ("url", "group_id")
    assert "8M; 1K to 1G." in (client.__doc__ or "")


def test_a_config_is_pickled_where_a_client_cannot_be(cluster: MockCluster) -> None:
    # What a program hands to its workers.
    config = Config(cluster.url, group_id=GROUP, send_timeout=timedelta(seconds=5), basic_auth=("id", "sesame"))
    copy = pickle.loads(pickle.dumps(config))  # noqa: S301 - our own
    assert copy == config
    assert hash(copy) == hash(config)
    assert copy != Config(cluster.url, group_id=GROUP)
    assert (copy.texts["send_timeout"], copy.texts["group_id"]) == ("5.0s", GROUP)
    with Client.from_config(copy) as client:
        client.send(b"x", STREAM)
        assert client.config == config
        with pytest.raises(TypeError, match="a client cannot be pickled: it owns connections; pickle its config"):
            pickle.dumps(client)
    with pytest.raises(TypeError, match="a client cannot be pickled: it owns connections; pickle its config"):
        pickle.dumps(AsyncClient.from_config(copy))
    assert "sesame" not in repr(config)
    nodes = ["127.0.0.1:1"]
    first = Config(static_nodes=nodes, group_id=GROUP)
    nodes.append("127.0.0.1:2")  # by anyone who continues with the list
    assert AsyncClient.from_config(first).config == first
    with pytest.raises(ConfigError, match="worker_num"):
        Config(worker_nun=1)  # type: ignore[call-arg]


class Seconds(float):
    """As float64 of numpy is, of which the package took the repr for a number."""

    def __repr__(self) -> str:
        return f"Seconds({float(self)})"


class Level(IntEnum):
    FIVE = 5


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("duration", 5, "5s"),
        ("duration", 0.02, "0.02s"),
        ("duration", 1e-05, "0.00001s"),  # an exponent would not be read
        ("duration", timedelta(minutes=5), "300.0s"),
        ("duration", Seconds(0.5), "0.5s"),
        ("duration", Level.FIVE, "5s"),
        ("int", Level.FIVE, "5"),
        ("duration", "20ms", "20ms"),
        ("int", 7, "7"),
        ("size", 4096, "4096"),
        ("size", "40K", "40K"),
        ("bool", True, "true"),
        ("bool", False, "false"),
        ("string", "text", "text"),
        ("string", Path("/tmp/ca.pem"), "/tmp/ca.pem"),  # noqa: S108 - only a name
        ("list", ["a:1", "b:2"], "a:1,b:2"),
        ("map", {"a": "1", "b": "2"}, "a=1&b=2"),
        ("enum", "none", "none"),
    ],
)
def test_values_become_the_texts_of_the_library(kind: str, value: object, text: str) -> None:
    assert to_text("key", kind, value) == text


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("duration", None),
        ("duration", True),
        ("duration", math.nan),
        ("duration", math.inf),
        ("int", 1.5),
        ("int", True),
        ("int", "7"),
        ("size", 1.5),
        ("bool", 1),
        ("bool", "yes"),
        ("string", b"bytes"),
        ("string", None),
        ("list", ["a,b"]),
        ("list", [1]),
        ("map", {"a": "1&b=2"}),  # would be a second pair
        ("map", {"a": 1}),
        ("string", "a\0b"),
    ],
)
def test_a_value_of_a_wrong_type_names_the_option(kind: str, value: object) -> None:
    with pytest.raises(ConfigError, match="option some_key"):
        to_text("some_key", kind, value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("1m30s", 90), ("20ms", 0.02), ("1.5h", 5400), ("250us", 0.00025), ("250\u03bcs", 0.00025)],
)
def test_durations_are_read_as_the_library_writes_them(text: str, seconds: float) -> None:
    assert duration_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"url": ""}, "option url: URL is not given"),
        ({"group_id": ""}, "option group_id: group ID is not given"),
        ({"url": None}, "option url = None: must be a str, not NoneType"),
        ({"group_id": 5}, "option group_id = 5: must be a str, not int"),
        ({"group_id": "a b c d"}, "group_id"),
        ({"url": "ftp://x"}, "option url"),
        ({"url": "http://"}, "option url"),
        ({"worker_nun": 3}, 'option "worker_nun": unknown.*worker_num'),
        ({"completely_else": 3}, 'option "completely_else": unknown$'),
        ({"worker_num": 0}, "worker_num"),
        ({"worker_num": "three"}, "option worker_num = 'three': must be an int, not str"),
        ({"send_timeout": -1}, "send_timeout"),
        ({"send_timeout": "5sec"}, 'option send_timeout = "5sec": must be a duration'),  # was a KeyError
        ({"send_timeout": "1.2.3s"}, 'option send_timeout = "1.2.3s": must be a duration'),  # was of float(), and named no option
        ({"batching_max_size": "40X"}, "batching_max_size"),
        ({"compression": "gzip"}, "compression"),
        ({"static_nodes": ["no-port"]}, "static_nodes"),
        ({"add_columns": {"groupId": "x"}}, "add_columns"),
        ({"add_columns": {"a": "b&c"}}, """option add_columns: the value 'b&c' contains "&", which ends a value on the wire"""),
        ({"add_columns": {"a=b": "c"}}, """option add_columns: the name 'a=b' contains "=", which ends a name on the wire"""),
        ({"add_columns": {"a": 1}}, "option add_columns: the value 1 must be a str, not int"),
        ({"add_columns": {2: "b"}}, "option add_columns: the name 2 must be a str, not int"),
        ({"add_columns": 3}, "option add_columns = 3: must be a mapping of str to str, not int"),
        ({"static_nodes": ["a:1", None]}, "option static_nodes: the item None must be a str, not NoneType"),
        ({"static_nodes": ["a:1,b:2"]}, """option static_nodes: the item 'a:1,b:2' contains ",", which separates items"""),
        ({"ca_file": "/nowhere/ca.pem"}, "ca_file"),
    ],
)
def test_a_bad_option_is_a_config_error_that_names_it(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(**arguments)


def test_all_faults_are_reported_at_once() -> None:
    # One restart for each mistake.
    with pytest.raises(ConfigError) as caught:
        make(worker_num=0, send_timeout=0, max_retries=-1)
    assert all(key in str(caught.value) for key in ("worker_num", "send_timeout", "max_retries"))
    with pytest.raises(ConfigError) as caught:
        make(worker_num=None, sent_timeout=1, ordered="x")
    assert all(key in str(caught.value) for key in ("worker_num", "send_timeout", "ordered"))


def test_a_secret_is_in_no_error_text() -> None:
    for key in ("basic_auth", "socks_auth"):
        for value in (("id", "sesame", "x"), 5, "sesame"):
            with pytest.raises(ConfigError) as caught:
                make(socks="h:1", **{key: value}) if key == "socks_auth" else make(**{key: value})
            assert "sesame" not in str(caught.value)
            assert key in str(caught.value)
    assert "sesame" not in repr(Config(group_id=GROUP, basic_auth="id:sesame", socks="h:1", socks_auth=("user", "sesame")))


def test_options_reach_the_core(cluster: MockCluster) -> None:
    # A keyword that is accepted and dropped on the way.
    with Client(
        cluster.url,
        group_id=GROUP,
        worker_num=2,
        send_timeout=timedelta(seconds=5),
        batching_max_publish_delay=0.001,
        add_columns={"__addcol1__worldid": "7"},
        compression="none",
    ) as client:
        client.send(b"x", STREAM)
        assert len(client.stats()["lanes"]) == 2
    assert cluster.messages()[0].attributes["__addcol1__worldid"] == "7"


def test_a_size_with_a_small_letter_bounds_what_waits_here_too() -> None:
    # The library takes "64m"; in Python one byte was allowed to wait then.
    assert [size_bytes(text) for text in ("64m", "64M", "3k", "1G")] == [64 << 20, 64 << 20, 3072, 1 << 30]


def test_static_nodes_need_no_manager(cluster: MockCluster) -> None:
    addresses = [node["addr"] for node in cluster.stats()["nodes"]]
    with Client(group_id=GROUP, static_nodes=addresses) as client:
        client.send(b"x", STREAM)
    assert cluster.stats()["manager_calls"] == 0


def test_the_full_url_of_the_node_list_is_taken_too(cluster: MockCluster) -> None:
    with Client(cluster.url + "/inlong/manager/openapi/dataproxy/getIpList", group_id=GROUP) as client:
        client.send(b"x", STREAM)
    assert cluster.payloads() == [b"x"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:pass@host:8083", "http://user:***@host:8083"),
        ("http://user:p@ss@host:8083/x@y:z", "http://user:***@host:8083/x@y:z"),
        ("http://host:8083", "http://host:8083"),
    ],
)
def test_repr_shows_no_password_of_a_url(url: str, shown: str) -> None:
    # It stands in logs and tracebacks; error texts of the library masked it.
    assert f"url={shown!r}" in repr(Config(url, group_id=GROUP))
