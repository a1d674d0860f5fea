"""What the parent keeps for workers that may be started again, and when they are."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from conveyor.engines.processes.hand import Hand
from conveyor.engines.processes.journal import commits_in
from conveyor.engines.processes.log import create
from conveyor.engines.processes.refused import duplicated, refused
from conveyor.engines.processes.restartable import PackedBlame
from conveyor.engines.processes.wire import pack_error
from conveyor.errors import StageTimeout, WorkerDied
from conveyor.flow.failure import Policy
from conveyor.flow.progress import DEADLY, Suspects
from conveyor.plan import Plan

BACKOFF = (0.0, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds before a process is started again, after so many deaths in which it got nowhere."""


class Kept:
    """The channels and journals of workers that may be started again, and what is known of deaths.

    Args:
        plan: what runs.

    Attributes:
        restarts: how often each process has been started again in this run.
        restarted: the same, by the stages that had something in work.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._channels: dict[int, tuple[Connection, Connection, int]] = {}
        self._journals: dict[int, int] = {}
        self._suspects: dict[int, Suspects] = {}
        self._blame: dict[int, dict[int, tuple[bytes, int]]] = {}
        self._unloadable: dict[int, set[int]] = {}
        self._dropped: set[tuple[int, ...]] = set()
        self._due: dict[Hand, tuple[float, WorkerDied | StageTimeout]] = {}
        self._commits: dict[int, list[int]] = {}
        self._vain: Counter[int] = Counter()
        self.restarts: Counter[int] = Counter()
        self.restarted: Counter[str] = Counter()

    def begin(self) -> None:
        """A run begins."""
        self.restarts.clear()
        self.restarted.clear()
        self._dropped.clear()

    # -- what outlives a worker --

    def channel(self, number: int) -> tuple[Connection, Connection, int]:
        """Both ends of a durable channel, and its log; they stay ours."""
        if number not in self._channels:
            self._channels[number] = (*Pipe(), create("conveyor-log"))
        return self._channels[number]

    def journals(self, workers: Sequence[int]) -> list[int]:
        """New descriptors of the journals of some workers."""
        mine = [number for number in workers if self._plan.workers[number].restarts]
        for number in mine:
            if number not in self._journals:
                self._journals[number] = create("conveyor-journal")
        return duplicated([self._journals[number] for number in mine])

    def close(self) -> None:
        """Give all of it up."""
        for upper, lower, log in self._channels.values():
            upper.close()
            lower.close()
            os.close(log)
        for journal in self._journals.values():
            os.close(journal)
        self._channels.clear()
        self._journals.clear()
        for hand in self._due:
            hand.close()
        self._due.clear()

    # -- deaths --

    def bury(self, hand: Hand, error: WorkerDied | StageTimeout, now: float) -> bool:
        """A process has died; return whether it is to be started again."""
        allowed = self._plan.workers[hand.workers[0]].restarts
        if self.restarts[hand.number] >= allowed or self._is_fatal(hand, error):
            return False
        hand.recorder.forget()
        pause = BACKOFF[min(self._in_vain(hand), len(BACKOFF) - 1)]
        self._due[hand] = now + pause, error
        self.restarts[hand.number] += 1
        self.restarted[error.stage] += 1
        return True

    def _in_vain(self, hand: Hand) -> int:
        """In how many deaths the process got nowhere, since it last did."""
        commits = [commits_in(self._journals[number]) for number in hand.workers]
        if self._commits.get(hand.number) != commits:
            self._commits[hand.number] = commits
            self._vain[hand.number] = 0
        else:
            self._vain[hand.number] += 1
        return self._vain[hand.number]

    def _is_fatal(self, hand: Hand, error: WorkerDied | StageTimeout) -> bool:
        """Take note of what was in work; return whether its failure ends the run."""
        found = hand.suspects
        if found is None:
            return False
        worker, entry, items = found
        settings = self._plan.workers[worker].node.settings  # type: ignore[union-attr]
        policy = Policy(settings.retries, settings.on_error)
        attempts = policy.retries + 1
        if isinstance(error, WorkerDied):
            attempts = max(attempts, DEADLY)
        suspects = self._suspects.setdefault(worker, Suspects())
        if entry != suspects.entry:
            self._blame[worker] = {}
            self._unloadable.pop(worker, None)
        if hand.is_loading:
            self._unloadable.setdefault(worker, set())
        index = suspects.add(entry, items, attempts=attempts)
        if index is None:
            return False
        self._blame[worker][index] = pack_error(error), suspects.deaths(index)
        if hand.is_loading:
            self._unloadable[worker].add(index)
        return policy.on_error == "fail"

    def blame(self, workers: Sequence[int]) -> dict[int, PackedBlame]:
        """For workers in which something was in work in a death: what they must not try again."""
        return {
            number: (entry, self._blame[number], self._unloadable.get(number))
            for number in workers
            if number in self._suspects and (entry := self._suspects[number].entry) is not None
        }

    def is_new(self, key: tuple[int, ...] | None) -> bool:
        """Whether an item is told of for the first time, that has failed for good."""
        if key is None:
            return True
        is_new = key not in self._dropped
        self._dropped.add(key)
        return is_new

    # -- restarts --

    @property
    def dead(self) -> Collection[Hand]:
        """The processes that are to be started again."""
        return self._due.keys()

    def due(self, now: float) -> list[Hand]:
        """Those of them whose time has come."""
        return [hand for hand, (at, _) in self._due.items() if at <= now]

    def not_revived(self, hand: Hand, error: BaseException) -> WorkerDied | StageTimeout:
        """The system refuses another process in place of one that died: what ends the run."""
        _, died = self._due[hand]
        why = f"it can't be started again: {refused('the system refuses', error)}"
        if isinstance(died, StageTimeout):
            return StageTimeout(died.stage, died.item, died.timeout, f"{died.hint}; {why}")
        return WorkerDied(died.stage, died.exitcode, died.item, f"{died.how}; {why}")

    def revived(self, hand: Hand) -> None:
        """Another one has taken the place of a process that died."""
        del self._due[hand]
        hand.close()
