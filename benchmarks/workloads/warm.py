"""A second run in the same process: how soon is it done?"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks import ours, peers
from benchmarks.contest import Contestant, Metric, Run, Workload
from benchmarks.hand import pipes
from benchmarks.targets import Target

WARM = Metric("ms a run", "less", digits=2)
ITEMS = [1, 2, 3]


def add_one(x: int) -> int:
    """The work of a stage."""
    return x + 1


def runs(run: Callable[[], list[Any]], size: int) -> Run:
    """The outputs of all runs but the first, and the median of their seconds."""
    run()
    outputs, seconds = [], []
    for _ in range(size):
        started = perf_counter()
        outputs.append(run())
        seconds.append(perf_counter() - started)
    return Run(outputs, median(seconds))


def conveyor(size: int) -> Run:
    """An open pipeline."""
    with ours.chain(*[add_one] * 4).open() as live:
        return runs(lambda: live.run(ITEMS), size)


def hand_pipe(size: int) -> Run:
    """New processes each time: it knows no second run."""

    def run() -> list[int]:
        with pipes.chain(*[add_one] * 4, method="forkserver") as (first, last):
            for item in ITEMS:
                first.send(item)
            return [last.recv() for _ in ITEMS]

    return runs(run, size)


def peer(one: peers.Peer, size: int) -> Run:
    """What is open already is given the items."""
    with one.open([add_one] * 4) as take:
        return runs(lambda: list(take(ITEMS)), size)


WARM_RUN = Workload(
    name="warm",
    title="a run of 3 items through 4 stages, after a first one",
    contestants=(
        Contestant("conveyor", conveyor, 500),
        Contestant("hand-pipe", hand_pipe, 10),
        *peers.contestants(
            peer,
            {
                "Pool.imap": 500,
                "futures": 500,
                "parallel-conveyor": 500,
                "loky": 300,
                "mpire": 100,
                "joblib": 50,
                "pypeln": 5,
            },
        ),
    ),
    metrics=(WARM,),
    answer=lambda outputs: [len(outputs), *{tuple(output) for output in outputs}],
    expected=lambda size: [size, tuple(item + 4 for item in ITEMS)],
    score=lambda run, _: {WARM.name: run.seconds * 1000},
    targets=(Target("at most", 2.0, WARM.name),),
)
