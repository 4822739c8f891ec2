"""Which future waits for which tag. A tag is the number that the library gives back with a message's result.

Its low SEQUENCE_BITS count messages, so that the library can report those of a batch as one range. The bits above say whose
they are, and what kind: a message passed on alone, one of a chunk of the outbox, or one of a send_many.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Callable, Generic, NamedTuple, Optional, Protocol, TypeVar

if TYPE_CHECKING:
    from ._message import Model


class _Future(Protocol):
    def done(self) -> bool: ...


F = TypeVar("F", bound=_Future)

SEQUENCE_BITS = 40
SEQUENCE_MASK = (1 << SEQUENCE_BITS) - 1
BULK_TAG = 1 << 62
"""Set in the tags of send_many, whose results are counted rather than given to futures."""
CHUNK_TAG = 1 << 61
"""Set in the tags of chunks."""
NUMBERS = (CHUNK_TAG >> SEQUENCE_BITS) - 1
"""Of models and bulks."""

_CHUNK_BITS = 9
CHUNK_MESSAGES = 1 << _CHUNK_BITS
"""The most messages of a chunk. Its tags begin at a multiple, so that a tag says which chunk and which place in it."""
_PLACE_MASK = CHUNK_MESSAGES - 1


class Tags(NamedTuple):
    """Counters that give each tag once.

    Attributes:
        alone: gives the tag of a message that is passed on alone.
        chunk: gives the first tag of a chunk.
    """

    alone: Callable[[], int]
    chunk: Callable[[], int]


class Chunk(Generic[F]):
    """Futures of messages that were passed on together."""

    __slots__ = ("futures", "model", "size", "taken")

    def __init__(self, futures: list[F], model: Optional[Model]) -> None:
        self.model = model  # for futures that do not know theirs
        self.futures = futures
        self.size = len(self.futures)  # written by the sender only
        self.taken = 0  # written by the thread of results only


class Pending(Generic[F]):
    """The futures without a result. Senders add, the thread of results takes; both at the same time, without a lock."""

    def __init__(self) -> None:
        self.alone: dict[int, F] = {}
        self._chunks: dict[int, Chunk[F]] = {}

    def add_chunk(self, first: int, futures: list[F], model: Optional[Model] = None) -> Chunk[F]:
        """Expect the results of a chunk whose tags begin at first."""
        self._chunks[first >> _CHUNK_BITS] = chunk = Chunk(futures, model)
        return chunk

    def shorten(self, first: int, chunk: Chunk[F], size: int) -> None:
        """Expect only the first size results of a chunk: the library did not accept the others."""
        chunk.size = size
        # First that, then this; take first counts and then compares: one of the two sees that the chunk is done.
        if chunk.taken == size:
            self._chunks.pop(first >> _CHUNK_BITS, None)

    def take(self, tag: int, count: int) -> list[F]:
        """Return the futures of count tags from tag on, and forget them."""
        if not tag & CHUNK_TAG:
            return [self.alone.pop(one) for one in range(tag, tag + count)]
        found: list[F] = []
        while len(found) < count:
            # A range goes on in the next chunk when a chunk was full.
            here = tag + len(found)
            chunk = self._chunks[here >> _CHUNK_BITS]
            place = here & _PLACE_MASK
            part = chunk.futures[place : min(place + count - len(found), chunk.size)]
            if not part:
                raise KeyError(here)
            found += part
            chunk.taken += len(part)
            if chunk.taken == chunk.size:
                self._chunks.pop(here >> _CHUNK_BITS, None)
        return found

    def model(self, tag: int) -> Optional[Model]:
        """Return the model that the tag's chunk was added with."""
        return self._chunks[tag >> _CHUNK_BITS].model

    def __iter__(self) -> Iterator[F]:
        """Give the futures without a result."""
        yield from list(self.alone.values())
        for chunk in list(self._chunks.values()):
            yield from [future for future in chunk.futures[: chunk.size] if not future.done()]
