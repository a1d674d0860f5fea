"""Channels that outlive the workers which use them, in anonymous memory.

A worker that dies leaves its links as they are. What was sent on them stays in a *log*, a memfd
that the parent keeps for whoever takes the place of the dead; the pipe beside it only wakes the
other side. The log is read in place of the pipe.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import cast

from conveyor.engines.processes.descriptors import read_now
from conveyor.engines.processes.frames import frame_head, frame_of
from conveyor.engines.processes.log import Log
from conveyor.engines.processes.poller import Poller
from conveyor.flow.batch import Frame
from conveyor.flow.credit import Due, is_due
from conveyor.flow.route import LinkOut

_BELL = b"\0"
_RINGS = 4096


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
        is_gone = read_now(os.read, self.fd, _RINGS) == b""
        self.heard()
        if is_gone:
            self.close()

    def ring(self) -> None:
        """Wake the other side, if it is there. A pipe that is full will wake it, too."""
        if self._connection.closed:
            return
        with suppress(OSError):
            os.write(self.fd, _BELL)

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
        while taken < position:
            entry = self._log.entry(taken)
            self._credit.send(entry.items, entry.size)
            taken = entry.end
            self._in_flight.append(taken)
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
        self._position = self._done = self._taken = 0
        self._ungranted: deque[int] = deque()
        self._undone: deque[tuple[int, bool]] = deque()
        self._owed = 0
        self._is_open = not keeps

    def resume(self, position: int) -> None:
        """Go on where the worker before was when it last committed."""
        self._is_open = True
        self._position = self._done = position
        _, taken, service = self._log.words()
        self._taken = max(taken, position)
        # What was done has no other to give its credit back.
        self._log.take(self._taken, service)
        self._bell.ring()  # the worker before may have died between its word and its bell

    def look(self) -> None:
        """Take frames in."""
        if not self._is_open:
            return
        head, _, _ = self._log.words()
        while self._position < head:
            entry = self._log.entry(self._position)
            self._position = entry.end
            self._arrived(frame_of(entry.address, entry.items, self._log.payload(entry)))

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
        if is_due(due, self._owed):
            self._owed = 0
            self._bell.ring()

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
        self._log.free(min(self._done, self._taken))
