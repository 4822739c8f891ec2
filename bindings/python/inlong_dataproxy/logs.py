"""A handler for the standard library's logging that sends records to InLong."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Optional, Union

from ._host import fork
from ._host.report import report_unraisable
from ._sending.models import Models
from .client import Client, Timeout
from .errors import ForkError, InlongError, InvalidMessageError

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._native.option_types import Options
    from ._results.future import Result

_OWN = "inlong_dataproxy"
_log = logging.getLogger(_OWN)
_TELL_SECONDS = 10.0

FLUSH_SECONDS = 2.0
"""How long a handler's flush and close wait by default."""


class InlongHandler(logging.Handler):
    """Sends each log record as one message, and never makes the program that logs wait.

        {"class": "inlong_dataproxy.InlongHandler", "url": "http://manager:8083", "group_id": "my_group", "stream_id": "logs"}

    is one for logging.config.dictConfig; it makes a client of its own.

    Args:
        client: sends the records; its option block_if_queue_is_full must be false, which is the default. Other senders may use it
            too. Without a client the handler makes its own from url, group_id and options, and does not wait for its nodes.
        stream_id: the stream of all records; required.
        level: as for every handler.
        url: the Manager of the handler's own client.
        group_id: another group than the client's; that of the handler's own client.
        attributes: sent with every record.
        own_client: close the client when the handler is closed. At the exit of the process all clients together have 5 seconds;
            what is not acked then is lost. For more time call close(timeout=20) yourself.
        options: of the handler's own client, as for Client.

    A record that finds no room, is empty, or comes after the client was closed is dropped and counted in `dropped`; one that
    was accepted and not acked is counted in `failed`. The logger "inlong_dataproxy" reports both numbers with the next record,
    at most once in 10 seconds, and when the handler is closed. A formatter that raises or returns no payload, and an id that
    breaks its rule, are reported by Handler.handleError, as usual in logging. Records of this package's own logger are not
    sent: they would cause more records. In a forked child the first record makes a client with the same options, which the handler
    owns: a server may set up logging before it forks its workers.

    Raises:
        ValueError: the client waits when its queue is full.
        TypeError: stream_id is missing; an argument has a wrong type; url or options are given beside a client.
        ConfigError, LibraryError, ForkError: as Client, for the handler's own.
    """

    def __init__(
        self,
        client: Optional[Client] = None,
        stream_id: str = "",
        *,
        level: Union[int, str] = logging.NOTSET,
        url: str = "",
        group_id: str = "",
        attributes: Optional[dict[str, str]] = None,
        own_client: bool = False,
        **options: Unpack[Options],
    ) -> None:
        if stream_id == "":
            raise TypeError("stream_id is missing: the stream of all records")
        given: object = client
        if given is not None and not isinstance(given, Client):
            raise TypeError(f"client must be a Client, not {type(given).__name__}")
        Models(group_id)(stream_id, group_id, attributes, None)  # else the first record tells of a wrong type, and not whose it is
        if client is None:
            options.setdefault("lazy_start", True)
            client, group_id, own_client = Client(url, group_id=group_id, **options), "", True
        elif url or options:
            raise TypeError("url and options are for a handler without a client: the one that was given has its own")
        if client.waits_for_room:
            raise ValueError("client: its option block_if_queue_is_full is true, so that logging would wait")
        self._client = client
        super().__init__(level)  # not before: logging flushes also handlers that could not be made
        self._stream_id = stream_id
        self._more: dict[str, Any] = {"group_id": group_id, "attributes": attributes} if group_id or attributes else {}
        self._own_client = own_client
        fork.owns_locks(self)
        self._unflushed = False
        self._dropped = 0
        self._failed = 0
        self._told = 0
        self._tell_at = 0.0
        self._last = ""

    def _free_locks(self) -> None:
        self._counting, self._renewing = threading.RLock(), threading.RLock()  # a signal handler may log

    @property
    def client(self) -> Client:
        """The client that sends: the one that was given, or the handler's own. In a forked child it changes at the first record."""
        return self._client

    @property
    def dropped(self) -> int:
        """Records that were not accepted: nothing of them was sent."""
        return self._dropped

    @property
    def failed(self) -> int:
        """Records that were accepted and not acked."""
        return self._failed

    def handle(self, record: logging.LogRecord) -> bool:
        """Send a record that the filters pass. Without the handler's lock, which flush may hold: the client is thread-safe."""
        passed: object = self.filter(record)  # since Python 3.12 a filter may give another record
        if passed:
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record. Does not block."""
        if record.name == _OWN or record.name.startswith(_OWN + "."):
            return
        if self._told != self._dropped + self._failed and time.monotonic() >= self._tell_at:
            self._tell()
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001 - the rule of logging: its faults are reported, and never raised into the program
            self.handleError(record)
            return
        try:
            try:
                self._send(text)
            except ForkError:
                self._renew()
                self._send(text)
        except Exception as error:  # noqa: BLE001 - as above
            with self._counting:
                self._dropped += 1
                self._last = str(error)
            # A wrong stream_id, a formatter that gives no text, a worker that gets no client: nobody would notice.
            of_the_record = isinstance(error, InvalidMessageError) and text
            if not isinstance(error, InlongError) or isinstance(error, ForkError) or of_the_record:
                self.handleError(record)

    def _tell(self) -> None:
        """Log how many records were lost since the last time. Never on the thread of results, which a close waits for."""
        with self._counting:
            lost = self._dropped + self._failed
            more, self._told, last = lost - self._told, lost, self._last
            self._tell_at = time.monotonic() + _TELL_SECONDS
        if more > 0:
            try:
                _log.warning("%d log records for the stream %s are lost, the last one: %s", more, self._stream_id, last)
            except Exception as error:  # noqa: BLE001 - another handler's or a filter's: as for the record itself
                report_unraisable(error)

    def _send(self, text: str) -> None:
        self._unflushed = True
        self._client.send_async(text, self._stream_id, **self._more).add_done_callback(self._count)

    def _renew(self) -> None:
        """In a forked child: have a client of the handler's own. It finds its nodes in the background: logging does not wait."""
        with self._renewing:
            if self._client.forked:
                self._client, self._own_client = Client.from_config(self._client.config, lazy_start=True), True

    def _count(self, future: Future[Result]) -> None:
        error = future.exception()
        if error is not None:
            with self._counting:
                self._failed += 1
                self._last = str(error)

    def flush(self, timeout: Timeout = None) -> None:
        """Wait until every record so far is delivered, timeout (default 2 s) at most; not for callbacks, which may log.

        Does not raise: lost records are counted. logging calls it under its own lock, which other threads wait for.
        """
        self._unflushed = False
        with contextlib.suppress(InlongError):
            self._client._deliver(FLUSH_SECONDS if timeout is None else timeout)  # pyright: ignore[reportPrivateUsage]

    def close(self, timeout: Timeout = None) -> None:
        """Flush, and close the client if it is the handler's own, within timeout (default 2 s)."""
        try:
            if self._own_client:
                self._client.close(FLUSH_SECONDS if timeout is None else timeout)
            elif self._unflushed:
                self.flush(timeout)
        except InlongError:
            return  # what did not arrive is counted
        finally:
            super().close()
            self._tell()
