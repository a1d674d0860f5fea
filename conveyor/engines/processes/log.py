"""The memory behind a durable channel: the frames on it, and how far each of its ends is.

Frames lie in a *ring*, whose pages are used again and again: to get new ones takes longer than all
else that a log costs. What is too large for it lies *aside*, in pages of its own, which are given
back when it is done with.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections import deque
from typing import NamedTuple

from conveyor.engines.processes.frames import HEADER
from conveyor.engines.processes.mapping import punch_hole

RING = 1 << 20
"""Bytes of the ring."""

_INLINE = 128 << 10
"""The most bytes of a frame in the ring, which has room for all that credits let wait there."""

_HEADS = 64 << 10
"""Bytes of the ring that only the heads of frames aside may use."""

_FREE = 128 << 10
"""Bytes that are done before the sender is told."""

_START = 64 << 10
"""Where the ring begins, behind the words: a multiple of the page, however large that is."""

_WINDOW = 1 << 36
"""Bytes of the file that belong to each byte of the ring, for what lies aside. They are numbers:
memory is taken only for what is written."""

_SIZE = (RING + 1) * _WINDOW
_ASIDE = 1 << 63
"""Set in the size of a frame that lies aside."""

_HEAD, _TAKEN, _FREED = 0, 8, 24
_WORD = struct.Struct("<Q")
_TAKE = struct.Struct("<Qd")
_WORDS = struct.Struct("<QQd")


def create(name: str) -> int:
    """A descriptor of new memory, for a log or a journal."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC)
    try:
        os.ftruncate(fd, _SIZE)
    except BaseException:
        os.close(fd)
        raise
    return fd


def write_whole(fd: int, data: bytes | bytearray, position: int) -> None:
    """Write all of some bytes to a file."""
    rest = memoryview(data)
    while rest:
        written = os.pwrite(fd, rest, position)
        rest, position = rest[written:], position + written


def read_whole(fd: int, size: int, position: int) -> bytearray:
    """Read so many bytes of a file."""
    data = bytearray(size)
    rest = memoryview(data)
    while rest:
        count = os.preadv(fd, [rest], position)
        rest, position = rest[count:], position + count
    return data


class Entry(NamedTuple):
    """A frame in a log, but for its payload.

    Attributes:
        end: the position behind it.
        address: its address.
        items: how many there are in it.
        size: bytes of its payload.
        body: where its address and payload are: a position in the ring, or one in the file.
        is_aside: whether it lies aside.
    """

    end: int
    address: bytes
    items: int
    size: int
    body: int
    is_aside: bool


class Log:
    """The frames of one channel, as one end sees them.

    Positions count the bytes of the ring that were ever used. The sender moves the head, the
    receiver what is taken and what is free; each is one word, so that no death leaves it half
    written.

    Args:
        fd: the descriptor that :func:`create` gave; it is closed with the log.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        try:
            self._ring = mmap.mmap(fd, RING, offset=_START)
        except BaseException:
            os.close(fd)
            raise
        self._freed = self._word(_FREED)
        self._aside: deque[Entry] = deque()

    def words(self) -> tuple[int, int, float]:
        """The head, what is taken, and the seconds per item that the receiver told last."""
        head, taken, service = _WORDS.unpack(os.pread(self._fd, _WORDS.size, 0))
        return head, taken, service

    def _word(self, place: int) -> int:
        (word,) = _WORD.unpack(os.pread(self._fd, _WORD.size, place))
        return int(word)

    # -- the sender's --

    def write(self, position: int, head: bytes, payload: bytes | bytearray) -> int:
        """Write a frame behind the others; return the position behind it."""
        if self._has_room(position, len(head) + len(payload)):
            self._put(position, head)
            self._put(position + len(head), payload)
            return position + len(head) + len(payload)
        size, address_size, count = HEADER.unpack_from(head)
        self._put(position, HEADER.pack(size | _ASIDE, address_size, count))
        body, address = _aside(position), head[HEADER.size :]
        write_whole(self._fd, address, body)
        write_whole(self._fd, payload, body + len(address))
        return position + HEADER.size

    def publish(self, position: int) -> None:
        """Let everything up to a position be read."""
        os.pwrite(self._fd, _WORD.pack(position), _HEAD)

    def _has_room(self, position: int, size: int) -> bool:
        """Whether the ring has room for a frame."""
        if size > _INLINE:
            return False
        room = RING - _HEADS - size
        if position - self._freed > room:
            self._freed = self._word(_FREED)
        return position - self._freed <= room

    def _put(self, position: int, data: bytes | bytearray) -> None:
        at = position % RING
        if at + len(data) <= RING:
            self._ring[at : at + len(data)] = data
        else:
            left = RING - at
            self._ring[at:] = data[:left]
            self._ring[: len(data) - left] = data[left:]

    # -- the receiver's --

    def take(self, position: int, service: float) -> None:
        """Give credit back up to a position, and tell the service time."""
        os.pwrite(self._fd, _TAKE.pack(position, service), _TAKEN)

    def entry(self, position: int) -> Entry:
        """The frame at a position."""
        size, address_size, count = HEADER.unpack(self._get(position, HEADER.size))
        body = position + HEADER.size
        if size & _ASIDE:
            size, end, body = size ^ _ASIDE, body, _aside(position)
            address = os.pread(self._fd, address_size, body)
            return Entry(end, address, count, size, body, is_aside=True)
        address = self._get(body, address_size)
        return Entry(body + address_size + size, address, count, size, body, is_aside=False)

    def payload(self, entry: Entry) -> bytes | bytearray:
        """Its payload; what lies aside is given back once :meth:`free` comes by it."""
        start = entry.body + len(entry.address)
        if not entry.is_aside:
            return self._get(start, entry.size)
        self._aside.append(entry)
        return read_whole(self._fd, entry.size, start)

    def free(self, position: int) -> None:
        """Nobody will read again what is before a position."""
        while self._aside and self._aside[0].end <= position:
            done = self._aside.popleft()
            punch_hole(self._fd, done.body, len(done.address) + done.size)
        if position - self._freed >= _FREE:
            self._freed = position
            os.pwrite(self._fd, _WORD.pack(position), _FREED)

    def _get(self, position: int, size: int) -> bytes:
        at = position % RING
        if at + size <= RING:
            return self._ring[at : at + size]
        return self._ring[at:] + self._ring[: at + size - RING]

    def close(self) -> None:
        """Close the descriptor."""
        self._ring.close()
        os.close(self._fd)


def _aside(position: int) -> int:
    """Where in the file the body of a frame is whose head is at a position."""
    return (position % RING + 1) * _WINDOW
