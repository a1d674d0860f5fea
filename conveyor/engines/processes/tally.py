"""What is counted in a run: what workers report at its end, and what their gauges show before."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from time import monotonic

from conveyor.engines.counted import Counted, measured_by
from conveyor.engines.processes.accounts import Accounts
from conveyor.engines.processes.hand import Hand
from conveyor.engines.processes.meters import Meters
from conveyor.engines.processes.own_ends import OwnEnds
from conveyor.engines.processes.staff import Staff
from conveyor.engines.samples import Sample, Sampler


class Tally:
    """What all workers of a pipeline count in a run, and how it goes over the time.

    Args:
        staff: their processes.
        own: the feed and the sink.

    Attributes:
        accounts: what has been reported in this run.
        missing: how many workers have yet to report, of those that do.
    """

    def __init__(self, staff: Staff, own: OwnEnds) -> None:
        workers = staff.plan.workers
        self._staff = staff
        self._own = own
        self.accounts = Accounts()
        self.missing = 0
        self._is_traced = False
        self._reported: dict[int, int] = {}
        """For workers, the last run that they reported of."""
        self._reporting = frozenset(n for n, worker in enumerate(workers) if worker.reports)
        self._sampler = Sampler({n: worker.element for n, worker in enumerate(workers)})
        self._meters = Meters(staff.plan, own.gauge if own.feed else None, own.sink.gauge)

    # -- what workers report --

    def clear(self, *, is_traced: bool) -> None:
        """Forget the run before."""
        self.accounts = Accounts()
        self._is_traced = is_traced
        self.missing = 0
        if self._own.feed is not None:
            self.expect([0])

    def expect(self, workers: Iterable[int]) -> None:
        """These workers are in the run: those among them that report will do so."""
        reporting = self._reporting
        self.missing += sum(self._is_traced or number in reporting for number in workers)

    def report(self, accounts: Accounts) -> None:
        """A worker in a process reports; one that was started again may do so twice."""
        if accounts.run > self._reported.get(accounts.worker, 0):
            self._reported[accounts.worker] = accounts.run
            self.add(accounts)

    def add(self, accounts: Accounts) -> None:
        """A worker has reported."""
        self.accounts.add(accounts)
        self.missing -= 1

    def come(self, hand: Hand) -> None:
        """The workers of a new process count their runs from 1."""
        for worker in hand.workers:
            self._reported.pop(worker, None)

    # -- what gauges show --

    def begin(self) -> None:
        """A run begins: what gauges show beyond what they show now is its."""
        self._meters.begin(self._staff.hands.values())
        self._sampler.begin(monotonic(), self._meters.glances())

    def patience(self, now: float) -> float:
        """Seconds until the next sample is due."""
        return self._sampler.patience(now)

    def sample(self, now: float) -> None:
        """Look how far the run is."""
        self.counted()
        self._sampler.look(now, self._meters.glances())

    def counted(self) -> list[Counted]:
        """What all workers have counted since the run began."""
        return self._meters.read(self._staff.hands.values())

    @property
    def samples(self) -> Sequence[Sample]:
        """How the run went so far."""
        return self._sampler.samples

    def end(self) -> tuple[list[Counted], Sequence[Sample]]:
        """What has been counted in a run that has ended, and how it went."""
        counted = self.counted()
        # Who does report what became of its items has not counted what was done again.
        self.accounts.nodes = {**measured_by(counted), **self.accounts.nodes}
        return counted, self._sampler.end(monotonic(), self._meters.glances())

    # -- who counts --

    def leave(self, hand: Hand) -> None:
        """A process has ended, and its memory is about to go."""
        self._meters.leave(hand)

    def inherit(self, hand: Hand, before: Hand) -> None:
        """A process takes the place of another one, whose counters it goes on with."""
        self._meters.inherit(hand, before)

    def move(self, moves: Collection[int]) -> None:
        """Some workers are in other processes now, where they begin to count anew.

        Their hands do not know it yet: what they counted before is read for the last time.
        """
        self.sample(monotonic())
        for hand in self._staff.hands.values():
            for number in moves:
                if number in hand.workers:
                    self._meters.move(hand, number)
                    self._sampler.forget(number)
                    self._reported.pop(number, None)
