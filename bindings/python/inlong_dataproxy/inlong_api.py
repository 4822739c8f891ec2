"""InLongApi, the class of InLong's own Python SDK, over this package.

A program written for that SDK runs unchanged: `import inlong_dataproxy`, `inlong_dataproxy.InLongApi()`, the same configuration
file. core/docs/MIGRATING.md says which of its keys count and what behaves otherwise. New programs use Client.
"""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Callable, Optional, Union, cast

from ._host import fork
from ._results.future import Result
from .client import Client
from .errors import ClosedError, ConfigError, InlongError, InvalidMessageError, QueueFullError

UserCallBack = Callable[[str, str, str, int, int, str], object]
"""Called with group, stream, message, its length in bytes, the time of the send call in milliseconds since 1970, and ser_ip."""

SUCCESS = 0
MULTI_INIT = 4
ERROR_INIT = 5
MSG_TOO_LONG = 6
INVALID_INPUT = 7
RECV_BUFFER_FULL = 8
SEND_AFTER_CLOSE = 10
FAIL_GET_REV_GROUP = 18
FAIL_SEND_PROXY = 20
SEND_BEFORE_INIT = 22


class InLongApi:
    """Sends messages of any group; each has a client of its own. All methods may be called from any thread."""

    def __init__(self) -> None:
        fork.owns_locks(self)
        self._config: Optional[_Config] = None
        self._closed = False
        self._clients: dict[str, Client] = {}
        self.last_error = ""
        """What was wrong when a method did not return 0, for people. Not in InLong's own SDK."""

    def _free_locks(self) -> None:
        self._lock = threading.RLock()  # a signal handler or a finalizer may send

    def init_api(self, config_path: str) -> int:
        """Read the configuration file. Waits for no server. 0, or MULTI_INIT, or ERROR_INIT."""
        with self._lock:
            if self._config is not None:
                return MULTI_INIT
            clients: dict[str, Client] = {}
            try:
                config = _Config(config_path)
                for group in config.groups:
                    clients[group] = config.client(group)
            except (OSError, ValueError, InlongError) as error:
                for client in clients.values():
                    client.close(0)
                return self._failed(ERROR_INIT, error)
            self._config, self._clients = config, clients
        return SUCCESS

    def send(
        self,
        group_id: str,
        stream_id: str,
        msg: Union[str, bytes],
        msg_len: int = 0,  # noqa: ARG002 - a str or bytes knows its own
        callback: Optional[UserCallBack] = None,
        /,
    ) -> int:
        """Accept a message and return 0, or a code when it was refused. Does not block.

        Args:
            group_id, stream_id: its InLong group and stream.
            msg: a str, which is sent as UTF-8, or bytes; whole, whatever msg_len says.
            msg_len: ignored.
            callback: called once if the message fails later, on a thread of the client; never for one that was acked. It may
                send, and must not close.
        """
        now = time.time_ns() // 1_000_000
        try:
            code, client, config = self._find(group_id)
            if client is None or config is None:
                return code
            payload = msg.encode() if isinstance(msg, str) else msg
            if config.longest and len(payload) > config.longest:
                return MSG_TOO_LONG
            future = client.send_async(payload, stream_id)
        except QueueFullError as error:
            return self._failed(RECV_BUFFER_FULL, error)
        except InvalidMessageError as error:
            return self._failed(MSG_TOO_LONG if error.name == "log_too_long" else INVALID_INPUT, error)
        except ClosedError as error:
            return self._failed(SEND_AFTER_CLOSE, error)
        except (InlongError, UnicodeEncodeError) as error:
            return self._failed(INVALID_INPUT if isinstance(error, ValueError) else FAIL_GET_REV_GROUP, error)
        if callback is not None:

            def finished(done: Future[Result]) -> None:
                if done.exception() is not None:
                    callback(group_id, stream_id, payload.decode(errors="replace"), len(payload), now, config.client_ip)

            future.add_done_callback(finished)
        return SUCCESS

    def close_api(self, timeout_ms: int) -> int:
        """Return when every message has its result, at the latest after timeout_ms; what is left then fails.

        0: all were acked or had failed before. FAIL_SEND_PROXY: some were not delivered in time.
        """
        fork.look()
        with self._lock:
            self._closed = True
            clients, self._clients = list(self._clients.values()), {}
        if not clients:
            return SUCCESS
        seconds = max(timeout_ms, 0) / 1000
        end = time.monotonic() + seconds
        for client in clients:  # together, so that all have the whole time
            client._begin_close(end)  # pyright: ignore[reportPrivateUsage]
        try:
            unsent = sum(client.close(max(end - time.monotonic(), 0)).unsent for client in clients)
        except InlongError as error:
            return self._failed(FAIL_SEND_PROXY, error)
        return FAIL_SEND_PROXY if unsent else SUCCESS

    def _find(self, group_id: str) -> tuple[int, Optional[Client], Optional[_Config]]:
        fork.look()
        with self._lock:
            if self._closed:
                return SEND_AFTER_CLOSE, None, None
            if self._config is None:
                return SEND_BEFORE_INIT, None, None
            client = self._clients.get(group_id)
            if client is None:
                try:
                    made = self._config.client(group_id)
                except InlongError as error:
                    return self._failed(FAIL_GET_REV_GROUP, error), None, None
                client = self._clients.setdefault(group_id, made)
                if client is not made:  # a signal handler came between, and has sent by its own
                    made.close(0)
            return SUCCESS, client, self._config

    def _failed(self, code: int, error: Exception) -> int:
        self.last_error = str(error)
        return code


class _Config:
    """The configuration file as options of this package."""

    def __init__(self, path: str) -> None:
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))["init-param"]
        except (KeyError, TypeError, json.JSONDecodeError):
            raise ConfigError(f'{path}: must be JSON with an object "init-param"') from None
        if not isinstance(values, dict):
            raise ConfigError(f'{path}: must be JSON with an object "init-param"')
        self._values = cast("dict[str, Any]", values)
        self.groups = [group.strip() for group in self._text("inlong_group_ids", "").split(",") if group.strip()]
        self.longest = self._number("ext_pack_size", 0)
        self.client_ip = self._text("ser_ip", "127.0.0.1")
        self._options = self._translate()

    def client(self, group_id: str) -> Client:
        return Client(group_id=group_id, **self._options)

    def _translate(self) -> Any:
        options: dict[str, Any] = {
            "lazy_start": True,  # init_api waits for no server
            "url": self._text("manager_url"),
            "message_format": "text" if self._number("msg_type", 7) < 7 else "binary",
            "compression": "snappy" if self._flag("enable_zip", True) else "none",
        }
        if self._flag("need_auth", False):
            options["basic_auth"] = self._text("auth_id") + ":" + self._text("auth_key")
        if not self._flag("enable_pack", True):
            options["batching_max_messages"] = 1
        elif "pack_size" in self._values:
            options["batching_max_messages"] = 32767  # the size alone fills a batch
        for option, key, unit in (
            ("batching_max_size", "pack_size", 1),
            ("batching_max_publish_delay", "pack_timeout", 0.001),
            ("update_interval", "manager_update_interval", 60),
            ("manager_timeout", "manager_url_timeout", 1),
            ("worker_num", "max_proxy_num", 1),
            ("max_retries", "retry_times", 1),
        ):
            if key in self._values:
                options[option] = self._number(key, 0) * unit
        room = self._number("recv_buf_size", 0) + self._number("send_buf_size", 0)
        if room > 0:
            options["max_pending_bytes"] = room
        return options

    def _text(self, key: str, default: Optional[str] = None) -> str:
        value = self._values.get(key, default)
        if value is None:
            raise ConfigError(f"{key}: is missing")
        if not isinstance(value, str):
            raise ConfigError(f"{key}: must be a text")
        return value

    def _number(self, key: str, default: int) -> int:
        value = self._values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ConfigError(f"{key}: must be a whole number of 0 or more")
        return value

    def _flag(self, key: str, default: bool) -> bool:
        value = self._values.get(key, default)
        if not isinstance(value, bool):
            raise ConfigError(f"{key}: must be true or false")
        return value
