"""What each worker did when: gathered while a run asks for a trace, and bounded."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from time import perf_counter_ns
from typing import Any, Literal, NamedTuple, Protocol

from conveyor.engines.stats import Width
from conveyor.flow.batch import Frame, Path

LIMIT = 10_000
"""The most spans that are kept of one worker in one run: the first half and the last of them."""

SLOW = 1_000_000
"""An item that took so many nanoseconds has a span of its own."""

Kind = Literal["setup", "batch", "item", "blocked"]


class Span(NamedTuple):
    """A time in which a worker did one thing.

    Attributes:
        kind: what it did; ``"blocked"`` is that it waited for room to give something on.
        start, end: nanoseconds of ``perf_counter_ns``, which all processes of a machine share.
        path: the address of the batch; empty where there is none.
        items: how many items the batch has, or the index of the item in it.
    """

    kind: Kind
    start: int
    end: int
    path: Path = ()
    items: int = 0


class Waiting(Protocol):
    """What tells since when a worker is in the state that it is in."""

    @property
    def since(self) -> int:
        """Nanoseconds of ``perf_counter_ns``."""
        ...


class Tape:
    """The spans of one worker in one run.

    Args:
        worker: the number of its lane.

    Attributes:
        pid: the process that it is in.
        count: how many spans there were.
    """

    def __init__(self, worker: int) -> None:
        self.worker = worker
        self.pid = os.getpid()
        self.count = 0
        self._first: list[Span] = []
        self._last: deque[Span] = deque(maxlen=LIMIT // 2)
        self._marks: list[tuple[int, int]] = []
        self._worked = 0

    def add(self, span: Span) -> None:
        """Keep a span, in place of the oldest of the last ones where there are too many."""
        self.count += 1
        (self._first if len(self._first) < LIMIT // 2 else self._last).append(span)

    @property
    def spans(self) -> list[Span]:
        """Those that were kept."""
        return [*self._first, *self._last]

    @property
    def left_out(self) -> int:
        """How many were not kept."""
        return self.count - len(self._first) - len(self._last)

    @property
    def gap(self) -> tuple[int, int]:
        """From when to when those were that were not kept."""
        return max(span.end for span in self._first), min(span.start for span in self._last)

    # -- how spans come to be --

    def over(
        self, frame: Frame, answer: Iterator[bool], gauge: Waiting, *, start: int | None = None
    ) -> Iterator[bool]:
        """Let a worker answer a frame, and keep how long it took and waited.

        Args:
            frame: what is answered.
            answer: does it; it yields while it waits for room.
            gauge: tells since when it waits.
            start: when it began; unset, now.
        """
        started = perf_counter_ns() if start is None else start
        path, count = frame.path, frame.count
        wait: Span | None = None
        self._marks.clear()
        self._worked = 0
        try:
            for moved in answer:
                since = gauge.since
                if wait is not None and wait.start != since:
                    self.add(wait)
                yield moved
                # It lasts until it was last asked whether there is room.
                wait = Span("blocked", since, perf_counter_ns(), path)
        finally:
            ended = perf_counter_ns()
            for span in (*self._slow_items(path, ended), *filter(None, (wait,))):
                self.add(span)
            self.add(Span("batch", started, ended, path, count))

    def marks(self, places: Places) -> Places:
        """The places where a stage notes which item is in work, kept with the times."""
        return _Marks(places, self._marks)

    def worked(self) -> None:
        """All items of the batch are done; what they gave is still to be given on."""
        self._worked = perf_counter_ns()

    def _slow_items(self, path: Path, ended: int) -> Iterator[Span]:
        """Those of several items that took long: one alone takes as long as its batch."""
        marks = [*self._marks, (-1, self._worked or ended)]
        if len(marks) > 2:  # noqa: PLR2004 - an item and the end
            for (index, start), (_, end) in pairwise(marks):
                if end - start >= SLOW:
                    yield Span("item", start, end, path, index)


class Places(Protocol):
    """Counters that a stage writes to: see `Batch.at`."""

    def __getitem__(self, place: int, /) -> int:
        """What a place shows."""
        ...

    def __setitem__(self, place: int, value: int, /) -> None:
        """Let a place show something else."""


class _Marks:
    """Places that keep when each item was begun."""

    def __init__(self, places: Places, marks: list[tuple[int, int]]) -> None:
        self._places = places
        self._marks = marks

    def __getitem__(self, place: int) -> int:
        return self._places[place]

    def __setitem__(self, place: int, value: int) -> None:
        self._places[place] = value
        if place == 0:
            self._marks.append((value, perf_counter_ns()))


def unmarked(places: Places) -> Places:
    """The places themselves, where to keep the times would take longer than the items."""
    return places._places if isinstance(places, _Marks) else places


@dataclass(frozen=True, slots=True)
class Lane:
    """One worker, as a trace shows it.

    Attributes:
        name: the id of its node; unique.
        element: what the user wrote, of which it may be a copy.
        senders: the lanes that it gets batches from, by their numbers.
        gathers: whether it makes one batch of what several of them sent.
    """

    name: str
    element: str
    senders: Sequence[int] = ()
    gathers: bool = False


@dataclass(slots=True)
class Traced:
    """All that is known of a run for its trace.

    Attributes:
        lanes: the workers that there can be, by their numbers.
        tapes: what they did.
        widths: for each fork that follows the load, how wide it was when.
        has_pipes: whether batches wait between workers.
    """

    lanes: Mapping[int, Lane]
    tapes: Sequence[Tape]
    widths: Mapping[str, Sequence[Width]] = field(default_factory=dict[str, Sequence[Width]])
    has_pipes: bool = True


def timed(
    tape: Tape, drawn: Iterator[Any], path: Callable[[], Path], *, items: int = 1
) -> Iterator[Any]:
    """Draw outputs, and keep when they were made; what is done with each is not part of it.

    Args:
        tape: where that is kept.
        drawn: the outputs.
        path: tells of which item the next one is.
        items: how many items that is.
    """
    given = 0
    while True:
        started, output = perf_counter_ns(), _NOTHING
        try:
            output = next(drawn, _NOTHING)
        finally:
            ended = perf_counter_ns()
            # To see that nothing more comes takes no time, as a rule.
            if output is not _NOTHING or not given or ended - started >= SLOW:
                tape.add(Span("batch", started, ended, path(), items))
        if output is _NOTHING:
            return
        given += 1
        yield output


_NOTHING = object()
