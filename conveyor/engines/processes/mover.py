"""Moves workers from one process to another, between two batches of a run.

The source is held until nothing is under way: then no worker has anything in work, no channel
anything on it, and no join waits for anything. So a worker can end in one process and begin in
another one as it was set up, if its processor knows no more than it did then; each process is
asked which of its workers know more. The channels of those who move are laid anew.

    parent                source            every process
      |------ hold -------->|                    |
      |<----- held ---------|  nothing is under way
      |------------------------- ask ----------->|
      |<------------------------ stay -----------|  who knows more
      |------------------------- move ---------->|  with new ends
      |<------------------------ moved ----------|  with what was counted
      |------ release ----->|                    |

"""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Literal

from conveyor import log
from conveyor.engines.processes.accounts import Accounts
from conveyor.engines.processes.gauge import Reading
from conveyor.engines.processes.orders import ASK
from conveyor.engines.processes.origin import Origin
from conveyor.engines.processes.own_ends import OwnEnds
from conveyor.engines.processes.placing import PlaceWatch
from conveyor.engines.processes.staff import Staff
from conveyor.engines.processes.tally import Tally
from conveyor.flow.place import Placement


class Mover:
    """Has the workers of a pipeline where they share processes most evenly.

    Args:
        staff: their processes.
        own: the parent's own ends of what joins them.
        origin: what makes the batches.
        tally: what they count.
    """

    def __init__(self, staff: Staff, own: OwnEnds, origin: Origin, tally: Tally) -> None:
        self._staff = staff
        self._own = own
        self._origin = origin
        self._tally = tally
        self.watch = PlaceWatch(staff.plan)
        self._state: Literal["watching", "holding", "asking", "moving"] = "watching"
        self._unanswered: set[int] = set()
        self._stay: set[int] = set()
        self._placement: Placement | None = None

    def begin(self) -> None:
        """A run has begun, and nothing been sent yet."""
        self._state = "watching"
        if self.watch.is_on and self.watch.begin(monotonic()):
            self._hold()

    def end(self) -> None:
        """A run has ended."""
        if self.watch.is_on:
            self.watch.end(self._readings())

    def patience(self, now: float) -> float | None:
        """Seconds until there is something to do though nothing comes; None for never."""
        match self._state:
            case "watching" if self.watch.is_on:
                return self.watch.patience(now)
            case "holding" if self._origin.is_seen_idle:
                return 0.0
            case _:
                return None

    def look(self) -> None:
        """See whether there is something to do."""
        if not self.watch.is_on or self.patience(now := monotonic()) != 0:
            return
        if self._state == "holding":
            self.on_held()
        elif self.watch.look(now, self._readings(), self._origin.retired):
            self._hold()

    def _hold(self) -> None:
        self._state = "holding"
        self._origin.hold()

    def on_held(self) -> None:
        """Nothing is under way: ask who can be moved."""
        self._state, self._stay = "asking", set()
        for hand in self._staff.hands.values():
            hand.tell(ASK)
        self._unanswered = set(self._staff.hands)

    def on_stay(self, process: int, workers: list[int]) -> None:
        """A process has told which of its workers can't be moved."""
        self._stay.update(workers)
        self._unanswered.discard(process)
        if self._unanswered:
            return
        self._placement = self.watch.decide(self._readings(), self._stay)
        if self._placement is None:
            self._release()
        else:
            self._state = "moving"
            self._move(self.watch.moves(self._placement))

    def _move(self, moves: Mapping[int, int]) -> None:
        """Tell all processes, and lay anew what is the parent's own: nothing is on any channel."""
        relaid, ends = self._staff.move(moves)
        self._own.loosen(relaid)
        self._own.connect(frozenset(), relaid, ends)
        self._unanswered = set(self._staff.hands)

    def on_moved(self, process: int, accounts: list[Accounts]) -> None:
        """A process has done its part of a move."""
        for one in accounts:
            self._tally.accounts.add(one)
        self._unanswered.discard(process)
        if self._unanswered:
            return
        assert self._placement is not None
        # What they count is in other places now.
        self._tally.move(self.watch.moves(self._placement))
        for hand in self._staff.hands.values():
            hand.host(self._staff.plan)
        self.watch.changed(monotonic(), self._staff.plan, self._placement.reason)
        log.debug("{}", self.watch.placed[-1])
        self._release()

    def _readings(self) -> dict[int, Reading]:
        """What the gauges show of all workers in processes."""
        return {n: one for hand in self._staff.hands.values() for n, one in hand.readings().items()}

    def _release(self) -> None:
        self._state = "watching"
        self._origin.release()
