"""The models of one client: those seen before are kept, since messages that are alike come again and again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from inlong_dataproxy._results.future import Guard

from .message import Carried, EventTime, Model, milliseconds

_MODELS = 4096
_TAGS = 1 << 16


class Models:
    """Called with what surrounds a payload, it returns its model.

    Attributes:
        plain: models that the library has proven, of messages that have nothing but their stream, by that.
        guard: the lock of the client's futures.
    """

    def __init__(self, group_id: str) -> None:
        self.plain: dict[str, Model] = {}
        self.guard = Guard()
        self._group_id = group_id
        self._known: dict[Any, Model] = {}
        self._proven: set[Any] = set()  # ids and attributes, whatever the time
        self._next_tag = 0

    def __call__(
        self,
        stream_id: str,
        group_id: str = "",
        attributes: Optional[Mapping[str, str]] = None,
        event_time: Optional[EventTime] = None,
        item_attributes: Optional[Mapping[str, str]] = None,
    ) -> Model:
        """Return what a message's ids, attributes and time are to the library."""
        if item_attributes is not None:
            return self(stream_id, group_id, attributes, event_time).with_own(item_attributes)
        if isinstance(attributes, Carried):
            return self(stream_id, group_id, attributes.given or None, event_time).with_context(attributes)
        # Not the time itself: two that are equal may be an hour apart, by their fold.
        time_ms = milliseconds(event_time)
        ids = key = None
        try:
            ids = (stream_id, group_id, None if attributes is None else tuple(attributes.items()))
            key = (ids, time_ms)
            return self._known[key]
        except (KeyError, TypeError, AttributeError):
            pass  # not here, or an error would have happened "during handling of" this one
        model = Model(self.guard, group_id, stream_id, attributes, time_ms)  # raises when something has a wrong type
        model.group_id = group_id or self._group_id
        model.ids = ids
        model.proven = ids in self._proven
        if len(self._known) >= _MODELS:
            self._known.clear()
        self._known[key] = model
        return model

    def prove(self, model: Model) -> None:
        """Know that the library has accepted a message of model."""
        for kept in (self._proven, self.plain):
            if len(kept) >= _MODELS:
                kept.clear()
        model.proven = True
        while model.base is not None:
            model = model.base
            model.proven = True
        self._proven.add(model.ids)
        if self._known.get((model.ids, 0)) is model and model.ids[1:] == ("", None):
            self.plain[model.stream_id] = model

    def tags(self, model: Model, count: int) -> int:
        """Return the first of count tags in a row for model's next messages. Called by one thread only.

        Tags of one model follow each other where they can, so that the library reports its messages of a batch as one range. They
        come in blocks, which double, from one counter that never gets to its end: no tag is given twice.
        """
        if model.tag + count > model.tags_end:
            model.tags_size = size = max(count, min(2 * model.tags_size, _TAGS))
            model.tag = self._next_tag
            self._next_tag = model.tags_end = self._next_tag + size  # in this order: an exception between must not give it twice
        first = model.tag
        model.tag += count
        return first
