"""What surrounds payloads on their way to the library: their bytes, and the ids, attributes and time that they share."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Union, cast

from inlong_dataproxy._native import codes, lowlevel as low
from inlong_dataproxy._results.future import Guard
from inlong_dataproxy.errors import InvalidMessageError

Payload = Union[bytes, bytearray, memoryview, str]
"""What can be sent. A str is sent as UTF-8."""

EventTime = Union[datetime, float]
"""A datetime (one without a zone is local time) or seconds since 1970: a float, an int, or a number of numpy's."""


def to_bytes(payload: object) -> bytes:
    """Return the bytes of payload.

    Raises:
        TypeError: payload is none of bytes, bytearray, memoryview and str.
        InvalidMessageError: it is a str that UTF-8 cannot express.
    """
    if type(payload) is bytes:
        return payload
    if isinstance(payload, str):
        try:
            return str.encode(payload, "utf-8")
        except UnicodeEncodeError as error:
            raise codes.own_error(
                InvalidMessageError, codes.LOG_INVALID, f"the payload cannot be written as UTF-8: {error}"
            ) from None
    if isinstance(payload, (bytes, bytearray, memoryview)):
        # What it holds, not what a subclass says: a length of its own would have the library read beyond its end.
        try:
            return bytes(memoryview(cast("bytes | bytearray | memoryview[int]", payload)))
        except ValueError:
            raise codes.own_error(InvalidMessageError, codes.LOG_INVALID, "the payload is a memoryview that was released") from None
    raise TypeError(f"payload must be bytes, bytearray, memoryview or str, not {type(payload).__name__}")


def checked_length(size: int) -> int:
    """Return the size of a payload, which the library takes in 32 bits.

    Raises:
        InvalidMessageError: it is more than that.
    """
    if size >= 2**32:
        raise codes.own_error(InvalidMessageError, codes.LOG_TOO_LONG, f"the payload has {size} bytes")
    return size


def _identifier(field: str, value: object) -> tuple[bytes, int]:
    if not isinstance(value, str):
        raise TypeError(f"{field} must be str, not {type(value).__name__}")
    # Whether it is a good one is the library's to say: surrogates must survive until it does, and so must a NUL, by the length.
    text = value.encode("utf-8", "surrogatepass")
    return text, len(text)


def milliseconds(event_time: object) -> int:
    """Return an event time as the library takes it, 0 for none.

    Raises:
        TypeError: it is no time. InvalidMessageError: it is out of range.
    """
    if event_time is None:
        return 0
    seconds = event_time
    if isinstance(event_time, datetime):
        try:
            seconds = event_time.timestamp()
        except (ValueError, OverflowError):  # a local time at the end of what a datetime can say
            seconds = math.nan
    number = not isinstance(seconds, bool) and (hasattr(type(seconds), "__float__") or hasattr(type(seconds), "__index__"))
    if not number:
        raise TypeError(f"event_time must be a datetime or seconds since 1970, not {type(seconds).__name__}")
    try:
        exact = float(cast("Any", seconds)) * 1000
    except OverflowError:
        exact = math.inf
    if not 1 <= exact < 2**53:  # also refuses NaN
        rule = f"must be seconds since 1970, 0.001 or more and less than {2**53 // 1000}"
        raise codes.own_error(InvalidMessageError, codes.LOG_INVALID, f"event_time = {event_time}: {rule}")
    return round(exact)


def _attribute_array(field: str, attributes: object) -> ctypes.Array[low.Attribute]:
    if not isinstance(attributes, Mapping):
        raise TypeError(f"{field} must be a mapping of str to str, not {type(attributes).__name__}")
    pairs = cast("Mapping[object, object]", attributes)
    array = (low.Attribute * len(pairs))()
    for entry, (key, value) in zip(array, pairs.items()):
        entry.key, entry.key_len = _identifier("attribute name", key)
        entry.value, entry.value_len = _identifier(f"value of attribute {key!r}", value)
    return array


class Carried(dict[str, str]):
    """A message's attributes with what takes a span's context to the consumer: that is left out where the library would refuse it.

    Attributes:
        given: without it.
        left_out: whether it was left out, at least of one message.
    """

    def __init__(self, given: Mapping[str, str], context: Mapping[str, str]) -> None:
        super().__init__({**context, **given})
        self.given = given
        self.left_out = False


class Model:
    """The ids, attributes and event time of messages that are alike, ready for the library.

    Attributes:
        group_id, stream_id: its ids.
        guard: the lock of its client's futures.
        address: where its message without a payload is, for the library.
        proven: whether the library has accepted a message of such ids and attributes. Of item attributes it says nothing.
        ids: what of it the library has to prove.
        base: what it was made of by with_own or with_context; None where it was not.
        carried: the attributes from which a span's context may be left out; None where it carries none.
        lighter: the same without that context.
        tag, tags_end, tags_size: the tags that its next messages get: see Models.tags.
    """

    __slots__ = (
        "_message",
        "address",
        "base",
        "carried",
        "group_id",
        "guard",
        "ids",
        "lighter",
        "proven",
        "stream_id",
        "tag",
        "tags_end",
        "tags_size",
    )

    def __init__(
        self,
        guard: Guard,
        group_id: str,
        stream_id: str,
        attributes: Mapping[str, str] | None = None,
        time_ms: int = 0,
    ) -> None:
        self.guard = guard
        self.group_id = group_id
        self.stream_id = stream_id
        self.ids: Any = None
        self.base: Model | None = None
        self.carried: Carried | None = None
        self.lighter: Model | None = None
        self.proven = False
        self.tag = self.tags_end = self.tags_size = 0
        self._message = message = low.Message(struct_size=ctypes.sizeof(low.Message), time_ms=time_ms)
        message.stream_id, message.stream_id_len = _identifier("stream_id", stream_id)
        message.group_id, message.group_id_len = _identifier("group_id", group_id)
        if attributes is not None:
            array = _attribute_array("attributes", attributes)
            message.attributes = array  # keeps it alive
            message.attribute_count = len(array)
        self.address = ctypes.addressof(message)

    def with_own(self, item_attributes: Mapping[str, str]) -> Model:
        """Return the model of a message that has attributes of its own. Not kept: the next one has others."""
        array = _attribute_array("item_attributes", item_attributes)
        if not array:
            return self
        model = self._copy()
        model._message.item_attributes = array
        model._message.item_attribute_count = len(array)
        if isinstance(item_attributes, Carried):
            model.carried, model.lighter = item_attributes, self.with_own(item_attributes.given)
        elif self.lighter is not None:
            model.carried, model.lighter = self.carried, self.lighter.with_own(item_attributes)
        return model

    def with_context(self, attributes: Carried) -> Model:
        """Return the model of a message that has these attributes in the place of attributes.given. Not kept, either."""
        array = _attribute_array("attributes", attributes)
        model = self._copy()
        model._message.attributes = array
        model._message.attribute_count = len(array)
        model.carried, model.lighter = attributes, self
        return model

    def leave_out(self, count: int) -> None:
        """Know that so many messages of it were accepted without what carries a span's context."""
        if count and self.carried is not None:
            self.carried.left_out = True

    def _copy(self) -> Model:
        model = Model.__new__(Model)
        model.guard, model.group_id, model.stream_id = self.guard, self.group_id, self.stream_id
        model.ids, model.proven, model.base = self.ids, self.proven, self  # which keeps what the message points to
        model.carried = model.lighter = None
        model.tag = model.tags_end = model.tags_size = 0
        model._message = low.Message.from_buffer_copy(self._message)
        model.address = ctypes.addressof(model._message)
        return model

    def with_payload(self, payload: bytes) -> low.Message:
        """Return a message of this model's ids with payload. It keeps payload; the model must outlive it."""
        message = low.Message.from_buffer_copy(self._message)
        message.payload, message.payload_len = payload, len(payload)
        return message


_FULL = "producer send queue is full: the bound of max_pending_messages or max_pending_bytes is reached"


def refusal(code: int, model: Model) -> Exception:
    """Return the exception of a call of this thread that did not accept a message of model; of a full queue also of another's."""
    group, stream = model.group_id, model.stream_id
    return codes.call_error(
        code,
        low.error_name(code),
        f"{_FULL} [{codes.where(code, group, stream)}]".encode() if code == codes.QUEUE_FULL else low.last_error(),
        group_id=group,
        stream_id=stream,
        retriable=bool(low.error_is_retriable(code)),
    )


def empty_error(model: Model) -> InvalidMessageError:
    """Return the exception for a message that holds nothing."""
    return codes.own_error(
        InvalidMessageError,
        codes.LOG_INVALID,
        "the payload is empty: it must have at least one byte",
        group_id=model.group_id,
        stream_id=model.stream_id,
    )
