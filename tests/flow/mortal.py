"""Whole plans at work in which workers die, at any moment, and others take their place.

A worker that may be started again dies between two steps, or in the middle of one: before or after
anything that others can see. What outlives it is what outlives it in the engine: the words and the
bytes of its logs, and its journal. Bytes that have been given back are garbage from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any

from conveyor import UsageError
from conveyor.engines.processes.accounts import Accounts
from conveyor.engines.processes.actor import StageActor
from conveyor.engines.processes.durable import DurableReceiver, DurableSender
from conveyor.engines.processes.frames import HEADER
from conveyor.engines.processes.log import Entry
from conveyor.engines.processes.restartable import RestartableActor
from conveyor.engines.stats import Stats
from conveyor.flow.credit import BYTES, FRAMES, Credit
from conveyor.graph import Graph, ProcessorNode
from conveyor.plan import Plan, PlannedWorker
from conveyor.plan.make import make
from tests.flow.ledger import Ledger, hold
from tests.flow.promises import CORES, explained
from tests.flow.simulator import Chance, NoRecording, Simulation, Wire

MOST_DEATHS = 60
"""After so many in a run there are no more, so that it can come to its end."""


class Died(BaseException):
    """A worker is killed."""


class Danger:
    """Kills the worker that is at work, by chance."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.risk = 0.0
        self.deaths = 0
        self.is_mortal = False
        """Whether what is at work now may die."""

    def __call__(self) -> None:
        if self.is_mortal and self.deaths < MOST_DEATHS and self.random.random() < self.risk:
            raise Died


class Memory:
    """What is in a log."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.head = self.taken = self.freed = 0
        self.service = 0.0


class DeadlyLog:
    """A log, as one end sees it: its worker may die around anything that it does with it."""

    def __init__(self, memory: Memory, danger: Callable[[], None]) -> None:
        self._memory = memory
        self._danger = danger

    def words(self) -> tuple[int, int, float]:
        memory = self._memory
        return memory.head, memory.taken, memory.service

    def write(self, position: int, head: bytes, payload: bytes | bytearray) -> int:
        for part in (head, payload):
            self._danger()
            data = self._memory.data
            data[position:] = bytes(max(0, position - len(data))) + part
            position += len(part)
        return position

    def publish(self, position: int) -> None:
        self._danger()
        hold("nothing visible is taken back", position >= self._memory.head)
        self._memory.head = position
        self._danger()

    def take(self, position: int, service: float) -> None:
        self._danger()
        hold("no credit is taken back", position >= self._memory.taken)
        self._memory.taken, self._memory.service = position, service
        self._danger()

    def entry(self, position: int) -> Entry:
        body = position + HEADER.size
        size, address_size, count = HEADER.unpack(self._memory.data[position:body])
        address = bytes(self._memory.data[body : body + address_size])
        return Entry(body + address_size + size, address, count, size, body, is_aside=False)

    def payload(self, entry: Entry) -> bytearray:
        return self._memory.data[entry.end - entry.size : entry.end]

    def free(self, position: int) -> None:
        memory = self._memory
        if position > memory.freed:
            memory.data[memory.freed : position] = b"\xdd" * (position - memory.freed)
            memory.freed = position

    def close(self) -> None:
        pass


class SlowBell:
    """A bell: that it has rung gets to the other side when chance will have it."""

    def __init__(self, ring: Callable[[], None], danger: Callable[[], None]) -> None:
        self.heard: Callable[[], None] = lambda: None
        self._ring = ring
        self._danger = danger

    def ring(self) -> None:
        self._danger()
        self._ring()
        self._danger()


class DeadlyJournal:
    """A journal."""

    def __init__(self, records: dict[int, bytes], worker: int, danger: Callable[[], None]) -> None:
        self._records = records
        self._worker = worker
        self._danger = danger

    def load(self) -> bytes | None:
        return self._records.get(self._worker)

    def save(self, record: bytes) -> None:
        self._danger()
        self._records[self._worker] = record
        self._danger()


class DeadlyRecording(NoRecording):
    """A recording that its worker may not outlive."""

    def __init__(self, danger: Callable[[], None]) -> None:
        super().__init__()
        self.begin = self.end = lambda *_: danger()  # type: ignore[method-assign]


class Unchecked(Ledger):
    """Of frames that may be under way twice, nothing is to be held."""

    def begin(self) -> None:
        pass

    def sent(self, *_: object) -> None:
        pass

    taken = held = ready = split = worked = retire = sent
    is_empty = True


class MortalSimulation(Simulation):
    """A plan at work, in which workers die."""

    def __init__(self, plan: Plan, graph: Graph, chance: Chance) -> None:
        self.danger = Danger(chance.random)
        self.danger.risk = chance.random.choice([0.002, 0.02, 0.1])
        self.memories = {n: Memory() for n, one in enumerate(plan.channels) if one.durable}
        self.journals: dict[int, bytes] = {}
        self.reported: dict[int, int] = {}
        self.durable: dict[tuple[int, bool], Any] = {}
        """The ends of durable channels, by the number, and whether it is the upper one."""
        self.mortals = sorted({one.process for one in plan.workers if one.restarts})
        # A receiver may keep the news of some credit to itself, but never of so much.
        chance.frames, chance.bytes = FRAMES, BYTES
        super().__init__(plan, graph, chance)
        self._kinds["look"] = self._look

    def _new_ledger(self) -> Ledger:
        if self.mortals:
            return Unchecked(self.plan, window=0, frames=0, size=0)
        return super()._new_ledger()

    # -- building --

    def _stage_actor(self, number: int, planned: PlannedWorker) -> StageActor:
        if not planned.restarts:
            # It is not the next life of another one, but counts its runs from the first one on.
            self.reported.pop(number, None)
            return super()._stage_actor(number, planned)
        stage = self._stage(planned)
        assert stage is not None
        return RestartableActor(
            number,
            planned,
            self.plan.channels,
            stage=stage,
            recording=DeadlyRecording(self.danger),
            told=partial(self._on_accounts, number),
            keeper=DeadlyJournal(self.journals, number, self.danger),
        )

    def _on_accounts(self, worker: int, accounts: Accounts) -> None:
        self.danger()
        if accounts.run > self.reported.get(worker, 0):
            self.reported[worker] = accounts.run
            super()._on_accounts(worker, accounts)
        self.danger()

    def _lay(self, channels: Iterable[int]) -> list[Wire]:
        channels = list(channels)
        for number in channels:
            if self.plan.channels[number].durable:
                self._connect_upper(number)
                self._connect_lower(number)
        return super()._lay(n for n in channels if not self.plan.channels[n].durable)

    def _connect_upper(self, number: int) -> None:
        channel = self.plan.channels[number]
        runner = self.runners[channel.source]
        (leaf,) = (one for one in runner.way_out.outlet.leaves if one.link == number)
        leaf.credit = Credit(channel.capacity, self.chance.frames)
        publishes = not isinstance(runner, RestartableActor)
        log: Any = DeadlyLog(self.memories[number], self.danger)
        end = DurableSender(log, self._bell(number, is_upper=True), leaf, publishes=publishes)
        runner.way_out.ends[number] = self.durable[number, True] = end

    def _connect_lower(self, number: int) -> None:
        channel = self.plan.channels[number]
        way_in = self._way_in(channel.target)
        log: Any = DeadlyLog(self.memories[number], self.danger)
        end = DurableReceiver(
            log,
            self._bell(number, is_upper=False),
            channel=number,
            receive=partial(way_in.receive, number),
            keeps=self.plan.workers[channel.target].restarts > 0,
        )
        self.durable[number, False] = end
        way_in.attach(number, end)

    def _bell(self, number: int, *, is_upper: bool) -> Any:
        def ring() -> None:
            self.moves["look", number * 2 + (not is_upper)] = None

        return SlowBell(ring, self.danger)

    # -- life and death --

    def _move(self) -> bool:
        danger, random = self.danger, self.chance.random
        if self.mortals and danger.deaths < MOST_DEATHS and random.random() < danger.risk:
            self._die(random.choice(self.mortals))
        return super()._move()

    def _look(self, number: int) -> bool:
        """Let an end hear its bell."""
        channel, is_upper = self.plan.channels[number >> 1], bool(number & 1)
        worker = channel.source if is_upper else channel.target
        self._wake(worker)
        self._at_risk(self._process(worker), self.durable[number >> 1, is_upper].look)
        return False

    def _pass(self, process: int) -> bool:
        return bool(self._at_risk(process, partial(super()._pass, process)))

    def _at_risk(self, process: int, work: Callable[[], Any]) -> Any:
        """Let a process work; if it dies, another one is there, and is to be asked again."""
        self.danger.is_mortal = process in self.mortals
        try:
            return work()
        except Died:
            self.danger.is_mortal = False
            self._die(process)
            return True
        finally:
            self.danger.is_mortal = False

    def _die(self, process: int) -> None:
        self.danger.deaths += 1
        self.changes["deaths"] += 1
        for number, planned in enumerate(self.plan.workers):
            if planned.process == process:
                self.runners[number] = self._stage_actor(number, planned)
        self._assign()
        for number, channel in enumerate(self.plan.channels):
            if self._process(channel.source) == process:
                self._connect_upper(number)
            if self._process(channel.target) == process:
                self._connect_lower(number)
        self.moves["pass", process] = None

    def run(self, items: Sequence[Any]) -> tuple[list[Any], Stats]:
        self.danger.deaths = 0
        return super().run(items)

    def settle(self) -> None:
        self.danger.risk = 0.0
        super().settle()
        for (number, is_upper), end in self.durable.items():
            end.look()
            if is_upper:
                hold("all credit is back", not end._in_flight, number)
            else:
                hold("all is done", end._done == self.memories[number].head, number)


def restartable(graph: Graph, random: Random, *, all_of_them: bool) -> Graph:
    """The graph, with processors that may be started again: all of them, or some."""
    share = 1.0 if all_of_them else random.choice([0.5, 1.0])
    nodes = tuple(
        replace(node, settings=replace(node.settings, restarts=1))
        if isinstance(node, ProcessorNode) and node.kind == "processor" and random.random() < share
        else node
        for node in graph.nodes
    )
    return Graph(nodes, graph.edges)


def simulate_deaths(
    graph: Graph,
    seed: int,
    *runs: Sequence[Any],
    ordered: bool = False,
    processes: int | None = None,
) -> tuple[MortalSimulation, list[tuple[list[Any], Stats]]]:
    """Run a graph whose workers die, once with each of the items.

    So many processes are shared only where that is not refused: a source or a relay, which can
    not be started again, would be lost with a neighbour that can.
    """
    chance = Chance(seed)
    # Those that share a process can be started again only together.
    graph = restartable(graph, chance.random, all_of_them=processes is not None)
    try:
        plan = make(graph, ordered=ordered, processes=processes, cores=CORES)
    except UsageError:
        plan = make(graph, ordered=ordered, processes=None, cores=CORES)
    simulation = MortalSimulation(plan, graph, chance)
    # Memory is given back as soon as it may be.
    with explained(simulation, seed):
        return simulation, simulation.run_all(runs)
