"""Looks at a run now and then, between batches, and shows somebody how far it has got."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from operator import length_hint
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from conveyor.engines.snapshot import Recent, Snapshot
from conveyor.engines.stats import Stats
from conveyor.graph import ProcessorNode

if TYPE_CHECKING:
    from conveyor.engines.figures import ElementStats

RECENT = 5.0
"""Seconds that count as recent."""

SPARE = 50
"""What it takes to look and to show is at most the so-many-th part of the caller's time."""


class View(Protocol):
    """Somebody who wants to see how far a run has got."""

    @property
    def period(self) -> float:
        """Seconds from one snapshot to the next."""
        ...

    def show(self, snapshot: Snapshot) -> None:
        """Take the next snapshot."""

    def close(self) -> None:
        """The run is over, also where it has failed."""


class Watch:
    """A run under the eyes of a view.

    Args:
        view: who wants to see it.
        stats: gives the account up to now.
        expression: the pipeline as it was written.
        length: how many items there will be, if that is known.
    """

    def __init__(
        self, view: View, stats: Callable[[], Stats], expression: str, length: int | None
    ) -> None:
        self._view = view
        self._stats = stats
        self._expression = expression
        self._length = length
        self._pace = Pace()
        self._due = monotonic() + view.period

    def patience(self, most: float) -> float:
        """Seconds until the next look, or less where something else comes before."""
        return min(most, max(0.0, self._due - monotonic()))

    def look(self) -> None:
        """Show how far the run has got, if it is time to."""
        now = monotonic()
        if now >= self._due:
            self._show(self._stats())
            self._due = now + max(self._view.period, SPARE * (monotonic() - now))

    def end(self, stats: Stats) -> None:
        """Show the end of the run."""
        self._show(stats)

    def close(self) -> None:
        """There is nothing more to see."""
        self._view.close()

    def _show(self, stats: Stats) -> None:
        recent = self._pace.take(stats)
        self._view.show(
            Snapshot(
                self._expression,
                stats,
                recent,
                self._length,
                None if stats.is_complete else self._remaining(stats, recent),
                stats.is_complete,
            )
        )

    def _remaining(self, stats: Stats, recent: Mapping[str, Recent]) -> float | None:
        start = stats.graph.start.id
        if self._length is None or not recent[start].rate:
            return None
        return max(0.0, (self._length - stats.total.items_in) / recent[start].rate)


class Pace:
    """What elements did lately: from the accounts of the last seconds."""

    def __init__(self) -> None:
        self._seen: deque[Stats] = deque()

    def take(self, stats: Stats) -> dict[str, Recent]:
        """What each element did between an account of some seconds ago and this one."""
        seen = self._seen
        while len(seen) > 1 and seen[1].elapsed <= stats.elapsed - RECENT:
            seen.popleft()
        before = seen[0] if seen else None
        seen.append(stats)
        since = before.elapsed if before is not None else 0.0
        return {
            name: _recent(before.elements[name] if before else None, now, stats.elapsed - since)
            for name, now in stats.elements.items()
        }


def _recent(before: ElementStats | None, now: ElementStats, seconds: float) -> Recent:
    from conveyor.engines.figures import ElementStats  # slow to import

    then = before if before is not None else ElementStats()
    time = now.time - then.time
    spent = (now.busy - then.busy, now.starved - then.starved, now.blocked - then.blocked)
    rate = (now.items_in - then.items_in) / seconds if seconds > 0 else 0.0
    return Recent(rate, *(max(0.0, one / time) if time > 0 else 0.0 for one in spent))


def length_of(items: Any, start: ProcessorNode) -> int | None:
    """How many items there will be, where they or the source can tell without being asked for them.

    Args:
        items: those of the caller.
        start: what the pipeline starts with; a source may have ``__length_hint__``.
    """
    try:
        hint = length_hint(start.processor if start.kind == "source" else items, -1)
    except Exception:
        return None
    return hint if hint >= 0 else None
