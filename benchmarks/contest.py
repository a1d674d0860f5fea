"""What a benchmark is made of: a workload, and contestants that do the same work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Literal, NamedTuple, TypeVar

from benchmarks.targets import Target

T = TypeVar("T")


class Run(NamedTuple):
    """What a contestant did.

    Attributes:
        result: what came out; it is checked.
        seconds: how long it took.
    """

    result: Any
    seconds: float


def timed(work: Callable[[], Any]) -> Run:
    """Do the work and tell how long it took."""
    started = perf_counter()
    result = work()
    return Run(result, perf_counter() - started)


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to do the work of a workload.

    Attributes:
        name: as it stands in the tables.
        run: does the work for a number of items. It imports what it needs, and starts its clock
            when its processes are up, where they can be started beforehand.
        size: how many items keep it busy for one to three seconds.
        needs: the distribution that must be installed, if any.
        point: where one is measured at several sizes, the name of its curve, and how far along
            that it is.
    """

    name: str
    run: Callable[[int], Run]
    size: int
    needs: str | None = None
    point: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """Something that is measured.

    Attributes:
        name: as it stands in the tables, with its unit.
        better: whether more or less of it is better.
        digits: decimal places shown; None for a number with a unit prefix, such as 4.2 M.
    """

    name: str
    better: Literal["more", "less"]
    digits: int | None = None


@dataclass(frozen=True, slots=True)
class Workload:
    """A piece of work, and all who do it.

    Attributes:
        name: as it is called on the command line.
        title: one line that says what is done.
        contestants: all who do it, in the order of the table.
        metrics: what is measured; the first one decides the order in plots.
        answer: a digest of a result (a count, a checksum).
        expected: what the digest must be for so many items.
        score: from a run and the number of items, the value of each metric, by its name.
        targets: what Conveyor is to reach.
    """

    name: str
    title: str
    contestants: tuple[Contestant, ...]
    metrics: tuple[Metric, ...]
    answer: Callable[[Any], Any]
    expected: Callable[[int], Any]
    score: Callable[[Run, int], dict[str, float]]
    targets: tuple[Target, ...] = ()

    def contestant(self, name: str) -> Contestant:
        """The contestant of that name."""
        return next(one for one in self.contestants if one.name == name)


RATE = Metric("items/s", "more")


def rate(run: Run, size: int) -> dict[str, float]:
    """Score a run by its items per second."""
    return {RATE.name: size / run.seconds}
