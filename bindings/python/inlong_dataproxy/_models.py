"""The models of one client: those of streams seen before are kept, with the tags of their messages."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Optional

from ._future import Watched
from ._message import EventTime, Model
from ._pending import CHUNK_MESSAGES, CHUNK_TAG, NUMBERS, SEQUENCE_BITS, Tags

_MODELS = 4096


class Models:
    """Called with what surrounds a payload, it returns its model."""

    def __init__(self, group_id: str) -> None:
        self.plain: dict[str, Model] = {}  # by stream, of messages that have nothing but their stream
        self.proven: dict[str, Model] = {}  # those of plain of which the library has accepted a message: their ids are good
        self.watched = Watched()
        self._group_id = group_id
        self._numbers = itertools.count()
        self._tags = self._new_tags()  # of messages that share nothing with others
        self._free: list[Tags] = []  # those of models that were dropped

    def __call__(
        self,
        stream_id: str,
        group_id: str = "",
        attributes: Optional[Mapping[str, str]] = None,
        event_time: Optional[EventTime] = None,
    ) -> Model:
        """Return what a message's ids, attributes and time are to the library."""
        plain = group_id == "" and attributes is None and event_time is None
        if plain and isinstance(stream_id, str) and stream_id in self.plain:
            return self.plain[stream_id]
        model = Model(self._tags, group_id, stream_id, attributes, event_time)
        model.group_id = group_id or self._group_id
        model.watched = self.watched
        if plain:
            if len(self.plain) >= _MODELS:
                self.proven.clear()
                # Whoever still uses one of them may go on: their counters give each tag once, whoever asks.
                self._free += [dropped.tags for dropped in list(self.plain.values())]
                self.plain.clear()  # those with a queue are kept by what pushes it
            try:
                model.tags = self._free.pop()
            except IndexError:
                model.tags = self._new_tags()
            self.plain[stream_id] = model
        return model

    def _new_tags(self) -> Tags:
        first = (next(self._numbers) & NUMBERS) << SEQUENCE_BITS
        return Tags(itertools.count(first).__next__, itertools.count(CHUNK_TAG | first, CHUNK_MESSAGES).__next__)
