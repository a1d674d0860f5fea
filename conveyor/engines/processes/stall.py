"""Looks now and then whether anything moves in a run, and tells of one that stands still."""

from __future__ import annotations

from collections.abc import Hashable

from conveyor import log
from conveyor.engines.counters import BUSY
from conveyor.engines.processes.crew import Crew
from conveyor.engines.processes.hand import Hand
from conveyor.engines.processes.look import Sight, sights, stacks
from conveyor.engines.processes.vitals import (
    STOPPED,
    condition,
    cpu_seconds_with_children,
    is_running,
)
from conveyor.engines.processes.waits import stack_lines, table, verdict, waited_for
from conveyor.errors import Stalled
from conveyor.flow.stall import Look, Stillness

QUIET = 60.0
"""Seconds after which a run that stands still is logged, where nothing else is asked for."""


class StallWatch:
    """Looks whether anything moves in the runs of a crew.

    Args:
        crew: whose.
        stalled: the seconds after which a run that stands still is ended; None for never.
    """

    def __init__(self, crew: Crew, stalled: float | None) -> None:
        self._crew = crew
        self._raises = stalled is not None
        self._stillness = Stillness(QUIET if stalled is None else stalled)
        self._due = 0.0
        self._marks: Hashable = None

    def begin(self) -> None:
        """A run begins."""
        self._stillness.begin()

    def patience(self, now: float) -> float:
        """Seconds until the next look."""
        return max(0.0, self._due - now)

    def look(self, now: float) -> None:
        """See whether anything has moved, if it is time to.

        Raises:
            Stalled: nothing has, for longer than is allowed.
        """
        if now < self._due:
            return
        self._due = now + self._stillness.period
        match self._stillness.look(now, self._seen()):
            case "slow":
                log.warning_of(self._slow)
            case "stalled" if self._raises:
                error = self._error()
                log.warning("{}", error)
                raise error
            case "stalled":
                log.warning_of(lambda: str(self._error()))
            case None:
                pass

    # -- what is seen --

    def _seen(self) -> Look:
        before, self._marks = self._marks, _marks(self._crew)
        marks, is_due = self._marks, _is_due(self._crew)
        if not is_due or marks != before:  # then it does not matter who computes
            return Look(marks, is_due)
        hands = self._crew.staff.hands.values()
        at_work = (hand.process.pid for hand in hands if _is_at_work(hand))
        return Look(
            marks,
            is_due=True,
            is_running=any(is_running(hand.process.pid) for hand in hands),
            cpu=sum(map(cpu_seconds_with_children, at_work)),
        )

    # -- what is told --

    def _slow(self) -> str:
        """Of whom is at work, which a signal might disturb, no stack is asked for."""
        found = sights(self._crew)
        at = ", ".join(map(_at, waited_for(found))) or "a worker"
        head = f"{at} computes, and nothing has moved for {self._stillness.still:.1f} s"
        return "\n".join([head, *table(found)])

    def _error(self) -> Stalled:
        found = sights(self._crew)
        under_way = self._crew.origin.under_way
        batches = "1 batch is" if under_way == 1 else f"{under_way} batches are"
        lines = [
            f"{batches} under way; who waits for whom",
            *table(found),
            verdict(found, "nobody is at work: each waits for another one"),
            *stack_lines(found, stacks(self._crew)),
        ]
        culprit = max(waited_for(found), key=lambda one: one.seconds or 0.0, default=None)
        stage, item = (None, None) if culprit is None else (culprit.stage, culprit.item)
        return Stalled(stage, item, self._stillness.limit, "\n".join(lines))


def _at(sight: Sight) -> str:
    item = "" if sight.item is None else f" on item {sight.item}"
    since = "" if sight.seconds is None else f", at work for {sight.seconds:.1f} s"
    return f"stage {sight.stage!r}{item}{since},"


def _marks(crew: Crew) -> Hashable:
    """What differs whenever something has moved, or a worker has come or gone."""
    feed = crew.own.feed
    return (
        tuple(
            (hand.process.pid, hand.is_ready, hand.recorder.pulse)
            for hand in crew.staff.hands.values()
        ),
        None if feed is None else (feed.window.sent, feed.window.retired),
        crew.own.sink.gauge.read().batches,
        crew.tally.missing,
    )


def _is_due(crew: Crew) -> bool:
    """Whether something should move: not where all has come out, and the run waits for items."""
    feed = crew.own.feed
    if feed is not None:
        return not (feed.awaits_items and feed.window.is_idle)
    source = crew.staff.source
    makes_items = source.recorder.gauge(0).state[0] == BUSY
    return not makes_items or crew.origin.under_way > 0 or condition(source.process.pid) == STOPPED


def _is_at_work(hand: Hand) -> bool:
    gauges = (hand.recorder.gauge(number) for number in hand.workers)
    return not hand.is_ready or any(gauge.state[0] == BUSY for gauge in gauges)
