"""One item through three stages and back, while nothing else is under way."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks import ours, peers
from benchmarks.contest import Contestant, Metric, Run, Workload, timed
from benchmarks.hand import pipes
from benchmarks.targets import Target

MEDIAN = Metric("median us", "less", digits=0)
P99 = Metric("p99 us", "less", digits=0)


def same(x: Any) -> Any:
    """The work of a stage: none."""
    return x


def trips(ask: Callable[[int], int], size: int) -> Run:
    """The seconds of every call, and what came back; the first calls do not count."""
    for number in range(20):
        ask(number)
    seconds = []

    def one(number: int) -> int:
        started = perf_counter()
        came = ask(number)
        seconds.append(perf_counter() - started)
        return came

    run = timed(lambda: [one(number) for number in range(size)])
    return Run((run.result, seconds), run.seconds)


def conveyor(size: int) -> Run:
    """Each item a run of its own in a warm pipeline."""
    with ours.chain(same, same, same).open() as live:
        return trips(lambda number: live.run([number])[0], size)


def hand_pipe(size: int) -> Run:
    """Three processes."""
    with pipes.chain(same, same, same) as (first, last):

        def ask(number: int) -> int:
            first.send(number)
            answer: int = last.recv()
            return answer

        return trips(ask, size)


def peer(one: peers.Peer, size: int) -> Run:
    """What is open already is given one item."""
    with one.open([same, same, same]) as take:
        return trips(lambda number: next(iter(take([number]))), size)


def score(run: Run, _: int) -> dict[str, float]:
    """Score the median and the 99th percentile."""
    seconds = sorted(run.result[1])
    return {MEDIAN.name: median(seconds) * 1e6, P99.name: seconds[len(seconds) * 99 // 100] * 1e6}


LATENCY = Workload(
    name="latency",
    title="one item through 3 stages and back, the next one when it is there",
    contestants=(
        Contestant("conveyor", conveyor, 3000),
        Contestant("hand-pipe", hand_pipe, 10_000),
        *peers.contestants(
            peer,
            {
                "parallel-conveyor": 5000,
                "Pool.imap": 3000,
                "futures": 2000,
                "loky": 2000,
                "mpire": 500,
                "joblib": 100,
                "pypeln": 10,
            },
        ),
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
