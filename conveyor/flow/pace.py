"""How fast a worker has been of late: what it tells those before it."""

from __future__ import annotations

KEPT = 0.7
"""What a batch weighs, item by item, beside the next one."""


class Pace:
    """Seconds and outputs per item.

    A batch weighs as much as it has items. What it takes beside its items, which in a small one is
    most of it, would be taken for theirs, and the first large one tells better.
    """

    def __init__(self) -> None:
        self._items = self._seconds = self._outputs = 0.0
        self.seconds = 0.0
        """Seconds per item; 0 while nothing is known."""
        self.outputs = 1.0
        """Outputs per item; 1 while nothing is known."""

    def add(self, items: int, seconds: float, outputs: int = 0) -> None:
        """A batch of so many items has taken so long and given so many outputs."""
        self._items = self._items * KEPT + items
        self._seconds = self._seconds * KEPT + seconds
        self._outputs = self._outputs * KEPT + outputs
        if self._items:
            self.seconds = self._seconds / self._items
            self.outputs = self._outputs / self._items
