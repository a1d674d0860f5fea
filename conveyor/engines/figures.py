"""How the time of a run went, for each element and each of its workers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

from conveyor.engines.account import COUNTS, Account
from conveyor.engines.histogram import NO_TIMES, Histogram


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures(Account):
    """An account, and how the time went. Of several workers it is the sum.

    Attributes:
        batches: the frames that the items came in.
        bytes_in, bytes_out: what came, and what went on, as far as it was pickled.
        busy: seconds at work: at unpickling, processing and pickling.
        starved: seconds that it waited for something to do.
        blocked: seconds that it waited for room to give on what it had done.
        elsewhere: seconds that it waited for its turn, while others were at work in its process;
            in the caller's, the caller's own code among them.
        pickling: seconds of `busy` that went into pickling and unpickling.
        cpu: seconds of CPU time; what workers took that share a process is divided among them
            as they were busy.
        queued: seconds in which it could have run and had no core; divided in the same way.
        peak_memory: the most bytes of memory that one of its processes had, of all its runs.
        service: how long ``process`` took for an item. Items that take more than 0.1 ms are
            timed one by one; cheaper ones count with the mean of their batch.
    """

    batches: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    busy: float = 0.0
    starved: float = 0.0
    blocked: float = 0.0
    elsewhere: float = 0.0
    pickling: float = 0.0
    cpu: float = 0.0
    queued: float = 0.0
    peak_memory: int = 0
    service: Histogram = NO_TIMES

    @property
    def time(self) -> float:
        """Seconds that it was there: busy, starved, blocked and elsewhere."""
        return self.busy + self.starved + self.blocked + self.elsewhere

    def share(self, seconds: float) -> float:
        """The share that some of its seconds are of all; 0 where it was not there."""
        return seconds / self.time if self.time else 0.0

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values; those of the time of an item in ``"service"``."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {**values, "service": self.service.to_dict()}


def total_of(parts: Sequence[Figures]) -> Figures:
    """The figures of several workers, taken together."""
    sums: dict[str, Any] = {}
    for name in _FIGURES:
        values = [getattr(part, name) for part in parts]
        if name == "peak_memory":
            sums[name] = max(values, default=0)
        elif name == "service":
            sums[name] = sum(values, start=NO_TIMES)
        else:
            sums[name] = sum(values)
    return Figures(**sums)


_FIGURES = tuple(one.name for one in fields(Figures))


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStats(Figures):
    """The figures of one worker.

    Attributes:
        name: the id of its element; where that is wider than one, with a number behind it.
        process: the number of the process that it was in; -1 for the caller's.
    """

    name: str
    process: int

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values."""
        return Figures.to_dict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementStats(Figures):
    """The figures of one element: the account is exact, the rest is what its workers measured.

    Attributes:
        workers: its workers. A fork has none, as it is a part of who sends to it; a join has one
            only where it can't be a part of who comes behind it.
        restarts: how often one of its workers was started again.
    """

    workers: Sequence[WorkerStats] = ()
    restarts: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values, those of the workers among them."""
        return {**Figures.to_dict(self), "workers": [one.to_dict() for one in self.workers]}


class Counted(Protocol):
    """What a worker counted."""

    @property
    def worker(self) -> str:
        """Its name."""
        ...

    @property
    def element(self) -> str:
        """The element that it belongs to."""
        ...

    @property
    def process(self) -> int:
        """The number of its process; -1 for the caller's."""
        ...

    def figures(self) -> Figures:
        """What it counted."""
        ...


def by_element(
    accounts: Mapping[str, Account], counted: Sequence[Counted], restarts: Mapping[str, int]
) -> dict[str, ElementStats]:
    """The figures of each element.

    Args:
        accounts: what became of the items of each, by their ids.
        counted: what each worker counted.
        restarts: for elements whose workers were started again, how often.
    """
    workers: dict[str, list[WorkerStats]] = {}
    for element, worker in _workers(counted):
        workers.setdefault(element, []).append(worker)
    return {
        name: _element(account, workers.get(name, ()), restarts.get(name, 0))
        for name, account in accounts.items()
    }


def _workers(counted: Sequence[Counted]) -> Iterator[tuple[str, WorkerStats]]:
    """The figures of each worker, with its element; a worker may have been in several processes."""
    found: dict[tuple[str, str, int], list[Figures]] = {}
    busy: dict[int, list[float]] = {}
    for one in counted:
        figures = one.figures()
        found.setdefault((one.element, one.worker, one.process), []).append(figures)
        busy.setdefault(one.process, []).append(figures.busy)
    for (element, worker, process), parts in found.items():
        figures = total_of(parts)
        everything = sum(busy[process])
        if everything and len(busy[process]) > len(parts):
            part = figures.busy / everything
            figures = replace(figures, cpu=figures.cpu * part, queued=figures.queued * part)
        values = {name: getattr(figures, name) for name in _FIGURES}
        yield element, WorkerStats(name=worker, process=process, **values)


def _element(account: Account, workers: Sequence[WorkerStats], restarts: int) -> ElementStats:
    figures = total_of(workers)
    values = {name: getattr(figures, name) for name in _FIGURES}
    exact = {name: getattr(account, name) for name in COUNTS}
    return ElementStats(**{**values, **exact}, workers=tuple(workers), restarts=restarts)
