"""Channels that outlive the workers which use them, in anonymous memory.

A worker that dies leaves its links as they are. What was sent on them stays in a *log*, a memfd
that the parent keeps for whoever takes the place of the dead; the pipe beside it only wakes the
other side. The log is read in place of the pipe, and a hole is left where all is done: its file is
large only in numbers.
"""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import cast

from conveyor.engines.processes.channel import Poller
from conveyor.engines.processes.memory import punch_hole
from conveyor.engines.processes.wire import HEADER, frame_head, frame_of
from conveyor.flow.batch import Frame
from conveyor.flow.credit import FRAMES, Due
from conveyor.flow.route import LinkOut

_SIZE = 1 << 50
"""Bytes of the file: more than can ever go along a channel."""

_PAGE = 4096
_START = 64 << 10
"""Where frames begin, behind the words: a multiple of the page, however large that is."""

_WORD = struct.Struct("<Q")
_FLOAT = struct.Struct("<d")
_HEAD, _TAKEN, _SERVICE = 0, 8, 16
_WORDS = struct.Struct("<QQd")

_READ = 64 << 10
_FREE = 1 << 20
"""Bytes that are done before a hole is made for them."""

_BELL = b"\0"
_RINGS = 4096
_TOGETHER = FRAMES // 2


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


class Log:
    """The frames of one channel, as one end sees them.

    Positions count the bytes that were ever written. The sender moves the head, the receiver
    what is taken; each is one word, so that no death leaves it half written.

    Args:
        fd: the descriptor that :func:`create` gave; it is closed with the log.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def words(self) -> tuple[int, int, float]:
        """The head, what is taken, and the seconds per item that the receiver told last."""
        head, taken, service = _WORDS.unpack(os.pread(self._fd, _WORDS.size, 0))
        return head, taken, service

    def write(self, position: int, *parts: bytes | bytearray) -> int:
        """Write a frame behind the head; return the position behind it."""
        for part in parts:
            write_whole(self._fd, part, _START + position)
            position += len(part)
        return position

    def publish(self, position: int) -> None:
        """Let everything up to a position be read."""
        os.pwrite(self._fd, _WORD.pack(position), _HEAD)

    def take(self, position: int, service: float) -> None:
        """Give credit back up to a position, and tell the service time."""
        os.pwrite(self._fd, _FLOAT.pack(service), _SERVICE)
        os.pwrite(self._fd, _WORD.pack(position), _TAKEN)

    def read(self, position: int, size: int) -> bytes:
        """Up to so many bytes from a position on."""
        return os.pread(self._fd, size, _START + position)

    def read_whole(self, position: int, size: int) -> bytearray:
        """So many bytes from a position on."""
        data = bytearray(size)
        rest = memoryview(data)
        while rest:
            count = os.preadv(self._fd, [rest], _START + position)
            rest, position = rest[count:], position + count
        return data

    def free(self, start: int, end: int) -> None:
        """Give memory back; both positions are whole pages."""
        punch_hole(self._fd, _START + start, end - start)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._fd)


class Bell:
    """The pipe beside a log: either side wakes the other by it.

    Args:
        connection: the pipe.
        poller: what serves it.

    Attributes:
        heard: called when the other side has rung.
    """

    is_flushed = True

    def __init__(self, connection: Connection, poller: Poller) -> None:
        self._connection = connection
        self.fd = connection.fileno()
        os.set_blocking(self.fd, False)
        self._poller = poller
        self.heard: Callable[[], None] = _nothing
        poller.add(self)

    def flush(self) -> bool:
        """Nothing ever waits to be written."""
        return True

    def on_readable(self) -> None:
        """The other side has rung, or is gone for good."""
        try:
            is_open = bool(os.read(self.fd, _RINGS))
        except BlockingIOError:
            is_open = True
        except OSError:
            is_open = False
        self.heard()
        if not is_open:
            self.close()

    def ring(self) -> None:
        """Wake the other side. A pipe that is full will wake it, too."""
        self._poller.before_waiting.pop(self, None)
        with suppress(OSError):
            os.write(self.fd, _BELL)

    def ring_when_idle(self) -> None:
        """Wake the other side before this process waits for anything."""
        self._poller.before_waiting[self] = self.ring

    def close(self) -> None:
        """Close the pipe."""
        if not self._connection.closed:
            self._poller.drop(self)
            self._connection.close()


def _nothing() -> None:
    """There is nobody to hear."""


class DurableSender:
    """The upper end: frames out, credits in.

    Args:
        log: where the frames go.
        bell: wakes the receiver.
        leaf: the link that it is in the way out of the worker.
        publishes: whether each frame can be read at once, rather than when that is said.

    Attributes:
        position: that behind the last frame.
    """

    is_flushed = True

    def __init__(self, log: Log, bell: Bell, leaf: LinkOut, *, publishes: bool) -> None:
        self._log = log
        self._bell = bell
        bell.heard = self.look
        self._credit = leaf.credit
        self._publishes = publishes
        self._in_flight: deque[int] = deque()
        self.position = self._published = 0

    def resume(self, position: int) -> None:
        """Go on where the worker before was when it last committed."""
        _, taken, service = self._log.words()
        self.position = self._published = position
        for end, items, size in _entries(self._log, taken, position):
            self._credit.send(items, size)
            self._in_flight.append(end)
        self._credit.taken(0, service)
        self._log.publish(position)
        self._bell.ring()

    def send(self, frame: Frame) -> None:
        """Send a frame whose items are pickled."""
        payload = cast("bytes", frame.payload) if frame.payload is not None else b""
        self.position = self._log.write(self.position, frame_head(frame), payload)
        self._in_flight.append(self.position)
        if self._publishes:
            self.publish()

    def publish(self) -> None:
        """Let all that was sent be read."""
        if self._published != self.position:
            self._published = self.position
            self._log.publish(self.position)
            self._bell.ring()

    def look(self) -> None:
        """Take credits in."""
        _, taken, service = self._log.words()
        frames = 0
        while self._in_flight and self._in_flight[0] <= taken:
            self._in_flight.popleft()
            frames += 1
        self._credit.taken(frames, service)

    def close(self) -> None:
        """Close this end."""
        self._bell.close()
        self._log.close()


class DurableReceiver:
    """The lower end: frames in, credits out.

    Args:
        log: where the frames are.
        bell: wakes the sender.
        channel: its number, which every frame gets as its link.
        receive: called with each frame that has come.
        keeps: whether frames stay in the log until :meth:`complete`. Then none is taken in before
            it is known by :meth:`resume` which are done.
    """

    def __init__(
        self,
        log: Log,
        bell: Bell,
        *,
        channel: int,
        receive: Callable[[Frame], None],
        keeps: bool,
    ) -> None:
        self._log = log
        self._bell = bell
        bell.heard = self.look
        self._channel = channel
        self._receive = receive
        self._keeps = keeps
        self._position = self._done = self._freed = self._taken = 0
        self._ungranted: deque[int] = deque()
        self._undone: deque[tuple[int, bool]] = deque()
        self._owed = 0
        self._is_open = not keeps

    def resume(self, position: int) -> None:
        """Go on where the worker before was when it last committed."""
        self._is_open = True
        self._position = self._done = position
        self._freed = position - position % _PAGE
        _, self._taken, _ = self._log.words()
        self._bell.ring()  # the worker before may have died between its word and its bell

    def look(self) -> None:
        """Take frames in."""
        if not self._is_open:
            return
        head, _, _ = self._log.words()
        while self._position < head:
            data = self._log.read(self._position, min(head - self._position, _READ))
            if not self._parse(data):
                self._read_large(data)

    def _parse(self, data: bytes) -> int:
        """Take the frames in that are whole; return how many."""
        at = frames = 0
        while len(data) - at >= HEADER.size:
            size, address_size, count = HEADER.unpack_from(data, at)
            start = at + HEADER.size + address_size
            if len(data) < start + size:
                break
            address, payload = data[at + HEADER.size : start], data[start : start + size]
            self._position += start + size - at
            at = start + size
            frames += 1
            self._arrived(frame_of(address, count, payload))
        return frames

    def _read_large(self, data: bytes) -> None:
        size, address_size, count = HEADER.unpack_from(data)
        start = HEADER.size + address_size
        address = self._log.read(self._position + HEADER.size, address_size)
        payload = self._log.read_whole(self._position + start, size)
        self._position += start + size
        self._arrived(frame_of(address, count, payload))

    def _arrived(self, frame: Frame) -> None:
        frame.link = self._channel
        self._ungranted.append(self._position)
        if self._keeps:
            self._undone.append((self._position, frame.end > 0))
        else:
            self._done = self._position
        self._receive(frame)

    def grant(self, service: float, due: Due) -> None:
        """Give the credit of one frame back, and tell the service time from here on.

        The word is moved at once; the sender is woken for it when that is due.
        """
        position = self._ungranted.popleft()
        if position <= self._taken:
            return  # the worker before has given it back
        self._taken = position
        self._log.take(position, service)
        self._free()
        self._owed += 1
        if due == "now" or self._owed >= _TOGETHER:
            self._owed = 0
            self._bell.ring()
        elif due == "idle":
            self._bell.ring_when_idle()

    @property
    def entry(self) -> int:
        """The position behind the oldest frame that is not done."""
        return self._undone[0][0]

    def complete(self) -> tuple[int, bool]:
        """The oldest frame is done: the position behind it, and whether it was an end."""
        position, is_end = self._undone.popleft()
        self._done = position
        return position, is_end

    def committed(self) -> None:
        """What is done stays so, whatever comes."""
        self._free()

    def close(self) -> None:
        """Close this end."""
        self._bell.close()
        self._log.close()

    def _free(self) -> None:
        """Give back the memory of what neither side will read again."""
        end = min(self._done, self._taken)
        end -= end % _PAGE
        if end - self._freed >= _FREE:
            self._log.free(self._freed, end)
            self._freed = end


def _entries(log: Log, start: int, end: int) -> list[tuple[int, int, int]]:
    """For each frame between two positions, the one behind it, its items and its bytes."""
    found: list[tuple[int, int, int]] = []
    while start < end:
        size, address_size, count = HEADER.unpack(log.read(start, HEADER.size))
        start += HEADER.size + address_size + size
        found.append((start, count, size))
    return found
