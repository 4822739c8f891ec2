"""Credentials: of a callable, and of files that change under a running client."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import pickle
import signal
import threading
import time
import weakref
from pathlib import Path
from typing import Any, Callable

import pytest
from support import GROUP, STREAM, run_python, wait_until

from inlong_dataproxy import AsyncClient, Client, Config, ConfigError, RowFormat, SendError
from inlong_dataproxy.testing import MockCluster

OFTEN = 0.01  # seconds between two questions to the Manager


def demand(cluster: MockCluster, header: str, value: str) -> None:
    cluster.control({"op": "manager_demand", "header": header, "value": value})


def hear(cluster: MockCluster, client: Client) -> None:
    """Wait until the client knows a node that the Manager tells of only now: by a request that was not refused."""
    known = len(client.stats()["nodes"])
    cluster.add_node()
    wait_until(lambda: len(client.stats()["nodes"]) > known, "the Manager is heard", 20)


def bearer(group_id: str) -> str:
    return f"Bearer {group_id}"


def test_each_request_is_signed_by_what_the_callable_returns(cluster: MockCluster) -> None:
    # A token is good for an hour: the next question must bring the next one, also in another header.
    given: list[Any] = ["Bearer first"]
    threads: set[str] = set()

    def auth(group_id: str) -> Any:
        assert group_id == GROUP
        threads.add(threading.current_thread().name)
        return given[0]

    demand(cluster, "Authorization", "Bearer first")
    with Client(cluster.url, group_id=GROUP, update_interval=OFTEN, auth=auth) as client:
        demand(cluster, "X-Token", "second")
        given[0] = ("X-Token", "second")
        hear(cluster, client)
    assert threads == {"inlong-auth-call"}


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        (ValueError("the token server is down"), "auth: raised ValueError: the token server is down"),
        (KeyboardInterrupt(), "auth: raised KeyboardInterrupt"),
        (None, "TypeError: auth returned NoneType: it must be a str, or a tuple of two str"),
        (("X-Token", b"s3cret"), "TypeError: auth returned a tuple of 2: it must be"),
        (("a", "b", "s3cret"), "TypeError: auth returned a tuple of 3: it must be"),
        ("s3cret" * 3000, "ValueError: auth returned a header value of 18000 bytes: it must have 16382 at most"),
        ("s3cret\0", "ValueError: auth returned a header value of 7 bytes"),
        ("s3cret\ud800", "raised UnicodeEncodeError"),
        ("s3cret\n", "auth: the header value has a control character"),
        (("", "s3cret"), 'auth: the header name is ""'),
    ],
)
def test_what_goes_wrong_in_the_callable_fails_the_request_and_is_logged(
    cluster: MockCluster, caplog: pytest.LogCaptureFixture, returned: Any, text: str
) -> None:
    # It ended a thread of the package, or nobody read why.
    def auth(_group_id: str) -> Any:
        if isinstance(returned, BaseException):
            raise returned
        return returned

    with pytest.raises(SendError, match="auth: ") as caught:
        Client(cluster.url, group_id=GROUP, auth=auth)
    assert text in str(caught.value)
    assert caught.value.code == 10006
    if "raised" in text or "Error:" in text:
        logged = [record for record in caplog.records if record.getMessage().startswith("auth raised: ")]
        assert len(logged) == 1
        assert logged[0].exc_info
    for said in (str(caught.value), *(record.getMessage() for record in caplog.records)):
        assert "s3cret" not in said
    with Client(cluster.url, group_id=GROUP, auth=bearer) as client:  # the next one is asked all the same
        client.send(b"x", STREAM)


def test_a_callable_that_hangs_costs_only_its_request(cluster: MockCluster) -> None:
    # Neither messages nor the close may wait for a token server.
    hangs, inside = threading.Event(), threading.Event()
    release = threading.Event()

    def auth(_group_id: str) -> str:
        if hangs.is_set():
            inside.set()
            release.wait()
        return "x"

    try:
        client = Client(cluster.url, group_id=GROUP, update_interval=OFTEN, manager_timeout=0.1, auth=auth)
        hangs.set()
        assert inside.wait(10)
        for _ in range(20):
            client.send(b"x", STREAM)
        began = time.monotonic()
        assert client.close(timeout=5).acked == 20
        with pytest.raises(SendError, match="auth: "):
            Client(cluster.url, group_id=GROUP, manager_timeout=0.1, auth=auth)
        assert time.monotonic() - began < 5
    finally:
        release.set()


def test_the_callable_may_use_and_close_its_client(cluster: MockCluster) -> None:
    # It runs on a thread of Python: what waits for the library there waits for nothing of its own.
    made: list[Client] = []
    done: list[int] = []

    def auth(_group_id: str) -> str:
        if made and not done:
            done.append(0)
            made[0].send(b"x", STREAM)
            done.append(made[0].close(timeout=10).acked)
        return "x"

    made.append(Client(cluster.url, group_id=GROUP, update_interval=OFTEN, auth=auth))
    wait_until(lambda: done == [0, 1], "sent and closed", 20)


def test_a_closed_client_keeps_nothing_of_its_callable(cluster: MockCluster) -> None:
    class Signs:
        def __call__(self, _group_id: str) -> str:
            return "x"

    auth = Signs()
    gone = weakref.ref(auth)
    client = Client(cluster.url, group_id=GROUP, update_interval=OFTEN, auth=auth)
    hear(cluster, client)
    client.close()
    del client, auth

    def collected() -> bool:
        gc.collect()
        return gone() is None

    wait_until(collected, "the callable is gone")


def test_an_async_client_and_rows_ask_it_too(cluster: MockCluster) -> None:
    demand(cluster, "Authorization", f"Bearer {GROUP}")

    async def main() -> None:
        async with AsyncClient(cluster.url, group_id=GROUP, auth=bearer) as client:
            await client.send(b"x", STREAM)

    asyncio.run(main())
    cluster.control({"op": "set_stream", "group": GROUP, "stream": STREAM, "data": {"dataType": "CSV"}})
    assert RowFormat.ask(cluster.url, group_id=GROUP, stream_id=STREAM, auth=bearer).row([1, 2])
    with pytest.raises(SendError, match="403"):
        RowFormat.ask(cluster.url, group_id=GROUP, stream_id=STREAM)


def test_what_cannot_be_called_is_refused_at_once() -> None:
    async def later(_group_id: str) -> str:
        return "x"

    for auth in ("token", later):
        with pytest.raises(ConfigError, match="option auth: must be a plain function"):
            Config("http://127.0.0.1:1", group_id=GROUP, auth=auth)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match="basic_auth: cannot be given together with auth"):
        Client("http://127.0.0.1:1", group_id=GROUP, auth=bearer, basic_auth=("id", "key"))
    assert Client.__signature__.parameters["auth"].default is None  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess, reportUnknownMemberType]


def test_a_config_has_the_callable(cluster: MockCluster) -> None:
    config = Config(cluster.url, group_id=GROUP, auth=bearer)
    assert pickle.loads(pickle.dumps(config)) == config  # noqa: S301 - our own
    assert config != Config(cluster.url, group_id=GROUP)
    assert config == Config(cluster.url, group_id=GROUP, auth=bearer)
    assert repr(config).endswith(", auth=***)")
    demand(cluster, "Authorization", f"Bearer {GROUP}")
    with Client.from_config(config) as client:
        client.send(b"x", STREAM)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_asks_with_its_own_threads(cluster: MockCluster) -> None:
    # The thread that takes questions is the parent's: the child's first client waited for manager_timeout, and failed.
    demand(cluster, "Authorization", f"Bearer {GROUP}")
    with Client(cluster.url, group_id=GROUP, update_interval=OFTEN, auth=bearer):
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            with Client(cluster.url, group_id=GROUP, auth=bearer) as own:
                own.send(b"x", STREAM)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0


def test_a_callable_that_hangs_holds_up_no_exit(cluster: MockCluster) -> None:
    began = time.monotonic()
    run_python(
        """
import sys, threading
from inlong_dataproxy import Client
hangs = threading.Event()
def auth(group_id):
    if hangs.is_set():
        print("hangs", flush=True)
        threading.Event().wait()
    return "x"
client = Client(sys.argv[1], group_id="test_group", update_interval=0.01, auth=auth)
client.send(b"x", "s")
hangs.set()
import time; time.sleep(0.3)
""",
        cluster.url,
    )
    assert time.monotonic() - began < 30


# ---- files ----


def replaced(path: Path) -> Callable[[str], None]:
    """Return what writes the file as an orchestrator does: as a whole."""

    def write(text: str) -> None:
        new = path.with_suffix(".new")
        new.write_text(text)
        new.replace(path)

    return write


def test_a_secret_in_a_file_may_change(cluster: MockCluster, tmp_path: Path) -> None:
    # A secret that is changed every night ended the list of nodes, until somebody restarted the program.
    file = tmp_path / "secret"
    write = replaced(file)
    write("id:first\n")
    demand(cluster, "Authorization", "Basic aWQ6Zmlyc3Q=")
    with Client(cluster.url, group_id=GROUP, update_interval=OFTEN, basic_auth_file=file) as client:
        demand(cluster, "Authorization", "Basic aWQ6c2Vjb25k")
        write("id:second\n")
        hear(cluster, client)


def test_certificates_in_files_may_change(cluster: MockCluster, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    # A Manager whose certificate comes from another authority now, which wants another one of the client's, too.
    files = {name: tmp_path / f"{name}.pem" for name in ("ca", "cert", "key")}

    def renew() -> str:
        identity = cluster.control({"op": "manager_tls"})
        for name, file in files.items():
            replaced(file)(identity[name])
        return str(identity["url"])

    url = renew()
    caplog.set_level(logging.DEBUG)
    with Client(
        url,
        group_id=GROUP,
        update_interval=OFTEN,
        ca_file=files["ca"],
        client_cert_file=files["cert"],
        client_key_file=files["key"],
    ) as client:
        hear(cluster, client)
        renew()
        hear(cluster, client)
    assert "PRIVATE" not in caplog.text
