"""A pipeline that is live, from the parent's side: started, run, heard and ended.

Each role has an object of its own. What is here is what ties them together: a run, in which all of
them have their turns; the news from workers, each of which is for one of them; and the end.
"""

from __future__ import annotations

import signal
from collections.abc import Collection, Iterator
from time import monotonic, perf_counter
from typing import Any, Literal, Protocol

from conveyor import log
from conveyor.engines.letters import Failures
from conveyor.engines.processes import logged, logged_by_loguru
from conveyor.engines.processes.accounts import Accounts
from conveyor.engines.processes.branches import Branches
from conveyor.engines.processes.hand import Hand
from conveyor.engines.processes.interrupts import interrupts_held, interrupts_let_in
from conveyor.engines.processes.load import LoadWatch
from conveyor.engines.processes.mover import Mover
from conveyor.engines.processes.orders import (
    AT_END,
    CHANGED,
    COUNTED,
    DROPPED,
    FAILED,
    GOODBYE,
    HELD,
    LOGGED,
    LOGGED_BY_LOGURU,
    MOVED,
    PRINTED,
    READY,
    STAY,
    STOP,
    TAPED,
)
from conveyor.engines.processes.origin import origin_of
from conveyor.engines.processes.own_ends import OwnEnds
from conveyor.engines.processes.refused import refused
from conveyor.engines.processes.staff import Staff
from conveyor.engines.processes.tally import Tally
from conveyor.engines.processes.wire import unpack_error, unpack_letter
from conveyor.engines.processes.worker import LOOK
from conveyor.engines.tape import Tape
from conveyor.engines.watch import Watch
from conveyor.errors import ConveyorError, ResourceError, StageTimeout, WorkerDied
from conveyor.plan import Plan
from conveyor.plan.model import PARENT

SEEN_SECONDS = 0.2
"""Seconds after which what another thread says is seen, though nothing comes from a worker."""

HEARD = 100
"""How often at the end of a run it is looked whether workers have said more."""

GRACE = 0.5
"""Seconds that a worker has to clear up when a run is broken off; then it is killed."""

OVERDUE_LOOK_SECONDS = 0.1
"""Seconds from one look for items that are overdue to the next."""

GOODBYE_GRACE = 5.0
"""Seconds that the process of a worker has to end once it has said goodbye."""


class Stalls(Protocol):
    """Sees to it that a run which stands still is told of."""

    def begin(self) -> None:
        """A run begins."""

    def patience(self, now: float) -> float:
        """Seconds until the next look."""
        ...

    def look(self, now: float) -> None:
        """See whether anything has moved, if it is time to; raise if that is to end the run."""


class Crew:
    """The worker processes of a pipeline that is live, and the parent's own ends.

    Args:
        plan: what runs.
        cores: how many cores there are for forks that follow the load.
        warm: whether there may be more than one run.

    Attributes:
        staff: the processes, and the channels between them.
        own: the feed and the sink.
        origin: what makes the batches.
        tally: what is counted in a run.
        load: decides how wide forks are to be that follow the load, and
        branches: has them so.
        mover: has the workers that share processes where they share them most evenly.
    """

    def __init__(self, plan: Plan, *, cores: int, warm: bool) -> None:
        self.staff = Staff(plan, warm=warm, on_message=self._on_message, on_death=self._on_death)
        self.watch: Watch | None = None
        """Who looks at the run under way, between batches."""
        self.stalls: Stalls | None = None
        """Who looks whether anything moves in the run under way."""
        self._failures = Failures()
        self._has_run = False
        self._error: ConveyorError | None = None
        self._unwanted: ConveyorError | None = None
        """Why the run under way is to end, where somebody wants that."""
        self._state: Literal["working", "finishing", "stopping"] = "working"
        self.load = LoadWatch(plan, cores)
        self.own = OwnEnds(self.staff, may_end=self._feed_may_end, told=self._feed_told)
        self.origin = origin_of(self.own, self.staff)
        self.tally = Tally(self.staff, self.own)
        self.branches = Branches(self.staff, self.own, self.tally, self.load)
        self.mover = Mover(self.staff, self.own, self.origin, self.tally)

    @property
    def tapes(self) -> list[Tape]:
        """What is known of what each worker did in the last run, where that was traced."""
        return [*self.tally.accounts.tapes, *self.own.tapes()]

    # -- start --

    @interrupts_held()
    def start(self) -> None:
        """Start all processes that are wanted at first, side by side.

        Raises:
            NotPicklable: a processor can't travel; no process has been started then.
        """
        with interrupts_let_in():  # for it is the user's code that is pickled
            self.own.share(self.staff.prepare())
        attached = self.branches.attached
        try:
            self._open_arena()
            hands = self.staff.hire(attached)
            channels = self.staff.plan.channels_with(attached)
            ends = self.staff.equip(hands, attached, channels)
            self.own.connect(attached, channels, ends.pop(PARENT, []))
        except BaseException:
            self.stop(at_once=True)
            raise

    def _open_arena(self) -> None:
        self.staff.open_arena()
        if self.staff.memory is not None:
            self.own.use(self.staff.memory)

    # -- a run --

    def begin(self, items: Iterator[Any], failures: Failures, *, is_traced: bool) -> None:
        """Begin a run."""
        self.tally.clear(is_traced=is_traced)
        self._failures = failures
        self.staff.kept.begin()
        self._revive(self.staff.kept.dead)
        self.staff.trace(is_traced)
        self.branches.begin()
        self.own.begin(is_traced=is_traced)
        self.tally.begin()
        if self.stalls is not None:
            self.stalls.begin()
        self.origin.begin(items)
        self.mover.begin()

    def has_lost_any(self) -> bool:
        """Whether a worker has died since the last run, when there was nothing to do."""
        if not self._has_run:
            return False  # it died of its setup, which would be no better the next time
        self.staff.poller.wait(0)
        return isinstance(self._error, WorkerDied)

    def fail(self, error: ConveyorError) -> None:
        """Let the run that is at work end with an error, within `SEEN_SECONDS`: from any thread."""
        self._unwanted = error

    def forgive(self) -> None:
        """Forget that a run was to end, which had come to its end already."""
        self._unwanted = None

    @property
    def has_failed(self) -> bool:
        """Whether its run can't go on."""
        return (self._error or self._unwanted) is not None

    def outputs(self) -> Iterator[list[Any]]:
        """The outputs of the run, a frame at a time, as the consumer asks for them."""
        sink, feed = self.own.sink, self.own.feed
        steps = 0
        while True:
            steps += 1
            while sink.way_in.ready:
                items, is_complete = sink.take()
                if items:
                    started = perf_counter()
                    yield items
                    sink.consumed(len(items), perf_counter() - started)
                if is_complete:
                    self.origin.retire()
                if sink.has_ended:
                    sink.way_in.account(self.tally.accounts)
            progress = feed is not None and next(feed.coroutine)
            if self._is_done:
                break
            if not progress or self.staff.poller.blocked or steps % LOOK == 0:
                self._serve(progress or bool(sink.way_in.ready))
        self._hear_all()
        self.mover.end()
        self._has_run = True

    def _hear_all(self) -> None:
        """Hear what workers have said before they sent the end: what they print, as a rule."""
        for _ in range(HEARD):  # who goes on to talk, from a thread, is heard later
            if not self._serve(is_busy=True):
                break

    @property
    def restarts(self) -> dict[str, int]:
        """How often workers were started again in this run, by the stages that had work."""
        return dict(self.staff.kept.restarted)

    @property
    def _is_done(self) -> bool:
        return self.own.sink.has_ended and self.tally.missing == 0

    def _serve(self, is_busy: bool) -> bool:  # noqa: FBT001
        """Let everything that is ready go on, wait for it if need be, and raise what went wrong.

        Returns:
            Whether something was ready.
        """
        now = monotonic()
        if self.tally.patience(now) <= 0:
            self.tally.sample(now)
        try:
            has_come = self.staff.poller.wait(0 if is_busy else self._patience())
        except TimeoutError:
            raise
        except (OSError, MemoryError) as error:
            raise refused("the run can't go on", error) from error
        if self._error is not None:
            raise self._error
        if self._unwanted is not None:
            raise self._unwanted
        if self.watch is not None:
            self.watch.look()
        if self.stalls is not None:
            self.stalls.look(now)
        self.branches.follow_load()
        self.mover.look()
        if self.staff.kept.dead:
            self._revive(self.staff.kept.due(monotonic()))
        for hand in self._timed():
            hand.end_if_overdue()
        return has_come

    def _patience(self) -> float:
        """Seconds until there is something to look at, though nothing comes."""
        now = monotonic()
        patience = min(SEEN_SECONDS, self.tally.patience(now))
        if self.staff.kept.dead or any(self._timed()):
            patience = min(patience, OVERDUE_LOOK_SECONDS)
        if self.stalls is not None:
            patience = min(patience, self.stalls.patience(now))
        for until in (self.branches.patience(now), self.mover.patience(now)):
            if until is not None:
                patience = min(patience, until)
        return patience if self.watch is None else self.watch.patience(patience)

    def _timed(self) -> Iterator[Hand]:
        """The processes in which an item may be overdue."""
        return (hand for hand in self.staff.hands.values() if hand.is_timed)

    # -- news --

    def _feed_may_end(self) -> bool:
        """The feed asks whether it may send the end of the stream."""
        return self.branches.feed_may_end()

    def _feed_told(self, accounts: Accounts) -> None:
        """The feed tells what it has counted in a run."""
        self.tally.add(accounts)

    def _on_message(self, hand: Hand, message: tuple[Any, ...]) -> None:
        """A worker process has sent something."""
        match message:
            case (name, accounts, has_left) if name == COUNTED:
                hand.has_left = has_left
                self.tally.report(accounts)
                if has_left:
                    self.branches.on_left()
            case (name,) if name == READY:
                log.debug("process {} is ready", hand.process.pid)
                hand.is_ready = True
                self.branches.join_if_ready()
            case (name,) if name == CHANGED:
                self.branches.on_answer(hand.number)
            case (name,) if name == AT_END:
                self.branches.on_source_asks()
            case (name,) if name == GOODBYE:
                hand.has_taken_leave = True
            case (name, data) if name == FAILED:
                self._error = self._error or unpack_error(data)
            case (name, error, letter, key) if name == DROPPED:
                self._on_dropped(error, letter, key)
            case other:
                self._on_report(hand, other)

    def _on_report(self, hand: Hand, message: tuple[Any, ...]) -> None:
        """A worker process has sent something that changes nothing for others."""
        match message:
            case (name, stream, thread, text) if name == PRINTED:
                hand.printed.take(stream, thread, text)
            case (name, fields) if name == LOGGED:
                logged.handle(fields)
            case (name, fields) if name == LOGGED_BY_LOGURU:
                logged_by_loguru.handle(fields)
            case (name, tapes) if name == TAPED:
                self.tally.accounts.tapes += tapes
            case other:
                self._on_moving(hand, other)

    def _on_moving(self, hand: Hand, message: tuple[Any, ...]) -> None:
        """A worker process has sent something because workers are to change theirs."""
        match message:
            case (name,) if name == HELD:
                self.mover.on_held()
            case (name, workers) if name == STAY:
                self.mover.on_stay(hand.number, workers)
            case (name, accounts) if name == MOVED:
                self.mover.on_moved(hand.number, accounts)
            case other:
                raise AssertionError(f"a worker sent {other!r}")

    def _on_dropped(self, packed: bytes, letter: bytes | None, key: tuple[int, ...] | None) -> None:
        """An item has failed for good, and the run goes on as long as it bears that."""
        if not self.staff.kept.is_new(key):
            return
        error = unpack_error(packed)
        items = self.origin.made
        try:
            dead = None if letter is None else unpack_letter(letter, error)
        except ConveyorError as failed:
            self._error = self._error or failed
        else:
            self._error = self._error or self._failures.add(error, dead, items)

    def _on_death(self, hand: Hand) -> None:
        """A worker process has ended."""
        if self._state == "stopping" or (self._state == "finishing" and hand.has_taken_leave):
            return
        if not (hand.has_left and hand.has_taken_leave):
            error = hand.died()
            if self._state == "finishing" and self.staff.is_restartable(hand):
                log.warning("{}; all its work was done", error)
                return
            if self._state == "working" and self._error is None and self._may_revive(hand, error):
                return
            self._error = self._error or error
            return
        log.debug("process {} has left", hand.process.pid)
        self.staff.remove(hand)
        self.tally.leave(hand)
        hand.close()
        self.branches.end_if_gone()

    def _may_revive(self, hand: Hand, error: WorkerDied | StageTimeout) -> bool:
        """Bury a worker process that has died, if another one is to take its place."""
        if not self.staff.kept.bury(hand, error, monotonic()):
            return False
        log.warning("{}; it is started again, in place of process {}", error, hand.process.pid)
        self.staff.remove(hand)
        return True

    def _revive(self, dead: Collection[Hand]) -> None:
        """Start processes in place of those that died; nobody else has to know."""
        for before in list(dead):
            try:
                self._replace(before)
            except TimeoutError:
                raise
            except (OSError, MemoryError, EOFError, ResourceError) as error:
                raise self.staff.kept.not_revived(before, error) from error

    def _replace(self, before: Hand) -> None:
        """Start a process in place of one that died."""
        hand = self.staff.replace(before)
        self.tally.inherit(hand, before)
        self.staff.restore(hand, self.branches.attached)
        self.staff.kept.revived(before)

    # -- the end --

    @interrupts_held()
    def finish(self) -> None:
        """Let all workers clear up and end, however long that takes them.

        Raises:
            ConveyorError: a teardown failed, or a worker died in it.
        """
        self._state = "finishing"
        joined = self.branches.joined()
        for hand in self.staff.hands.values():
            hand.tell(STOP)
            if hand not in joined:
                # It has nothing to clear up but its own setup, which may take long yet.
                hand.process.send_signal(signal.SIGTERM)
        while not all(hand.has_taken_leave for hand in self.staff.alive):
            with interrupts_let_in():
                self.staff.poller.wait(None)
        # What is left in them now are threads that the user's code did not end. They see to
        # that themselves, where they still can.
        self.staff.wait_for_all(GOODBYE_GRACE)
        self._end_now()
        if self._error is not None:
            raise self._error

    @interrupts_held()
    def stop(self, *, at_once: bool = False) -> None:
        """End all workers, with a short grace to clear up, and clear everything away."""
        self._state = "stopping"
        try:
            if not at_once:
                for hand in self.staff.hands.values():
                    hand.tell(STOP)
                    hand.process.send_signal(signal.SIGTERM)
                self.staff.wait_for_all(GRACE)
        finally:
            self._end_now()
            self._error = self._unwanted = None  # which keep all that they came through, and us

    def _end_now(self) -> None:
        self.staff.kill()
        self.own.close()
        self.staff.close()
