"""The counters of a worker, as they stand in memory that the parent reads too.

A worker writes them with its :class:`~conveyor.engines.processes.gauge.Gauge`. They only grow,
so what a run was is the difference of two readings.
"""

from __future__ import annotations

from conveyor.engines.histogram import BUCKETS

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


def read(copy: bytes) -> list[int]:
    """The counters in a copy, with the time that was spent in the last state; then its time."""
    if not copy:
        return [0] * (FIELDS + 1)
    fields = memoryview(copy).cast("Q").tolist()
    if state := fields[STATE]:
        fields[state] += fields[FIELDS] - fields[SINCE]
    return fields
