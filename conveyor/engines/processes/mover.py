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
from typing import Literal, Protocol

from conveyor import log
from conveyor.engines.processes.accounts import Accounts
from conveyor.engines.processes.placing import PlaceWatch
from conveyor.engines.processes.recorder import Reading
from conveyor.flow.place import Placement
from conveyor.plan import Plan


class Moved(Protocol):
    """What the mover asks of a crew."""

    accounts: Accounts

    @property
    def retired(self) -> int:
        """The batches of this run that have gone all the way."""
        ...

    @property
    def plan(self) -> Plan:
        """What runs, with the workers where they are now."""
        ...

    def hold(self) -> None:
        """Let the source send nothing more for now."""

    def release(self) -> None:
        """Let the source go on."""

    @property
    def is_feed_held(self) -> bool:
        """Whether the items are the caller's, and nothing is under way. A source tells it."""
        ...

    def work_readings(self) -> dict[int, Reading]:
        """What the gauges show of all workers in processes."""
        ...

    def ask_all(self) -> set[int]:
        """Ask each process who has to stay in it; the numbers of those that were asked."""
        ...

    def move(self, moves: Mapping[int, int]) -> set[int]:
        """Have workers in other processes from now on; the numbers of those that were told."""
        ...

    def moved(self, moves: Mapping[int, int]) -> None:
        """Those who were told have done so."""


class Mover:
    """Has the workers of a crew where they share processes most evenly.

    Args:
        crew: the crew.
    """

    def __init__(self, crew: Moved) -> None:
        self._crew = crew
        self.watch = PlaceWatch(crew.plan)
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
            self.watch.end(self._crew.work_readings())

    def patience(self, now: float) -> float | None:
        """Seconds until there is something to do though nothing comes; None for never."""
        match self._state:
            case "watching" if self.watch.is_on:
                return self.watch.patience(now)
            case "holding" if self._crew.is_feed_held:
                return 0.0
            case _:
                return None

    def look(self) -> None:
        """See whether there is something to do."""
        if not self.watch.is_on or self.patience(now := monotonic()) != 0:
            return
        if self._state == "holding":
            self.on_held()
        elif self.watch.look(now, self._crew.work_readings(), self._crew.retired):
            self._hold()

    def _hold(self) -> None:
        self._state = "holding"
        self._crew.hold()

    def on_held(self) -> None:
        """Nothing is under way: ask who can be moved."""
        self._state, self._stay = "asking", set()
        self._unanswered = self._crew.ask_all()

    def on_stay(self, process: int, workers: list[int]) -> None:
        """A process has told which of its workers can't be moved."""
        self._stay.update(workers)
        self._unanswered.discard(process)
        if self._unanswered:
            return
        self._placement = self.watch.decide(self._crew.work_readings(), self._stay)
        if self._placement is None:
            self._release()
        else:
            self._state = "moving"
            self._unanswered = self._crew.move(self.watch.moves(self._placement))

    def on_moved(self, process: int, accounts: list[Accounts]) -> None:
        """A process has done its part of a move."""
        for one in accounts:
            self._crew.accounts.add(one)
        self._unanswered.discard(process)
        if self._unanswered:
            return
        assert self._placement is not None
        self._crew.moved(self.watch.moves(self._placement))
        self.watch.changed(monotonic(), self._crew.plan, self._placement.reason)
        log.debug("{}", self.watch.placed[-1])
        self._release()

    def _release(self) -> None:
        self._state = "watching"
        self._crew.release()
