"""What a feature costs: the same work with it and without it, in turn, many times.

The cost of a few per cent does not show in single runs on a machine that has other things to do,
whose speed changes by a third from one second to the next. So both ways run in turn in the same
process, often, and the least of each is compared: what else goes on can only make a run longer.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple

from benchmarks.contest import RATE, Metric, Run, timed
from benchmarks.targets import Target

PAIRS = 20
"""How often each way has its turn in one measurement."""

CPU = Metric("CPU ns an item", "less", 0)
SHARE_OF_RATE = Metric("of the rate without", "more", 3)
TIMES_THE_CPU = Metric("times the CPU without", "less", 3)
AFTERWARDS = Metric("ms afterwards", "less", 0)

METRICS = (RATE, SHARE_OF_RATE, CPU, TIMES_THE_CPU, AFTERWARDS)


class Cost(NamedTuple):
    """What a run took.

    Attributes:
        engine: seconds from its first item to its last.
        cpu: seconds of CPU time, of all processes, up to its last item.
        afterwards: seconds that the caller waited once the last item had come.
    """

    engine: float
    cpu: float
    afterwards: float


class Beside(NamedTuple):
    """All runs of one measurement.

    Attributes:
        digests: those of all results, each once.
        plain: what the runs without the feature took.
        other: what those with it took.
    """

    digests: list[Any]
    plain: list[Cost]
    other: list[Cost]


def beside(plain: Callable[[], Any], other: Callable[[], Any], digest: Callable[[Any], Any]) -> Run:
    """Let both ways of a run of Conveyor have their turns.

    Args:
        plain: runs without the feature.
        other: runs with it.
        digest: what of a result is checked.
    """
    digests: list[Any] = []
    costs: tuple[list[Cost], list[Cost]] = ([], [])

    def all_turns() -> Beside:
        for turn in range(PAIRS):
            ways = ((plain, costs[0]), (other, costs[1]))
            for way, found in ways if turn % 2 else ways[::-1]:
                run = timed(way)
                stats = run.result.stats
                cpu = sum(one.cpu for one in stats.elements.values())
                found.append(Cost(stats.elapsed, cpu, run.seconds - stats.elapsed))
                if (made := digest(run.result)) not in digests:
                    digests.append(made)
        return Beside(digests, *costs)

    return timed(all_turns)


def score(run: Run, size: int) -> dict[str, float]:
    """Compare the least of all runs with the feature with the least of those without it."""
    found: Beside = run.result
    plain, other = (
        (min(one.engine for one in costs), min(one.cpu for one in costs))
        for costs in (found.plain, found.other)
    )
    return {
        RATE.name: size / other[0],
        SHARE_OF_RATE.name: plain[0] / other[0],
        CPU.name: 1e9 * other[1] / size,
        TIMES_THE_CPU.name: other[1] / plain[1],
        AFTERWARDS.name: 1000 * median(one.afterwards for one in found.other),
    }


def at_most(share: float, contestant: str) -> tuple[Target, Target]:
    """That a feature is to cost no more than a share, of the rate and of the CPU time."""
    return (
        Target("at least", 1 - share, SHARE_OF_RATE.name, contestant=contestant),
        Target("at most", 1 + share, TIMES_THE_CPU.name, contestant=contestant),
    )
