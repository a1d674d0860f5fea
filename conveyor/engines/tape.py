"""What each worker did when: gathered while a run asks for a trace, and bounded."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import chain, pairwise
from time import perf_counter_ns
from typing import Any, Literal, NamedTuple, Protocol, get_args

from conveyor.flow.batch import Frame, Path

LIMIT = 10_000
"""The most spans that are kept of one worker in one run: the first half and the last of them."""

SLOW = 1_000_000
"""An item that took so many nanoseconds has a span of its own."""

_FRESH = 50
"""So many spans are put into numbers together, which in a row takes less."""

TOGETHER = 64
"""Of cheap items so many have a span together, if one of them was slow."""

Kind = Literal["setup", "batch", "item", "items", "blocked"]
_KINDS: tuple[Kind, ...] = get_args(Kind)


class Span(NamedTuple):
    """A time in which a worker did one thing.

    Attributes:
        kind: what it did; ``"blocked"`` is that it waited for room to give something on.
        start, end: nanoseconds of ``perf_counter_ns``, which all processes of a machine share.
        path: the address of the batch; empty where there is none.
        items: how many items the batch has, or the index in it of the item, or of the first.
    """

    kind: Kind
    start: int
    end: int
    path: Path = ()
    items: int = 0


_Mark = tuple[int, int, int]
"""The index of an item, how many were begun with it, and when."""


class Tape:
    """The spans of one worker in one run.

    They lie in arrays of numbers, which cost a run little: the garbage collector does not look at
    them, and they are pickled at once.

    Args:
        worker: the number of its lane.

    Attributes:
        pid: the process that it is in.
    """

    def __init__(self, worker: int) -> None:
        self.worker = worker
        self.pid = os.getpid()
        self._count = 0
        self._first = self._newest = array("q")
        self._newer = array("q")
        self._fresh: list[tuple[Kind, int, int, Path, int]] = []
        self._path: Path = ()
        self._marks: list[_Mark] = []
        self._worked = 0

    def __getstate__(self) -> dict[str, Any]:
        """All of it, as numbers."""
        self._put_down()
        return vars(self)

    def add(self, kind: Kind, start: int, end: int, path: Path = (), items: int = 0) -> None:
        """Keep a `Span`, in place of the oldest of the last ones where there are too many."""
        self._fresh.append((kind, start, end, path, items))
        if len(self._fresh) == _FRESH:
            self._put_down()

    def _put_down(self) -> None:
        for kind, start, end, path, items in self._fresh:
            if self._count and self._count % (LIMIT // 2) == 0:
                self._newer = array("q") if self._newest is self._first else self._newest
                self._newest = array("q")
            self._count += 1
            self._newest.extend((len(path), _KINDS.index(kind), start, end, items, *path))
        self._fresh.clear()

    @property
    def count(self) -> int:
        """How many spans there were."""
        return self._count + len(self._fresh)

    @property
    def spans(self) -> list[Span]:
        """Those that were kept."""
        self._put_down()
        first = list(_spans(self._first))
        if self._newest is self._first:
            return first
        last = [*_spans(self._newer), *_spans(self._newest)]
        return first + last[-(LIMIT // 2) :]

    @property
    def left_out(self) -> int:
        """How many were not kept."""
        return max(0, self.count - LIMIT)

    @property
    def gap(self) -> tuple[int, int]:
        """From when to when those were that were not kept."""
        spans, half = self.spans, LIMIT // 2
        return max(span.end for span in spans[:half]), min(span.start for span in spans[half:])

    # -- how spans come to be --

    def over(
        self, frame: Frame, answer: Iterator[bool], *, start: int | None = None
    ) -> Generator[bool, None, None]:
        """Let a worker answer a frame, and keep how long it took.

        Args:
            frame: what is answered.
            answer: does it; it yields while it waits for room.
            start: when it began; unset, now.
        """
        started = perf_counter_ns() if start is None else start
        self._path, count = frame.path, frame.count
        try:
            yield from answer
        finally:
            ended = perf_counter_ns()
            if self._marks:
                self._add_slow_items(ended)
            self.add("batch", started, ended, self._path, count)

    def waited(self, since: int) -> None:
        """The worker has waited since then, for room to give something of its answer on."""
        self.add("blocked", since, perf_counter_ns(), self._path)

    def marks(self, places: Places) -> Places:
        """The places where a stage notes which item is in work, kept with the times."""
        return Marks(places, self._marks)

    def worked(self) -> None:
        """All items of the batch are done; what they gave is still to be given on."""
        if self._marks:
            self._worked = perf_counter_ns()

    def _add_slow_items(self, ended: int) -> None:
        """Keep those of several items that took long: one alone takes as long as its batch."""
        if len(self._marks) > 1:
            marks = [*self._marks, (0, 0, self._worked or ended)]
            for (index, count, start), (_, _, end) in pairwise(marks):
                if end - start >= SLOW:
                    self.add("item" if count == 1 else "items", start, end, self._path, index)
        self._marks.clear()
        self._worked = 0


def _spans(numbers: Sequence[int]) -> Iterator[Span]:
    """The spans that lie in an array, one behind the other."""
    place = 0
    while place < len(numbers):
        length, kind, start, end, items = numbers[place : place + 5]
        place += 5 + length
        yield Span(_KINDS[kind], start, end, tuple(numbers[place - length : place]), items)


class Places(Protocol):
    """Counters that a stage writes to: see `Batch.at`."""

    def __getitem__(self, place: int, /) -> int:
        """What a place shows."""
        ...

    def __setitem__(self, place: int, value: int, /) -> None:
        """Let a place show something else."""


class Marks:
    """Places that keep when each item was begun.

    Attributes:
        places: the places themselves, which keep no times.
    """

    def __init__(self, places: Places, marks: list[_Mark]) -> None:
        self.places = places
        self._marks = marks

    def __getitem__(self, place: int) -> int:
        return self.places[place]

    def __setitem__(self, place: int, value: int) -> None:
        self.places[place] = value
        if place == 0:
            self._marks.append((value, 1, perf_counter_ns()))

    def by_stride(self, items: Sequence[Any], first: int) -> Iterator[tuple[int, Any]]:
        """Number items, and keep when `TOGETHER` of them were begun; the places may keep none."""
        return chain.from_iterable(self._strides(items, first))

    def _strides(self, items: Sequence[Any], first: int) -> Iterator[Iterator[tuple[int, Any]]]:
        for start in range(0, len(items), TOGETHER):
            some = items[start : start + TOGETHER]
            self._marks.append((first + start, len(some), perf_counter_ns()))
            yield enumerate(some, first + start)


def unmarked(places: Places) -> Places:
    """The places themselves, for what is not to begin an item."""
    return places.places if isinstance(places, Marks) else places


def timed(tape: Tape, drawn: Iterator[Any], path: Callable[[], Path]) -> Iterator[Any]:
    """Draw outputs, and keep when they were made; what is done with each is not part of it.

    Args:
        tape: where that is kept.
        drawn: the outputs.
        path: tells of which item the next one is.
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
                tape.add("batch", started, ended, path(), 1)
        if output is _NOTHING:
            return
        given += 1
        yield output


_NOTHING = object()
