"""Where batches are made: how many may be under way, and how large they are."""

from __future__ import annotations

from conveyor.flow.batch import Path, component

BATCH_SECONDS = 0.001
"""What a batch should take at the slowest stage: enough to pay for a hop many times over."""

FULL_SECONDS = 0.016
"""The same where batches wait for room anyway: a larger one comes out no later."""

FULL_BATCHES = 16
"""Batches after which a pipeline that had no room counts as one that has."""

FIRST_ITEMS = 64
"""The most items of a batch as long as none has come out.

What may be under way is batches. So a worker that is slow to start, behind others that are fast
and ask for large ones, would find ten thousand items before it.
"""

MOST_ITEMS = 4096
"""Beyond this a larger batch saves next to nothing per item."""

AT_ONCE = 64
"""Items that are pulled between two looks at the clock."""

MOST_BYTES = 256 << 10
"""A batch of larger items is smaller, so that what bounds batches bounds memory too."""


class Window:
    """Numbers the batches of a source, and bounds how many are not retired yet.

    A batch is retired when the consumer has taken all that came of it. So the window bounds
    what is held anywhere, in joins and reorder buffers too, and no shape of graph can deadlock
    on full buffers.

    Args:
        limit: the most batches under way.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.begin()

    def begin(self) -> None:
        """Begin a run, with batch 0."""
        self.sent = 0
        self.retired = 0
        self.is_held = False
        """Whether no more is to be sent for now, the end of the stream included."""

    @property
    def is_open(self) -> bool:
        """Whether another batch may be sent."""
        return not self.is_held and self.sent - self.retired < self.limit

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return self.sent == self.retired

    def next_path(self, *, end: bool = False) -> Path:
        """The address of the next batch, which counts as sent."""
        number = self.sent
        self.sent += 1
        return (component(number, last=end),)


class Sizer:
    """Decides how many items a batch has, with nothing to set.

    Cheap items travel in batches worth about a millisecond of the slowest stage's time, slow
    ones alone. Until something has been measured, items travel alone; then the size doubles
    with each batch, since the first items tell little, and it shrinks at once. Beyond
    :data:`FIRST_ITEMS` it grows only where a batch has come out since the last one was made: the
    slow start of TCP (RFC 5681, section 3.1), which grows with what is acknowledged.
    """

    def __init__(self) -> None:
        self._size = 1
        self._retired = 0
        self._since_full = FULL_BATCHES
        self._by_bytes = MOST_ITEMS
        self._by_pull = 1

    def size(self, service: float, *, full: bool, retired: int) -> int:
        """The items of the next batch.

        Args:
            service: seconds per item that the slowest stage takes; 0 while unknown.
            full: whether the last batch had to wait for room.
            retired: the batches that have come out in this run.
        """
        most = self._size * 2
        if retired == self._retired:
            most = max(self._size, min(most, FIRST_ITEMS))
        self._retired = retired
        self._since_full = 0 if full else self._since_full + 1
        seconds = FULL_SECONDS if self._since_full < FULL_BATCHES else BATCH_SECONDS
        wanted = seconds / service if service > 0 else self._size
        self._size = int(max(1, min(wanted, most, MOST_ITEMS)))
        return max(1, min(self._size, self._by_bytes, self._by_pull))

    @staticmethod
    def settled(service: float) -> int:
        """The size for a service time, with no caution: for the outputs of one item."""
        wanted = BATCH_SECONDS / service if service > 0 else 1
        return int(max(1, min(wanted, MOST_ITEMS)))

    def pulled(self, items: int, seconds: float) -> None:
        """It took so long to get ``items``: they are not to wait for others for longer."""
        if items:
            wanted = BATCH_SECONDS * items / seconds if seconds > 0 else MOST_ITEMS
            self._by_pull = int(max(1, min(wanted, self._by_pull * 2, MOST_ITEMS)))

    def weighed(self, items: int, size: int) -> None:
        """A batch of ``items`` took so many bytes."""
        if items:
            self._by_bytes = int(max(1, min(MOST_ITEMS, MOST_BYTES * items / max(size, 1))))
