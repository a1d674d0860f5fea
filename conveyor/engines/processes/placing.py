"""Watches how much work the workers of a pipeline have, and decides which share a process.

Until some batches have gone all the way nobody knows. From then on it is looked at again each
time that as much time has gone by as before: a run that changes is followed, and a steady one is
left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from conveyor.engines.processes.gauge import Reading
from conveyor.engines.stats import Placed
from conveyor.flow.place import Placement, decide
from conveyor.plan import Plan
from conveyor.plan.model import PARENT

LOOK_SECONDS = 0.02
"""Seconds from one look to the next, until enough has been measured."""

BATCHES = 4
"""Batches that must have gone all the way, after the first one, which often takes longer."""

WORK_SECONDS = 0.05
"""Seconds of work that must have been measured, of all workers together."""

AT_FIRST = "at first: by their number"
KEPT = "as the run before left it"


class PlaceWatch:
    """Looks now and then how much work the workers have.

    Args:
        plan: what runs.

    Attributes:
        plan: the same, with the workers where they are now.
        is_on: whether there is anything to decide.
        placed: the placements since the run began; none where no processes are shared.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.is_on = plan.is_shared
        self._row = [n for n, worker in enumerate(plan.workers) if worker.process != PARENT]
        self._bound: frozenset[int] = frozenset(n for n in self._row if plan.workers[n].is_bound)
        self._stay: frozenset[int] = self._bound
        self._began = self._next = 0.0
        self._before: Mapping[int, Reading] | None = None
        """What the gauges showed when it was begun to measure; None before."""
        self._done = 0
        """The batches that had gone all the way by then."""
        self._last: Mapping[int, float] = {}
        """The work of the last run."""
        self._reason = AT_FIRST
        self.placed: list[Placed] = []

    def begin(self, now: float) -> bool:
        """A run begins; whether what the last one did asks for another placement."""
        self._began, self._next = now, now + LOOK_SECONDS
        self._before = None
        self._stay = self._bound
        self.placed = []
        self._note(now, self._reason)
        self._reason = KEPT
        return self._decide(self._last) is not None

    def patience(self, now: float) -> float:
        """Seconds until the next look."""
        return max(0.0, self._next - now)

    def look(self, now: float, readings: Mapping[int, Reading], done: int) -> bool:
        """Whether another placement seems to be worth it, as far as is known now.

        Args:
            now: the time, in seconds.
            readings: what the gauges of all workers show.
            done: the batches of this run that have gone all the way.
        """
        self._next = now + LOOK_SECONDS
        if self._before is None:
            if done:
                self._before, self._done = readings, done
            return False
        work = self._work(readings)
        if done < self._done + BATCHES or not _is_enough(work):
            return False
        self._next = now + (now - self._began)
        return self._decide(work) is not None

    def decide(self, readings: Mapping[int, Reading], stay: Collection[int]) -> Placement | None:
        """Another placement that is worth it, if there is one.

        Args:
            readings: what the gauges show now that all workers have had the same items.
            stay: the workers that can't be moved now.
        """
        self._stay = self._bound.union(stay)
        if self._before is not None:
            return self._decide(self._work(readings))
        # Between two runs only those can't be moved that never can.
        self._bound = self._stay
        return self._decide(self._last)

    def _work(self, readings: Mapping[int, Reading]) -> dict[int, float]:
        """The seconds that each worker has worked since it was begun to measure."""
        before = self._before or {}
        return {n: one.work - before.get(n, Reading()).work for n, one in readings.items()}

    def _decide(self, work: Mapping[int, float]) -> Placement | None:
        if not (self.is_on and work):
            return None
        workers = self.plan.workers
        return decide(
            [work[n] for n in self._row],
            [workers[n].process for n in self._row],
            [place for place, n in enumerate(self._row) if n in self._stay],
        )

    def end(self, readings: Mapping[int, Reading]) -> None:
        """A run has ended; what it did is what the next one is placed by."""
        if self._before is not None and _is_enough(work := self._work(readings)):
            self._last = work

    def moves(self, placement: Placement) -> dict[int, int]:
        """The workers that get another process in a placement, and which."""
        there = dict(zip(self._row, placement.processes, strict=True))
        return {n: p for n, p in there.items() if self.plan.workers[n].process != p}

    def changed(self, now: float, plan: Plan, reason: str) -> None:
        """The workers are where a plan has them."""
        self.plan = plan
        self._before, self._last = None, {}
        self._next = now + LOOK_SECONDS
        self._note(now, reason)

    def _note(self, now: float, reason: str) -> None:
        names = [
            tuple(self.plan.workers[n].name for n in self._row if self._process(n) == process)
            for process in range(self.plan.processes)
        ]
        self.placed.append(Placed(now - self._began, tuple(names), reason))

    def _process(self, worker: int) -> int:
        return self.plan.workers[worker].process


def _is_enough(work: Mapping[int, float]) -> bool:
    return sum(work.values()) >= WORK_SECONDS
