"""Six stages of which the first three have nearly all the work, in two processes.

By their number the first three share a process; by their work the first one has its own.
"""

from __future__ import annotations

from functools import partial
from unittest.mock import patch

from benchmarks import ours
from benchmarks.contest import RATE, Contestant, Run, Workload, rate, timed
from benchmarks.targets import Target

LOOPS = (400, 200, 100, 20, 20, 60)
"""The work of each stage, in turns of a loop."""


def turned(turns: int, x: int) -> int:
    """The work of a stage: so many steps of a generator of random numbers."""
    for _ in range(turns):
        x = (x * 1103515245 + 12345) & 0x7FFFFFFF
    return x


STAGES = tuple(partial(turned, turns) for turns in LOOPS)


def conveyor(size: int, processes: int | None = 2) -> Run:
    """Two processes, shared as the work was measured."""
    return ours.run_warm(ours.chain(*STAGES), range(10), range(size), processes=processes)


def by_count(size: int) -> Run:
    """Two processes, with three stages each."""
    with patch("conveyor.engines.processes.placing.decide", lambda *_: None):
        return conveyor(size)


def each(size: int) -> Run:
    """A process for each stage."""
    return conveyor(size, None)


def serial(size: int) -> Run:
    """One loop."""

    def through(x: int) -> int:
        for turns in LOOPS:
            x = turned(turns, x)
        return x

    return timed(lambda: [through(x) for x in range(size)])


def checksum(size: int) -> int:
    """The sum of what comes out: all stages together are so many steps of the same generator."""
    factor, added = 1, 0
    for _ in range(sum(LOOPS)):
        factor, added = factor * 1103515245 % 2**31, (added * 1103515245 + 12345) % 2**31
    return sum((x * factor + added) % 2**31 for x in range(size))


SHARED = Workload(
    name="shared",
    title="6 uneven stages: two processes, shared by work or by number, and one each",
    contestants=(
        Contestant("conveyor", conveyor, 40_000),
        Contestant("conveyor, by number", by_count, 30_000),
        Contestant("conveyor, one process each", each, 40_000),
        Contestant("serial", serial, 25_000),
    ),
    metrics=(RATE,),
    answer=lambda result: [len(result), sum(result)],
    expected=lambda size: [size, checksum(size)],
    score=rate,
    targets=(
        Target("at least", 1.3, RATE.name, ("conveyor, by number",)),
        Target("at least", 0.9, RATE.name, ("conveyor, one process each",)),
    ),
)
