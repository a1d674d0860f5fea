"""What Conveyor is to reach, as comparisons between contestants of one interleaved run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

Rounds = Mapping[str, Sequence[Mapping[str, float]]]
"""For each contestant, for each round, the value of each metric.

A round that failed is empty; one that was kept before a metric was thought of lacks it.
"""


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on one metric of one contestant, alone or against others.

    Attributes:
        side: whether the figure has to be at least the bound, or at most.
        bound: the bound.
        metric: the name of what is bounded.
        against: whom it is compared with, and all of these count; none: the value itself counts.
        by: whether the figure is how many times theirs is ours, or how much more ours is.
        contestant: whose figure it is.
        label: what ``against`` is called, where it is not one name.
    """

    side: Literal["at least", "at most"]
    bound: float
    metric: str
    against: tuple[str, ...] = ()
    by: Literal["ratio", "excess"] = "ratio"
    contestant: str = "conveyor"
    label: str = ""

    def __str__(self) -> str:
        """The target in words."""
        whose = "" if self.contestant == "conveyor" else f"{self.contestant}, "
        start = f"{whose}{self.metric}: {self.side} {self.bound:g}"
        if not self.against:
            return start
        others = self.label or self.against[0]
        return f"{start} x {others}" if self.by == "ratio" else f"{start} above {others}"

    def figure(self, rounds: Rounds) -> float | None:
        """What was reached, as a median over rounds; None where somebody is missing."""
        ours = rounds.get(self.contestant, ())
        if not self.against:
            return _median([values[self.metric] for values in ours if self.metric in values])
        figures = [self._compared(ours, rounds.get(other, ())) for other in self.against]
        known = [figure for figure in figures if figure is not None]
        if not known:
            return None
        return min(known) if self.side == "at least" else max(known)

    def is_met(self, figure: float) -> bool:
        """Whether that is enough."""
        return figure >= self.bound if self.side == "at least" else figure <= self.bound

    def _compared(
        self, ours: Sequence[Mapping[str, float]], theirs: Sequence[Mapping[str, float]]
    ) -> float | None:
        """The comparison within each round, so that a slow drift of the machine cancels out."""
        pairs = [
            (a[self.metric], b[self.metric])
            for a, b in zip(ours, theirs, strict=False)
            if self.metric in a and self.metric in b
        ]
        return _median([a / b if self.by == "ratio" else a - b for a, b in pairs])


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None
