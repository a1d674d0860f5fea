"""The branches of forks that follow the load: attached and detached while all runs.

To *attach* a branch, its processes are started with one end of each of their channels; once they
are set up, their neighbours get the other ends. To *detach* one, whoever sends to it is told to; it
then gets its end along with the stream, does what is to be done at an end, and its processes leave.

Every neighbour answers. Until all have, the end of the stream is held back, so that all agree
on how many ends there will be.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from time import monotonic

from conveyor import log
from conveyor.engines.processes.gauge import Reading
from conveyor.engines.processes.hand import Hand
from conveyor.engines.processes.load import LoadWatch
from conveyor.engines.processes.orders import DETACH, END_NOW
from conveyor.engines.processes.own_ends import OwnEnds
from conveyor.engines.processes.refused import SPARE, need_room, refused
from conveyor.engines.processes.staff import End, Staff
from conveyor.engines.processes.tally import Tally
from conveyor.errors import ResourceError
from conveyor.flow.scale import Decision
from conveyor.plan.model import PARENT


@dataclass(slots=True)
class _Change:
    """A change of what is attached, under way: there is one at a time.

    Attributes:
        decision: what is to be.
        slots: the branches that come or go.
        hands: their processes.
        channels: what opens with them, if they come.
        ends: for their neighbours, by process, what these get once they are ready.
        unanswered: neighbours that have been told, and have not answered.
    """

    decision: Decision
    slots: frozenset[int]
    hands: list[Hand]
    channels: Collection[int] = ()
    ends: Mapping[int, list[End]] = field(default_factory=dict[int, list[End]])
    unanswered: set[int] = field(default_factory=set[int])

    @property
    def is_attaching(self) -> bool:
        """Whether branches come."""
        return bool(self.channels)


class Branches:
    """Has each fork of a pipeline that follows the load as wide as it needs to be.

    Args:
        staff: the processes.
        own: the parent's own ends of what joins them.
        tally: what is counted in a run.
        load: decides how wide that is.

    Attributes:
        attached: the slots of the branches that are there.
    """

    def __init__(self, staff: Staff, own: OwnEnds, tally: Tally, load: LoadWatch) -> None:
        self._staff = staff
        self._own = own
        self._tally = tally
        self._load = load
        self.attached = load.first
        self._change: _Change | None = None
        self._is_ending = self._source_asks = False

    def begin(self) -> None:
        """A run begins."""
        self._is_ending = self._source_asks = False
        self._tally.expect(number for hand in self.joined() for number in hand.workers)
        self.join_if_ready()
        if self._staff.plan.scaled:
            self._load.begin(monotonic(), self._readings())

    def joined(self) -> list[Hand]:
        """The processes that get the end of this run."""
        attached = set(self._staff.plan.workers_with(self.attached))
        return [
            hand
            for hand in self._staff.hands.values()
            if not hand.has_left and attached.issuperset(hand.workers)
        ]

    def _readings(self) -> dict[int, Reading]:
        """What the gauges of all workers show that are attached."""
        readings = {n: one for hand in self.joined() for n, one in hand.readings().items()}
        if self._own.feed is not None:
            readings[0] = self._own.gauge.read()
        return readings

    # -- what is decided --

    def patience(self, now: float) -> float | None:
        """Seconds until there is something to decide; None for not before something comes."""
        return None if self._is_settled else self._load.patience(now)

    @property
    def _is_settled(self) -> bool:
        """Whether there is nothing to decide now about what is attached."""
        return not self._staff.plan.scaled or self._change is not None or self._is_ending

    def follow_load(self) -> None:
        """See whether the forks that follow the load have the width that they need."""
        if self._is_settled or self._load.patience(now := monotonic()) > 0:
            return
        decision = self._load.decide(now, self._readings())
        if decision is None:
            return
        try:
            self._begin_change(decision)
        except TimeoutError:
            raise
        except (OSError, MemoryError, EOFError, ResourceError) as error:
            self._refuse(decision, error)

    def _begin_change(self, decision: Decision) -> None:
        log.debug("{} is to be {} wide: {}", decision.fork, decision.width, decision.reason)
        (fork,) = (one for one in self._staff.plan.scaled if one.fork == decision.fork)
        attached = [slot for slot in fork.slots if slot in self.attached]
        if decision.width > len(attached):
            missing = [slot for slot in fork.slots if slot not in self.attached]
            self._attach(decision, frozenset(missing[: decision.width - len(attached)]))
        else:
            self._detach(decision, frozenset(attached[decision.width :]))

    def _refuse(self, decision: Decision, error: BaseException) -> None:
        """The system refuses what a wider fork needs: it stays as it is."""
        why = refused(f"{decision.fork} gets no wider", error)
        log.warning("{}", why)
        self._load.refused(decision, monotonic(), str(why).partition("\n")[0])

    def _has_changed(self, change: _Change, attached: frozenset[int]) -> None:
        self.attached = attached
        self._load.changed(change.decision, attached, monotonic(), self._readings())
        log.debug("{} is {} wide", change.decision.fork, change.decision.width)

    # -- attaching --

    def _attach(self, decision: Decision, slots: frozenset[int]) -> None:
        """Start the processes of some branches; they are joined to the others once set up."""
        plan, attached = self._staff.plan, self.attached | slots
        channels = sorted(
            set(plan.channels_with(attached)) - set(plan.channels_with(self.attached))
        )
        hands, ends = self._staff.add(attached, channels)
        for hand in hands:
            self._tally.come(hand)
        self._change = _Change(decision, slots, hands, channels, ends)

    def join_if_ready(self) -> None:
        """Join new processes to the others once they are set up, if the stream goes on."""
        change = self._change
        if change is None or not change.ends or self._is_ending:
            return
        if all(hand.is_ready for hand in change.hands):
            self._join(change)

    def _join(self, change: _Change) -> None:
        """Give the neighbours of new processes, which are ready, their ends."""
        try:
            # A change can be given up until somebody has been told of it.
            need_room(SPARE)
        except TimeoutError:
            raise
        except OSError as error:
            self._change = None
            laid = [end.connection for ends in change.ends.values() for end in ends]
            self._staff.dismiss(change.hands, laid)
            self._refuse(change.decision, error)
            return
        for number, ends in change.ends.items():
            if number != PARENT:
                self._staff.give(number, change.slots, ends)
                change.unanswered.add(number)
        own = change.ends.get(PARENT, [])
        change.ends = {}
        self._own.connect(change.slots, change.channels, own)
        self._go_on(change)

    # -- detaching --

    def _detach(self, decision: Decision, slots: frozenset[int]) -> None:
        """Tell all that send to some branches to send them their ends."""
        workers = self._staff.plan.workers
        hands = [
            hand for hand in self.joined() if any(workers[n].slot in slots for n in hand.workers)
        ]
        self._change = change = _Change(decision, slots, hands)
        for number in self._senders(slots):
            if number != PARENT:
                self._staff.hands[number].tell(DETACH, slots)
                change.unanswered.add(number)
            else:
                self._own.detach(slots)

    def _senders(self, slots: frozenset[int]) -> set[int]:
        """The processes that send into some branches."""
        plan = self._staff.plan
        channels = (plan.channels[n] for n in plan.channels_with(self.attached))
        return {
            self._staff.process(channel.source)
            for channel in channels
            if channel.slots & slots and plan.workers[channel.source].slot not in slots
        }

    def on_left(self) -> None:
        """A process that was detached has done its work. Once all have, it is a change."""
        change = self._change
        assert change is not None
        if all(hand.has_left for hand in change.hands):
            self._has_changed(change, self.attached - change.slots)

    def end_if_gone(self) -> None:
        """Make room for another change once all that left are gone, and all others know."""
        change = self._change
        if change is None or change.is_attaching or change.unanswered:
            return
        if not any(hand.number in self._staff.hands for hand in change.hands):
            self._change = None

    # -- answers, and the end of the stream --

    def on_answer(self, process: int) -> None:
        """A neighbour knows of the change."""
        assert self._change is not None
        self._change.unanswered.discard(process)
        self._go_on(self._change)

    def _go_on(self, change: _Change) -> None:
        """Once all neighbours know of a change, what is new is there, and runs may end."""
        if change.unanswered:
            return
        if change.is_attaching:
            self._tally.expect(number for hand in change.hands for number in hand.workers)
            self._has_changed(change, self.attached | change.slots)
            self._change = None
        self.end_if_gone()
        if self._source_asks:
            self.on_source_asks()

    def feed_may_end(self) -> bool:
        """Whether the feed may send the end: late, since forks can follow the load until then."""
        feed = self._own.feed
        assert feed is not None
        return not self._staff.plan.scaled or (feed.window.is_idle and self._may_end())

    def on_source_asks(self) -> None:
        """The source wants to send the end; where it may not yet, it is told once it may."""
        self._source_asks = not self._may_end()
        if not self._source_asks:
            self._staff.source.tell(END_NOW)

    def _may_end(self) -> bool:
        """Whether the end of the stream may come: what is attached stays as it is from then on."""
        if self._change is not None and self._change.unanswered:
            return False
        self._is_ending = True
        return True
