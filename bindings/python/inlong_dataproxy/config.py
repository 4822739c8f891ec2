"""A client's options as an object that can be compared, pickled and passed to other processes; a client cannot."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Optional, cast

from ._native.auth import Auth, checked
from ._native.handle import option_texts

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ._native.option_types import Options

_SECRETS = ("basic_auth", "socks_auth")


class Config:
    """The options of a client. It cannot be changed; equal ones compare equal.

        from inlong_dataproxy import Client, Config

        config = Config("http://manager:8083", group_id="my_group", send_timeout=10)
        with Client.from_config(config) as client:
            client.send(b"payload", stream_id="my_stream")

    Args:
        url, group_id, options: as for Client.

    Raises:
        ConfigError: an option is unknown or has a value of a wrong type. Making a client finds the other faults.
    """

    __slots__ = ("_auth", "_group_id", "_texts", "_url", "_values")

    def __init__(self, url: str = "", *, group_id: str = "", **options: Unpack[Options]) -> None:
        self._url, self._group_id = url, group_id
        self._values: dict[str, Any] = {key: _own(value) for key, value in options.items()}
        self._auth = checked(options.pop("auth", None))
        self._texts = option_texts(url, group_id, options)

    @property
    def texts(self) -> Mapping[str, str]:
        """All options that were given, as the library and the command line take them, secrets included."""
        return MappingProxyType(self._texts)

    @property
    def auth(self) -> Optional[Auth]:
        """What signs the requests to the Manager. A config that is pickled needs one that can be."""
        return self._auth

    def arguments(self, **changes: Unpack[Options]) -> dict[str, Any]:
        """Return the arguments that make a client of these options, with some changed if any are given."""
        return {"url": self._url, "group_id": self._group_id, **self._values, **cast("dict[str, Any]", changes)}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Config) and other._texts == self._texts and other._auth == self._auth

    def __hash__(self) -> int:
        return hash(frozenset(self._texts.items()))

    def __repr__(self) -> str:
        shown = (f"{key}={'***' if key in _SECRETS else _masked(text)!r}" for key, text in self._texts.items())
        return f"Config({', '.join([*shown, *(['auth=***'] if self._auth else [])])})"


class Configured:
    """What is the same for both clients."""

    _delivery: Any = None

    def __init__(self, url: str = "", *, group_id: str = "", **options: Unpack[Options]) -> None:
        self._config = Config(url, group_id=group_id, **options)
        self._group_id = group_id
        # What the library takes as an empty payload.
        self._empty = (b"", b"\n") if self._config.texts.get("trim_trailing_newline") == "true" else (b"",)

    @classmethod
    def from_config(cls, config: Config, **changes: Unpack[Options]) -> Self:
        """Make a client of a config, with some options changed if any are given, as calling the class does."""
        return cls(**config.arguments(**changes))

    @property
    def config(self) -> Config:
        """The options that it was made with; other processes make an equal client of them."""
        return self._config

    @property
    def group_id(self) -> str:
        """The InLong group of messages that name no group."""
        return self._group_id

    @property
    def closed(self) -> bool:
        """Whether close was called, or an AsyncClient was not opened yet."""
        return self._delivery is None or bool(self._delivery.closing)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} group_id={self._group_id!r}{' closed' if self.closed else ''}>"

    def __reduce__(self) -> Any:
        raise TypeError("a client cannot be pickled: it owns connections; pickle its config, and make a client of that there")


def _masked(text: str) -> str:
    """Return text without the password of a url in it."""
    return re.sub(r"(//[^/?#@:]*):[^/?#]*@", r"\1:***@", text)


def _own(value: object) -> object:
    """Return value, or a copy if its owner might change it."""
    if isinstance(value, Mapping):
        return dict(cast("Mapping[object, object]", value))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(cast("Sequence[object]", value))
    return value
