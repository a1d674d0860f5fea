"""A balanced fork whose branches differ 100 times in speed, in a first run: are both busy?

An item costs one branch so much CPU time, and the other one a hundred times as much. Nobody knows
that before, so what is measured is also how soon it is found out.
"""

from __future__ import annotations

from functools import partial

from benchmarks.contest import Contestant, Run, Workload, timed
from benchmarks.targets import Target
from benchmarks.workloads.balance import BUSY, score, work

SECONDS = 0.0005
FACTOR = 100


def slow_work(seconds: float) -> float:
    """The work of the slow branch."""
    return work(seconds * FACTOR)


def conveyor(size: int, *, ordered: bool = False) -> Run:
    """A balanced fork, in whose first run with items nothing is known."""
    from conveyor import Feed, Processor

    fork = Feed() >> Processor(slow_work) % Processor(work)
    with fork.open(ordered=ordered) as live:
        live.run([])
        return timed(lambda: live.run([SECONDS] * size))


UNEVEN = Workload(
    name="uneven",
    title="0.5 ms of work per item in one branch, and 50 ms in the other one",
    contestants=(
        Contestant("conveyor", conveyor, 4000),
        Contestant("conveyor, ordered", partial(conveyor, ordered=True), 4000),
    ),
    metrics=(BUSY,),
    answer=len,
    expected=lambda size: size,
    score=score,
    targets=(
        Target("at least", 0.9, BUSY.name),
        Target("at least", 0.9, BUSY.name, contestant="conveyor, ordered"),
    ),
)
