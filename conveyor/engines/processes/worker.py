"""The main function of a worker process."""

from __future__ import annotations

import faulthandler
import fcntl
import multiprocessing
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from time import perf_counter_ns, tzset
from typing import Any

from conveyor.dsl.processor import Processor
from conveyor.engines.careful import stage_for
from conveyor.engines.letters import DeadLetter
from conveyor.engines.processes import logged_by_loguru
from conveyor.engines.processes.accounts import Accounts, taken_off
from conveyor.engines.processes.actor import StageActor
from conveyor.engines.processes.connect import connect_locally, connect_lower, connect_upper, use
from conveyor.engines.processes.forked import EndOfCopy, end_copy
from conveyor.engines.processes.gauge import WorkMeter
from conveyor.engines.processes.journal import Journal
from conveyor.engines.processes.knowledge import Knowledge
from conveyor.engines.processes.log import Log
from conveyor.engines.processes.logged import forward
from conveyor.engines.processes.memory import Memory
from conveyor.engines.processes.message import MessageEnd
from conveyor.engines.processes.orders import (
    ASK,
    AT_END,
    CHANGED,
    COUNTED,
    DETACH,
    DROPPED,
    END_NOW,
    FAILED,
    GO,
    GOODBYE,
    HELD,
    HOLD,
    LOGGED,
    LOGGED_BY_LOGURU,
    MOVED,
    PRINTED,
    READY,
    RELEASE,
    RETIRED,
    STAY,
    STOP,
    TAPED,
    Links,
    Move,
    Orders,
)
from conveyor.engines.processes.output import redirect
from conveyor.engines.processes.pickling import refuse_connections
from conveyor.engines.processes.poller import Poller
from conveyor.engines.processes.recorder import Recorder
from conveyor.engines.processes.refused import refused
from conveyor.engines.processes.restartable import Blame, PackedBlame, RestartableActor
from conveyor.engines.processes.shipping import take_shared, unship
from conveyor.engines.processes.source import SourceActor
from conveyor.engines.processes.stacks import listen
from conveyor.engines.processes.stop import Stopped, StopSignal, ignore_interrupts
from conveyor.engines.processes.way_out import Coroutine
from conveyor.engines.processes.wire import pack_error, pack_letter, unpack_error
from conveyor.engines.stage import Stage
from conveyor.engines.tape import Span
from conveyor.errors import ConveyorError
from conveyor.flow.credit import Credit

LEFT_SECONDS = 0.5
"""For so long a worker that has said goodbye may wait for what the user's code has left."""

LOOK = 8
"""Steps after which a process that gets on looks for what has come: to look takes as long as a
small step."""


def main(control: Connection) -> None:
    """Run the workers of one process, until told to stop.

    Args:
        control: what joins it to the parent.
    """
    ignore_interrupts()
    refuse_connections()
    stop = StopSignal()
    stop.install()
    _die_with_parent()
    os.set_inheritable(control.fileno(), False)  # noqa: FBT003
    worker = _Worker(control, stop)
    try:
        with stop.armed():
            worker.await_orders()
        worker.run()
    except Stopped:
        pass
    _end_soon()


def _end_soon() -> None:
    """Wait for threads and processes that the user's code has left, but not for long.

    The interpreter waits for them, and sees to it that idle pools of threads end.
    """
    if threading.active_count() > 1 or multiprocessing.active_children():
        end = threading.Timer(LEFT_SECONDS, os._exit, (0,))
        end.daemon = True
        end.start()


def _die_with_parent() -> None:
    """Let the kernel end this process when the parent is gone.

    The parent holds the other end of a pipe. Its end brings a signal that ends also a process that
    is inside of a C call that holds the GIL, or is stopped.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None
    fd = int(parent.sentinel)
    fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC | os.O_NONBLOCK)
    poll = select.poll()
    poll.register(fd, 0)
    if poll.poll(0):
        os._exit(1)


def _be_as_the_caller(orders: Orders) -> None:
    """Take over what the caller may have set since it started the fork server."""
    zone = os.environ.get("TZ")
    os.environ.clear()
    os.environ.update(orders.environment)
    if os.environ.get("TZ") != zone:
        tzset()
    if orders.umask is not None:
        os.umask(orders.umask)
    # Not lower than as ever: what is ours needs some of it, too.
    sys.setrecursionlimit(max(orders.recursion, sys.getrecursionlimit()))


class _Worker:
    def __init__(self, control: Connection, stop: StopSignal) -> None:
        self._stop = stop
        self._poller = Poller()
        self._orders: Orders | None = None
        self._stopping = False
        self._has_left = False
        """Whether all that is here has been detached, and has done its work."""
        self._go = False
        self._has_asked = self._end_now = False
        self._is_asked_to_hold = False
        self._source: SourceActor | None = None
        self._known: dict[int, Knowledge] = {}
        """Where workers may have to change their processes: what they knew at first."""
        self._actors: dict[int, StageActor | SourceActor] = {}
        self._coroutines: list[tuple[int, Coroutine]] = []
        self._memory: Memory | None = None
        self._take_off: list[Callable[[], None]] = []
        """Take off what modules have set up to log, when processors are there; before `setup`."""
        self._is_copy = False
        """Whether this is no worker, but a process that the user's code has forked in one."""
        os.register_at_fork(after_in_child=self._become_copy)
        self._control = MessageEnd(control, self._on_message, self._poller)

    def await_orders(self) -> None:
        """Wait until it is known what there is to do."""
        while self._orders is None:
            self._poller.wait(None)

    def _on_message(self, message: Any) -> None:
        match message:
            case None:
                self._stopping = True
                raise Stopped
            case Orders():
                self._orders = message
            case Links():
                self._connect(message)
                self._say(CHANGED)
            case (name, slots) if name == DETACH:
                for actor in self._actors.values():
                    actor.way_out.outlet.detach(slots)
                self._say(CHANGED)
            case (name,) if name == STOP:
                self._stopping = True
            case (name,) if name == GO:
                self._go, self._is_asked_to_hold = True, False
            case (name,) if name == END_NOW:
                self._end_now = True
            case (name, batches) if name == RETIRED:
                assert self._source is not None
                self._source.window.retired += batches
            case other:
                self._on_moving(other)

    def _on_moving(self, message: Any) -> None:
        """Workers are to change their processes: the messages come in this order."""
        match message:
            case (name,) if name == HOLD:
                assert self._source is not None
                self._source.window.is_held = self._is_asked_to_hold = True
            case (name,) if name == ASK:
                self._say(STAY, self._staying())
            case Move():
                self._say(MOVED, self._move(message))
            case (name,) if name == RELEASE:
                assert self._source is not None
                self._source.window.is_held = False
            case other:
                raise AssertionError(f"the parent sent {other!r}")

    # -- the life of the process --

    def run(self) -> None:
        """Set up, work, clear up, say goodbye."""
        try:
            self._run()
        except BaseException as error:
            if self._is_copy:
                end_copy(error)
            raise

    def _become_copy(self) -> None:
        self._is_copy = True
        for actor in self._actors.values():
            if actor.stage is not None:
                actor.stage.passes = BaseException
            actor.way_out.ends = dict.fromkeys(actor.way_out.ends, EndOfCopy())
            for leaf in actor.way_out.outlet.leaves:
                leaf.credit = Credit()  # so that it does not wait for any

    def _run(self) -> None:
        assert self._orders is not None
        _be_as_the_caller(self._orders)
        drain = redirect(partial(self._say, PRINTED), self._stop.held)
        if self._orders.logged is not None:
            self._take_off.append(forward(self._orders.logged, partial(self._say, LOGGED)))
        if (levels := self._orders.levels) is not None:
            say = partial(self._say, LOGGED_BY_LOGURU)
            self._take_off.append(logged_by_loguru.forward(levels, say))
        if sys.__stderr__ is not None:
            faulthandler.enable(sys.__stderr__)
        failed = False
        try:
            with self._stop.armed():
                self._build(self._orders)
                self._say(READY)
                self._work()
        except Stopped:
            self._stopping = True
        # What the user's code raises, has come as ours.
        except (ConveyorError, OSError, MemoryError) as error:
            if self._is_copy:
                raise
            failed = True
            if not isinstance(error, ConveyorError):
                error = refused(f"the worker of stage {self._name!r} can't go on", error)
            self._fail(error)
        self._clear_up(failed=failed)
        if self._has_left and self._memory is not None:
            self._memory.leave()
        drain()
        if tapes := [tape for actor in self._actors.values() for tape in taken_off(actor)]:
            self._say(TAPED, tapes)
        self._say(GOODBYE)

    @property
    def _name(self) -> str:
        """The first stage of this process."""
        assert self._orders is not None
        plan, process = self._orders.plan, self._orders.process
        return next(one.element for one in plan.workers if one.process == process)

    def _say(self, *message: Any) -> None:
        """Send the parent a message, whole, whatever comes."""
        if self._is_copy:
            if message[0] != PRINTED:
                end_copy()
            # It has kept a stream of the worker's.
            _, fd, _, text = message
            os.write(fd, text.encode(errors="backslashreplace"))
            return
        with self._stop.held():
            self._control.send_now(message)

    def _fail(self, error: ConveyorError) -> None:
        """Tell the parent, and wait for it to say stop."""
        try:
            with self._stop.armed():
                self._say(FAILED, pack_error(error))
                while not self._stopping:
                    with suppress(ConveyorError):  # what still comes in may be as wrong
                        self._poller.wait(None)
        except Stopped:
            pass

    def _work(self) -> None:
        steps = 0
        while not (self._stopping or self._has_left):
            progress = False
            if self._source is not None:
                self._attend(self._source)
            for number, coroutine in self._coroutines:
                self._recorder.turn = number
                progress |= next(coroutine)
            steps += 1
            if not progress or self._poller.blocked or steps % LOOK == 0:
                self._wait(progress=progress)
        while not (self._stopping or self._is_flushed):
            self._poller.wait(None)

    def _attend(self, source: SourceActor) -> None:
        """Begin a run, or tell that it is held, if the parent wants that."""
        if self._go:
            self._go = self._has_asked = self._end_now = False
            self._recorder.turn = 0
            source.begin(None)
            source.window.is_held = self._is_asked_to_hold
        if self._is_asked_to_hold and source.window.is_idle and source.is_running:
            self._is_asked_to_hold = False
            self._say(HELD)

    def _wait(self, *, progress: bool) -> None:
        """Serve what is ready, and wait for it where there is nothing else to do."""
        memory = self._memory
        patience = memory.patience if memory is not None else None
        if not self._poller.wait(0 if progress else patience) and not progress and memory:
            memory.trim()

    @property
    def _is_flushed(self) -> bool:
        """Whether all that was sent is on its way: what waits here would end with the process."""
        ends = [end for actor in self._actors.values() for end in actor.way_out.ends.values()]
        return all(end.is_flushed for end in ends)

    def _clear_up(self, *, failed: bool) -> None:
        """Close generators of the user's code that are under way, then tear down."""
        actors = sorted(self._actors.items())
        steps = [(number, actor.leave_off) for number, actor in actors[::-1]]
        steps += [(number, actor.stage.teardown) for number, actor in actors if actor.stage]
        for number, step in steps:
            self._recorder.turn = number
            try:
                step()
            except ConveyorError as error:
                if not failed:
                    failed = True
                    self._say(FAILED, pack_error(error))

    # -- building --

    def _build(self, orders: Orders) -> None:
        plan = orders.plan
        here = [n for n, planned in enumerate(plan.workers) if planned.process == orders.process]
        take_shared(plan.workers[here[0]].element, orders.shared)
        memory = self._control.take_fd()
        self._recorder = Recorder(os.dup(memory), plan.hosted(orders.process))
        listen(memory, self._recorder)
        if orders.region is not None:
            may_leave = any(plan.workers[number].slot is not None for number in here)
            self._memory = Memory(self._control.take_fd(), orders.region, lends_on=not may_leave)
        self._take_in(orders, here, orders.processors)
        self._connect(orders.links)
        self._connect_locally(n for n, one in enumerate(plan.channels) if not one.durable)
        for number in here:
            self._set_up(number)
        self._take_off.clear()

    def _take_in(
        self, orders: Orders, workers: Collection[int], processors: Mapping[int, bytes]
    ) -> None:
        """Build workers of this process, by their numbers."""
        for number in workers:
            data = processors.get(number)
            stage = self._stage(orders, number, data) if data is not None else None
            self._actors[number] = actor = self._actor(orders, number, stage)
            if self._memory is not None:
                use(self._memory, actor)
            if orders.plan.is_shared:
                actor.meter = WorkMeter(self._recorder.gauge(number))
        # Downstream first: what is furthest on its way leaves room for the rest.
        self._actors = dict(sorted(self._actors.items(), reverse=True))
        self._coroutines = [(number, actor.coroutine) for number, actor in self._actors.items()]
        for actor in self._actors.values():
            actor.shares = len(self._actors) > 1

    def _connect_locally(self, channels: Iterable[int]) -> None:
        """Connect those of some channels that have both ends here."""
        assert self._orders is not None
        for number in channels:
            channel = self._orders.plan.channels[number]
            sender, receiver = self._actors.get(channel.source), self._actors.get(channel.target)
            if sender is not None and receiver is not None:
                connect_locally(sender, receiver, number)

    def _set_up(self, number: int) -> None:
        """Set up a worker, if it has a processor."""
        assert self._orders is not None
        actor = self._actors[number]
        if actor.stage is None:
            return
        self._recorder.turn = number
        started = perf_counter_ns()
        actor.stage.setup()
        actor.setup = Span("setup", started, perf_counter_ns())
        if self._orders.plan.is_shared:
            self._known[number] = Knowledge(actor.stage)

    def _staying(self) -> list[int]:
        """The workers here that could not go on as they are in another process.

        Between runs it is enough that they have nothing from their setup: each begins anew.
        """
        return [
            number
            for number, actor in self._actors.items()
            if isinstance(actor, SourceActor)
            or (known := self._known.get(number)) is None
            or known.has_setup
            or (actor.is_running and not known.is_as_before())
        ]

    def _move(self, move: Move) -> list[Accounts]:
        """Let workers leave and come; what those who left had counted."""
        assert self._orders is not None
        orders, before = self._orders, self._orders.plan
        plan = before.placed(move.processes)
        self._orders = orders = orders._replace(plan=plan)
        relaid = plan.relaid(before)
        for number in relaid:
            channel = plan.channels[number]
            if channel.source in self._actors:
                self._actors[channel.source].way_out.loosen(number)
            receiver = self._actors.get(channel.target)
            if isinstance(receiver, StageActor):
                receiver.way_in.loosen(number)
        accounts: list[Accounts] = []
        for number in [n for n in self._actors if plan.workers[n].process != orders.process]:
            actor = self._actors.pop(number)
            assert isinstance(actor, StageActor)
            del self._known[number]
            accounts += actor.leave()
        for number in move.processors:
            self._recorder.gauge(number).clear()
        self._take_in(orders, move.processors, move.processors)
        self._connect(move.links)
        self._connect_locally(relaid)
        for number in move.processors:
            self._set_up(number)
        return accounts

    def _stage(self, orders: Orders, number: int, data: bytes) -> Stage:
        planned = orders.plan.workers[number]
        assert planned.node is not None
        return stage_for(
            planned.node.settings,
            planned.element,
            partial(self._revived, planned.element, data),
            warm=orders.warm,
            passes=Stopped,
            failed=self._dropped,
            is_source=planned.kind == "source",
            at=self._recorder.fields,
            restarts=planned.restarts > 0,
        )

    def _revived(self, name: str, data: bytes) -> Processor[Any, Any]:
        """The processor as it was built.

        Raises:
            NotPicklable: it can't be loaded in the worker.
        """
        processor = unship(name, data)
        for take_off in self._take_off:
            take_off()
        return processor

    def _actor(self, orders: Orders, number: int, stage: Stage | None) -> StageActor | SourceActor:
        planned, channels = orders.plan.workers[number], orders.plan.channels
        if planned.kind == "source":
            self._source = SourceActor(
                planned,
                channels,
                orders.window,
                stage=stage,
                gauge=self._recorder.gauge(number),
                may_end=self._may_end,
                told=self._told,
                made=self._made,
                tape=partial(self._recorder.tape, number),
            )
            return self._source
        if not planned.restarts:
            return StageActor(
                number, planned, channels, stage=stage, recording=self._recorder, told=self._told
            )
        assert stage is not None
        return RestartableActor(
            number,
            planned,
            channels,
            stage=stage,
            recording=self._recorder,
            told=self._told,
            keeper=Journal(self._control.take_fd()),
            blame=_unpacked(orders.blame[number]) if number in orders.blame else None,
        )

    def _told(self, accounts: Accounts) -> None:
        self._has_left = all(actor.has_left for actor in self._actors.values())
        self._say(COUNTED, accounts, self._has_left)

    def _made(self, items: int) -> None:
        self._recorder.made = items

    def _dropped(self, error: ConveyorError, letter: DeadLetter | None) -> None:
        """Tell of an item that failed for good, at once: nothing is gathered here."""
        packed = pack_letter(letter) if letter is not None else None
        self._say(DROPPED, pack_error(error), packed, self._recorder.key)

    def _may_end(self) -> bool:
        """Whether the end may come: where forks follow the load, the parent is asked.

        Once all has come out, for then nothing is in forks that are about to change.
        """
        assert self._orders is not None
        assert self._source is not None
        if not self._orders.plan.scaled:
            return True
        if not self._has_asked and self._source.window.is_idle:
            self._has_asked = True
            self._say(AT_END)
        return self._end_now

    def _connect(self, links: Links) -> None:
        """Use the ends that came with a message."""
        assert self._orders is not None
        for actor in self._actors.values():
            actor.way_out.outlet.attach(links.slots)
        channels = self._orders.plan.channels
        for channel, is_upper in links.ends:
            connection = Connection(self._control.take_fd())
            log = Log(self._control.take_fd()) if channels[channel].durable else None
            end = channels[channel].source if is_upper else channels[channel].target
            connect = connect_upper if is_upper else connect_lower
            connect(self._actors[end], channel, connection, log, self._poller)


def _unpacked(blame: PackedBlame) -> Blame:
    entry, items, unloadable = blame
    why = {index: (unpack_error(error), tried) for index, (error, tried) in items.items()}
    return entry, why, unloadable
