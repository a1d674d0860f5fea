"""Whole plans at work with no process, thread or clock: chance says who gets on next.

The workers are the engine's own actors, and what goes from one process of a plan to another
goes as bytes. Chance decides which process, frame, credit or message moves next and which of
them are starved, how long everything takes, how large batches and their parts are, and how
narrow the window and the links. The same seed gives the same run again.

Branches of forks that follow the load are attached and detached by chance, too, with the news of
that on its way to the processes as long as chance will have it.

Every move is checked against what must hold at any time, whatever comes out in the end.
"""

from __future__ import annotations

from bisect import bisect
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import accumulate, zip_longest
from random import Random
from typing import Any
from unittest.mock import patch

from conveyor.dsl.copies import another
from conveyor.engines import careful as careful_module
from conveyor.engines import stage as stage_module
from conveyor.engines.careful import stage_for
from conveyor.engines.counted import Counted, measured_by
from conveyor.engines.ended import account
from conveyor.engines.processes import actor as actor_module
from conveyor.engines.processes import source as source_module
from conveyor.engines.processes.accounts import Accounts
from conveyor.engines.processes.actor import StageActor
from conveyor.engines.processes.frames import HEADER, frame_head, frame_of
from conveyor.engines.processes.gauge import Gauge
from conveyor.engines.processes.sink import Sink
from conveyor.engines.processes.source import SourceActor
from conveyor.engines.processes.way_in import WayInEnd
from conveyor.engines.stage import Stage
from conveyor.engines.stats import Stats
from conveyor.flow import credit as credit_module
from conveyor.flow.batch import Frame
from conveyor.flow.credit import Credit, Due
from conveyor.flow.source import Sizer
from conveyor.graph import Graph
from conveyor.plan import Channel, Fan, Plan, PlannedWorker, WayOut
from conveyor.plan.model import PARENT
from tests.flow.ledger import Ledger, hold

Runner = StageActor | SourceActor
Move = tuple[str, int]
"""A process that looks what it can do, or news that arrives: what, and its number."""

PATIENCE = 50_000
"""Moves after which a run that has not ended is taken for one that never will."""


class Chance:
    """All that is left to chance in one simulation.

    Args:
        seed: which one.
        measured: let batches have the sizes that the engine gives them, rather than any.
    """

    def __init__(self, seed: int, *, measured: bool = False) -> None:
        self.random = random = Random(seed)
        self.measured = measured
        self.now = 0.0
        self.steps = random.choice([(0.0,), (1e-6, 1e-5), (1e-4, 2e-3), (0.0, 1e-5, 1e-3, 0.03)])
        self.most = random.choice([1, 2, 3, 8])
        self.window = random.choice([1, 2, 3, 12])
        self.frames = random.choice([1, 2, 4])
        self.bytes = random.choice([30, 100, credit_module.BYTES])
        self.restless = random.choice([0.0, 0.02, 0.3])
        """How often a change of what is attached is begun, where one can be."""

    def clock(self) -> float:
        """The time; every look at it takes some."""
        self.now += self.steps[int(self.random.random() * len(self.steps))]
        return self.now

    def size(self, *_: object, **__: object) -> int:
        """The items of a batch, or of a part of one."""
        return self.random.randint(1, self.most)

    def weight(self) -> float:
        """How often a move has its turn."""
        return (0.01, 1.0, 1.0, 10.0)[int(self.random.random() * 4)]

    @contextmanager
    def rules(self) -> Iterator[None]:
        """Let chance decide, where clocks and constants do otherwise."""
        with (
            patch.object(actor_module, "perf_counter", self.clock),
            patch.object(source_module, "perf_counter", self.clock),
            patch.object(stage_module, "perf_counter", self.clock),
            patch.object(careful_module, "perf_counter", self.clock),
            patch.object(credit_module, "BYTES", self.bytes),
            # Times by chance are not those of the clock that a gauge goes by.
            patch.object(Gauge, "spend", lambda *_: None),
        ):
            if self.measured:
                yield
                return
            with patch.object(Sizer, "size", self.size), patch.object(Sizer, "settled", self.size):
                yield


# -- channels --


class Wire:
    """A link from one process to another: frames go down as bytes, credits come up.

    Args:
        channel: the channel of the plan.
        credit: of its upper end.
        ledger: what is told.
        moves: where it says what can move.
        number: its number among all wires.
    """

    def __init__(
        self, channel: int, credit: Credit, ledger: Ledger, moves: dict[Move, None], number: int
    ) -> None:
        self.channel = channel
        self.number = number
        self.link = ledger.link(channel)
        self.is_flushed = True
        self.receive: Callable[[Frame], None] | None = None
        """None as long as the receiver does not know of it."""
        self.credit = credit
        self._ledger = ledger
        self._moves = moves
        self._down: deque[tuple[bytes, bytes]] = deque()
        self._up: deque[float] = deque()

    def send(self, frame: Frame) -> None:
        self._ledger.sent(self.link, frame)
        hold("items travel as bytes", frame.payload is not None or not frame.count, frame)
        self._down.append((frame_head(frame), bytes(frame.payload or b"")))
        self._moves["down", self.number] = None

    def grant(self, service: float, due: Due) -> None:
        self._up.append(service)
        self._moves["up", self.number] = None

    def deliver(self) -> bool:
        """Let the next frame arrive; return whether there are more."""
        if self.receive is None:
            return False
        head, payload = self._down.popleft()
        _, _, count = HEADER.unpack_from(head)
        self.receive(frame_of(head[HEADER.size :], count, payload))
        return bool(self._down)

    def give_credit(self) -> bool:
        """Let the next credit arrive; return whether there are more."""
        self.credit.taken(1, self._up.popleft())
        return bool(self._up)

    def connect(self, receive: Callable[[Frame], None]) -> None:
        """The receiver knows of it."""
        self.receive = receive
        if self._down:
            self._moves["down", self.number] = None

    def drain(self) -> None:
        """Let all arrive that is on its way down: the sender is gone."""
        while self._down:
            self.deliver()
        self._moves.pop(("down", self.number), None)


class Local(Wire):
    """A link inside one process: frames and credits are there at once, as objects."""

    def send(self, frame: Frame) -> None:
        self._ledger.sent(self.link, frame)
        assert self.receive is not None
        self.receive(frame)

    def grant(self, service: float, due: Due) -> None:
        self.credit.taken(1, service)


class NoRecording:
    """Keeps nothing but the gauges that it has given."""

    def __init__(self) -> None:
        self.fields = [0, 1]
        self.gauges: list[tuple[int, Gauge]] = []

    def gauge(self, worker: int) -> Gauge:
        self.gauges.append((worker, Gauge.alone()))
        return self.gauges[-1][1]

    def tape(self, worker: int) -> None:
        return None

    def begin(self, *_: object) -> None:
        pass

    pause = resume = end = load = loading = loaded = begin

    def note(self, items: list[Any]) -> None:
        return None


# -- the whole --


class Change:
    """A change of what is attached, under way.

    Args:
        slots: what comes or goes.
        workers: those in it.
        wires: the links that come with it; none where it goes.
    """

    def __init__(self, slots: frozenset[int], workers: list[int], wires: list[Wire]) -> None:
        self.slots = slots
        self.workers = workers
        self.wires = wires
        self.is_joined = False
        self.unanswered: set[int] = set()


class Simulation:
    """A plan at work.

    Args:
        plan: the plan.
        graph: the graph that it was made of.
        chance: what decides.
    """

    def __init__(self, plan: Plan, graph: Graph, chance: Chance) -> None:
        self.plan = plan
        self.graph = graph
        self.chance = chance
        self.ledger = self._new_ledger()
        self.moves: dict[Move, None] = {}
        """The moves that are possible."""
        self.weights: defaultdict[Move, float] = defaultdict(self.chance.weight)
        self.news: deque[str] = deque()
        """What the parent has told the source, and what has not arrived there yet."""
        self.came_by: dict[int, int] = {}
        """For frames that are ready and hold a credit, the link."""
        self.told: Counter[int] = Counter()
        self.wanted: Counter[int] = Counter()
        """The workers that tell an account in this run."""
        self.accounts = Accounts()
        self.recording = NoRecording()
        self.outputs: list[Any] = []
        self.items: Sequence[Any] = ()
        self.sink = Sink(plan.workers[-1], plan.channels)
        self._watch(self.sink.way_in)
        self.source = self._source_actor(plan.workers[0])
        self.runners: dict[int, Runner] = {0: self.source}
        self.wires: list[Wire] = []
        self.change: Change | None = None
        self.changes: Counter[str] = Counter()
        """What was done to what is attached, and how often."""
        self.orders: dict[int, deque[Callable[[], None]]] = {}
        """What the parent has told each process about links, and has not arrived there yet."""
        self.is_ending = self.has_asked = self.end_now = self.asks = False
        self._kinds: dict[str, Callable[[int], bool]] = {
            "pass": self._pass,
            "down": self._deliver,
            "up": self._give_credit,
            "news": self._hear,
            "ready": self._on_ready,
            "order": self._obey,
            "answer": self._on_answer,
            "leave": self._on_leave,
            "ask": self._on_ask,
        }
        self.attached = frozenset(
            slot
            for fork in plan.scaled
            for slot in chance.random.sample(fork.slots, chance.random.randint(1, len(fork.slots)))
        )
        self._hire(self.attached)
        for runner in self.runners.values():
            runner.way_out.outlet.attach(self.attached)
        for wire in self._lay(plan.channels_with(self.attached)):
            self._join_upper(wire)
            self._join_lower(wire)

    def _new_ledger(self) -> Ledger:
        chance = self.chance
        return Ledger(self.plan, window=chance.window, frames=chance.frames, size=chance.bytes)

    # -- building --

    def _hire(self, slots: frozenset[int]) -> list[int]:
        """Make the workers that are there with these slots; give the numbers of the new ones."""
        numbers = [n for n in self.plan.workers_with(slots) if n not in self.runners]
        new = [n for n in numbers if self.plan.workers[n].kind != "sink"]
        for number in new:
            self.runners[number] = self._stage_actor(number, self.plan.workers[number])
        self._assign()
        return new

    def _assign(self) -> None:
        """Say who works in which process: downstream first, as in the engine."""
        self.crews = {
            process: [
                self.runners[n]
                for n in sorted(self.runners, reverse=True)
                if self.plan.workers[n].process == process
            ]
            for process in range(PARENT, self.plan.processes)
        }

    def _source_actor(self, planned: PlannedWorker) -> SourceActor:
        actor = SourceActor(
            planned,
            self.plan.channels,
            self.chance.window,
            stage=self._stage(planned),
            gauge=self.recording.gauge(0),
            may_end=self._source_may_end,
            told=partial(self._on_accounts, 0),
            made=lambda _: None,
            tape=lambda: None,
        )
        actor.ends_late = bool(self.plan.scaled)
        return actor

    def _stage_actor(self, number: int, planned: PlannedWorker) -> StageActor:
        runner = StageActor(
            number,
            planned,
            self.plan.channels,
            stage=self._stage(planned),
            recording=self.recording,
            told=partial(self._on_accounts, number),
        )
        self._watch(runner.way_in)
        return runner

    def _stage(self, planned: PlannedWorker) -> Stage | None:
        if planned.node is None or planned.kind == "feed":
            return None
        # The small processors of simulations change nothing in place: no need to copy deeply.
        make = partial(another, planned.node.processor)
        stage = stage_for(
            planned.node.settings,
            planned.element,
            make,
            warm=False,
            passes=KeyboardInterrupt,
            failed=lambda *_: None,
            is_source=planned.kind == "source",
            restarts=planned.restarts > 0,
        )
        stage.setup()
        return stage

    def _watch(self, way_in: WayInEnd) -> None:
        way_in.take = partial(self._take, way_in)  # type: ignore[method-assign]

    def _process(self, worker: int) -> int:
        return self.plan.workers[worker].process

    def _way_in(self, worker: int) -> WayInEnd:
        receiver = self.sink if worker == len(self.plan.workers) - 1 else self.runners[worker]
        assert not isinstance(receiver, SourceActor)
        return receiver.way_in

    # -- what the ledger is told --

    def _receive(self, worker: int, way_in: WayInEnd, wire: Wire, frame: Frame) -> None:
        channel = wire.channel
        if self.plan.workers[worker].way_in.how == "interleave":
            if frame.end:
                # It may wait for the other ends.
                self.ledger.taken(wire.link)
            else:
                self.came_by[id(frame)] = wire.link
            path, before = frame.path, len(way_in.ready)
            way_in.receive(channel, frame)
            for one, *_ in list(way_in.ready)[before:]:
                if one.path[:-1] == path:
                    self.ledger.split(path)  # an end that waits, and the items that came along
            return
        self.ledger.taken(wire.link)
        self.ledger.held(worker, frame)
        before = len(way_in.ready)
        way_in.receive(channel, frame)
        for one, *_ in list(way_in.ready)[before:]:
            self.ledger.ready(worker, one)

    def _take(self, way_in: WayInEnd) -> Frame:
        frame, *_ = way_in.ready[0]
        if id(frame) in self.came_by:
            self.ledger.taken(self.came_by.pop(id(frame)))
        self.ledger.worked(frame)
        return WayInEnd.take(way_in)

    def _on_accounts(self, worker: int, accounts: Accounts) -> None:
        self.told[worker] += 1
        self.accounts.add(accounts)

    # -- what is attached --

    def _lay(self, channels: Iterable[int]) -> list[Wire]:
        """Make links; nobody knows of them yet."""
        return [self._wire(channel, self.plan.channels[channel]) for channel in channels]

    def _wire(self, number: int, channel: Channel) -> Wire:
        is_local = self._process(channel.source) == self._process(channel.target)
        credit = Credit(channel.capacity, self.chance.frames)
        kind = Local if is_local else Wire
        self.wires.append(kind(number, credit, self.ledger, self.moves, len(self.wires)))
        return self.wires[-1]

    def _join_upper(self, wire: Wire) -> None:
        way_out = self.runners[self.plan.channels[wire.channel].source].way_out
        (leaf,) = (one for one in way_out.outlet.leaves if one.link == wire.channel)
        leaf.credit = wire.credit
        if isinstance(wire, Local):
            way_out.attach_local(wire.channel, wire)
        else:
            way_out.ends[wire.channel] = wire

    def _join_lower(self, wire: Wire) -> None:
        target = self.plan.channels[wire.channel].target
        way_in = self._way_in(target)
        before = way_in.ends.get(wire.channel)
        if isinstance(before, Wire):
            before.drain()
        wire.connect(partial(self._receive, target, way_in, wire))
        way_in.attach(wire.channel, wire)

    def _may_change(self) -> bool:
        return bool(self.plan.scaled) and self.change is None and not self.is_ending

    def _begin_change(self) -> None:
        random = self.chance.random
        fork = random.choice(self.plan.scaled)
        there = [slot for slot in fork.slots if slot in self.attached]
        missing = [slot for slot in fork.slots if slot not in self.attached]
        if missing and (len(there) == 1 or not fork.narrows or random.random() < 0.5):
            self._attach(frozenset(random.sample(missing, random.randint(1, len(missing)))))
        elif fork.narrows and len(there) > 1:
            self._detach(frozenset(random.sample(there, random.randint(1, len(there) - 1))))

    def _attach(self, slots: frozenset[int]) -> None:
        after = self.attached | slots
        new = self._hire(after)
        opened = set(self.plan.channels_with(after)) - set(self.plan.channels_with(self.attached))
        self.change = Change(slots, new, self._lay(sorted(opened)))
        for number in new:
            self.runners[number].way_out.outlet.attach(after)
        for wire in self.change.wires:
            channel = self.plan.channels[wire.channel]
            if channel.source in new:
                self._join_upper(wire)
            if channel.target in new:
                self._join_lower(wire)
        # Until it is ready, only it knows.
        self.moves["ready", 0] = None

    def _on_ready(self, _: int) -> bool:
        """New workers are set up: give their neighbours the other ends."""
        change = self.change
        if change is None or change.is_joined or self.is_ending:
            return False
        change.is_joined = True
        new = set(change.workers)
        ends: dict[int, list[Callable[[], None]]] = {}
        for wire in change.wires:
            channel = self.plan.channels[wire.channel]
            if channel.target not in new:
                told = ends.setdefault(self._process(channel.target), [])
                told.append(partial(self._join_lower, wire))
            if channel.source not in new:
                told = ends.setdefault(self._process(channel.source), [])
                told.append(partial(self._join_upper, wire))
        for process, told in ends.items():
            self._order(process, partial(self._on_links, process, change.slots, told))
        return False

    def _on_links(
        self, process: int, slots: frozenset[int], told: Sequence[Callable[[], None]]
    ) -> None:
        for runner in self.crews[process]:
            runner.way_out.outlet.attach(slots)
        for one in told:
            one()

    def _detach(self, slots: frozenset[int]) -> None:
        leaving = [n for n in self.runners if self.plan.workers[n].slot in slots]
        self.change = Change(slots, leaving, [])
        channels = [self.plan.channels[n] for n in self.plan.channels_with(self.attached)]
        senders = {
            self._process(one.source)
            for one in channels
            if one.slots & slots and one.source not in leaving
        }
        for process in senders:
            self._order(process, partial(self._on_detach, process, slots))

    def _on_detach(self, process: int, slots: frozenset[int]) -> None:
        for runner in self.crews[process]:
            runner.way_out.outlet.detach(slots)

    def _order(self, process: int, order: Callable[[], None]) -> None:
        assert self.change is not None
        self.change.unanswered.add(process)
        self.orders.setdefault(process, deque()).append(order)
        self.moves["order", process] = None

    def _obey(self, process: int) -> bool:
        """A process hears of a change, and answers."""
        self.orders[process].popleft()()
        self.moves["pass", process] = None
        self.moves["answer", process] = None
        return bool(self.orders[process])

    def _on_answer(self, process: int) -> bool:
        """The parent hears that a process knows of a change."""
        change = self.change
        assert change is not None
        change.unanswered.discard(process)
        self._wake(0)
        if not change.unanswered:
            if change.wires:
                self.attached |= change.slots
                self.changes["attached"] += 1
                self.wanted.update(change.workers)
                self.change = None
            else:
                self._on_leave()
            if self.asks and self._may_end():
                self.asks = False
                self._tell("end")
        return False

    def _on_leave(self, _: int = 0) -> bool:
        """Those that have left are gone, in whatever order; then the change is made."""
        change = self.change
        if change is None or change.wires:
            return False
        for number in change.workers:
            if number in self.runners and self.runners[number].has_left:
                del self.runners[number]
        self._assign()
        if not change.unanswered and not self.runners.keys() & change.workers:
            self.attached -= change.slots
            self.changes["detached"] += 1
            self.change = None
        return False

    # -- the end of the stream --

    def _source_may_end(self) -> bool:
        if not (self.plan.scaled and self.source.window.is_idle):
            return not self.plan.scaled
        if self.plan.workers[0].kind == "feed":
            return self._may_end()
        if not self.has_asked:
            self.has_asked = True
            self.moves["ask", 0] = None
        return self.end_now

    def _on_ask(self, _: int) -> bool:
        """The source asks whether the end may come."""
        self.asks = not self._may_end()
        if not self.asks:
            self._tell("end")
        return False

    def _may_end(self) -> bool:
        if self.change is not None and self.change.unanswered:
            return False
        self.is_ending = True
        return True

    # -- a run --

    def run_all(self, runs: Iterable[Sequence[Any]]) -> list[tuple[list[Any], Stats]]:
        """Run with each of the items in turn, then let everything come to rest."""
        with self.chance.rules():
            given = [self.run(items) for items in runs]
            self.settle()
        return given

    def run(self, items: Sequence[Any]) -> tuple[list[Any], Stats]:
        """Run once, by chance, and give the outputs and the stats."""
        self.items, self.outputs, self.accounts = items, [], Accounts()
        self.told.clear()
        self.wanted = Counter(n for n, _ in self._joined() if self.plan.workers[n].reports)
        before = [gauge.copy() for _, gauge in self.recording.gauges]
        self.is_ending = self.has_asked = self.end_now = self.asks = False
        if self.change is not None and self.change.wires:
            self.moves["ready", 0] = None
        self.ledger.begin()
        self.sink.begin()
        self._tell("go")
        for _ in range(PATIENCE):
            if self._is_done:
                break
            hold("nothing gets stuck", self._move())
        hold("a run comes to an end", self._is_done)
        hold("every account is told once", self.told == self.wanted, self.told, self.wanted)
        hold("nothing is left on its way", self.ledger.is_empty)
        # The account of a zip right before the output.
        self.sink.way_in.account(self.accounts)
        return self.outputs, account(
            self.graph,
            {**measured_by(self._counted(before)), **self.accounts.nodes},
            self.accounts.edges,
            elapsed=0.0,
            given=len(self.outputs),
        )

    def _counted(self, before: Sequence[bytes]) -> list[Counted]:
        """What all gauges show beyond what they showed when the run began."""
        readings = zip_longest(self.recording.gauges, before, fillvalue=b"")
        return [
            Counted(str(n), self.plan.workers[n].element, PARENT, copy, gauge.copy())
            for (n, gauge), copy in readings
        ]

    @property
    def _is_done(self) -> bool:
        return self.sink.has_ended and self.told.total() >= self.wanted.total()

    def _joined(self) -> list[tuple[int, Runner]]:
        """The workers that get the end of a run that begins now."""
        joined = set(self.plan.workers_with(self.attached))
        return [(n, one) for n, one in self.runners.items() if n in joined and not one.has_left]

    def settle(self) -> None:
        """After the last run, let everything come to rest; all credit must be back then."""
        self.is_ending = True
        while self._move():
            pass
        for wire in self.wires:
            hold("all credit is back", wire.credit.in_flight == 0, wire.channel)
        window = self.source.window
        hold("all batches are retired", window.sent == window.retired, window.sent)

    def _move(self) -> bool:
        """Make one of the moves that are possible; return whether there was one."""
        if self._may_change() and self.chance.random.random() < self.chance.restless:
            self._begin_change()
        if not self.moves:
            return False
        moves = list(self.moves)
        weights = list(accumulate(map(self.weights.__getitem__, moves)))
        place = self.chance.random.random() * weights[-1]
        move = moves[bisect(weights, place, hi=len(moves) - 1)]
        if not self._make(*move):
            del self.moves[move]
        return True

    def _make(self, kind: str, number: int) -> bool:
        """Make a move, and return whether it is possible once more."""
        return self._kinds[kind](number)

    def _deliver(self, number: int) -> bool:
        self._wake(self.plan.channels[self.wires[number].channel].target)
        return self.wires[number].deliver()

    def _give_credit(self, number: int) -> bool:
        self._wake(self.plan.channels[self.wires[number].channel].source)
        return self.wires[number].give_credit()

    def _wake(self, worker: int) -> None:
        self.moves["pass", self.plan.workers[worker].process] = None

    def _pass(self, process: int) -> bool:
        """Let all that is in a process get on; return whether it is to be asked again."""
        progress = False
        if process == PARENT:
            while self.sink.way_in.ready:
                self._consume()
        for runner in self.crews[process]:
            progress |= next(runner.coroutine)
            if runner.has_left:
                self.moves["leave", 0] = None
        return progress or (process == PARENT and bool(self.sink.way_in.ready))

    def _consume(self) -> None:
        batch = self.sink.way_in.ready[0][0].path[0] >> 1
        items, is_complete = self.sink.take()
        self.outputs += items
        self.sink.consumed(len(items), self.chance.clock())
        if is_complete:
            self.ledger.retire(batch)
            self._tell("retired")

    def _tell(self, news: str) -> None:
        self.news.append(news)
        self.moves["news", 0] = None

    def _hear(self, _: int) -> bool:
        """Let news arrive at the source; return whether there are more."""
        self._wake(0)
        news = self.news.popleft()
        if news == "retired":
            self.source.window.retired += 1
        elif news == "end":
            self.end_now = True
        else:
            is_feed = self.plan.workers[0].kind == "feed"
            self.source.begin(iter(self.items) if is_feed else None)
        return bool(self.news)


def shown(plan: Plan, graph: Graph) -> str:
    """A plan for people."""
    lines = [str(graph)]
    for number, worker in enumerate(plan.workers):
        way_in = worker.way_in
        marks = " in turn" * way_in.in_turn + " traced" * way_in.traced
        lines.append(
            f"{number} {worker.kind} {worker.name}, process {worker.process}:"
            f" {way_in.how}{marks} {list(way_in.channels)} -> {_route(worker.way_out)}"
        )
    lines += [f"{number} {channel}" for number, channel in enumerate(plan.channels)]
    return "\n".join(lines)


def _route(way: WayOut | None) -> str:
    if not isinstance(way, Fan):
        return str(way)
    marks = " in turn" * way.in_turn + " traced" * way.traced
    return f"{way.kind}{marks}({', '.join(map(_route, way.branches))})"
