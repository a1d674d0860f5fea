"""The counters of a worker, as they stand in memory that the parent reads too.

A worker writes them with its :class:`~conveyor.engines.processes.recorder.Gauge`. They only grow,
so what a run was is the difference of two readings.
"""

from __future__ import annotations

from typing import NamedTuple

from conveyor.engines.histogram import BUCKETS, Histogram
from conveyor.engines.stats import Figures

ITEMS, BATCHES, BUSY, STARVED, BLOCKED, ELSEWHERE, STATE, SINCE = range(8)
"""The items and the batches that were taken; the nanoseconds in each state; the state now, and
since when. The states are at work, waiting for something to do, waiting for room to give it on,
and waiting for its turn, while others are at work in its process."""

GONE = 0
"""The state of a worker that has not begun, or that has left."""

OUT, FILTERED, SKIPPED, DEAD, ADDED, RETRIED, BYTES_IN, BYTES_OUT = range(8, 16)
"""What became of the items, as in an account, and the bytes of what came and went pickled."""

PICKLING, CPU, QUEUED, PEAK, SERVICE, WORK = range(16, 22)
"""Nanoseconds of pickling and unpickling; of CPU time, of the process; in which it could have run
and had no core; the most memory that the process had, in KiB; nanoseconds in which items were
processed; and of all work but pickling, without those in which there was no core for it, where
workers share a process."""

TIMES = 24
"""Where the histogram of the times of items begins."""

FIELDS = TIMES + BUCKETS


class Counted(NamedTuple):
    """What a worker did in a run, as two readings of its counters.

    Attributes:
        worker: its name.
        element: the element that it belongs to.
        process: the number of its process; -1 for the caller's.
        before: a copy of the counters from when the run began; empty where the worker came later.
        after: a copy of the counters from the end.
    """

    worker: str
    element: str
    process: int
    before: bytes
    after: bytes

    def figures(self) -> Figures:
        """What the counters say."""
        before, after = read(self.before), read(self.after)
        grown = [now - then for now, then in zip(after, before, strict=True)]
        return Figures(
            items_in=grown[ITEMS],
            items_out=grown[OUT],
            filtered=grown[FILTERED],
            skipped=grown[SKIPPED],
            dead=grown[DEAD],
            added=grown[ADDED],
            retried=grown[RETRIED],
            batches=grown[BATCHES],
            bytes_in=grown[BYTES_IN],
            bytes_out=grown[BYTES_OUT],
            busy=grown[BUSY] / 1e9,
            starved=grown[STARVED] / 1e9,
            blocked=grown[BLOCKED] / 1e9,
            elsewhere=grown[ELSEWHERE] / 1e9,
            pickling=grown[PICKLING] / 1e9,
            cpu=grown[CPU] / 1e9,
            queued=grown[QUEUED] / 1e9,
            peak_memory=after[PEAK] << 10,
            service=Histogram.of(grown[TIMES:FIELDS], grown[SERVICE] / 1e9),
        )


def read(copy: bytes) -> list[int]:
    """The counters in a copy, with the time that was spent in the last state; then its time."""
    if not copy:
        return [0] * (FIELDS + 1)
    fields = memoryview(copy).cast("Q").tolist()
    if state := fields[STATE]:
        fields[state] += fields[FIELDS] - fields[SINCE]
    return fields
