"""Workers as coroutines: each answers frames with frames, and yields where it has to wait.

A process has one of them or, where neighbours share a process, several. An actor yields True
when it has got on, and False when it waits for frames or for credit.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sized
from functools import partial
from itertools import islice
from time import perf_counter, perf_counter_ns
from typing import Any, Protocol

from conveyor.engines.careful import kept, reloaded
from conveyor.engines.counters import BUSY, ELSEWHERE, STARVED
from conveyor.engines.processes.accounts import Accounts, note_setup, taken_off
from conveyor.engines.processes.gauge import Gauge, WorkMeter
from conveyor.engines.processes.large import Parcel
from conveyor.engines.processes.way_in import WayInEnd
from conveyor.engines.processes.way_out import Coroutine, WayOutEnd
from conveyor.engines.processes.wire import Loaded, unpack_items, unpack_those_that_load
from conveyor.engines.stage import Again, Batch, Blamed, Part, Stage
from conveyor.engines.tape import Span, Tape
from conveyor.errors import NotPicklable
from conveyor.flow.batch import LEAVE, Frame, Scope, at_end, component, is_traced, traced
from conveyor.flow.pace import Pace
from conveyor.flow.progress import Entry
from conveyor.flow.source import MOST_ITEMS, Sizer
from conveyor.plan import Channel, PlannedWorker

Scopes = tuple[Scope, ...]


class Recording(Protocol):
    """Where an actor notes what it has in work."""

    @property
    def fields(self) -> Any:
        """Counters; places 0 and 1 say which item is in work, see `Batch.at`."""

    def gauge(self, worker: int) -> Gauge:
        """The gauge of a worker of this process."""
        ...

    def tape(self, worker: int) -> Tape | None:
        """Where a worker keeps what it does in this run, if that is traced."""

    def begin(
        self, worker: int, count: int, payload: Sized | None, first: int = 0, entry: Entry = (0, 0)
    ) -> None:
        """Note a batch, of which some may be done, and where it came from, if somebody asks."""

    def load(self, worker: int, count: int, first: int = 0, entry: Entry = (0, 0)) -> None:
        """Note a batch that is about to be loaded."""

    def loading(self, index: int) -> None:
        """Note which item of that is next."""

    def loaded(self) -> None:
        """Note that it has been loaded."""

    def pause(self) -> None:
        """Note that nothing is in work for now: what is there waits."""

    def resume(self, worker: int) -> bool:
        """Note that it is in work again; False where it has to begin again, for others were."""
        ...

    def note(self, items: list[Any]) -> Sized | None:
        """What to note of the items of a batch that has no bytes."""

    def end(self) -> None:
        """Note that nothing is in work."""


class StageActor:
    """A worker that answers each frame with what its processor makes of it; a relay has none."""

    def __init__(
        self,
        number: int,
        planned: PlannedWorker,
        channels: tuple[Channel, ...],
        *,
        stage: Stage | None,
        recording: Recording,
        told: Callable[[Accounts], None],
    ) -> None:
        assert planned.way_out is not None
        self.number = number
        self._gauge = recording.gauge(number)
        self.way_in = WayInEnd(planned.element, planned.way_in, channels)
        self.way_in.note_load = partial(recording.load, number)
        self.way_in.note_loaded = recording.loaded
        self.way_out = self._make_way_out(planned.element, planned.way_out, channels, self._gauge)
        self.stage = stage
        if stage is not None:
            stage.times = self._gauge.times
        self.shares = False
        """Whether its process has other work, too."""
        self.meter: WorkMeter | None = None
        """What measures its work, where that decides about its process."""
        self.has_left = False
        """Whether it has been detached, and has given all that it had."""
        self.is_running = False
        """Whether the first frame of a run has come, and not yet its end."""
        self._recording = recording
        self._at = recording.fields
        self.tape: Tape | None = None
        """Where it keeps what it does, while a run is traced."""
        self._unloadable: Blamed = {}
        """The items of the frame in work that can't be loaded, where the run bears that."""
        self._noted: tuple[int, Sized | None, int, Entry] = (0, None, 0, (0, 0))
        """What is noted of the frame in work, for when something else was noted meanwhile."""
        self.setup: Span | None = None
        """When its processor was set up, until a run has begun since."""
        self._reports = planned.reports
        self._told = told
        self._pace = Pace()
        self._runs = 0
        self.coroutine = self._work()

    def _make_way_out(self, *args: Any) -> WayOutEnd:
        return WayOutEnd(*args)

    def _work(self) -> Coroutine:
        while not self.has_left:
            yield from self._arrival()
            self._begin()
            end = yield from self._answer_all()
            self.has_left = end == LEAVE
            self._tell()
            if not self.has_left:
                self._gauge.enter(STARVED)  # already while others in its process have their turns
            yield True
        while True:
            yield False

    def _answer_all(self) -> Generator[bool, None, int]:
        """Answer frames up to an end; tell which."""
        while True:
            if not self.way_in.ready:
                yield from self._arrival()
            frame = self.way_in.take()
            end = frame.end
            self._gauge.count(frame.count, frame.size)
            answer = self._answer(frame)
            if self.tape is not None:
                answer = self.tape.over(frame, answer)
            yield from answer
            if end:
                return end
            if self.shares:
                self._gauge.enter(ELSEWHERE)
                yield True
                self._gauge.enter(BUSY)
            else:
                yield True

    def _begin(self) -> None:
        """A run has begun: its first frame is there."""
        self.is_running = True
        tape, fields = self._recording.tape(self.number), self._recording.fields
        self.tape, self._at = tape, fields if tape is None else tape.marks(fields)
        self.way_out.tape = tape
        note_setup(self)
        if self.stage is not None:
            self.stage.begin()

    def _arrival(self) -> Coroutine:
        self.way_in.settle()
        self._gauge.enter(STARVED)
        while not self.way_in.ready:
            yield False
        self._gauge.enter(BUSY)

    def _tell(self) -> None:
        self.is_running = False
        self._runs += 1
        if self._reports or self.tape is not None:
            self._told(self._accounts())
        self.way_out.outlet.restart()

    def leave_off(self) -> None:
        """Give up what is under way."""
        self.coroutine.close()

    def leave(self) -> list[Accounts]:
        """Leave this process, between two frames; what was counted in a run, if there is one."""
        self._gauge.finish(self.stage)
        return [self._accounts()] if self.is_running else []

    def _accounts(self) -> Accounts:
        """What was counted in the run that ends, beyond what the counters tell."""
        accounts = Accounts(self.number, self._runs)
        self.way_in.account(accounts)
        self.way_out.account(accounts)
        accounts.tapes += taken_off(self)
        return accounts

    def _answer(self, frame: Frame) -> Coroutine:
        """Answer a frame with one of the same path, or with a family of longer ones."""
        family = Family(frame, self.way_out)
        if self.stage is None:
            return self._relay(frame, family)
        if frame.end and (self.stage.finishes or not self._goes_along(frame)):
            return self._answer_apart(self.stage, frame, family)
        return self._process(self.stage, frame, family)

    def _goes_along(self, frame: Frame) -> bool:
        """Whether an end has come with items, and may go on with what they gave."""
        return frame.count > 0 and self.way_out.takes_end_along

    def _answer_apart(self, stage: Stage, frame: Frame, family: Family) -> Coroutine:
        yield from self._process(stage, frame, family, end_follows=True)
        yield from self._finish(stage, frame, family)

    def _relay(self, frame: Frame, family: Family) -> Coroutine:
        self.way_in.service = self.way_out.outlet.service
        self._gauge.gave(frame.count)
        if frame.end and frame.count and not self._goes_along(frame):
            items = unpack_items(self.way_in.name, frame)
            yield from family.give(items, frame.scopes, is_last=False)
            frame = family.member([], frame.scopes, is_last=True)
        if frame.end:
            self._gauge.finish(self.stage)
        yield from self.way_out.send(frame)

    def _process(
        self, stage: Stage, frame: Frame, family: Family, *, end_follows: bool = False
    ) -> Coroutine:
        items, scopes = self._taken_up(stage, frame)
        if not items:
            if not end_follows:
                yield from family.give([], scopes, is_last=True)
                self._given(frame, family, Part([], None, is_last=True))
            return
        count, at = len(items), self._recording.fields
        started, made, elapsed = perf_counter(), 0, 0.0
        if self.meter is not None:
            self.meter.start()
        for part in stage.batch(self._batch(frame, items)):
            elapsed += perf_counter() - started
            if self.meter is not None:
                self.meter.stop()
            made += len(part.outputs)
            if part.is_last:
                items.clear()  # so that what was only passed on may go on as it is
                if self.tape is not None:
                    self.tape.worked()
            answer = family.member(
                part.outputs,
                traced(scopes, part.origins),
                is_last=part.is_last and not end_follows,
                payload=part.payload,
            )
            # Before they go: nobody may be seen to have taken what is not yet counted as given.
            note = self._gauge.finish if answer.end else self._gauge.note
            note(stage)
            last = self._suspect(part, count)
            if not self.way_out.offer(answer):
                yield from self._paused(self.way_out.clear(), is_last=part.is_last)
            self._given(frame, family, part)
            at[0], at[1] = last, 1
            if self.meter is not None:
                self.meter.start()
            started = perf_counter()
        self._recording.end()
        self._measure(count, made, elapsed)

    def _suspect(self, part: Part, count: int) -> int:
        """Note that what a worker dies of in pickling a part is any of its items.

        Returns:
            What was noted before.
        """
        fields = self._recording.fields
        last: int = fields[0]
        if part.payload is None and part.outputs:
            origins = part.origins or (0, count - 1)
            fields[0], fields[1] = origins[0], origins[-1] - origins[0] + 1
        return last

    def _paused(self, giving: Coroutine, *, is_last: bool) -> Coroutine:
        """Wait for room: what a worker dies of then is no item, or one of a worker beside it."""
        fields = self._recording.fields
        for moved in giving:
            index, span = fields[0], fields[1]
            self._recording.pause()
            yield moved
            if not (self._recording.resume(self.number) or is_last):
                self._recording.begin(self.number, *self._noted)
                fields[0], fields[1] = index, span

    def _note_work(
        self, count: int, payload: Sized | None, first: int = 0, entry: Entry = (0, 0)
    ) -> None:
        self._noted = count, payload, first, entry
        self._recording.begin(self.number, *self._noted)

    def _given(self, frame: Frame, family: Family, part: Part) -> None:
        """A part of the answer to a frame has been given, whole."""

    def _taken_up(self, stage: Stage, frame: Frame) -> tuple[list[Any], Scopes]:
        """The items that are to be processed, and where they come from."""
        items = self._unpacked(stage, frame)
        if items:
            is_known = frame.payload is not None and not self._unloadable
            payload = frame.payload if is_known else self._recording.note(items)
            self._note_work(len(items), payload)
        return items, frame.scopes

    def _batch(self, frame: Frame, items: list[Any]) -> Batch:
        return Batch(
            items,
            self._at,
            self._part_size,
            is_traced(frame.scopes),
            partial(self._again, frame, items),
            self.way_out.pack,
            most=self.way_out.outlet.most,
            blamed=self._unloadable or None,
        )

    def _unpacked(self, stage: Stage, frame: Frame) -> list[Any]:
        started = perf_counter_ns()
        failed: dict[int, NotPicklable] = {}
        if frame.items is None and frame.count:
            self._note_load(frame)
            items, failed = self._loaded(stage.name, frame)
            self._recording.loaded()
            if failed and not stage.bears_failures:
                raise failed.pop(min(failed))
        else:
            items = frame.items or []
        self._unloadable = {index: (error, 1) for index, error in failed.items()}
        self._gauge.unpickled(perf_counter_ns() - started)
        return items

    def _note_load(self, frame: Frame) -> None:
        self._recording.load(self.number, frame.count)

    def _loaded(self, name: str, frame: Frame) -> Loaded:
        return unpack_those_that_load(name, frame)

    def _again(self, frame: Frame, items: list[Any]) -> Again:
        """A way to get items as they came, for another attempt or a dead letter."""
        if frame.items is not None or isinstance(frame.payload, Parcel):
            return kept(items)
        return reloaded(lambda: unpack_those_that_load(self.way_in.name, frame)[0])

    def _finish(self, stage: Stage, frame: Frame, family: Family) -> Coroutine:
        outputs = stage.finish()
        while chunk := list(islice(outputs, self._part_size())):
            yield from family.give(chunk, at_end(frame.scopes, len(chunk)), is_last=False)
        self._gauge.finish(self.stage)
        yield from family.give([], at_end(frame.scopes, 0), is_last=True)

    def _part_size(self) -> int:
        outlet = self.way_out.outlet
        return min(Sizer.settled(outlet.service), outlet.most or MOST_ITEMS)

    def _measure(self, taken: int, given: int, elapsed: float) -> None:
        """Learn the service time per item, from here on, for whoever sends to this worker."""
        pace = self._pace
        pace.add(taken, elapsed, given)
        self.way_in.service = max(pace.seconds, pace.outputs * self.way_out.outlet.service)


class Family:
    """The frames that answer one frame: that one's path, or longer ones below it.

    Attributes:
        members: how many there are so far.
    """

    def __init__(self, frame: Frame, way_out: WayOutEnd, members: int = 0) -> None:
        self._frame = frame
        self._way_out = way_out
        self.members = members

    def member(
        self, outputs: list[Any], scopes: Scopes, *, is_last: bool, payload: bytes | None = None
    ) -> Frame:
        """The next member; the end goes along with the last."""
        frame = self._frame
        path = frame.path
        if self.members or not is_last:
            path = (*path, component(self.members, last=is_last))
        self.members += 1
        answer = Frame(path, outputs, scopes=scopes, end=frame.end if is_last else 0)
        answer.payload = payload
        return answer

    def give(self, outputs: list[Any], scopes: Scopes, *, is_last: bool) -> Coroutine:
        """Send a member."""
        return self._way_out.send(self.member(outputs, scopes, is_last=is_last))
