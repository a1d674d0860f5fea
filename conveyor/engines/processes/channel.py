"""The ends of channels: thin, non-blocking, each the only writer or reader of its side.

A channel is a ``multiprocessing.Pipe``. Frames go down, credits come up.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from conveyor.engines.processes.descriptors import is_readable, read_now
from conveyor.engines.processes.frames import CREDIT, HEADER, frame_head, frame_of
from conveyor.engines.processes.poller import Poller
from conveyor.flow.batch import Frame
from conveyor.flow.credit import Due, is_due
from conveyor.flow.route import LinkOut

_READ = 8 << 10
_MOST_READ = 256 << 10
_SMALL = 32 << 10
_LARGE = 128 << 10
_HEAD = HEADER.size


class _Writer:
    """Writes without blocking; keeps what did not fit."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._waiting: deque[memoryview] = deque()
        self.is_broken = False

    @property
    def is_flushed(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    def write(self, *parts: bytes | bytearray) -> bool:
        """Write ``parts`` as far as they fit; return whether nothing waits."""
        if self.is_broken:
            return True  # and what is closed may be somebody else's by now
        if not self._waiting and len(parts[-1]) <= _SMALL:
            parts = (self._try(b"".join(parts)),)
            if not parts[0]:
                return True
        self._waiting += [memoryview(part) for part in parts if part]
        return not self._waiting or self.flush()

    def _try(self, data: bytes) -> bytes:
        """Write at once what is small; return what did not fit."""
        try:
            written = os.write(self._fd, data)
        except BlockingIOError:
            return data
        except TimeoutError:
            raise
        except OSError:
            self.is_broken = True
            return b""
        return data[written:]

    def flush(self) -> bool:
        while self._waiting and not self.is_broken:
            try:
                written = os.writev(self._fd, list(self._waiting)[:64])
            except BlockingIOError:
                return False
            except TimeoutError:
                raise
            except OSError:
                # The reader is gone. Why is for the supervisor to find out.
                self.is_broken = True
                break
            self._forget(written)
        if self.is_broken:
            self._waiting.clear()
        return True

    def _forget(self, written: int) -> None:
        while written:
            first = self._waiting[0]
            if written < len(first):
                self._waiting[0] = first[written:]
                return
            written -= len(first)
            self._waiting.popleft()


class _PipeEnd:
    """One end of a pipe, served by a poller.

    Args:
        connection: the pipe; it is kept, since its descriptor is used.
        poller: what serves it.
    """

    def __init__(self, connection: Connection, poller: Poller) -> None:
        self._connection = connection
        self.fd = connection.fileno()
        os.set_blocking(self.fd, False)
        self._poller = poller
        self._writer = _Writer(self.fd)
        poller.add(self)

    def on_readable(self) -> None:
        """Take in what has come."""
        raise NotImplementedError

    def write(self, *parts: bytes | bytearray) -> None:
        """Write ``parts``; what does not fit now follows by itself."""
        if not self._writer.write(*parts):
            self._poller.want_write(self)

    def flush(self) -> bool:
        """Write what waits; return whether all is written."""
        return self._writer.flush()

    @property
    def is_flushed(self) -> bool:
        """Whether nothing waits to be written."""
        return self._writer.is_flushed

    @property
    def is_closed(self) -> bool:
        """Whether this end is closed: by us, or since the other side is gone."""
        return self._connection.closed

    def close(self) -> None:
        """Close the pipe; what is written to it from now on goes nowhere."""
        self._poller.drop(self)
        self._writer.is_broken = True
        self._writer.flush()
        self._connection.close()


class FrameSender(_PipeEnd):
    """The upper end of a channel: frames out, credits in.

    Args:
        connection: the pipe; it is kept, since its descriptor is used.
        poller: what serves it.
        leaf: the link that it is in the way out of the worker.
    """

    def __init__(self, connection: Connection, poller: Poller, leaf: LinkOut) -> None:
        super().__init__(connection, poller)
        # A credit belongs to the link that it came by, and the leaf may get another link.
        self._credit = leaf.credit
        self._partial = b""

    def send(self, frame: Frame) -> None:
        """Send a frame whose items are pickled; what does not fit now follows by itself."""
        payload: Any = frame.payload
        self.write(frame_head(frame), payload or b"")

    def on_readable(self) -> None:
        """Take credits in."""
        data = read_now(os.read, self.fd, _READ)
        if data is None:
            return
        if not data:
            self.close()
            return
        data = self._partial + data
        whole = len(data) - len(data) % CREDIT.size
        for frames, service in CREDIT.iter_unpack(data[:whole]):
            self._credit.taken(frames, service)
        self._partial = data[whole:]


class FrameReceiver(_PipeEnd):
    """The lower end of a channel: frames in, credits out.

    Args:
        connection: the pipe.
        poller: what serves it.
        receive: called with each frame that has come.
    """

    def __init__(
        self, connection: Connection, poller: Poller, receive: Callable[[Frame], None]
    ) -> None:
        super().__init__(connection, poller)
        self._receive = receive
        self._owed = 0
        self._room = _READ
        self._rest = b""
        """What has come of a frame that is not whole yet."""
        self._large: tuple[bytes, int, bytearray, int] | None = None

    def grant(self, service: float, due: Due) -> None:
        """Give the credit of one frame back, and tell the service time from here on.

        To wake the sender for each costs both a lot. Where nothing waits for it, two go together.

        Args:
            service: seconds per item.
            due: when it has to go.
        """
        self._owed += 1
        if is_due(due, self._owed):
            owed, self._owed = self._owed, 0
            self.write(CREDIT.pack(owed, service))

    def drain(self) -> None:
        """Take in all that has come, for the other side is gone, and close the pipe."""
        while not self.is_closed and is_readable(self.fd, 0):
            self.on_readable()
        self.close()

    def on_readable(self) -> None:
        """Take in what has come."""
        if self._large is not None:
            self._read_large()
            return
        data = read_now(os.read, self.fd, self._room)
        if data is None:
            return
        if not data:
            self.close()
            return
        # To ask for much where little comes costs more than all the rest of a hop: the room for
        # it is memory that the system gives and takes back each time.
        if len(data) == self._room:
            self._room = min(self._room * 4, _MOST_READ)
        elif len(data) < self._room // 8:
            self._room = max(self._room // 2, _READ)
        self._parse(self._rest + data)

    def _parse(self, data: bytes) -> None:
        at, there = 0, len(data)
        try:
            while there - at >= _HEAD:
                size, address_size, count = HEADER.unpack_from(data, at)
                start = at + _HEAD + address_size
                end = start + size
                if end > there:
                    if size > _LARGE and there >= start:
                        self._begin_large(data[at + _HEAD : start], count, data[start:], size)
                        at = there
                    break
                frame = frame_of(data[at + _HEAD : start], count, data[start:end])
                at = end
                self._receive(frame)
        finally:  # so that one that is refused leaves the next whole
            self._rest = data[at:]

    def _begin_large(self, address: bytes, count: int, begun: bytes, size: int) -> None:
        """A large frame is read straight to its place, rather than through the buffer."""
        payload = bytearray(size)
        payload[: len(begun)] = begun
        self._large = (address, count, payload, len(begun))

    def _read_large(self) -> None:
        assert self._large is not None
        address, count, payload, have = self._large
        try:
            got = os.readv(self.fd, [memoryview(payload)[have:]])
        except BlockingIOError:
            return
        except TimeoutError:
            raise
        except OSError:
            got = 0
        if not got:
            self.close()
            return
        if have + got < len(payload):
            self._large = (address, count, payload, have + got)
            return
        self._large = None
        self._receive(frame_of(address, count, payload))


class LocalChannel:
    """Both ends of a channel inside one process: frames pass as objects."""

    is_flushed = True

    def __init__(self, leaf: LinkOut, receive: Callable[[Frame], None]) -> None:
        self._leaf = leaf
        self._receive = receive

    def send(self, frame: Frame) -> None:
        """Hand a frame over."""
        self._receive(frame)

    def grant(self, service: float, due: Due) -> None:  # noqa: ARG002
        """Give the credit of one frame back."""
        self._leaf.credit.taken(1, service)

    def close(self) -> None:
        """There is nothing to close."""
