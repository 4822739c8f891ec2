from __future__ import annotations

import logging
import logging.config
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support import GROUP, STREAM, run_python, wait_until

from inlong_dataproxy import Client, InlongHandler, logs
from inlong_dataproxy.testing import MockCluster

FULL: dict[str, Any] = {"worker_num": 1, "max_pending_messages": 10}


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = logging.Logger("a program")  # noqa: LOG001 - pytest does not find it, whose handler raises what a formatter raises
    yield logger
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


def test_records_arrive_and_close_flushes_them(cluster: MockCluster, client: Client, logger: logging.Logger) -> None:
    handler = InlongHandler(client, STREAM, level=logging.INFO, group_id="log_group", attributes={"k": "v"})
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger.addHandler(handler)
    logger.debug("below the level")
    logger.warning("number %d", 5)
    handler.close()
    (message,) = cluster.messages()
    assert (message.payload, message.group_id, message.attributes["k"]) == (b"WARNING number 5", "log_group", "v")
    assert (handler.dropped, handler.failed) == (0, 0)
    assert not client.closed


def test_what_finds_no_room_is_dropped_and_counted_without_waiting(cluster: MockCluster, logger: logging.Logger) -> None:
    for node in range(3):
        cluster.fault(node, "silence", standing=True)
    client = Client(cluster.url, group_id=GROUP, **FULL)
    handler = InlongHandler(client, STREAM, own_client=True)
    logger.addHandler(handler)

    def a_record_is_dropped() -> bool:
        logger.warning("x")
        return handler.dropped > 0

    wait_until(a_record_is_dropped, "a record is dropped")
    handler.close(0.1)
    assert client.closed
    wait_until(lambda: handler.failed > 0, "what was pending is counted")
    dropped = handler.dropped
    logger.warning("after the close")
    assert handler.dropped == dropped + 1


def test_a_client_that_waits_for_room_is_refused(cluster: MockCluster) -> None:
    with (
        Client(cluster.url, group_id=GROUP, block_if_queue_is_full=True) as client,
        pytest.raises(ValueError, match="block_if_queue_is_full"),
    ):
        InlongHandler(client, STREAM)


def test_faults_of_a_record_do_not_reach_the_program(
    client: Client, logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = InlongHandler(client, "no good stream")
    logger.addHandler(handler)
    logger.warning("x")
    assert "InvalidMessageError" in capsys.readouterr().err  # nobody would notice otherwise
    logger.warning("two %d", "x")
    assert "TypeError" in capsys.readouterr().err
    logger.warning("")
    assert capsys.readouterr().err == ""
    assert handler.dropped == 2


def test_logging_in_a_forked_child_does_not_wait_for_a_lock_of_the_parent(cluster: MockCluster) -> None:
    # A thread that is counting when another one forks never gives the lock back in the child.
    script = """
import logging, os, signal, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from inlong_dataproxy import Client, InlongHandler
handler = InlongHandler(Client(sys.argv[1], group_id="test_group"), "s", own_client=True)
logging.getLogger().addHandler(handler)
with handler._counting:
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        logging.error("")  # dropped: it is empty
        logging.error("child")
        handler.close()
        os._exit(0 if handler.dropped == 1 else 1)
assert os.waitpid(child, 0)[1] == 0
"""
    run_python(script, cluster.url)
    assert cluster.payloads() == [b"child"]


def test_lost_records_are_told_by_the_packages_logger(cluster: MockCluster, caplog: pytest.LogCaptureFixture) -> None:
    # 974 records of a server were lost, and no line said so: the counters were the only trace.
    def told() -> list[str]:
        return [record.getMessage() for record in caplog.records if "log records" in record.getMessage()]

    cluster.manager_fault("http_status", code=503)
    handler = InlongHandler(stream_id=STREAM, url=cluster.url, group_id=GROUP, send_timeout=0.05)
    emit = logging.LogRecord("program", logging.INFO, "", 0, "x", None, None)
    handler.handle(emit)
    wait_until(lambda: handler.failed == 1, "the record failed")
    handler.handle(emit)
    assert len(told()) == 1
    assert told()[0].startswith(f"1 log records for the stream {STREAM} are lost, the last one: ")
    wait_until(lambda: handler.failed == 2, "the next one failed, too")
    handler.handle(emit)
    assert len(told()) == 1  # within 10 s
    assert handler.client.stats()["failed"] >= 2
    handler.close()
    handler.close()
    assert len(told()) == 2
    assert told()[1].startswith("2 log records ")


def test_the_packages_own_records_are_not_sent(cluster: MockCluster, client: Client) -> None:
    # A failed send that is logged, sent, fails, is logged.
    own = logging.getLogger("inlong_dataproxy")
    handler = InlongHandler(client, STREAM)
    own.addHandler(handler)
    try:
        own.warning("x")
    finally:
        own.removeHandler(handler)
        handler.close()
    assert cluster.payloads() == []


def test_what_was_logged_last_arrives_when_the_interpreter_exits(cluster: MockCluster) -> None:
    script = """
import logging, sys
from inlong_dataproxy import Client, InlongHandler
logging.getLogger().addHandler(InlongHandler(Client(sys.argv[1], group_id="test_group"), "s", own_client=True))
for n in range(100):
    logging.error("last words %d", n)
"""
    assert run_python(script, cluster.url).stderr == ""
    assert len(cluster.payloads()) == 100


def test_prometheus_sees_the_counters(cluster: MockCluster) -> None:
    prometheus_client = pytest.importorskip("prometheus_client", reason="prometheus_client is not installed")
    from inlong_dataproxy import prometheus

    registry = prometheus_client.CollectorRegistry()
    with Client(cluster.url, group_id=GROUP) as first, Client(cluster.url, group_id=GROUP) as second:
        registry.register(prometheus.InlongCollector(first, second))
        first.send(b"x", STREAM)
        second.send_many([b"y"] * 10, STREAM)
        labels = {"group_id": GROUP}
        assert registry.get_sample_value("inlong_dataproxy_acked_total", labels) == 11
        pending = "inlong_dataproxy_pending_messages"
        # The room of a message is free again a moment after its result is out.
        wait_until(lambda: registry.get_sample_value(pending, labels) == 0, "nothing is pending")
        assert (registry.get_sample_value("inlong_dataproxy_lanes_usable", labels) or 0) > 0
        documented = [line.split()[0] for line in (prometheus.__doc__ or "").splitlines() if line.startswith("    inlong_")]
        given = [sample.name for family in registry.collect() for sample in family.samples]
        assert sorted(documented) == sorted(given)
        lanes = registry.get_sample_value("inlong_dataproxy_lanes_usable", labels) or 0
        first.close()
        # A counter that goes down is taken for one that began anew: all that is left would be new failures to an alert.
        assert registry.get_sample_value("inlong_dataproxy_acked_total", labels) == 11
        assert 0 < (registry.get_sample_value("inlong_dataproxy_lanes_usable", labels) or 0) < lanes
    assert registry.get_sample_value("inlong_dataproxy_acked_total", labels) is None


def test_a_second_collector_is_refused_with_the_names(cluster: MockCluster) -> None:
    # Its series had the names of the first one's, which breaks the page for Prometheus.
    prometheus_client = pytest.importorskip("prometheus_client", reason="prometheus_client is not installed")
    from inlong_dataproxy import prometheus

    registry = prometheus_client.CollectorRegistry()
    with Client(cluster.url, group_id=GROUP) as first, Client(cluster.url, group_id=GROUP) as second:
        collector = prometheus.InlongCollector(first)
        registry.register(collector)
        with pytest.raises(ValueError, match="inlong_dataproxy_acked"):
            registry.register(prometheus.InlongCollector(second))
        collector.add(second)
        first.send(b"x", STREAM)
        second.send(b"x", STREAM)
        assert registry.get_sample_value("inlong_dataproxy_acked_total", {"group_id": GROUP}) == 2


def test_prometheus_sees_how_old_a_spool_is_and_what_it_lost(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    # Neither was told: messages stood in a spool for days, or went with their files, and no alert of a Python program could say so.
    prometheus_client = pytest.importorskip("prometheus_client", reason="prometheus_client is not installed")
    from inlong_dataproxy import prometheus

    stats = client.stats()
    spools = iter([{"oldest_age": 7_900_000_000, "lost": 2}, {"oldest_age": 3_000_000_000, "lost": 1}])
    monkeypatch.setattr(client, "stats", lambda: {**stats, "spool": {**stats["spool"], **next(spools)}})
    registry = prometheus_client.CollectorRegistry()
    registry.register(prometheus.InlongCollector(client, client))
    values = {sample.name: sample.value for family in registry.collect() for sample in family.samples}
    assert values["inlong_dataproxy_spool_oldest_seconds"] == 7
    assert values["inlong_dataproxy_spool_lost_batches_total"] == 3


def keywords(cluster: MockCluster, **more: Any) -> dict[str, Any]:
    handler = {"class": "inlong_dataproxy.InlongHandler", "url": cluster.url, "group_id": GROUP, "stream_id": STREAM, **more}
    logger = {"inlong": {"handlers": ["inlong"], "propagate": False, "level": "INFO"}}
    return {"version": 1, "disable_existing_loggers": False, "handlers": {"inlong": handler}, "loggers": logger}


def test_dictconfig_makes_a_handler_from_keywords_again_and_again(cluster: MockCluster) -> None:
    # Handlers could be made by code only; and each call of dictConfig closes the handlers of the one before.
    for n in range(3):
        logging.config.dictConfig(keywords(cluster, send_timeout=5, attributes={"k": "v"}))
        logging.getLogger("inlong.test").info("number %d", n)
    logging.getLogger("inlong").handlers[0].close()
    logging.getLogger("inlong").handlers.clear()
    assert sorted(cluster.payloads()) == [b"number 0", b"number 1", b"number 2"]


@pytest.mark.parametrize("more", [{"stream_id": ""}, {"client": 5}])
def test_keywords_that_do_not_go_together_are_a_clear_error(cluster: MockCluster, more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="inlong") as caught:
        logging.config.dictConfig(keywords(cluster, **more))
    assert isinstance(caught.value.__cause__, TypeError)


@pytest.mark.parametrize("what", ["nodes that are away", "a callback that logs"])
def test_dictconfig_again_stalls_nobody(cluster: MockCluster, client: Client, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # It flushes and closes the handlers before under logging's own lock: 30 and 60 s in which nobody could make a logger.
    monkeypatch.setattr(logs, "FLUSH_SECONDS", 0.2)
    handler = {"()": lambda: InlongHandler(client, STREAM)}
    config = {"version": 1, "disable_existing_loggers": False, "handlers": {"inlong": handler}}
    logging.config.dictConfig(config)
    inside = threading.Event()
    if what == "a callback that logs":

        def log(_: object) -> None:
            inside.set()
            time.sleep(0.1)
            logging.getLogger("new.one").info("acked")

        client.send_async(b"x", STREAM).add_done_callback(log)
        assert inside.wait(10)
    else:
        for node in range(3):
            cluster.fault(node, "silence", standing=True)
        client.send_async(b"x", STREAM)
    began = time.monotonic()
    logging.config.dictConfig(config)
    assert time.monotonic() - began < 5
    client.close(0)


def test_the_librarys_lines_go_to_the_logger_whose_level_may_change(cluster: MockCluster, caplog: pytest.LogCaptureFixture) -> None:
    # A node that dies must leave a trace. Each client tells it once in a while only.
    logger = logging.getLogger("inlong_dataproxy")
    with Client(cluster.url, group_id=GROUP) as first, Client(cluster.url, group_id=GROUP) as second:
        cluster.kill(0)
        with caplog.at_level(logging.WARNING, "inlong_dataproxy"):
            wait_until(lambda: "is avoided" in caplog.text, "a warning of the node")
            assert {record.name for record in caplog.records} == {logger.name}
        first.send(b"x", STREAM)
        second.send(b"x", STREAM)
    caplog.clear()
    with caplog.at_level(logging.ERROR, "inlong_dataproxy"), Client(cluster.url, group_id=GROUP) as third:
        cluster.kill(1)
        wait_until(lambda: third.stats()["acked"] > 0 or third.send(b"x", STREAM).attempts > 0, "it continues")
    assert caplog.records == []


def test_a_program_without_logging_has_a_silent_standard_error(cluster: MockCluster) -> None:
    cluster.kill(0)
    script = 'import sys\nfrom inlong_dataproxy import Client\nClient(sys.argv[1], group_id="test_group").close()'
    assert run_python(script, cluster.url).stderr == ""


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"client": 5}, "client must be a Client, not int"),
        ({"stream_id": None}, "stream_id must be str, not NoneType"),
        ({"group_id": b"g"}, "group_id must be str, not bytes"),
        ({"attributes": {"a": 1}}, "value of attribute 'a' must be str, not int"),
        ({"attributes": "a=b"}, "attributes"),
    ],
)
def test_an_argument_of_a_wrong_type_is_told_at_once(client: Client, arguments: dict[str, Any], text: str) -> None:
    # It was told in the way of logging, at the first record, or by an AttributeError.
    with pytest.raises(TypeError, match=text):
        InlongHandler(**{"client": client, "stream_id": STREAM, **arguments})
