"""The beginning of a pipeline: a worker that has no way in, and makes the batches."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from operator import length_hint
from time import perf_counter
from typing import Any

from conveyor.engines.arriving import Arriving
from conveyor.engines.counters import BLOCKED, BUSY, ELSEWHERE, STARVED
from conveyor.engines.processes.accounts import Accounts, note_setup, taken_off
from conveyor.engines.processes.gauge import Gauge, WorkMeter
from conveyor.engines.processes.way_out import Coroutine, WayOutEnd
from conveyor.engines.stage import Stage
from conveyor.engines.tape import Span, Tape
from conveyor.flow.batch import END, Frame
from conveyor.flow.source import AT_ONCE, FULL_SECONDS, Sizer, Window
from conveyor.plan import Channel, PlannedWorker


class SourceActor:
    """A worker that makes the batches: of the caller's items, or of what a source generates.

    Args:
        planned: the worker.
        channels: those of the plan.
        window: the most batches under way.
        stage: the source; None for the caller's items.
        gauge: where it notes how it spends its time.
        may_end: whether the end of the stream may be sent; asked again until it may.
        told: called with what was counted, at the end of each run.
        made: called with how many items there were so far.
        tape: gives where it keeps what it does in a run that begins, if that is traced.
    """

    has_left = False

    def __init__(
        self,
        planned: PlannedWorker,
        channels: tuple[Channel, ...],
        window: int,
        *,
        stage: Stage | None,
        gauge: Gauge,
        may_end: Callable[[], bool],
        told: Callable[[Accounts], None],
        made: Callable[[int], None],
        tape: Callable[[], Tape | None],
    ) -> None:
        assert planned.way_out is not None
        self.name = planned.element
        self._gauge = gauge
        self._may_end = may_end
        self.way_out = WayOutEnd(self.name, planned.way_out, channels, gauge)
        self.window = Window(window)
        self.stage = stage
        self._reports = planned.reports
        self._told = told
        self._made = made
        self._new_tape = tape
        self.tape: Tape | None = None
        self.setup: Span | None = None
        self.shares = False
        """Whether its process has other work, too."""
        self.meter: WorkMeter | None = None
        """What measures its work, where that decides about the processes of others."""
        self._sizer = Sizer()
        self.way_out.weigh = self._sizer.weighed
        self.wake_on: Callable[[int], None] | None = None
        """Has the process wake when a descriptor is readable; set where items are the caller's."""
        self.ends_late = False
        """Whether the end has to wait until all has come out: forks follow the load until then."""
        self.awaits_items = False
        """Whether it waits for the caller's items, and for nothing else."""
        self._items: Iterator[Any] | None = None
        self._count = self._runs = 0
        self.coroutine = self._work()

    def begin(self, items: Iterator[Any] | None) -> None:
        """Begin a run with these items; a source makes its own."""
        self.window.begin()
        self.tape = self.way_out.tape = self._new_tape()
        note_setup(self)
        self._count = 0
        if self.stage is not None:
            self.stage.begin()
            items = self.stage.generate()
        self._items = items

    def leave_off(self) -> None:
        """Give up the items of the run under way; those that a source generates end with that."""
        with suppress(ValueError):  # at work in a thread that the end of the interpreter has left
            self.coroutine.close()
        items, self._items = self._items, None
        if self.stage is not None and isinstance(items, Generator):
            items.close()

    @property
    def is_running(self) -> bool:
        """Whether the end of the stream has not been sent yet."""
        return self._items is not None

    def _work(self) -> Coroutine:
        while True:
            self._gauge.enter(STARVED)
            while self._items is None:
                yield False
            has_ended = yield from self._send_all(self._items)
            if not has_ended:
                yield from self._send_end()
            self._items = None
            self._tell()
            yield True

    def _send_end(self) -> Coroutine:
        if self.stage is not None:
            yield from self._send_all(self.stage.finish(), were_taken=False)
        # While links come and go, nobody could tell how many ends to wait for.
        self._gauge.enter(STARVED)
        while self.window.is_held or not self._may_end():
            yield False
        self._gauge.finish(self.stage)
        yield from self.way_out.send(Frame(self.window.next_path(end=True), [], end=END))

    def _send_all(
        self, items: Iterator[Any], *, were_taken: bool = True
    ) -> Generator[bool, None, bool]:
        """Send items as there is room; return whether the end went along with the last of them."""
        is_last = False
        while not is_last:
            if not self.window.is_open:
                self.way_out.has_waited = True
                self._gauge.enter(BLOCKED)
                while not self.window.is_open:
                    yield False
            waited, self.way_out.has_waited = self.way_out.has_waited, False
            wanted = self._sizer.size(
                self.way_out.outlet.service, full=waited, retired=self.window.retired
            )
            yield from self._await(items, wanted)
            while self.window.is_held:
                yield False
            self._gauge.enter(BUSY)
            started = self._gauge.since
            present = items.present() if isinstance(items, Arriving) else items
            batch = self._pulled(present, wanted)
            if not batch:
                return False
            is_last = self._are_last(items)
            self._count += len(batch)
            self._made(self._count)
            self._note(len(batch), were_taken=were_taken)
            frame = Frame(self.window.next_path(end=is_last), batch, end=END if is_last else 0)
            if is_last:
                self._gauge.finish(self.stage)
            sending = self.way_out.send(frame)
            if self.tape is not None:
                sending = self.tape.over(frame, sending, start=started)
            yield from sending
            if self.shares:
                self._gauge.enter(ELSEWHERE)
            yield True
        return True

    def _are_last(self, items: Iterator[Any]) -> bool:
        """Whether there are no more items, so that the end may come along with those just taken."""
        is_known = type(items) in _COUNTABLE and self.stage is None and not self.ends_late
        return is_known and self.way_out.takes_end_along and not length_hint(items)

    def _note(self, items: int, *, were_taken: bool) -> None:
        self._gauge.count(items if were_taken else 0)
        if self.stage is not None:
            self._gauge.note(self.stage)
        else:
            self._gauge.gave(items)

    def _pulled(self, items: Iterator[Any], wanted: int) -> list[Any]:
        """The next items; fewer than wanted where they turn out slow to come, or large."""
        if self.meter is not None:
            self.meter.start()
        at_once = wanted if type(items) in _THERE else AT_ONCE
        started, batch = perf_counter(), list(islice(items, min(wanted, at_once)))
        while AT_ONCE <= len(batch) < wanted and perf_counter() - started < FULL_SECONDS:
            more = list(islice(items, min(wanted - len(batch), AT_ONCE)))
            if not more:
                break
            batch += more
        self._sizer.pulled(len(batch), perf_counter() - started)
        if self.meter is not None:
            self.meter.stop()
        return batch

    def _await(self, items: Iterator[Any], wanted: int) -> Coroutine:
        """Let outputs be taken until an item is there, where that can be known."""
        if self.wake_on is None or not isinstance(items, Arriving):
            return
        items.ask(wanted)
        while not items.is_ready():
            self._gauge.enter(STARVED)
            self.wake_on(items.fileno())
            self.awaits_items = True
            yield False
        self.awaits_items = False

    def _tell(self) -> None:
        self._runs += 1
        if self._reports or self.tape is not None:
            accounts = Accounts(run=self._runs)
            self.way_out.account(accounts)
            accounts.tapes += taken_off(self)
            self._told(accounts)
        self.way_out.outlet.restart()


_COLLECTIONS: tuple[Iterable[Any], ...] = ([], (), range(1), range(1 << 70), {}, set())
_THERE = frozenset(type(iter(one)) for one in _COLLECTIONS)
"""What the iterators of collections are: the next items are there, however many."""

_SEQUENCES: tuple[Iterable[Any], ...] = ([], (), range(1))
_COUNTABLE = frozenset(type(iter(one)) for one in _SEQUENCES)
"""Those among them that tell how many items there are left, even where that has changed."""
