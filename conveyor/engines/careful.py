"""A stage that tries its items as its options say, and goes on where one has failed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise
from time import perf_counter
from typing import Any, Protocol, cast

from conveyor.dsl.processor import Processor
from conveyor.engines.letters import DeadLetter
from conveyor.engines.limit import Limit, Notes
from conveyor.engines.stage import ONE_BY_ONE, PART_SECONDS, Again, Batch, Pack, Part, Stage
from conveyor.engines.tape import Places, unmarked
from conveyor.engines.telling import short
from conveyor.errors import ConveyorError, NotPicklable
from conveyor.flow.failure import Policy
from conveyor.graph.model import Settings


class Failed(Protocol):
    """Is told of each item that failed for good where the run goes on."""

    def __call__(self, error: ConveyorError, letter: DeadLetter | None, /) -> None:
        """Take its last error, and its dead letter where it becomes one."""


_Answer = tuple[int, list[Any] | None]
"""The index of an item, and what it gave, or None where it failed for good."""


class CarefulStage(Stage):
    """A processor with ``retries``, ``on_error`` or ``timeout``.

    What an item gives counts only once an attempt has succeeded, so that what a failed attempt
    gave does not come out as well. Until then it is held: the memory that this takes is bounded
    by the most that one item gives, and not by `size`.

    Every attempt gets the item as it came, whatever the one before did to it.

    Args:
        policy: what is done about failed items.
        limit: the time that an attempt may take; None for any.
        failed: is told of each item that failed for good and does not end the run.
        name, make, warm, passes: see :class:`Stage`.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], Processor[Any, Any]],
        *,
        warm: bool,
        passes: type[BaseException],
        policy: Policy,
        limit: Limit | None,
        failed: Failed,
    ) -> None:
        super().__init__(name, make, warm=warm, passes=passes)
        self._policy = policy
        self.bears_failures = policy.on_error != "fail"
        self._limit = limit
        self._failed = failed

    def outputs(self, item: Any) -> Iterator[Any]:
        """What the processor gives for one item, once an attempt has succeeded."""
        answer = self._answer(item, 0, kept([item]), _packs_nothing)
        self._count([(0, answer)])
        return iter(answer or ())

    def batch(self, batch: Batch) -> Iterator[Part]:
        """What the processor gives for a batch; a part holds all that its items gave."""
        again = batch.again()
        at, rest = self._numbered(batch.items, batch.at, 0)
        taken, elapsed = 0, 0.0
        while True:
            started = perf_counter()
            answers = self._answers(rest, at, batch, again)
            elapsed += perf_counter() - started
            taken += len(answers)
            is_last = taken == len(batch.items)
            yield from self._parts(answers, batch, again, is_last=is_last)
            if is_last:
                self.seconds = elapsed / taken if taken else 0.0
                return

    def _answers(
        self, rest: Iterator[tuple[int, Any]], at: Places, batch: Batch, again: Again
    ) -> list[_Answer]:
        """Take items until what they gave is enough for a part, or has waited for long."""
        answers: list[_Answer] = []
        laps = [perf_counter()]
        until = laps[0] + PART_SECONDS
        room = batch.size()
        blamed = batch.blamed or {}
        for at[0], item in rest:
            index = at[0]
            given: list[Any] | None = None
            if index in blamed:
                self._take_blame(*blamed[index], index, again)
            else:
                given = self._answer(item, index, again, batch.pack)
            answers.append((index, given))
            room -= len(given) if given else 0
            laps.append(perf_counter())
            if room <= 0 or batch.blamed is not None or laps[-1] > until:
                break
        self._time(laps)
        return answers

    def _time(self, laps: Sequence[float]) -> None:
        """Count how long each item took, between two times; where they are cheap, their mean."""
        items = len(laps) - 1
        mean = (laps[-1] - laps[0]) / items
        if mean <= ONE_BY_ONE:
            self.times.add(int(mean * 1e9), items)
        else:
            for before, now in pairwise(laps):
                self.times.add(int((now - before) * 1e9))

    # -- attempts --

    def _answer(self, item: Any, index: int, again: Again, pack: Pack) -> list[Any] | None:
        outputs, error = self._tried(item, _packs_nothing)
        return outputs if error is None else self._after(error, index, again, pack)

    def _tried(self, item: Any, pack: Pack) -> tuple[list[Any] | None, ConveyorError | None]:
        """What an item gives, or why it failed; the next attempt does not follow from that."""
        try:
            outputs = self._in_time(item)
            pack(outputs)
        except ConveyorError as error:
            return None, error
        return outputs, None

    def _in_time(self, item: Any) -> list[Any]:
        if self._limit is None:
            return self._attempt(item)
        return self._limit.call(self.name, partial(short, item), partial(self._attempt, item))

    def _attempt(self, item: Any) -> list[Any]:
        result = self.guard(self._process, item, item)
        if self.emits:
            return list(self._drawn(result, item))
        return [] if result is None else [result]

    def _after(
        self, error: ConveyorError, index: int, again: Again, pack: Pack
    ) -> list[Any] | None:
        """What an item gives whose first attempt has failed, or None where all fail."""
        attempts = 1
        while self._policy.verdict(attempts) == "retry":
            attempts += 1
            self.retried += 1
            outputs, raised = self._tried(again(index), pack)
            if raised is None:
                return outputs
            error = raised
        self._give_up(error, attempts, index, again)
        return None

    def _take_blame(self, error: ConveyorError, attempts: int, index: int, again: Again) -> None:
        """An item has failed for good before, in a worker that did not outlive it."""
        self.retried += attempts - 1
        self._give_up(error, attempts, index, again)

    def _give_up(self, error: ConveyorError, attempts: int, index: int, again: Again) -> None:
        match self._policy.on_error:
            case "fail":
                raise error
            case "skip":
                self.skipped += 1
                self._failed(_without_frames(error), None)
            case "dead_letter":
                self.dead += 1
                error = _without_frames(error)
                self._failed(error, DeadLetter(self.name, again(index), error, attempts))

    def _count(self, answers: Sequence[_Answer]) -> None:
        self.items_in += len(answers)
        for _, outputs in answers:
            if outputs is not None:
                given = len(outputs)
                self.items_out += given
                if given == 0:
                    self.filtered += 1
                else:
                    self.added += given - 1

    # -- what goes out --

    def _parts(
        self, answers: list[_Answer], batch: Batch, again: Again, *, is_last: bool
    ) -> Iterator[Part]:
        """What some items gave, in parts of a fair size, and none before all can travel."""
        at = unmarked(batch.at)
        if len(answers) > 1:  # what it dies of now is any of them
            at[0], at[1] = answers[0][0], len(answers)
        try:
            parts = list(_packed(answers, batch))
        except NotPicklable:
            answers = [self._packable(answer, batch, again) for answer in answers]
            parts = list(_packed(answers, batch))
        self._count(answers)
        parts[-1] = parts[-1]._replace(is_last=is_last, taken=len(answers))
        yield from parts
        at[1] = 1

    def _packable(self, answer: _Answer, batch: Batch, again: Again) -> _Answer:
        """The answer if it can travel; if not, that attempt has failed, too."""
        index, outputs = answer
        at = unmarked(batch.at)
        at[0], at[1] = index, 1
        try:
            batch.pack(outputs or [])
        except NotPicklable as error:
            return index, self._after(error, index, again, batch.pack)
        return answer


class RestartableStage(CarefulStage):
    """A processor whose worker may be started again.

    A part of what it gives holds all that some items gave, so that it tells what is done.
    """

    def batch(self, batch: Batch) -> Iterator[Part]:
        """What the processor gives for a batch, many at once where nothing speaks against it."""
        is_plain = self._limit is None and not self._policy.is_set and not self.emits
        if is_plain and batch.blamed is None:
            return self._in_slices(batch)
        return super().batch(batch)


class TimedSource(Stage):
    """A source with ``timeout``: the time to make one item.

    Args:
        limit: that time.
        name, make, warm, passes: see :class:`Stage`.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], Processor[Any, Any]],
        *,
        warm: bool,
        passes: type[BaseException],
        limit: Limit,
    ) -> None:
        super().__init__(name, make, warm=warm, passes=passes)
        self._limit = limit

    def draw(self, iterator: Iterator[Any], item: Any) -> Any:
        """The next item, in time."""
        return self._limit.call(self.name, _nothing, partial(super().draw, iterator, item))


def _nothing() -> None:
    """There is no item to show."""


def _packed(answers: Iterable[_Answer], batch: Batch) -> Iterator[Part]:
    outputs: list[Any] = []
    origins: list[int] = []
    for index, given in answers:
        if given:
            outputs += given
            origins += [index] * len(given)
    size = batch.size()
    if batch.whole or len(outputs) <= size:
        # Where each item of the batch gave one output, nothing has to be told of origins.
        told = None if origins == list(range(len(batch.items))) else origins
        yield Part(outputs, told, is_last=False, payload=batch.pack(outputs))
        return
    for start in range(0, len(outputs), size):
        chunk = outputs[start : start + size]
        own = origins[start : start + size]
        yield Part(chunk, own, is_last=False, payload=batch.pack(chunk))


def _packs_nothing(outputs: list[Any]) -> None:
    """In the calling process nothing has to travel."""


def kept(items: Sequence[Any]) -> Again:
    """A way back to items, whatever is done to them: gives a new copy each time.

    What can't be copied is given again as it is.
    """
    try:
        spare: Sequence[Any] = copied(items)
    except Exception:
        spare = [_copied_or_not(item) for item in items]
    return lambda index: _copied_or_not(spare[index])


def reloaded(load: Callable[[], list[Any]]) -> Again:
    """A way back to items that came as bytes: what was loaded once serves each of them once."""
    fresh: dict[int, Any] = {}

    def again(index: int) -> Any:
        if index not in fresh:
            fresh.update(enumerate(load()))
        return fresh.pop(index)

    return again


def copied(item: Any) -> Any:
    """A copy of an item, or of several; what copying it raises is raised where there is none."""
    try:
        return copy.deepcopy(item)
    except Exception:
        with suppress(Exception):  # some can be pickled, by our rules, and not be copied
            return _sent(item)
        raise


def _sent(item: Any) -> Any:
    """An item as it comes out of a pipe."""
    from conveyor.engines.processes.pickling import dumps, loads

    return loads(dumps(item, ()))


def _copied_or_not(item: Any) -> Any:
    try:
        return copied(item)
    except Exception:
        return item


def _without_frames(error: ConveyorError) -> ConveyorError:
    """The error without what its tracebacks hold on to: it may be kept for long.

    Nor do those that led to it have theirs. The text of them stays in it.
    """
    found: list[BaseException] = [error]
    seen = {id(error)}
    for one in found:  # to which more are added meanwhile
        one.with_traceback(None)
        inner = cast("Any", one).exceptions if isinstance(one, BaseExceptionGroup) else ()
        for other in (one.__cause__, one.__context__, *inner):
            if other is not None and id(other) not in seen:
                seen.add(id(other))
                found.append(other)
    return error


def stage_for(
    settings: Settings,
    name: str,
    make: Callable[[], Processor[Any, Any]],
    *,
    warm: bool,
    passes: type[BaseException],
    failed: Failed,
    is_source: bool,
    at: Notes | None = None,
    restarts: bool = False,
) -> Stage:
    """The stage for a processor with these settings.

    What is not named here is as for the stages. ``at`` is where a limit notes when what is in work
    is overdue, and ``restarts`` whether its worker may be started again.

    A source takes no items, so there is nothing to try again, and its own failure ends the run.
    """
    policy = Policy(settings.retries, settings.on_error)
    limit = None if settings.timeout is None else Limit(settings.timeout, at)
    if is_source and limit is not None:
        return TimedSource(name, make, warm=warm, passes=passes, limit=limit)
    if is_source or (limit is None and not policy.is_set and not restarts):
        return Stage(name, make, warm=warm, passes=passes)
    return (RestartableStage if restarts else CarefulStage)(
        name, make, warm=warm, passes=passes, policy=policy, limit=limit, failed=failed
    )
