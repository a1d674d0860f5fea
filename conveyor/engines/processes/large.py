"""Large items: how they are pickled, in parts, and travel as parcels through shared memory."""

from __future__ import annotations

import io
import pickle
from collections.abc import Collection, Sequence, Sized
from dataclasses import dataclass
from typing import Any, TypeGuard

from conveyor.engines.processes.memory import Memory, Part, Place
from conveyor.engines.processes.pickling import (
    PROTOCOL,
    Loader,
    Shipper,
    dumps,
    is_for_us,
    loads,
)
from conveyor.flow.batch import Frame

LARGE = 64 << 10
"""Bytes from which on a part goes through shared memory: below, the pipe is as quick.

Pickle treats bytes and strings apart from the same size on.
"""

MARK = 0xFF
"""The byte that a parcel on its way begins with; a pickle begins with 0x80."""

LATELY = 64
"""For so many frames after one with large parts, there may be others."""


@dataclass(slots=True)
class LargeItems:
    """Pickles the items of a way out, so that large parts go through shared memory.

    To look for large parts takes a little longer, so it is done only where there were such
    parts lately. Where there are some after all, they are copied once more.

    Attributes:
        memory: the arena.
        readers: how many links a frame may go to.
        is_last_use: whether nobody here needs items that have been pickled.
        expected: for how many frames large parts are expected.
    """

    memory: Memory
    readers: int
    is_last_use: bool
    expected: int = 1

    def __call__(self, items: list[Any], shared: Collection[type] | None = None) -> Sized:
        """Pickle items; ``shared`` is as for :func:`conveyor.engines.processes.pickling.dumps`."""
        if not self.expected:
            data = dumps(items, shared)
            if len(data) < LARGE:
                return data
            return self._parcel(_Apart([data], by_value=b"_class_setstate" in data))
        apart = _dumped_apart(items, shared)
        if not apart.buffers and sum(map(len, apart.pieces)) < LARGE:
            self.expected -= 1
            return b"".join(apart.pieces)
        return self._parcel(apart, items if self.is_last_use else None)

    def _parcel(self, apart: _Apart, items: list[Any] | None = None) -> Parcel:
        self.expected = LATELY
        memory, readers = self.memory, self.readers
        memory.settle()
        size = sum(map(len, apart.pieces))
        stream = memory.placed(apart.pieces, readers) if size >= LARGE else b"".join(apart.pieces)
        parts = [stream, *memory.placed_buffers(apart.buffers, readers, items)]
        return Parcel(memory, parts, private=readers > 1, by_value=apart.by_value)


# -- parcels --


class Parcel:
    """Items whose large parts are in shared memory: what a frame has in place of bytes.

    Its length is that of all parts. Tickets that it still has at its end go back.

    Args:
        memory: the arena.
        parts: what was pickled, and then the buffers that belong to it; bytes where a part goes
            along in the pipe.
        private: whether there are several readers.
        by_value: whether classes went by value.
        note: the parcel as it came.
    """

    __slots__ = ("_by_value", "_memory", "_parts", "_private", "_size", "note", "opened")

    def __init__(
        self,
        memory: Memory,
        parts: Sequence[Place | bytes | bytearray],
        *,
        private: bool,
        by_value: bool,
        note: bytes | bytearray = b"",
    ) -> None:
        self._memory = memory
        self._parts = parts
        self._private = private
        self._by_value = by_value
        self._size = sum(part.size if isinstance(part, Place) else len(part) for part in parts)
        # What was pickled is gone once it is loaded; buffers stay while the items do.
        self.note = b"" if isinstance(parts[0], Place) else note
        """The parcel as it came, if it can be read again for as long as its items are there."""
        self.opened: tuple[Part, Sequence[Part]] = b"", ()
        """What was pickled, and its buffers, where that can't be loaded all at once."""

    @staticmethod
    def received(memory: Memory, data: bytes | bytearray) -> Parcel:
        """The parcel that somebody gave."""
        memory.settle()
        private, by_value, told = pickle.loads(memoryview(data)[1:])
        parts = [
            Place(part[0], part[1], [part[2]]) if isinstance(part, tuple) else part for part in told
        ]
        return Parcel(memory, parts, private=private, by_value=by_value, note=data)

    def __len__(self) -> int:
        return self._size

    def given(self) -> bytes:
        """The parcel as it goes to one reader, with the tickets for that one."""
        told = [
            (part.start, part.size, part.tickets.pop()) if isinstance(part, Place) else part
            for part in self._parts
        ]
        stream = io.BytesIO()
        stream.write(bytes([MARK]))
        pickle.dump((self._private, self._by_value, told), stream, PROTOCOL)
        return stream.getvalue()

    def multiplied(self, readers: int) -> Parcel:
        """The parcel, which came for one reader, for several; this one is empty then."""
        parts, self._parts = self._parts, ()
        lent = [
            self._memory.lent_on(part, readers) if isinstance(part, Place) else part
            for part in parts
        ]
        return Parcel(self._memory, lent, private=True, by_value=self._by_value)

    def load(self) -> Any:
        """The items, for the one reader that this is: what that changes in them is its own."""
        look = self._memory.looked
        stream, *buffers = [
            look(part, private=self._private and index > 0) if isinstance(part, Place) else part
            for index, part in enumerate(self._parts)
        ]
        try:
            return self._unpickled(stream, buffers)
        except Exception:
            self.opened = stream, buffers
            raise

    def load_copied(self) -> Any:
        """The items of a parcel that belongs to somebody else: it stays as it is."""
        for part in self._parts:
            if isinstance(part, Place):
                part.tickets.clear()
        stream, *buffers = [
            self._memory.copied(part) if isinstance(part, Place) else part for part in self._parts
        ]
        return self._unpickled(stream, buffers)

    def _unpickled(self, stream: Part, buffers: Sequence[Part]) -> Any:
        if self._by_value:
            return Loader(io.BytesIO(stream), buffers=buffers).load()
        return pickle.loads(stream, buffers=buffers)

    def __del__(self) -> None:
        for part in self._parts:
            if isinstance(part, Place):
                for ticket in part.tickets:
                    self._memory.back(ticket)


def load_copied(data: bytes, memory: Memory | None) -> Any:
    """Unpickle a payload that belongs to somebody else."""
    if memory is None or not is_parcel(data):
        return loads(data)
    return Parcel.received(memory, data).load_copied()


def is_parcel(data: Any) -> TypeGuard[bytes | bytearray]:
    """Whether the payload of a frame that has come is a parcel."""
    return data is not None and data[0] == MARK


def given(frame: Frame) -> Frame:
    """A frame as it goes to one reader, with bytes in place of a parcel."""
    if isinstance(frame.payload, Parcel):
        frame = frame.readdressed()
        assert isinstance(frame.payload, Parcel)
        frame.payload = frame.payload.given()
    return frame


# -- pickling in parts --


class _Apart:
    """Pickled items: the pieces of the pickle, and the buffers that belong to it.

    It is a stream to write to, which keeps what is written as it comes: large bytes are not
    copied.
    """

    __slots__ = ("buffers", "by_value", "pieces")

    def __init__(self, pieces: list[bytes], *, by_value: bool) -> None:
        self.pieces = pieces
        self.buffers: list[pickle.PickleBuffer] = []
        self.by_value = by_value

    def write(self, piece: bytes) -> None:
        """Keep a piece."""
        self.pieces.append(piece)

    def takes(self, buffer: pickle.PickleBuffer) -> bool:
        """Keep a buffer if it is large; return whether it is to be pickled with the rest."""
        is_small = buffer.raw().nbytes < LARGE
        if not is_small:
            self.buffers.append(buffer)
        return is_small


def _dumped_apart(value: Any, shared: Collection[type] | None) -> _Apart:
    """What :func:`dumps` gives, in parts."""
    apart = _Apart([], by_value=False)
    try:
        pickle.Pickler(apart, PROTOCOL, buffer_callback=apart.takes).dump(value)
    except Exception:
        apart.buffers.clear()  # the traceback of the next one keeps them: see `Shipper.dump`
        return _by_value_apart(value, shared or ())
    if any(is_for_us(piece, shared) for piece in apart.pieces if piece[:1] in _BEGINS):
        return _by_value_apart(value, shared or ())
    return apart


_BEGINS = (pickle.PROTO, pickle.FRAME)
"""What pieces begin with that have names in them. A large string is a piece of its own, and to look
through it would take as long as to copy it."""


def _by_value_apart(value: Any, shared: Collection[type] = ()) -> _Apart:
    apart = _Apart([], by_value=True)
    try:
        Shipper(apart, shared, apart.takes).dump(value)
    except BaseException as error:
        apart.buffers.clear()
        if not (shared and isinstance(error, pickle.PicklingError)):
            raise
        return _by_value_apart(value)
    return apart
