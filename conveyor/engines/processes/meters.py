"""What all workers of a pipeline count in a run, whichever processes they are in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from resource import RUSAGE_SELF, getrusage

from conveyor.engines.counted import Counted
from conveyor.engines.processes.gauge import Gauge, Glance
from conveyor.engines.processes.hand import Hand
from conveyor.plan import Plan
from conveyor.plan.model import PARENT


class Meters:
    """Reads the gauges of all workers. That costs the workers nothing.

    Args:
        plan: what runs.
        feed: the gauge of the feed, if the caller's process has one.
        sink: the gauge of the sink.
    """

    def __init__(self, plan: Plan, feed: Gauge | None, sink: Gauge) -> None:
        self._workers = plan.workers
        last = len(plan.workers) - 1
        self._own = {**({0: feed} if feed is not None else {}), last: sink}
        self._before: dict[tuple[Hand | None, int], bytes] = {}
        self._gone: list[Counted] = []
        self._last: dict[int, bytes] = {}

    def begin(self, hands: Iterable[Hand]) -> None:
        """A run begins."""
        self._gone = []
        self._before = {(hand, n): gauge.copy() for hand, n, gauge in self._gauges(hands)}
        self._last = {n: copy for (_, n), copy in self._before.items()}

    def leave(self, hand: Hand) -> None:
        """A process has ended: keep what its workers counted, before its memory goes."""
        self._gone += [self._counted(hand, n, hand.recorder.gauge(n)) for n in hand.workers]

    def move(self, hand: Hand, worker: int) -> None:
        """A worker leaves a process for another one, where it begins to count anew."""
        self._gone.append(self._counted(hand, worker, hand.recorder.gauge(worker)))
        self._before = {key: copy for key, copy in self._before.items() if key[1] != worker}

    def inherit(self, hand: Hand, before: Hand) -> None:
        """A process takes the place of another one, whose counters it goes on with."""
        for number in hand.workers:
            self._before[hand, number] = self._before.pop((before, number), b"")

    def read(self, hands: Iterable[Hand]) -> list[Counted]:
        """What has been counted since the run began.

        The later a worker stands in the plan, the earlier it is read: while all go on, none is
        seen to have taken more than was given to it.
        """
        gauges = sorted(self._gauges(hands), key=lambda one: one[1], reverse=True)
        there = [self._counted(hand, n, gauge) for hand, n, gauge in gauges]
        return [*self._gone, *reversed(there)]

    def glances(self) -> dict[int, Glance]:
        """What the gauges showed when they were last read, by the numbers of the workers."""
        return {number: Glance(copy) for number, copy in self._last.items()}

    def _gauges(self, hands: Iterable[Hand]) -> Iterator[tuple[Hand | None, int, Gauge]]:
        for hand in hands:
            for number in hand.workers:
                yield hand, number, hand.recorder.gauge(number)
        usage = getrusage(RUSAGE_SELF)
        for number, gauge in self._own.items():
            gauge.look(usage)
            yield None, number, gauge

    def _counted(self, hand: Hand | None, number: int, gauge: Gauge) -> Counted:
        worker = self._workers[number]
        before = self._before.get((hand, number), b"")
        process = PARENT if hand is None else hand.number
        copy = self._last[number] = gauge.copy()
        return Counted(worker.name, worker.element, process, before, copy)
