"""How a run went over the time: some samples, however long it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol, cast, overload

from conveyor.cached import cached_property

PERIOD = 0.1
"""Seconds from one sample to the next, at first."""

MOST = 256
"""When there are so many, every second one is dropped, and from then on they are half as many."""


class Flow(NamedTuple):
    """What the workers of an element had done up to some time, together.

    Attributes:
        items: the items that they took.
        busy, starved, blocked: the seconds that they spent at work, waiting for something to do,
            and waiting for room to give it on.
    """

    items: int = 0
    busy: float = 0.0
    starved: float = 0.0
    blocked: float = 0.0

    def plus(self, before: Shown | None, now: Shown) -> Flow:
        """With what one worker did since it was looked at before."""
        if before is None or now.items < before.items:  # it is a new one
            before = Flow()
        return Flow(
            self.items + now.items - before.items,
            self.busy + now.busy - before.busy,
            self.starved + now.starved - before.starved,
            self.blocked + now.blocked - before.blocked,
        )


class Shown(Protocol):
    """What the gauge of a worker shows."""

    @property
    def items(self) -> int:
        """The items that it took."""
        ...

    @property
    def busy(self) -> float:
        """Seconds at work."""
        ...

    @property
    def starved(self) -> float:
        """Seconds that it waited for something to do."""
        ...

    @property
    def blocked(self) -> float:
        """Seconds that it waited for room."""
        ...


class Showing(Protocol):
    """What a gauge showed, worked out when somebody asks."""

    @property
    def reading(self) -> Shown:
        """What it showed."""
        ...


class Sample(NamedTuple):
    """How far a run was.

    Attributes:
        since: seconds from its start.
        elements: what each element had done, by its id.
    """

    since: float
    elements: Mapping[str, Flow]


class Course(Sequence[Sample]):
    """The samples of a run. What it ended with is worked out when somebody looks at it.

    Args:
        before: all samples but the last.
        last: gives that.
    """

    def __init__(self, before: Sequence[Sample], last: Callable[[], Sample]) -> None:
        self._before = before
        self._last = last

    @cached_property
    def _all(self) -> tuple[Sample, ...]:
        return (*self._before, self._last())

    def __len__(self) -> int:
        return len(self._before) + 1

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...

    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        return self._all[index]

    def __iter__(self) -> Iterator[Sample]:
        return iter(self._all)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Course | tuple):
            return NotImplemented
        return self._all == tuple(cast("Sequence[Sample]", other))

    def __hash__(self) -> int:
        return hash(self._all)

    def __repr__(self) -> str:
        return repr(self._all)

    def __reduce__(self) -> tuple[Any, ...]:
        """As the samples: what works the last one out need not travel."""
        return tuple, (self._all,)


class Sampler:
    """Takes samples of a run.

    Args:
        elements: the element of each worker, by their numbers.
    """

    def __init__(self, elements: Mapping[int, str]) -> None:
        self._elements = elements
        self._began = self._next = 0.0
        self._period = PERIOD
        self._before: Mapping[int, Showing] = {}
        self._flows: Mapping[str, Flow] = {}
        self.samples: list[Sample] = []

    def begin(self, now: float, shown: Mapping[int, Showing]) -> None:
        """A run begins."""
        self._began, self._period = now, PERIOD
        self._before, self.samples = shown, []
        self._flows = dict.fromkeys(self._elements.values(), Flow())
        self._keep(Sample(0.0, self._flows))

    def patience(self, now: float) -> float:
        """Seconds until the next sample is due."""
        return max(0.0, self._next - now)

    def look(self, now: float, shown: Mapping[int, Showing]) -> None:
        """Take a sample.

        Args:
            now: the time, in seconds.
            shown: what the gauges of the workers show, by their numbers.
        """
        sample = _sample(now - self._began, self._flows, self._elements, self._before, shown)
        self._flows = sample.elements
        self._before = {**self._before, **shown}
        self._keep(sample)

    def end(self, now: float, shown: Mapping[int, Showing]) -> Course:
        """All samples of a run that has ended, with one of its end."""
        if len(self.samples) == MOST:
            self._thin_out()
        # All that this takes is replaced, not changed, when another run begins.
        last = partial(_sample, now - self._began, self._flows, self._elements, self._before, shown)
        return Course(tuple(self.samples), last)

    def forget(self, worker: int) -> None:
        """A worker has gone, once it has been looked at, and may come again, and begin anew."""
        self._before = {n: one for n, one in self._before.items() if n != worker}

    def _keep(self, sample: Sample) -> None:
        self.samples.append(sample)
        if len(self.samples) > MOST:
            self._thin_out()
        self._next = self._began + sample.since + self._period

    def _thin_out(self) -> None:
        del self.samples[1::2]
        self._period *= 2


def _sample(
    since: float,
    flows: Mapping[str, Flow],
    elements: Mapping[int, str],
    before: Mapping[int, Showing],
    shown: Mapping[int, Showing],
) -> Sample:
    """What elements had done, from what they had before and what their workers show."""
    flows = dict(flows)
    for worker, one in shown.items():
        element = elements[worker]
        was = before.get(worker)
        flows[element] = flows[element].plus(None if was is None else was.reading, one.reading)
    return Sample(since, flows)
