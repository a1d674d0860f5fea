"""Which workers share a process: decided from the work that each of them was measured to have.

Neighbours share, so a placement is a cut of the row of workers into as many runs as there are
processes. The best one leaves the least to the process that has most to do. Among those that are
about as good it is the one that moves the fewest workers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import accumulate, pairwise
from math import inf
from typing import NamedTuple

WORTH = 0.1
"""A placement is worth it if the process with most work gets rid of this share of that."""

SLACK = 0.03
"""Placements are about as good where they differ by less."""

MOST_WORKERS = 64
"""Where there are more, they stay where they are: to find the best cut would take too long."""


class Placement(NamedTuple):
    """Where each worker is to be, and why.

    Attributes:
        processes: for each worker, the number of its process.
        reason: for people.
    """

    processes: tuple[int, ...]
    reason: str


def decide(
    work: Sequence[float], current: Sequence[int], stays: Collection[int]
) -> Placement | None:
    """A placement that is worth the change, if there is one.

    Args:
        work: what each worker has to do, in seconds, for the same items.
        current: for each, the number of its process: from 0 on, and no less than the one before.
        stays: the workers, by their places in the row, that must not be moved.
    """
    if len(work) > MOST_WORKERS or not sum(work):
        return None
    best = placed(work, current, stays)
    before, after = _loads(work, current), _loads(work, best)
    if max(after) > max(before) * (1 - WORTH):
        return None
    fullest, whole = before.index(max(before)), sum(work)
    return Placement(
        tuple(best),
        f"process {fullest + 1} had {max(before) / whole:.0%} of the work, and none has more than "
        f"{max(after) / whole:.0%} now",
    )


def placed(work: Sequence[float], current: Sequence[int], stays: Collection[int]) -> list[int]:
    """For each worker, its process in the best placement; see :func:`decide` for the arguments."""
    loads = _summed(work)
    processes = range(max(current) + 1)
    moved = [_summed(there != process for there in current) for process in processes]
    torn = [
        _summed(n in stays and there != process for n, there in enumerate(current))
        for process in processes
    ]

    def load(start: int, end: int, process: int) -> float:
        if torn[process][end] > torn[process][start]:  # somebody in between has to stay elsewhere
            return inf
        return loads[end] - loads[start]

    least, _ = _cut(len(work), len(processes), load, max)
    most = least * (1 + SLACK)

    def moves(start: int, end: int, process: int) -> float:
        fits = load(start, end, process) <= most
        return moved[process][end] - moved[process][start] if fits else inf

    _, ends = _cut(len(work), len(processes), moves, lambda before, here: before + here)
    return [
        process
        for process, (start, end) in enumerate(pairwise([0, *ends]))
        for _ in range(start, end)
    ]


def _summed(values: Iterable[float]) -> list[float]:
    """The sums of the first of some values: of none of them, of one, and so on."""
    return list(accumulate(values, initial=0.0))


def _cut(
    workers: int,
    processes: int,
    cost: Callable[[int, int, int], float],
    total: Callable[[float, float], float],
) -> tuple[float, list[int]]:
    """The cheapest cut of a row of workers into one run for each process, none of them empty.

    Args:
        workers: how many there are.
        processes: how many runs.
        cost: what it costs that a process has the workers from one up to another.
        total: the cost of a run, and of all before it, together.

    Returns:
        What it costs, and where each run ends.
    """
    best: list[float] = [0.0, *[inf] * workers]
    cuts: list[list[int]] = []
    for process in range(processes):
        now, cut = [inf] * (workers + 1), [0] * (workers + 1)
        for end in range(process + 1, workers + 1):
            for start in range(process, end):
                if best[start] < inf:
                    price = total(best[start], cost(start, end, process))
                    if price < now[end]:
                        now[end], cut[end] = price, start
        best = now
        cuts.append(cut)
    ends = [workers]
    for cut in reversed(cuts[1:]):
        ends.append(cut[ends[-1]])
    return best[workers], ends[::-1]


def _loads(work: Sequence[float], processes: Sequence[int]) -> list[float]:
    """What each process has to do."""
    loads = [0.0] * (max(processes) + 1)
    for one, process in zip(work, processes, strict=True):
        loads[process] += one
    return loads
