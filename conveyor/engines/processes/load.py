"""Watches the load of a running pipeline: what its gauges show, and what follows for its forks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from conveyor.engines.processes.gauge import Reading
from conveyor.engines.stats import Width
from conveyor.flow.scale import Decision, Load, Scaler
from conveyor.plan import Plan
from conveyor.plan.model import Scaled

PERIOD = 0.1
"""Seconds from one look to the next: some times what it takes to start a worker."""

TOO_LONG = 1.0
"""Where the parent was away for so many seconds, what the gauges show tells more about that."""


KEPT = "as the run before left it"
"""Why a fork has the width that it has when a run begins, but for the first."""


class LoadWatch:
    """Looks now and then how busy the workers are, and decides about the widths of forks.

    Args:
        plan: what runs.
        cores: how many cores there are for it.

    Attributes:
        first: the slots that are attached at first.
        widths: for each AUTO fork, its widths since the run began.
    """

    def __init__(self, plan: Plan, cores: int) -> None:
        self._plan = plan
        self._scaler = Scaler(plan.bounds, cores)
        self._widths = {one.fork: one for one in self._scaler.first()}
        self.first = frozenset(
            slot for one in plan.scaled for slot in one.slots[: self._widths[one.fork].width]
        )
        self._attached: frozenset[int] = self.first
        self._senders = {one.fork: self._senders_of(one) for one in plan.scaled}
        self._began = self._looked = 0.0
        self._is_refused = False
        """Whether the system has refused another worker in this run."""
        self._before: Mapping[int, Reading] = {}
        self._kept = {fork: Width(0.0, *kept) for fork, kept in plan.kept.items()}
        self.widths: dict[str, list[Width]] = self._at_first()

    def _senders_of(self, fork: Scaled) -> set[int]:
        workers = self._plan.workers
        entering = (one for one in self._plan.channels if one.slots & set(fork.slots))
        return {one.source for one in entering if workers[one.source].slot not in fork.slots}

    def begin(self, now: float, readings: Mapping[int, Reading]) -> None:
        """A run begins."""
        self._began = now
        self._is_refused = False
        self._look(now, readings)
        self._scaler.pause()
        self.widths = self._at_first()
        self._widths = {fork: one._replace(reason=KEPT) for fork, one in self._widths.items()}

    def _at_first(self) -> dict[str, list[Width]]:
        first = {fork: Width(0.0, one.width, one.reason) for fork, one in self._widths.items()}
        return {fork: [one] for fork, one in {**first, **self._kept}.items()}

    def patience(self, now: float) -> float:
        """Seconds until the next look."""
        return max(0.0, self._looked + PERIOD - now)

    def decide(self, now: float, readings: Mapping[int, Reading]) -> Decision | None:
        """The change to make next, if there is one.

        Args:
            now: the time, in seconds.
            readings: what the gauges of all workers show that are attached.
        """
        period, before = now - self._looked, self._before
        self._look(now, readings)
        if period > TOO_LONG:
            self._scaler.pause()
            return None
        shares = {n: _share(before[n], one, period) for n, one in readings.items()}
        loads = {one.fork: self._load(one, shares) for one in self._plan.scaled}
        scaled = {slot for one in self._plan.scaled for slot in one.slots}
        others = sum(
            share.cores for n, share in shares.items() if self._plan.workers[n].slot not in scaled
        )
        decision = self._scaler.decide(now, loads, others)
        if decision is not None and self._is_refused and self._widens(decision):
            return None
        return decision

    def _widens(self, decision: Decision) -> bool:
        return decision.width > self._widths[decision.fork].width

    def refused(self, decision: Decision, now: float, why: str) -> None:
        """The system refuses the workers of a decision: no fork gets wider in this run."""
        self._is_refused = True
        width = Width(now - self._began, self._widths[decision.fork].width, why)
        self.widths[decision.fork].append(width)

    def _look(self, now: float, readings: Mapping[int, Reading]) -> None:
        self._looked, self._before = now, readings

    def _load(self, fork: Scaled, shares: Mapping[int, _Share]) -> Load:
        """What one fork did, from the share of the time that each worker spent how."""
        branches = [self._branch(slot, shares) for slot in fork.slots if slot in self._attached]
        senders = [shares[n] for n in self._senders[fork.fork] if n in shares]
        return Load(
            len(branches),
            cores=sum(one.cores for branch in branches for one in branch),
            busy=sum(max(one.busy for one in branch) for branch in branches),
            idle=sum(min(one.starved + one.blocked for one in branch) for branch in branches),
            stalled=sum(one.blocked for one in senders) / max(1, len(senders)),
            flows=any(one.batches for branch in branches for one in branch),
        )

    def _branch(self, slot: int, shares: Mapping[int, _Share]) -> list[_Share]:
        return [share for n, share in shares.items() if self._plan.workers[n].slot == slot]

    def changed(
        self,
        decision: Decision,
        attached: frozenset[int],
        now: float,
        readings: Mapping[int, Reading],
    ) -> None:
        """A decision has been carried out: these slots are attached now."""
        self._attached = attached
        self._widths[decision.fork] = decision._replace(reason=KEPT)
        self._look(now, readings)
        width = Width(now - self._began, decision.width, decision.reason)
        self.widths[decision.fork].append(width)


class _Share(NamedTuple):
    """The frames that a worker took, and the shares of the time that it spent how.

    One that is at work, but waits for something else than a core, leaves that free.
    """

    batches: int
    cores: float
    busy: float
    starved: float
    blocked: float


def _share(before: Reading, now: Reading, period: float) -> _Share:
    busy = (now.busy - before.busy) / period
    ran = None if before.cpu is None or now.cpu is None else (now.cpu - before.cpu) / period
    return _Share(
        now.batches - before.batches,
        busy if ran is None else ran,
        busy,
        (now.starved - before.starved) / period,
        (now.blocked - before.blocked) / period,
    )
