"""The ends of control connections, between the parent and each worker."""

from __future__ import annotations

import errno
import os
import pickle
import select
import socket
import struct
import threading
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from conveyor.engines.processes.descriptors import close_all, read_now
from conveyor.engines.processes.poller import Poller

_READ = 8 << 10
_SIZE = struct.Struct("<Q")
_INT = array("i").itemsize
_FDS = 200
"""Descriptors in one message: the kernel allows 253."""
_RIGHTS = socket.CMSG_SPACE(_FDS * _INT)
# As plain numbers, which take less.
_CLOEXEC = int(socket.MSG_CMSG_CLOEXEC)
_CUT = int(socket.MSG_CTRUNC)


class MessageEnd:
    """One end of a control connection: small pickled messages, both ways, and descriptors.

    Any thread may send: what a user's thread prints goes this way, too.

    Args:
        connection: the pipe; it is taken over, and closed.
        receive: called with each message that has come; with None at the end.
        poller: what serves it.

    Attributes:
        fds: the descriptors that came. Those that belong to a message are there when it is.
        has_ended: whether the other side is gone.
    """

    def __init__(
        self, connection: Connection, receive: Callable[[Any], None], poller: Poller
    ) -> None:
        # One owner of one descriptor: with two, it is closed twice where this is never closed.
        self._socket = socket.socket(fileno=os.dup(connection.fileno()))
        connection.close()
        self.fd = self._socket.fileno()
        self._socket.setblocking(False)  # noqa: FBT003
        self._receive = receive
        self._poller = poller
        self._waiting: deque[tuple[memoryview, Sequence[int]]] = deque()
        self._writing = threading.RLock()
        self._buffer = bytearray()
        self.fds: deque[int] = deque()
        self._lacks = False
        """Whether there was no room for some of those that were sent."""
        self.has_ended = False
        poller.add(self)

    def send(self, message: Any, fds: Sequence[int] = ()) -> None:
        """Send a message; what does not fit now follows by itself.

        Args:
            message: what to send.
            fds: descriptors that belong to it; they are closed here once they are sent.
        """
        self._add(message, fds)
        if not self.flush():
            self._poller.want_write(self)

    def _add(self, message: Any, fds: Sequence[int]) -> None:
        data = pickle.dumps(message, 5)
        rest = memoryview(_SIZE.pack(len(data)) + data)
        with self._writing:
            # They go along with a byte each time, and so are never behind their message.
            for start in range(0, len(fds), _FDS):
                self._waiting.append((rest[:1], fds[start : start + _FDS]))
                rest = rest[1:]
            self._waiting.append((rest, ()))

    def send_now(self, message: Any) -> None:
        """Send a message and wait until it is written."""
        self._add(message, ())
        while not self.flush():
            poll = select.poll()
            poll.register(self.fd, select.POLLOUT)
            poll.poll()

    def flush(self) -> bool:
        """Write what waits; return whether all is written."""
        with self._writing:
            return self._flush()

    def _flush(self) -> bool:
        while self._waiting:
            data, fds = self._waiting[0]
            try:
                written = self._write(data, fds)
            except BlockingIOError:
                return False
            except TimeoutError:
                raise
            except OSError:
                # The reader is gone. Why is for the supervisor to find out.
                self._forget()
                break
            close_all(fds)
            self._waiting[0] = (data[written:], ())
            if written == len(data):
                self._waiting.popleft()
        return True

    def _write(self, data: memoryview, fds: Sequence[int]) -> int:
        if not fds:
            return os.write(self.fd, data)
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))
        return self._socket.sendmsg([data], [rights])

    def _forget(self) -> None:
        """Give up what waits to be written."""
        while self._waiting:
            close_all(self._waiting.popleft()[1])

    def take_fd(self) -> int:
        """The next of the descriptors that came.

        Raises:
            OSError: this process had no room for some of them.
        """
        if self._lacks:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return self.fds.popleft()

    def read_all(self) -> None:
        """Take in all that has come, for the other side is gone."""
        while not self.has_ended and (data := self._read()) is not None:
            self._take(data)

    def on_readable(self) -> None:
        """Take in what has come."""
        if (data := self._read()) is not None:
            self._take(data)

    def _read(self) -> bytes | None:
        """What can be read now: None where that is nothing, b"" at the end."""
        return read_now(self._received)

    def _received(self) -> bytes:
        data, rights, flags, _ = self._socket.recvmsg(_READ, _RIGHTS, _CLOEXEC)
        for _, _, fds in rights:
            self.fds += array("i", fds)
        self._lacks |= bool(flags & _CUT)
        return data

    def _take(self, data: bytes) -> None:
        if not data:
            self.has_ended = True
            self._poller.drop(self)
            self._receive(None)
            return
        buffer = self._buffer
        buffer += data
        while len(buffer) >= _SIZE.size:
            (size,) = _SIZE.unpack_from(buffer)
            end = _SIZE.size + size
            if len(buffer) < end:
                break
            message = pickle.loads(buffer[_SIZE.size : end])
            # Before it is received: Ctrl-C may come in the midst of that, and what has been shown
            # is not to be shown again.
            del buffer[:end]
            self._receive(message)

    def close(self) -> None:
        """Close the connection, and the descriptors that nobody has taken."""
        self._poller.drop(self)
        self._forget()
        close_all(self.fds)
        self.fds.clear()
        self._socket.close()
