"""Workers as coroutines: each answers frames with frames, and yields where it has to wait.

A process has one of them or, where neighbours share a process, several. An actor yields True
when it has got on, and False when it waits for frames or for credit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sized
from functools import partial
from itertools import islice
from time import perf_counter, perf_counter_ns
from typing import Any, Protocol, cast

from conveyor.engines.account import Account
from conveyor.engines.arriving import Arriving
from conveyor.engines.careful import kept, reloaded
from conveyor.engines.counters import BLOCKED, BUSY, ELSEWHERE, GONE, STARVED
from conveyor.engines.processes.large import LargeItems, Parcel, given, is_parcel
from conveyor.engines.processes.memory import Memory
from conveyor.engines.processes.recorder import Gauge, WorkMeter
from conveyor.engines.processes.wire import dumps, pack_items, unpack_items
from conveyor.engines.stage import Again, Batch, Part, Stage
from conveyor.engines.tape import Span, Tape
from conveyor.engines.telling import short
from conveyor.errors import JoinError
from conveyor.flow.batch import (
    END,
    LEAVE,
    Frame,
    Path,
    Scope,
    at_end,
    component,
    is_traced,
    traced,
)
from conveyor.flow.credit import BYTES, FRAMES, Credit, Due
from conveyor.flow.join import Interleave, Joiner, Ordered, TwoOutputs, Zip
from conveyor.flow.order import Completion
from conveyor.flow.pace import Pace
from conveyor.flow.progress import Entry
from conveyor.flow.route import Balance, LinkOut, Outlet, Replicate, Route
from conveyor.flow.source import AT_ONCE, FULL_SECONDS, Sizer, Window
from conveyor.plan import Channel, Fan, PlannedWorker, WayIn, WayOut

Coroutine = Iterator[bool]
Scopes = tuple[Scope, ...]


class Upper(Protocol):
    """The end of a channel that sends."""

    @property
    def is_flushed(self) -> bool:
        """Whether all that was sent is on its way."""
        ...

    def send(self, frame: Frame) -> None:
        """Send a frame."""

    def close(self) -> None:
        """Send nothing any more."""


class Lower(Protocol):
    """The end of a channel that receives."""

    def grant(self, service: float, due: Due) -> None:
        """Give the credit of one frame back, and tell the service time from here on."""

    def close(self) -> None:
        """Receive nothing any more."""


class Recording(Protocol):
    """Where an actor notes what it has in work."""

    @property
    def fields(self) -> Any:
        """Counters; places 0 and 1 say which item is in work, see `Stage.batch`."""

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

    def resume(self, worker: int) -> None:
        """Note that what a worker had in work is in work again, if nothing else was meanwhile."""

    def note(self, items: list[Any]) -> Sized | None:
        """What to note of the items of a batch that has no bytes."""

    def end(self) -> None:
        """Note that nothing is in work."""


class Accounts:
    """What an actor counted in one run.

    Args:
        worker: its number.
        run: the number of the run, from 1 on.
    """

    def __init__(self, worker: int = 0, run: int = 0) -> None:
        self.worker = worker
        self.run = run
        self.nodes: dict[str, Account] = {}
        self.edges: dict[int, int] = {}
        self.tapes: list[Tape] = []

    def add(self, other: Accounts) -> None:
        """Take in what another one counted."""
        for node, account in other.nodes.items():
            self.nodes[node] = self.nodes[node] + account if node in self.nodes else account
        for edge, items in other.edges.items():
            self.edges[edge] = self.edges.get(edge, 0) + items
        self.tapes += other.tapes


# -- the way out --


class WayOutEnd:
    """An outlet with the channels that it ends in.

    Args:
        name: the element that sends.
        way: where its frames go.
        channels: those of the plan.
        gauge: where it notes how it spends its time.
        cuts: see :class:`Outlet`.
    """

    def __init__(
        self,
        name: str,
        way: WayOut,
        channels: tuple[Channel, ...],
        gauge: Gauge,
        *,
        cuts: bool = True,
    ) -> None:
        self.name = name
        self._gauge = gauge
        self.outlet = Outlet(route(way, channels), cuts=cuts)
        self._is_durable = any(channels[leaf.link].durable for leaf in self.outlet.leaves)
        self.ends: dict[int, Upper] = {}
        self.local: set[int] = set()
        self.shared: frozenset[type] | None = None
        """See `wire.dumps`: set in the process that starts workers."""
        self.weigh: Callable[[int, int], None] | None = None
        self.has_waited = False
        """Whether a frame had to wait for room."""
        self.tape: Tape | None = None
        """That of the worker, in a run that is traced."""
        self._pack: Callable[[list[Any], Collection[type] | None], Sized] = dumps
        self._has_moved = False

    def use(self, memory: Memory) -> None:
        """Let large items go through shared memory, but for what is to outlive this process."""
        if self._is_durable:
            return
        # A frame that is over the capacity of a pipe is cut, and needs its items for that.
        self._pack = LargeItems(memory, self._readers, is_last_use=not self.outlet.bounded)

    def loosen(self, channel: int) -> None:
        """Give up the end of a channel on which nothing is; another end will take its place."""
        end = self.ends.pop(channel)
        end.close()
        self.local.discard(channel)
        for leaf in self.outlet.leaves:
            if leaf.link == channel:
                leaf.credit = leaf.credit.renewed()

    @property
    def _readers(self) -> int:
        return len(self.outlet.leaves) if self.outlet.copies else 1

    def send(self, frame: Frame) -> Coroutine:
        """Give a frame to the channels; yield while there is no credit."""
        if not self.offer(frame):
            yield from self.clear()

    def offer(self, frame: Frame) -> bool:
        """Give a frame to the channels as far as credit goes; return whether that is all of it.

        Else :meth:`clear` is next. There is room as a rule, and a call costs less than a coroutine.
        """
        if frame.payload is None and frame.count and not self._stays_here:
            frame.payload = self._packed(frame)
            frame.items = frame.items or None  # large ones are given away
            if self.weigh is not None:
                self.weigh(frame.count, len(frame.payload))
        elif isinstance(frame.payload, Parcel):
            self._prepare(frame, frame.payload)
        elif frame.items is None and self.outlet.bounded:
            frame.items = unpack_items(self.name, frame)
        self._pass_on(self.outlet.offer(frame))
        return self.outlet.is_clear

    def clear(self) -> Coroutine:
        """Give the rest of a frame to the channels as credit comes."""
        # To wait until a first frame shows how long it takes tells of no fullness.
        self.has_waited = self.outlet.service > 0
        self._gauge.enter(BLOCKED)
        while not self.outlet.is_clear:
            # What has gone to a neighbour in this process, perhaps as an earlier part of the
            # same answer, lets that get on: it is progress.
            moved, self._has_moved = self._has_moved, False
            yield moved
            self._pass_on(self.outlet.advance())
        if self.tape is not None:
            self.tape.waited(self._gauge.since)
        self._gauge.enter(BUSY)

    def pack(self, outputs: list[Any]) -> bytes | None:
        """Outputs as they leave this process; None where they stay in it.

        Raises:
            NotPicklable: one of them can't.
        """
        if self._stays_here or not outputs:
            return None
        return cast("bytes", self._pickled(outputs, dumps))

    def _packed(self, frame: Frame) -> Sized:
        return self._pickled(frame.items or [], self._pack)

    def _pickled(
        self, items: list[Any], pack: Callable[[list[Any], Collection[type] | None], Sized]
    ) -> Sized:
        started = perf_counter_ns()
        payload = pack_items(self.name, items, self.shared, pack)
        self._gauge.pickled(perf_counter_ns() - started, len(payload))
        return payload

    def _prepare(self, frame: Frame, parcel: Parcel) -> None:
        """Let a parcel that has come go on: who opens it has no more right to pass it on."""
        if self.outlet.bounded or self._is_durable:
            frame.share = len(parcel)
            frame.items, frame.payload = unpack_items(self.name, frame), None
        elif self.outlet.copies:
            frame.payload = parcel.multiplied(self._readers)

    @property
    def _stays_here(self) -> bool:
        """Whether frames only go, one way each, to workers in this process."""
        return not self.outlet.copies and len(self.local) == len(self.outlet.leaves)

    def _pass_on(self, sent: list[tuple[LinkOut, Frame]]) -> None:
        self._has_moved |= bool(sent)
        for leaf, frame in sent:
            is_local = leaf.link in self.local
            if frame.payload is None and frame.count and (self.outlet.copies or not is_local):
                # A piece of a frame that was over the capacity of a pipe.
                frame.payload = self._packed(frame)
            self.ends[leaf.link].send(_handed_over(given(frame)) if is_local else given(frame))

    def account(self, accounts: Accounts) -> None:
        """Tell which branches of balanced forks the items took, and begin anew."""
        for fork in self.outlet.balances:
            for edge, items in zip(fork.edges, fork.items, strict=True):
                accounts.edges[edge] = accounts.edges.get(edge, 0) + items
        self.outlet.restart()


def _handed_over(frame: Frame) -> Frame:
    """A frame as it goes to a worker in the same process.

    As bytes where several read it, so that each has its own copy; else as the objects.
    """
    items = frame.items if frame.payload is None else None
    return Frame(
        frame.path,
        items,
        scopes=frame.scopes,
        end=frame.end,
        count=frame.count,
        payload=frame.payload,
    )


def route(way: WayOut, channels: tuple[Channel, ...]) -> Route:
    """The machine of a planned way out."""
    if not isinstance(way, Fan):
        return LinkOut(way, Credit(channels[way].capacity))
    branches = tuple(route(branch, channels) for branch in way.branches)
    if way.kind == "replicated":
        return Replicate(branches, traced=way.traced, in_turn=way.in_turn)
    return Balance(branches, way.edges, in_turn=way.in_turn, slots=way.slots)


# -- the way in --


class WayInEnd:
    """A joiner with the channels that it reads, and the frames that are ready.

    A join that matches or reorders gives credit back at once: what it holds is bounded by the
    window, and a join that waits for one branch must not hold up another.

    Args:
        name: the element that reads.
        way: where its frames come from.
        channels: those of the plan.
        works: whether to read a frame is to begin to work on it, and the next read, or
            :meth:`settle`, says that this is done.
    """

    def __init__(
        self, name: str, way: WayIn, channels: tuple[Channel, ...], *, works: bool = True
    ) -> None:
        self.name = name
        self.join = way.join
        self._numbers = {channel: number for number, channel in enumerate(way.channels)}
        self._joiner = joiner(way, channels)
        self._holds = not isinstance(self._joiner, Interleave)
        self.ends: dict[int, Lower] = {}
        self.ready: deque[tuple[Frame, Lower | None, Due]] = deque()
        is_work = works and not self._holds
        self._due: dict[int, Due] = {
            channel: when_due(channels[channel], is_work=is_work) for channel in way.channels
        }
        self._in_work: Lower | None = None
        """Where the frame came from that was taken last, if its credit is due when it is done."""
        self.memory: Memory | None = None
        self.note_load: Callable[[int], None] | None = None
        """Notes that so many items are about to be loaded, and"""
        self.note_loaded: Callable[[], None] | None = None
        """that they have been: where a join needs them, and this is no process of the caller's."""
        self.service = 0.0
        self._loose: set[int] = set()
        """Channels that are open, and have no end for a moment."""

    def attach(self, channel: int, lower: Lower) -> None:
        """Read a channel from now on."""
        self.ends[channel] = lower
        if channel in self._loose:
            self._loose.remove(channel)
        else:
            self._joiner.attach()

    def loosen(self, channel: int) -> None:
        """Give up the end of a channel on which nothing is; another end will take its place."""
        end = self.ends.pop(channel)
        if end is self._in_work:
            self._in_work = None  # the link that takes its place has all its credit
        end.close()
        self._loose.add(channel)

    def resume(self, ends: int) -> None:
        """Go on where so many ends of the stream are done that were not the last."""
        assert isinstance(self._joiner, Interleave)
        self._joiner.resume(ends)

    def receive(self, channel: int, frame: Frame) -> None:
        """Take in a frame that has come by a channel."""
        lower: Lower | None = self.ends[channel]
        if self.memory is not None and is_parcel(frame.payload):
            frame.payload = Parcel.received(self.memory, frame.payload)
        due = self._due[channel]
        if due == "later" and frame.size > BYTES // FRAMES:
            due = "now"
        if lower is not None and (self._holds or frame.end):
            lower.grant(self.service, due)
            lower = None
        if self._joiner.needs_items:
            if self.note_load is not None and frame.count:
                self.note_load(frame.count)
            frame.items = unpack_items(self.name, frame)
            frame.payload = None
            if self.note_loaded is not None:
                self.note_loaded()
        try:
            ready = self._joiner.put(self._numbers[channel], frame)
        except TwoOutputs as error:
            raise JoinError(self.join, error.branch, short(error.item)) from None
        for one in ready:
            self.ready.append((one, lower, due))

    def take(self) -> Frame:
        """The next frame, and its credit back to where it came from, if it is due already."""
        frame, lower, due = self.ready.popleft()
        if self._in_work is not None:
            self.settle()
        if due == "done":
            self._in_work = lower
        elif lower is not None:
            lower.grant(self.service, due)
        return frame

    def settle(self) -> None:
        """What was taken is done: give the credit back that waited for that."""
        lower, self._in_work = self._in_work, None
        if lower is not None:
            lower.grant(self.service, "done")

    def account(self, accounts: Accounts) -> None:
        """Tell what a zip did, and begin anew."""
        join = self._joiner
        if isinstance(join, Zip):
            accounts.nodes[join.name] = Account(
                join.items_in, join.items_out, filtered=join.filtered, merged=join.merged
            )
            join.reset_account()


def when_due(channel: Channel, *, is_work: bool) -> Due:
    """When the credit of a frame has to go back, where the frame is small.

    Args:
        channel: what it comes by.
        is_work: whether to take it is to begin to work on it.
    """
    if channel.capacity is not None:
        return "now"  # the sender may be waiting for this one
    if channel.is_chosen:
        return "done" if is_work else "now"
    return "later"


def joiner(way: WayIn, channels: tuple[Channel, ...]) -> Joiner:
    """The machine of a planned way in: one row for each way to join."""
    links = [channels[channel].link for channel in way.channels]
    match way.how:
        case "interleave":
            return Interleave()
        case "ordered":
            return Ordered(links, needs_items=way.traced)
        case "zip":
            return Zip(way.join, links, in_turn=way.in_turn)


# -- the workers --


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
        self.setup: Span | None = None
        """When its processor was set up, until a run has begun since."""
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
            yield True
        while True:
            yield False

    def _answer_all(self) -> Generator[bool, None, int]:
        """Answer frames up to an end; tell which."""
        end = 0
        while not end:
            if not self.way_in.ready:
                yield from self._arrival()
            frame = self.way_in.take()
            end = frame.end
            self._gauge.count(frame.count, frame.size)
            answer = self._answer(frame)
            if self.tape is not None:
                answer = self.tape.over(frame, answer)
            yield from answer
            if self.shares:
                self._gauge.enter(ELSEWHERE)
                yield True
                self._gauge.enter(BUSY)
            else:
                yield True
        return end

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
        self._told(self._counted())

    def leave(self) -> list[Accounts]:
        """Leave this process, between two frames; what was counted in a run, if there is one."""
        if self.is_running:
            return [self._counted()]
        self._gauge.enter(GONE)
        return []

    def _counted(self) -> Accounts:
        """What was counted in the run that ends; another one begins."""
        self._runs += 1
        accounts = Accounts(self.number, self._runs)
        if self.stage is not None:
            accounts.nodes[self.stage.name] = self.stage.account
            self._gauge.note(self.stage)
        self._gauge.look()
        self._gauge.enter(GONE)
        self.way_in.account(accounts)
        self.way_out.account(accounts)
        accounts.tapes += taken_off(self)
        return accounts

    def _answer(self, frame: Frame) -> Coroutine:
        """Answer a frame with one of the same path, or with a family of longer ones.

        The end goes last and without items, since a balanced fork gives it to every branch.
        """
        family = _Family(frame, self.way_out)
        if self.stage is None:
            return self._relay(frame, family)
        if frame.end:
            return self._answer_end(self.stage, frame, family)
        return self._process(self.stage, frame, family)

    def _answer_end(self, stage: Stage, frame: Frame, family: _Family) -> Coroutine:
        yield from self._process(stage, frame, family)
        yield from self._finish(stage, frame, family)

    def _relay(self, frame: Frame, family: _Family) -> Coroutine:
        self.way_in.service = self.way_out.outlet.service
        self._gauge.gave(frame.count)
        if not frame.end:
            yield from self.way_out.send(frame)
            return
        if frame.count:
            items = unpack_items(self.way_in.name, frame)
            yield from family.give(items, frame.scopes, is_last=False)
        yield from family.give([], frame.scopes, is_last=True)

    def _process(self, stage: Stage, frame: Frame, family: _Family) -> Coroutine:
        items, scopes = self._taken_up(stage, frame)
        if not items:
            if not frame.end:
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
            # Before they go: nobody may be seen to have taken what is not yet counted as given.
            self._gauge.note(stage)
            # The end of the stream is a member of its own, behind all else.
            answer = family.member(
                part.outputs,
                traced(scopes, part.origins),
                is_last=part.is_last and not frame.end,
                payload=part.payload,
            )
            last = self._suspect(part, count)
            if not self.way_out.offer(answer):
                yield from self._paused(self.way_out.clear())
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

    def _paused(self, giving: Coroutine) -> Coroutine:
        """Wait for room: what a worker dies of then is no item."""
        for moved in giving:
            self._recording.pause()
            yield moved
            self._recording.resume(self.number)

    def _given(self, frame: Frame, family: _Family, part: Part) -> None:
        """A part of the answer to a frame has been given, whole."""

    def _taken_up(self, stage: Stage, frame: Frame) -> tuple[list[Any], Scopes]:
        """The items that are to be processed, and where they come from."""
        items = self._unpacked(stage, frame)
        if items:
            payload = frame.payload
            if payload is None:
                payload = self._recording.note(items)
            self._recording.begin(self.number, len(items), payload)
        return items, frame.scopes

    def _batch(self, frame: Frame, items: list[Any]) -> Batch:
        return Batch(
            items,
            self._at,
            self._part_size,
            is_traced(frame.scopes),
            partial(self._again, frame, items),
            self.way_out.pack,
        )

    def _unpacked(self, stage: Stage, frame: Frame) -> list[Any]:
        started = perf_counter_ns()
        if frame.items is None and frame.count:
            self._note_load(frame)
            items = self._loaded(stage.name, frame)
            self._recording.loaded()
        else:
            items = frame.items or []
        self._gauge.unpickled(perf_counter_ns() - started)
        return items

    def _note_load(self, frame: Frame) -> None:
        self._recording.load(self.number, frame.count)

    def _loaded(self, name: str, frame: Frame) -> list[Any]:
        return unpack_items(name, frame)

    def _again(self, frame: Frame, items: list[Any]) -> Again:
        """A way to get items as they came, for another attempt or a dead letter."""
        if frame.items is not None or isinstance(frame.payload, Parcel):
            return kept(items)
        return reloaded(partial(unpack_items, self.way_in.name, frame))

    def _finish(self, stage: Stage, frame: Frame, family: _Family) -> Coroutine:
        outputs = stage.finish()
        while chunk := list(islice(outputs, self._part_size())):
            yield from family.give(chunk, at_end(frame.scopes, len(chunk)), is_last=False)
        yield from family.give([], at_end(frame.scopes, 0), is_last=True)

    def _part_size(self) -> int:
        return Sizer.settled(self.way_out.outlet.service)

    def _measure(self, taken: int, given: int, elapsed: float) -> None:
        """Learn the service time per item, from here on, for whoever sends to this worker."""
        pace = self._pace
        pace.add(taken, elapsed, given)
        self.way_in.service = max(pace.seconds, pace.outputs * self.way_out.outlet.service)


def note_setup(actor: StageActor | SourceActor) -> None:
    """Put the setup of a worker, which was for the run that begins, on its tape."""
    span, actor.setup = actor.setup, None
    if span is not None and actor.tape is not None:
        actor.tape.add(*span)


def taken_off(actor: StageActor | SourceActor | Sink) -> list[Tape]:
    """The tape of an actor, which has none from now on, as a list."""
    tape, actor.tape = actor.tape, None
    return [] if tape is None else [tape]


class _Family:
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

    @property
    def is_running(self) -> bool:
        """Whether the end of the stream has not been sent yet."""
        return self._items is not None

    def _work(self) -> Coroutine:
        while True:
            self._gauge.enter(STARVED)
            while self._items is None:
                yield False
            yield from self._send_all(self._items)
            if self.stage is not None:
                yield from self._send_all(self.stage.finish())
            # While links come and go, nobody could tell how many ends to wait for.
            self._gauge.enter(STARVED)
            while self.window.is_held or not self._may_end():
                yield False
            yield from self.way_out.send(Frame(self.window.next_path(end=True), [], end=END))
            self._items = None
            self._tell()
            yield True

    def _send_all(self, items: Iterator[Any]) -> Coroutine:
        while True:
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
                return
            self._count += len(batch)
            self._made(self._count)
            self._note(len(batch))
            frame = Frame(self.window.next_path(), batch)
            sending = self.way_out.send(frame)
            if self.tape is not None:
                sending = self.tape.over(frame, sending, start=started)
            yield from sending
            if self.shares:
                self._gauge.enter(ELSEWHERE)
            yield True

    def _note(self, items: int) -> None:
        self._gauge.count(items)
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
        accounts = Accounts(run=self._runs)
        counted = Account(self._count, self._count)
        accounts.nodes[self.name] = self.stage.account if self.stage is not None else counted
        if self.stage is not None:
            self._gauge.note(self.stage)
            self._gauge.look()
        self.way_out.account(accounts)
        accounts.tapes += taken_off(self)
        self._told(accounts)


_COLLECTIONS: tuple[Iterable[Any], ...] = ([], (), range(1), range(1 << 70), {}, set())
_THERE = frozenset(type(iter(one)) for one in _COLLECTIONS)
"""What the iterators of collections are: the next items are there, however many."""


class Sink:
    """Where frames come out: in the caller's process."""

    def __init__(self, planned: PlannedWorker, channels: tuple[Channel, ...]) -> None:
        self.way_in = WayInEnd(planned.element, planned.way_in, channels, works=False)
        self.gauge = Gauge.alone()
        self._completion = Completion()
        self._pace = Pace()
        self.has_ended = False
        self.tape: Tape | None = None
        self._path: Path = ()

    def begin(self, tape: Tape | None = None) -> None:
        """Begin a run; if it is traced, there is a tape."""
        self.gauge.enter(STARVED)
        self.has_ended = False
        self.tape = tape

    def take(self) -> tuple[list[Any], bool]:
        """The items of the next frame, and whether a batch is complete with it."""
        frame = self.way_in.take()
        self.has_ended = bool(frame.end)
        self._path = frame.path
        started = perf_counter_ns()
        items = unpack_items(self.way_in.name, frame)
        spent = perf_counter_ns() - started
        self.gauge.count(len(items), frame.size)
        self.gauge.gave(len(items))
        self.gauge.unpickled(spent)
        self.gauge.spend(spent)
        return items, self._completion.add(frame.path, 1)

    def consumed(self, items: int, seconds: float) -> None:
        """The consumer kept so many items, those of the last frame, for so long until now."""
        if self.tape is not None:
            now = perf_counter_ns()
            self.tape.add("batch", now - int(seconds * 1e9), now, self._path, items)
        if items:
            self.gauge.spend(int(seconds * 1e9))
            self._pace.add(items, seconds)
            self.way_in.service = self._pace.seconds
