"""How far a run has got: what ``run(progress=...)`` hands out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conveyor.engines.stats import Stats


@dataclass(frozen=True, slots=True)
class Recent:
    """What an element did in the last seconds.

    Attributes:
        rate: the items that it took, per second.
        busy, starved, blocked: the shares of its workers' time.
    """

    rate: float = 0.0
    busy: float = 0.0
    starved: float = 0.0
    blocked: float = 0.0


@dataclass(frozen=True, slots=True, repr=False)
class Snapshot:
    """How far a run has got: what ``run(progress=function)`` calls the function with.

    Attributes:
        expression: the pipeline as it was written.
        stats: the account up to now; the final one where `is_last`.
        recent: what each element did in the last seconds, by its id.
        length: how many items there will be; None where nobody can tell.
        remaining: the seconds that are left, about; None where nobody can tell.
        is_last: whether the run has come to its end.
    """

    expression: str
    stats: Stats
    recent: Mapping[str, Recent]
    length: int | None = None
    remaining: float | None = None
    is_last: bool = False

    def __repr__(self) -> str:
        seconds = f"elapsed={self.elapsed:.3g}, remaining={self.remaining}"
        items = f"items_in={self.items_in}, items_out={self.items_out}, failed={self.failed}"
        return f"Snapshot({items}, length={self.length}, {seconds}, is_last={self.is_last})"

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return self.stats.elapsed

    @property
    def items_in(self) -> int:
        """The items that have gone in."""
        return self.stats.total.items_in

    @property
    def items_out(self) -> int:
        """The outputs that the caller has got."""
        return self.stats.total.items_out

    @property
    def failed(self) -> int:
        """The items that failed for good: those that were skipped, and the dead letters."""
        return self.stats.total.skipped + self.stats.total.dead
