"""The parent's record of one worker process."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from multiprocessing import Pipe
from typing import Any

from conveyor.engines.processes.descriptors import close_all
from conveyor.engines.processes.gauge import Reading
from conveyor.engines.processes.interrupts import interrupts_held
from conveyor.engines.processes.large import load_copied
from conveyor.engines.processes.launch import WorkerProcess
from conveyor.engines.processes.memory import Memory
from conveyor.engines.processes.message import MessageEnd
from conveyor.engines.processes.noted import around, is_note
from conveyor.engines.processes.oom import OomWatch
from conveyor.engines.processes.orders import Orders
from conveyor.engines.processes.output import Printed
from conveyor.engines.processes.poller import Poller
from conveyor.engines.processes.recorder import Recorder, create
from conveyor.engines.processes.refused import SPARE, need_room
from conveyor.engines.processes.worker import main
from conveyor.engines.telling import short
from conveyor.errors import StageTimeout, WorkerDied
from conveyor.flow.progress import Entry
from conveyor.plan import Plan

OVERDUE_GRACE = 0.5
"""Seconds that an item which is overdue has to be broken off; then its worker is killed."""

_RAN_OUT = "it was killed by SIGKILL: the kernel ran out of memory and killed it"
_KILLED = "it could not be broken off where it was, so its worker was killed"


class Hand:
    """A worker process that has been started.

    Args:
        plan: what runs.
        number: the number of the process in it.
        poller: what serves its connection and its pidfd.
        on_message: called with each message that it sends.
        on_death: called when it has ended.
        oom: knows whether the kernel killed it, where we did not.
        before: the one that it takes the place of, whose recorder it goes on with.

    Attributes:
        workers: the numbers of its workers, and
        stages: the elements that they are of.
        is_ready: whether its workers are set up.
        has_left: whether its workers have been detached, and have done their work.
        has_taken_leave: whether it has cleared up and is about to end.
        region: the number of its region in the arena, once it has one.
        limits: for each of its workers, the seconds that an item may take, or None for any.
        is_timed: whether there is such a limit.
        printed: shows what it prints.
    """

    def __init__(
        self,
        plan: Plan,
        number: int,
        poller: Poller,
        on_message: Callable[[Hand, Any], None],
        on_death: Callable[[Hand], None],
        *,
        oom: OomWatch,
        before: Hand | None = None,
    ) -> None:
        self.number = number
        self.is_ready = self.has_left = self.has_taken_leave = False
        self.host(plan)
        hosted = plan.hosted(number)
        self.printed = Printed()
        self._overdue: StageTimeout | None = None
        self.region: int | None = None
        self._poller = poller
        self._arena: Memory | None = None
        self._on_message = on_message
        self._on_death = on_death
        need_room(SPARE)
        with ExitStack() as undo:
            with interrupts_held():
                self._memory: int = os.dup(before._memory) if before else create(len(hosted))
                undo.callback(os.close, self._memory)
                self.recorder = Recorder(os.dup(self._memory), hosted)
                undo.callback(self.recorder.close)
                self._connection, theirs = Pipe()
                undo.callback(self._connection.close)
            name = plan.workers[self.workers[0]].name
            self.process = WorkerProcess(main, f"conveyor-{name}", theirs)
            undo.callback(self.process.close)
            self.fd = self.process.fd
            self._oom, self._oom_counter = oom, oom.started(self.process.pid)
            self._resources = undo.pop_all()
        self._control: MessageEnd | None = None

    def host(self, plan: Plan) -> None:
        """Have the workers that this process has in a plan."""
        self.workers = [n for n, one in enumerate(plan.workers) if one.process == self.number]
        self.stages = [plan.workers[n].element for n in self.workers]
        nodes = (plan.workers[n].node for n in self.workers)
        self.limits = [None if node is None else node.settings.timeout for node in nodes]
        self.is_timed = any(self.limits)

    def instruct(
        self, orders: Orders, journals: Sequence[int], ends: Sequence[int], arena: Memory | None
    ) -> None:
        """Send a new worker process all that it needs, and serve it from now on.

        Args:
            orders: what it is told.
            journals: the descriptors of the journals of its workers; they are closed here.
            ends: the descriptors of the ends in ``orders.links``; they are closed here.
            arena: where large items are; None where there is none.
        """
        self.process.let_open()
        with ExitStack() as undo:
            fds: list[int] = []
            undo.callback(close_all, fds)
            undo.callback(close_all, [*journals, *ends])
            fds.append(os.dup(self._memory))
            if arena is not None:
                fds.append(arena.handle())
            self._control = MessageEnd(self._connection, self._receive, self._poller)
            undo.pop_all()
        self.region, self._arena = orders.region, arena
        # Should it be gone already, its pidfd tells.
        self._control.send(orders, [*fds, *journals, *ends])
        self._poller.add(self)

    def _receive(self, message: Any) -> None:
        if message is not None:
            self._on_message(self, message)

    def on_readable(self) -> None:
        """The process has ended (this is the pidfd)."""
        self._poller.drop(self)
        # What it said last may still be on its way.
        if self._control is not None:
            self._control.read_all()
        self.printed.end()
        self._on_death(self)

    def flush(self) -> bool:
        """A pidfd is never written to."""
        return True

    def tell(self, *message: Any) -> None:
        """Send the worker process a message."""
        self.send(message)

    def send(self, message: Any, fds: Sequence[int] = ()) -> None:
        """Send the worker process a message, with descriptors, which are closed here."""
        if self._control is not None:
            self._control.send(message, fds)

    def readings(self) -> dict[int, Reading]:
        """What the gauges of its workers show, by their numbers."""
        shown = {number: self.recorder.gauge(number).read() for number in self.workers}
        if len(shown) > 1:  # nobody knows whose the time is
            return shown
        cpu = self.process.cpu_seconds()
        return {number: one._replace(cpu=cpu) for number, one in shown.items()}

    def end_if_overdue(self) -> None:
        """Kill the process if what it has in work did not let itself be broken off in time."""
        if self._overdue is None and self.recorder.is_overdue(OVERDUE_GRACE):
            stage, item = self._in_work()
            limit = max(filter(None, self.limits))
            if stage in self.stages:
                limit = self.limits[self.stages.index(stage)] or limit
            self._overdue = StageTimeout(stage, item, limit, _KILLED)
            self.process.kill()

    @property
    def suspects(self) -> tuple[int, Entry, range] | None:
        """The worker that had a frame in work, which, and which items of it; None for none."""
        recorder = self.recorder
        if recorder.unloaded is not None:
            worker, places, _ = recorder.unloaded
            return (worker, recorder.entry, places) if recorder.entry[1] else None
        if recorder.worker is None:
            return None
        return recorder.worker, recorder.entry, recorder.place[0]

    @property
    def is_loading(self) -> bool:
        """Whether what is in work is being loaded."""
        return self.recorder.unloaded is not None

    def died(self) -> WorkerDied | StageTimeout:
        """What the end of this process means, where it did not say goodbye."""
        if self._overdue is not None:
            return self._overdue
        # Told by somebody else to stop, it has cleared up and left.
        code = -signal.SIGTERM if self.has_taken_leave else self.process.exitcode()
        stage, item = self._in_work()
        ran_out = code == -signal.SIGKILL and self._oom.has_killed(self._oom_counter)
        return WorkerDied(stage, code, item, _RAN_OUT if ran_out else _how(code))

    def _in_work(self) -> tuple[str, str | None]:
        """The stage that has something in work, and a short repr of the item, if it is known."""
        if self.recorder.unloaded is not None:
            return self._in_loading(*self.recorder.unloaded)
        number = self.recorder.worker
        if number is None:
            turn = self.recorder.turn  # of one that has left, perhaps, or of none yet
            return self.stages[self.workers.index(turn) if turn in self.workers else 0], None
        name = self.stages[self.workers.index(number)]
        places, count = self.recorder.place
        kept, many = self.recorder.payload, len(places)
        try:
            if is_note(kept):
                first, last, many = around(kept, places, count)
            else:
                items = load_copied(kept, self._arena)
                first, last = items[places[0]], items[places[-1]]
        except Exception:
            return name, f"number {places[0]} of a batch of {count}"
        if many == 1:
            return name, short(first)
        return name, f"one of {many}, {short(first)} to {short(last)}"

    def _in_loading(self, number: int, places: range, count: int) -> tuple[str, str]:
        """The same for items that are being loaded. To load them here would be no good idea."""
        name = self.stages[self.workers.index(number)]
        if len(places) == 1:
            return name, f"number {places[0]} of a batch of {count}, as it was loaded"
        return name, f"one of a batch of {count}, as they were loaded"

    def close(self) -> None:
        """Close all that belongs to a process that has ended."""
        with interrupts_held():
            self._poller.drop(self)
            if self._control is not None:
                self._control.close()
            self._resources.close()
            self.printed.end()


def _how(code: int | None) -> str:
    """An exit code in words."""
    if code is None:
        return "it ended, and how is not known"
    if code >= 0:
        return f"it exited with code {code} without finishing"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if code == -signal.SIGKILL:
        return "it was killed by SIGKILL (out of memory, perhaps)"
    return f"it was ended by {name}"
