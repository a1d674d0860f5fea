"""The processes of a pipeline, and the channels between them, from the parent's side.

A process is hired, and waits. Its channels are laid; then it gets its orders over its control
connection, and one end of each of its channels along with them. The other ends are those of its
neighbours, or the parent's own.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from time import monotonic
from typing import Any

from conveyor import log
from conveyor.engines.processes import logged, logged_by_loguru
from conveyor.engines.processes.descriptors import close_all, fill_standard_streams
from conveyor.engines.processes.hand import Hand
from conveyor.engines.processes.interrupts import interrupts_held, interrupts_let_in
from conveyor.engines.processes.kept import Kept
from conveyor.engines.processes.memory import KEPT, Memory, create_arena
from conveyor.engines.processes.oom import OomWatch
from conveyor.engines.processes.orders import Links, Move, Orders, without_processors
from conveyor.engines.processes.poller import Poller
from conveyor.engines.processes.shipping import share, ship
from conveyor.engines.processes.vitals import umask
from conveyor.errors import ConveyorError
from conveyor.plan import Plan
from conveyor.plan.model import PARENT

KILL_SECONDS = 10.0
"""How long a process that has been killed may take to be dead. Who has given up privileges may not
be able to kill it."""

MOST_SECONDS = 0.05
"""What one wait takes of a grace, at most."""


@dataclass(frozen=True, slots=True)
class End:
    """An end of a channel, for the process that it goes to.

    Attributes:
        channel: its number.
        is_upper: whether it is the one that sends.
        connection: the pipe.
        log: the descriptor of its log; None where it has none.
    """

    channel: int
    is_upper: bool
    connection: Connection
    log: int | None = None


class Staff:
    """The worker processes of a pipeline that is live, and what joins them.

    Args:
        plan: what runs.
        warm: whether there may be more than one run.
        on_message: called with each message that a process sends.
        on_death: called when a process has ended.

    Attributes:
        plan: the same, with the workers where they are now.
        window: the most batches under way.
        poller: what serves the processes, and the parent's own ends.
        kept: what outlives a process that may be started again.
        memory: where large items are; None where there is no arena.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        warm: bool,
        on_message: Callable[[Hand, Any], None],
        on_death: Callable[[Hand], None],
    ) -> None:
        self.plan = plan
        self.window = 4 * len(plan.workers) + 4
        self.poller = Poller()
        self.kept = Kept(plan)
        self.memory: Memory | None = None
        self._warm = warm
        self._on_message = on_message
        self._on_death = on_death
        self._hands: dict[int, Hand] = {}
        self._ends: set[Connection] = set()
        self._oom = OomWatch()
        self._is_traced = False

    @property
    def hands(self) -> Mapping[int, Hand]:
        """The processes that are there, by their numbers."""
        return self._hands

    @property
    def source(self) -> Hand:
        """The process of the source, where the items are not the caller's."""
        return self._hands[self.process(0)]

    def process(self, worker: int) -> int:
        """The number of the process that a worker is in."""
        return self.plan.workers[worker].process

    def trace(self, is_traced: bool) -> None:  # noqa: FBT001
        """Say whether the run that begins is traced."""
        self._is_traced = is_traced
        for hand in self._hands.values():
            hand.recorder.is_traced = is_traced

    # -- start --

    def prepare(self) -> frozenset[type]:
        """Pickle what is to travel, before anything is opened for it.

        Returns:
            the classes of ``__main__`` that all processes are to have.

        Raises:
            NotPicklable: a processor can't travel.
        """
        processors = {
            number: (worker.element, worker.node.processor)
            for number, worker in enumerate(self.plan.workers)
            if worker.node is not None and worker.process != PARENT
        }
        self._shipped, classes = ship(processors)
        fill_standard_streams()
        self._shared = share(classes)
        self._lean = without_processors(self.plan)
        return classes

    def open_arena(self) -> None:
        """Have a place for large items, where the system gives one."""
        fd = create_arena()
        if fd is not None:
            self.memory = Memory(fd, 0)

    def trim(self) -> None:
        """Give back the memory for large items that a next run would not need at once."""
        if self.memory is not None:
            self.memory.trim(KEPT)

    def hire(self, slots: Collection[int]) -> list[Hand]:
        """Start the processes of the workers with ``slots`` that are not there."""
        workers = self.plan.workers
        wanted = {workers[n].process for n in self.plan.workers_with(slots)} - {PARENT}
        hands: list[Hand] = []
        for number in sorted(wanted - set(self._hands)):
            try:
                hand = self._start(number)
            except BaseException:
                self.dismiss(hands)
                raise
            hands.append(hand)
            log.debug("process {} runs {}", hand.process.pid, ", ".join(hand.stages))
        return hands

    @interrupts_held()
    def _start(self, number: int, before: Hand | None = None) -> Hand:
        self._hands[number] = hand = Hand(
            self.plan,
            number,
            self.poller,
            self._on_message,
            self._on_death,
            oom=self._oom,
            before=before,
        )
        hand.recorder.is_traced = self._is_traced
        return hand

    @interrupts_held()
    def equip(
        self, hands: Collection[Hand], slots: frozenset[int], channels: Collection[int]
    ) -> dict[int, list[End]]:
        """Lay channels, and give new processes their orders and their ends.

        Args:
            hands: the new processes.
            slots: the branches that are there with them.
            channels: what to lay.

        Returns:
            what goes to the others, by process.
        """
        ends = self._lay(channels)
        self._instruct(hands, slots, ends)
        return ends

    def add(
        self, slots: frozenset[int], channels: Collection[int]
    ) -> tuple[list[Hand], dict[int, list[End]]]:
        """Start the processes of more workers while others run, and lay channels for them.

        Args:
            slots: the branches that are to be there, those that are there among them.
            channels: what to lay.

        Returns:
            the new processes, and what goes to their neighbours, by process.
        """
        hands = self.hire(slots)
        before = set(self._ends)
        try:
            return hands, self.equip(hands, slots, channels)
        except BaseException:
            self.dismiss(hands, self._ends - before)
            raise

    @interrupts_held()
    def dismiss(self, hands: Collection[Hand], connections: Collection[Connection] = ()) -> None:
        """End processes that nobody has been joined to yet, and close what was laid for them."""
        for hand in hands:
            hand.process.kill()
            hand.process.wait(None)
            hand.close()
            self._hands.pop(hand.number, None)
        for connection in connections:
            connection.close()
            self._ends.discard(connection)

    # -- channels --

    def _lay(self, channels: Collection[int]) -> dict[int, list[End]]:
        """Make channels, and say what goes to which process."""
        ends: defaultdict[int, list[End]] = defaultdict(list)
        for number in channels:
            channel = self.plan.channels[number]
            source, target = self.process(channel.source), self.process(channel.target)
            if channel.durable:
                upper, lower, log_fd = self.kept.channel(number)
            elif source != target:
                upper, lower, log_fd = *Pipe(), None
                self._ends |= {upper, lower}
            else:
                continue
            ends[source].append(End(number, True, upper, log_fd))  # noqa: FBT003
            ends[target].append(End(number, False, lower, log_fd))  # noqa: FBT003
        return ends

    @interrupts_held()
    def give(self, number: int, slots: frozenset[int], ends: Collection[End]) -> None:
        """Give a process that runs its ends of new channels.

        Args:
            number: the number of the process.
            slots: the branches that come with them.
            ends: what it gets.
        """
        self._hands[number].send(_links(ends, slots), self._given_away(ends))

    def _given_away(self, ends: Collection[End]) -> list[int]:
        """The descriptors of ends that go to another process.

        Were our copies kept, nobody would see the end of the other side. Of channels that are
        durable they are, since nobody is to see that.
        """
        fds: list[int] = []
        with ExitStack() as undo:
            undo.callback(close_all, fds)
            for end in ends:
                fds.append(os.dup(end.connection.fileno()))
                if end.log is not None:
                    fds.append(os.dup(end.log))
                else:
                    end.connection.close()
                    self._ends.discard(end.connection)
            undo.pop_all()
        return fds

    # -- orders --

    def _instruct(
        self, hands: Collection[Hand], slots: frozenset[int], ends: dict[int, list[End]]
    ) -> None:
        """Give new processes their orders and their ends."""
        environment, mask = dict(os.environ), umask()
        for hand in hands:
            own = ends.pop(hand.number, [])
            orders = Orders(
                self._lean,
                hand.number,
                _links(own, slots),
                {n: self._shipped[n] for n in hand.workers if n in self._shipped},
                self._shared,
                self.window,
                self._warm,
                environment,
                mask,
                sys.getrecursionlimit(),
                None if self.is_restartable(hand) else self._region(),
                self.kept.blame(hand.workers),
                logged.setup(),
                logged_by_loguru.levels(),
            )
            memory = None if orders.region is None else self.memory
            with ExitStack() as undo:
                undo.callback(close_all, journals := self.kept.journals(hand.workers))
                given = self._given_away(own)
                undo.pop_all()
            hand.instruct(orders, journals, given, memory)

    def is_restartable(self, hand: Hand) -> bool:
        """Whether another process may take the place of one that dies."""
        return self.plan.workers[hand.workers[0]].restarts > 0

    def _region(self) -> int | None:
        """A region of the arena for a new process."""
        if self.memory is None:
            return None
        return self.memory.free_region({hand.region for hand in self._hands.values()})

    @interrupts_held()
    def move(self, moves: Mapping[int, int]) -> tuple[Collection[int], list[End]]:
        """Have workers in other processes from now on, and tell all processes.

        Nothing is on any channel. Those of the workers that move are laid anew.

        Args:
            moves: the workers that move, and where to.

        Returns:
            the channels that were laid anew, and the parent's own ends of them.
        """
        before, self.plan = self.plan, self.plan.placed(moves)
        relaid = self.plan.relaid(before)
        ends = self._lay(relaid)
        for hand in self._hands.values():
            own = ends.pop(hand.number, [])
            come = {n: self._shipped[n] for n, process in moves.items() if process == hand.number}
            message = Move(moves, come, _links(own, frozenset()))
            hand.send(message, self._given_away(own))
        return relaid, ends.pop(PARENT, [])

    # -- deaths --

    def remove(self, hand: Hand) -> None:
        """A process has ended; it is for the caller of this to close it."""
        del self._hands[hand.number]

    def replace(self, before: Hand) -> Hand:
        """Start a process in place of one that died; it is to be restored then."""
        hand = self._start(before.number, before)
        log.debug("process {} takes the place of {}", hand.process.pid, before.process.pid)
        return hand

    @interrupts_held()
    def restore(self, hand: Hand, slots: frozenset[int]) -> None:
        """Give a process that took the place of another one what that had.

        Args:
            hand: the process.
            slots: the branches that are there.
        """
        mine = [
            number
            for number, channel in enumerate(self.plan.channels)
            if hand.number in (self.process(channel.source), self.process(channel.target))
        ]
        self._instruct([hand], slots, {hand.number: self._lay(mine)[hand.number]})

    # -- the end --

    @property
    def alive(self) -> list[Hand]:
        """The processes that have not ended, as far as is known."""
        return [hand for hand in self._hands.values() if self.poller.serves(hand)]

    def wait_for_all(self, seconds: float) -> None:
        """Wait up to so long until all processes have ended.

        A machine that stood still meanwhile, or had no time for us, had none for them.
        """
        left = seconds
        while self.alive and left > 0:
            began = monotonic()
            # What still comes may be as wrong as what has ended the run.
            with interrupts_let_in(), suppress(ConveyorError):
                self.poller.wait(min(left, MOST_SECONDS))
            left -= min(monotonic() - began, MOST_SECONDS)

    def kill(self) -> None:
        """End all processes at once, and close what joined them."""
        for hand in self._hands.values():
            hand.process.kill()
        while self._hands:
            _, hand = self._hands.popitem()
            hand.process.wait(KILL_SECONDS)
            hand.close()
        for connection in self._ends:
            connection.close()
        self._ends.clear()

    def close(self) -> None:
        """Give up what is kept for processes, once there are none."""
        self.kept.close()
        if self.memory is not None:
            self.memory.close()
            self.memory = None


def _links(ends: Collection[End], slots: frozenset[int]) -> Links:
    return Links([(end.channel, end.is_upper) for end in ends], slots)
