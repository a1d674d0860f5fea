"""One item through three stages in an open stream: from the source to the consumer.

The source makes an item every two milliseconds, which is the time at which it did; it is in a
process of its own, and so is each stage.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter, sleep

from benchmarks import ours
from benchmarks.contest import Contestant, Run, Workload, timed
from benchmarks.hand import pipes
from benchmarks.targets import Target
from benchmarks.workloads.latency import MEDIAN, P99, same, score

PAUSE = 0.002


def clock(size: int) -> Iterator[tuple[int, float]]:
    """Numbers, each with the time at which it was made."""
    for number in range(size):
        sleep(PAUSE)
        yield number, perf_counter()


def conveyor(size: int) -> Run:
    """A source and three processors."""
    from conveyor import source

    pipeline = source(clock).bind(size=size) >> ours.chain(same, same, same)
    return arrivals(pipeline.stream())


def hand_pipe(size: int) -> Run:
    """A process for the source, and three."""
    with pipes.chain(*[same] * 3) as (first, last), pipes.feeder(clock(size), first):
        return arrivals(last.recv() for _ in range(size))


def arrivals(stream: Iterator[tuple[int, float]]) -> Run:
    """The seconds that every item was under way, and the items."""

    def run() -> tuple[list[int], list[float]]:
        numbers, seconds = [], []
        for number, made in stream:
            seconds.append(perf_counter() - made)
            numbers.append(number)
        return numbers, seconds

    return timed(run)


LATENCY_STREAM = Workload(
    name="latency-stream",
    title="an item every 2 ms from a source through 3 stages to the consumer",
    contestants=(
        Contestant("conveyor", conveyor, 800),
        Contestant("hand-pipe", hand_pipe, 800),
    ),
    metrics=(MEDIAN, P99),
    answer=lambda result: [len(result[0]), sum(result[0])],
    expected=lambda size: [size, size * (size - 1) // 2],
    score=score,
    targets=(
        Target("at most", 1.5, MEDIAN.name, ("hand-pipe",)),
        Target("at most", 1.5, P99.name, ("hand-pipe",)),
    ),
)
