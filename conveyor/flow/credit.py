"""Credits: how much may be on a link that its receiver has not taken into work yet.

That is backpressure. The receiver gives a credit back when it takes a frame into work (or into
a join that waits for others), not when the frame arrives: granting on arrival lets a fast
sender fill the queue, and every result is still right.

A balanced fork chooses by them, too. Where it does, a credit goes back when the frame is done, so
that a branch at work does not look like one that waits for work.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

FRAMES = 4
"""Frames on a link: enough that a worker never waits for the way of a credit."""

BYTES = 40 << 20
"""Bytes on a link; one frame may always go, however large, where nothing is on it that matters.

Frames of several MiB flow a quarter faster if there may be a few of them on a link, too.

Of a frame that is smaller by :data:`FRAMES` times the credit may go back along with that of the
next one, see :data:`Due`. So its bytes must not be what the next one waits for.
"""


AHEAD_SECONDS = 0.04
"""Work that a balanced fork gives a branch, where others may be free sooner: what is in work there
and, since full batches are worth less than half of this, one batch that waits."""

Due = Literal["now", "done", "later"]
"""When a credit has to go back: when the frame is taken into work; when it is done; or along with
the credit of the next one."""


_TOGETHER = FRAMES // 2


def is_due(due: Due, owed: int) -> bool:
    """Whether what is owed goes back with a credit that is given now.

    Args:
        due: when that credit has to go back.
        owed: the frames whose credit has not gone back, this one among them.
    """
    return due != "later" or owed >= _TOGETHER


class Credit:
    """The sender's account of one link.

    Args:
        capacity: the most items on the link, or None for no bound in items.
        frames: the most frames on the link.
    """

    def __init__(self, capacity: int | None = None, frames: int = FRAMES) -> None:
        self.capacity = capacity
        self.frames = frames
        self._sent: deque[tuple[int, int]] = deque()
        self.items = 0
        self.bytes = 0
        self.service = 0.0
        """Seconds per item that the slowest stage from here on takes; 0 while unknown."""

    def renewed(self) -> Credit:
        """The account of the link that takes the place of this one; nothing is on it."""
        fresh = Credit(self.capacity, self.frames)
        fresh.service = self.service
        return fresh

    def admits(self, items: int, size: int = 0) -> bool:
        """Whether a frame of so many items and bytes may be sent now."""
        if not self._sent:
            return True
        if len(self._sent) >= self.frames:
            return False
        if self.bytes + size > BYTES and self.bytes > BYTES // FRAMES:
            return False
        return self.capacity is None or self.items + items <= self.capacity

    def send(self, items: int, size: int = 0) -> None:
        """A frame has been sent."""
        self._sent.append((items, size))
        self.items += items
        self.bytes += size

    def taken(self, frames: int, service: float) -> None:
        """The receiver has taken the oldest ``frames`` into work, and tells its service time."""
        if service:
            self.service = service
        for _ in range(frames):
            items, size = self._sent.popleft()
            self.items -= items
            self.bytes -= size

    @property
    def expected(self) -> float:
        """Seconds that the receiver is expected to take for what it has not given credit for."""
        return self.items * self.service

    def is_ahead(self, items: int) -> bool:
        """Whether the receiver has so much to do that so many more items can stay here.

        As long as nobody knows how long its first frame takes, that is enough.
        """
        if not self._sent:
            return False
        return not self.service or self.expected + items * self.service > AHEAD_SECONDS

    def is_too_much(self, items: int) -> bool:
        """Whether so many items together keep the receiver busy while others may be free sooner."""
        return items > 1 and items * self.service > AHEAD_SECONDS

    @property
    def in_flight(self) -> int:
        """How many frames are on the link."""
        return len(self._sent)
