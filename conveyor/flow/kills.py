"""Whether a death is one of those that the kernel has counted: for want of memory, it kills."""

from __future__ import annotations


class Kills:
    """What counters of such deaths showed, and which deaths have been put down to them.

    Each that is counted explains one death. Where several processes of a group die at once, some
    by another hand, nobody can tell which; that is the only guess.
    """

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def begin(self, counter: str, count: int | None) -> None:
        """A process has started for which a counter counts that shows so many, if it can be read.

        What it showed when it was seen for the first time stands.
        """
        if count is not None:
            self._known.setdefault(counter, count)

    def explain(self, counter: str, count: int | None) -> bool:
        """Whether a death that was just seen is one of those counted; that one is used up."""
        known = self._known.get(counter)
        if known is None or count is None or count <= known:
            return False
        self._known[counter] = known + 1
        return True
