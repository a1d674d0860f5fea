"""One processor at work: its life cycle, and what it makes of items. Engines share it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from itertools import islice
from operator import attrgetter, length_hint, sub
from time import perf_counter, perf_counter_ns
from types import GeneratorType
from typing import Any, Literal, NamedTuple

import cloudpickle

from conveyor.dsl.copies import instance_state
from conveyor.dsl.functions import decorates_generator, is_generator
from conveyor.dsl.processor import Processor, Source, generated
from conveyor.dsl.wrapped import FunctionSource
from conveyor.engines.account import Account
from conveyor.engines.histogram import Times
from conveyor.engines.tape import Marks, Places, unmarked
from conveyor.engines.telling import NO_ITEM, stage_error
from conveyor.errors import ConveyorError
from conveyor.graph import ProcessorNode


class Part(NamedTuple):
    """Outputs of a batch: all of them, or those that are there so far.

    Attributes:
        outputs: the outputs.
        origins: for each, the index of the item that it came from; None where each came from
            the item at its own index, or where nobody asks.
        is_last: whether the batch is done.
        payload: the outputs as they travel, where they have been pickled already.
        taken: how many more items of the batch are done with it.
    """

    outputs: list[Any]
    origins: list[int] | None
    is_last: bool
    payload: bytes | None = None
    taken: int = 0


Counts = tuple[tuple[int, ...], tuple[int, ...]]

Again = Callable[[int], Any]
"""Gives the item at an index as it came, a new one each time."""

Pack = Callable[[list[Any]], bytes | None]
"""Pickles outputs as they travel, or gives None where they stay; it may raise NotPicklable."""


Blamed = Mapping[int, tuple[ConveyorError, int]]
"""Items, by their indexes, that are not to be tried, with why, and how often they were."""


class Batch(NamedTuple):
    """Items for a stage, with what the engine offers for them.

    Attributes:
        items: the items.
        at: notes what is in work, before it is: place 0 is the index of an item, place 1 how
            many items from there on it may be one of, place 2 when it is overdue, see `limit`.
        size: how many outputs a part should have, where one item gives many.
        traced: whether somebody asks for the origins of the outputs.
        again: called before any of the items is in work, gives a way to get them as they came.
        pack: how outputs travel.
        whole: whether a part must hold all that its items gave, so that it tells what is done.
        most: the most items that are processed together, as the pipes behind hold no more.
        blamed: items that are not to be tried. Where it is there, be it empty, each item is a part
            of its own.
    """

    items: list[Any]
    at: Places
    size: Callable[[], int]
    traced: bool
    again: Callable[[], Again]
    pack: Pack
    whole: bool = False
    most: int | None = None
    blamed: Blamed | None = None


class Stage:
    """A processor in the hands of an engine.

    Args:
        name: the id of its node.
        make: gives the processor as the user built it, a new one each time.
        warm: whether it may have more than one run.
        passes: what is no failure of the user's code, though it is raised in it.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], Processor[Any, Any]],
        *,
        warm: bool,
        passes: type[BaseException],
    ) -> None:
        self.name = name
        self._make = make
        self._warm = warm
        self.passes = passes
        self._kept: dict[str, Any] = {}
        self._first: Processor[Any, Any] | None = None
        self.processor: Processor[Any, Any]
        self._process: Callable[[Any], Any]
        self.seconds = 0.0
        """What an item of the last batch took."""
        self._gives: Gives | None = None
        self.emits = False
        """Whether ``process`` yields any number of outputs, rather than returning one."""
        self.finishes = True
        """Whether its processor may give something at the end."""
        self.times = Times()
        """How long its items took."""
        self.bears_failures = False
        """Whether the run goes on where an item has failed for good."""
        self.samples = False
        """Whether items are so cheap that some of them stand for all; see `timed`."""
        self.items_in = self.items_out = self.filtered = self.added = 0
        self.skipped = self.dead = self.retried = 0
        self._before = _counts(self)
        """What had been counted when the run began: others read the counts while they grow."""

    @property
    def account(self) -> Account:
        """What became of the items of this run."""
        so_far, before = self.counts
        return Account(**dict(zip(_COUNTS, map(sub, so_far, before), strict=True)))

    @property
    def counts(self) -> Counts:
        """What has been counted, and what had been when the run began: as it can be kept."""
        return _counts(self), self._before

    @counts.setter
    def counts(self, counts: Counts) -> None:
        so_far, self._before = counts
        for name, count in zip(_COUNTS, so_far, strict=True):
            setattr(self, name, count)

    # -- the life cycle --

    def setup(self) -> None:
        """Build the processor and set it up, once."""
        self.processor = self._first = self._make()
        if getattr(self.processor.setup, "__func__", None) is Processor.setup:
            return  # it does nothing: what it would set need not be looked for
        before = dict(instance_state(self.processor)) if self._warm else {}
        content = {name: _content(value) for name, value in before.items()}
        self.guard(self.processor.setup, NO_ITEM)
        if self._warm:
            self._kept = {
                name: value
                for name, value in instance_state(self.processor).items()
                if name not in before
                or before[name] is not value
                or (content[name] is not None and _content(value) != content[name])
            }

    def begin(self) -> None:
        """Begin a run with the processor as it was built, and what ``setup`` set."""
        if self._first is not None:
            self._first = None
        else:
            self.processor = self._make()
            for name, value in self._kept.items():
                object.__setattr__(self.processor, name, value)
        self._before = _counts(self)
        process = self._method("process")
        if self._gives is None:
            self._gives = _what_gives(process)
        self.emits = self._gives != "one"
        self._process = _drawn_from(process) if self._gives == "any" else process
        self.finishes = getattr(self._method("finish"), "__func__", None) is not Processor.finish

    def _method(self, name: str) -> Any:
        """What works on items; where that is a property, it is code of the user's, too."""
        return self.guard(getattr, NO_ITEM, self.processor, name)

    def snapshot(self) -> Any:
        """The state of the processor, where it can tell it; else None."""
        tell = getattr(self.processor, "snapshot", None)
        return None if tell is None else self.guard(tell, NO_ITEM)

    def restore(self, state: Any) -> None:
        """Let the processor, which has begun a run, go on with the state of another one."""
        take_up = getattr(self.processor, "restore", None)
        if take_up is not None:
            self.guard(take_up, NO_ITEM, state)

    def teardown(self) -> None:
        """Let the processor clear up."""
        if hasattr(self, "processor"):
            self.guard(self.processor.teardown, NO_ITEM)

    # -- items --

    def outputs(self, item: Any) -> Iterator[Any]:
        """What the processor gives for one item, as it gives it."""
        self.items_in += 1
        if not self.emits:
            result = self.guard(self._process, item, item)
            if result is None:
                self.filtered += 1
                return
            self.items_out += 1
            yield result
            return
        count = 0
        for output in self._drawn(self.guard(self._process, item, item), item):
            count += 1
            self.items_out += 1
            if count > 1:
                self.added += 1
            yield output
        self.filtered += count == 0

    def timed(self, item: Any) -> Iterator[Any]:
        """What the processor gives for one item; how long that takes is counted.

        Where `samples` is set, it counts for ``SAMPLE`` items, and is asked for one of so many.
        """
        weight = SAMPLE if self.samples else 1
        taken, started = 0, perf_counter_ns()
        for output in self.outputs(item):
            taken += perf_counter_ns() - started
            yield output
            started = perf_counter_ns()
        taken += perf_counter_ns() - started
        self.times.add(taken, weight)
        self.samples = taken < CHEAP and self.items_in >= SAMPLE

    def batch(self, batch: Batch) -> Iterator[Part]:
        """What the processor gives for a batch, in one part or, where it is slow, in more."""
        if self.emits:
            return self._emitted(batch.items, batch.at, batch.size)
        is_small = batch.most is None or len(batch.items) <= batch.most
        if is_small and self.seconds * len(batch.items) <= PART_SECONDS:
            return iter((self._at_once(batch.items, batch.at, 0, traced=batch.traced),))
        return self._in_slices(batch)

    def _in_slices(self, batch: Batch) -> Iterator[Part]:
        """One output or none for each item; so many items at once as do not take long."""
        items, first = batch.items, 0
        while True:
            count = len(items) - first
            if self.seconds * count > PART_SECONDS:
                # What is there should not wait for all the rest.
                count = min(count, max(1, int(PART_SECONDS / self.seconds)))
            if batch.most is not None:
                count = min(count, batch.most)
            some = items[first : first + count] if count < len(items) else items
            part = self._at_once(some, batch.at, first, traced=batch.traced)
            if batch.traced and part.origins is None and count < len(items):
                part = part._replace(origins=list(range(first, first + count)))
            first += count
            if first == len(items):
                yield part
                return
            yield part._replace(is_last=False)

    def _at_once(self, items: list[Any], at: Places, first: int, *, traced: bool) -> Part:
        """Items of a batch, from one on, together: little more than a list comprehension."""
        one_by_one = self.seconds > ONE_BY_ONE
        started = perf_counter()
        origins: list[int] | None = None
        try:
            if not (traced or one_by_one):
                outputs = self._mapped(items, at, first)
            else:
                measured = self._timed if one_by_one else self._every
                every = measured(items, at, first)
                outputs = [output for output in every if output is not None]
                if len(outputs) < len(items):
                    numbered = enumerate(every, first)
                    origins = [index for index, output in numbered if output is not None]
        except self.passes:
            raise
        except BaseException as error:
            raise stage_error(self.name, items[at[0] - first], error) from error
        if items:
            self.seconds = (perf_counter() - started) / len(items)
            if not one_by_one:
                self.times.add(int(self.seconds * 1e9), len(items))
        self.items_in += len(items)
        self.items_out += len(outputs)
        self.filtered += len(items) - len(outputs)
        return Part(outputs, origins, is_last=True, taken=len(items))

    def _numbered(
        self, items: list[Any], at: Places, first: int
    ) -> tuple[Places, Iterator[tuple[int, Any]]]:
        """Items with their numbers, and where to note which is in work.

        A trace has the time of each item, where that is not much beside what an item takes.
        """
        if isinstance(at, Marks) and 0 < self.seconds < MARKED:
            return at.places, at.by_stride(items, first)
        return at, enumerate(items, first)

    def _every(self, items: list[Any], at: Places, first: int) -> list[Any]:
        """What each item gave, None included."""
        at, numbered = self._numbered(items, at, first)
        return [self._process(item) for at[0], item in numbered]

    def _timed(self, items: list[Any], at: Places, first: int) -> list[Any]:
        """What each item gave, None included; how long each took is counted."""
        process, times, now = self._process, self.times, perf_counter_ns()
        every: list[Any] = []
        for at[0], item in enumerate(items, first):
            before = now
            every.append(process(item))
            now = perf_counter_ns()
            times.add(now - before)
        return every

    def _mapped(self, items: list[Any], at: Places, first: int) -> list[Any]:
        """The outputs that are not None.

        To note each item takes as long as the cheapest processor does. A batch of many is of
        such items, and notes them by the stride.
        """
        process = self._process
        if len(items) < MANY:
            at, numbered = self._numbered(items, at, first)
            return [output for at[0], item in numbered if (output := process(item)) is not None]
        at = unmarked(at)  # and no times
        rest, last = iter(items), first + len(items)
        outputs: list[Any] = []
        at[1] = STRIDE
        try:
            for at[0] in range(first, last, STRIDE):
                outputs += [
                    output for item in islice(rest, STRIDE) if (output := process(item)) is not None
                ]
        except BaseException:
            at[0] = last - length_hint(rest) - 1
            raise
        finally:
            at[1] = 1
        return outputs

    def _emitted(self, items: list[Any], at: Places, size: Callable[[], int]) -> Iterator[Part]:
        """Any number of outputs for each item: a part is full, or has waited for long."""
        outputs: list[Any] = []
        origins: list[int] = []
        one_by_one, taken = self.seconds > ONE_BY_ONE, 0.0
        started = part_started = perf_counter()
        wanted = size()
        at, numbered = self._numbered(items, at, 0)
        for index, item in numbered:
            at[0] = index
            for output in self.outputs(item):
                outputs.append(output)
                origins.append(index)
                if len(outputs) >= wanted or perf_counter() - part_started > PART_SECONDS:
                    paused = perf_counter()
                    yield Part(outputs, origins, is_last=False)
                    outputs, origins, wanted = [], [], size()
                    part_started = perf_counter()
                    started += part_started - paused
            if one_by_one:
                before, taken = taken, perf_counter() - started
                self.times.add(int((taken - before) * 1e9))
        if items:
            self.seconds = (perf_counter() - started) / len(items)
            if not one_by_one:
                self.times.add(int(self.seconds * 1e9), len(items))
        yield Part(outputs, origins, is_last=True)

    def finish(self) -> Iterator[Any]:
        """What the processor gives at the end of the stream."""
        if not self.finishes:
            return
        finish = self._method("finish")
        gives = _what_gives(finish)
        result = self.guard(_drawn_from(finish) if gives == "any" else finish, NO_ITEM)
        if result is None:
            return
        for output in (result,) if gives == "one" else self._drawn(result, NO_ITEM):
            self.items_out += 1
            self.added += 1
            yield output

    def generate(self) -> Iterator[Any]:
        """The items of a source."""
        assert isinstance(self.processor, Source)
        is_function = isinstance(self.processor, FunctionSource)
        name = self.name if is_function else f"{type(self.processor).__name__}.generate"
        iterable = self.guard(self._method("generate"), NO_ITEM)
        iterator = self.guard(generated, NO_ITEM, iterable, f"{name}()")
        with closing(self._drawn(iterator, NO_ITEM)) as items:
            for item in items:
                self.items_in += 1
                self.items_out += 1
                yield item

    def _drawn(self, stream: Iterable[Any], item: Any) -> Generator[Any, None, None]:
        """The values of the user's iterator, with its errors told as ours."""
        iterator = iter(stream)
        try:
            while (output := self.draw(iterator, item)) is not _END:
                yield output
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                self.guard(close, item)

    def draw(self, iterator: Iterator[Any], item: Any) -> Any:
        """The next value of the user's iterator, or what stands for its end."""
        return self.guard(next, item, iterator, _END)

    def guard(self, function: Callable[..., Any], item: Any, *arguments: Any) -> Any:
        """Call the user's code, and tell what it raises as a :class:`StageError`.

        Also what is no Exception: ``sys.exit()`` in a processor is a failure of that item. A
        real Ctrl-C stays what it is.
        """
        try:
            return function(*arguments)
        except self.passes:
            raise
        except BaseException as error:
            raise stage_error(self.name, item, error) from error


PART_SECONDS = 0.02
"""What is there after so long goes on its way, though the batch is not done."""

ONE_BY_ONE = 1e-4
"""Items that take longer are timed one by one: a look at the clock costs a thousandth of that."""

MARKED = 3e-5
"""Items that take longer are timed one by one for a trace: to note a time takes 0.3 us."""

CHEAP = 20_000
SAMPLE = 64
"""Of items that are not in batches, and take less than `CHEAP` nanoseconds, one of so many is
timed."""

MANY = 1024
"""Items come in batches so large only where each takes the slowest stage some 10 us or less."""

STRIDE = 64
"""How many of them are noted at once."""

_END = object()

_COUNTS = ("items_in", "items_out", "filtered", "added", "skipped", "dead", "retried")
_counts = attrgetter(*_COUNTS)


def is_given(node: ProcessorNode) -> bool:
    """Whether the node is fed by the caller, so that it is no stage."""
    return node.kind == "feed"


def _content(value: Any) -> bytes | None:
    try:
        return cloudpickle.dumps(value)
    except Exception:
        return None


Gives = Literal["one", "many", "any"]
"""What a method gives: the one output; an iterator of them; or either, which is known once it is
called: a decorator stands before a generator function, and makes of it what it likes."""


def _what_gives(method: Callable[..., Any]) -> Gives:
    if is_generator(method):
        return "many"
    return "any" if decorates_generator(method) else "one"


def _drawn_from(method: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
    """Gives an iterator of what a method gives, be that one output or a generator."""

    def emitted(*arguments: Any) -> Iterator[Any]:
        result = method(*arguments)
        if isinstance(result, GeneratorType):
            yield from result
        elif result is not None:
            yield result

    return emitted
