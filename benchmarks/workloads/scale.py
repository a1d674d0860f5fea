"""Does the cost of an item stay what it is: with more items, more stages, more branches?"""

from __future__ import annotations

from functools import partial
from statistics import median
from typing import Any

from benchmarks import ours
from benchmarks.contest import Contestant, Metric, Run, Workload, timed
from benchmarks.memory import watched
from benchmarks.targets import Target

COST = Metric("ns an item", "less", digits=0)
PEAK = Metric("peak MB", "less", digits=0)
HOP = Metric("ns an item and hop", "less", digits=0)
COPY = Metric("ns an output", "less", digits=0)

ITEMS = (10**3, 10**4, 10**5, 10**6, 10**7)
STAGES = (1, 2, 4, 8, 16, 32)
BRANCHES = (1, 4, 16, 64)


def add_one(x: int) -> int:
    """The work of a stage, or of a branch."""
    return x + 1


def streamed(live: Any, size: int) -> Run:
    """A run whose outputs are not kept: their sum, and the seconds."""
    return timed(lambda: sum(live.stream(range(size))))


def items(size: int) -> Run:
    """Three stages; the median of as many runs as there is time for."""
    with watched() as peak, ours.chain(add_one, add_one, add_one).open() as live:
        live.run(range(10_000))
        runs = [streamed(live, size) for _ in range(max(1, min(100, 10**6 // size)))]
    (total,) = {run.result for run in runs}
    return Run((total, peak.megabytes), median(run.seconds for run in runs))


def stages(number: int, size: int) -> Run:
    """A long chain."""
    with ours.chain(*[add_one] * number).open() as live:
        live.run(range(10_000))
        return streamed(live, size)


def replicated(number: int, size: int) -> Run:
    """A copy to each of so many branches."""
    return _forked(size, lambda feed, work: feed >> work * number)


def balanced(number: int, size: int) -> Run:
    """So many branches that take turns."""
    return _forked(size, lambda feed, work: feed >> work % number)


def _forked(size: int, fork: Any) -> Run:
    from conveyor import Feed, Processor

    with fork(Feed(), Processor(add_one)).open() as live:
        live.run(range(1000))
        return streamed(live, size)


def below(size: int) -> int:
    """The sum of the integers below a size."""
    return size * (size - 1) // 2


def within(share: float, metric: Metric, names: list[str]) -> tuple[Target, Target]:
    """Neither the first nor the last of them costs more than the others, by that share."""
    return (
        Target("at most", 1 + share, metric.name, (names[-1],), contestant=names[0]),
        Target("at most", 1 + share, metric.name, (names[0],), contestant=names[-1]),
    )


SCALE_ITEMS = Workload(
    name="scale-items",
    title="Conveyor: more and more integers through 3 stages, summed in the parent",
    contestants=tuple(
        Contestant(f"{size:,} items", items, size, point=("items", size)) for size in ITEMS
    ),
    metrics=(COST, PEAK),
    answer=lambda result: result[0],
    expected=lambda size: below(size) + 3 * size,
    score=lambda run, size: {COST.name: run.seconds / size * 1e9, PEAK.name: run.result[1]},
    targets=(
        *within(0.1, COST, [f"{size:,} items" for size in ITEMS[1:]]),
        Target("at most", 1.1, PEAK.name, ("10,000 items",), contestant="10,000,000 items"),
    ),
)


def _scale_stages() -> Workload:
    """The count of stages is part of the answer, so each has a way of its own to be checked."""
    return Workload(
        name="scale-stages",
        title="Conveyor: integers through longer and longer chains",
        contestants=tuple(
            Contestant(
                f"{number} stages",
                partial(_hops, number),
                10_000_000 // (number + 1),
                point=("stages", number),
            )
            for number in STAGES
        ),
        metrics=(HOP,),
        answer=lambda result: result,
        expected=below,
        score=lambda run, size: {HOP.name: run.seconds / size * 1e9},
        targets=within(0.2, HOP, [f"{number} stages" for number in STAGES[1:]]),
    )


def _hops(number: int, size: int) -> Run:
    """A chain, as the time of one hop, and the sum without what the stages added."""
    run = stages(number, size)
    return Run(run.result - number * size, run.seconds / (number + 1))


SCALE_STAGES = _scale_stages()


def _each(number: int, size: int) -> Run:
    """A replicated fork, as the time of one copy, and the sum of one branch."""
    run = replicated(number, size)
    return Run(run.result / number, run.seconds / number)


SCALE_BRANCHES = Workload(
    name="scale-branches",
    title="Conveyor: integers through wider and wider forks, summed in the parent",
    contestants=(
        *(
            Contestant(f"* {n}", partial(_each, n), 1_000_000 // n, point=("branches of *", n))
            for n in BRANCHES
        ),
        *(
            Contestant(f"% {n}", partial(balanced, n), 1_000_000, point=("branches of %", n))
            for n in BRANCHES
        ),
    ),
    metrics=(COPY,),
    answer=lambda result: result,
    expected=lambda size: below(size) + size,
    score=lambda run, size: {COPY.name: run.seconds / size * 1e9},
)
