"""What the actors of a run counted, and their tapes."""

from __future__ import annotations

from typing import Protocol

from conveyor.engines.account import Account
from conveyor.engines.tape import Span, Tape


class Accounts:
    """What an actor counted in one run.

    Args:
        worker: its number.
        run: the number of the run, from 1 on.
    """

    def __init__(self, worker: int = 0, run: int = 0) -> None:
        self.worker = worker
        self.run = run
        self.nodes: dict[str, Account] = {}
        self.edges: dict[int, int] = {}
        self.tapes: list[Tape] = []

    def add(self, other: Accounts) -> None:
        """Take in what another one counted."""
        for node, account in other.nodes.items():
            self.nodes[node] = self.nodes[node] + account if node in self.nodes else account
        for edge, items in other.edges.items():
            self.edges[edge] = self.edges.get(edge, 0) + items
        self.tapes += other.tapes


class Taped(Protocol):
    """An actor, which has a tape while a run is traced."""

    tape: Tape | None


class SetUp(Taped, Protocol):
    """One that has had a setup."""

    setup: Span | None


def note_setup(actor: SetUp) -> None:
    """Put the setup of a worker, which was for the run that begins, on its tape."""
    span, actor.setup = actor.setup, None
    if span is not None and actor.tape is not None:
        actor.tape.add(*span)


def taken_off(actor: Taped) -> list[Tape]:
    """The tape of an actor, which has none from now on, as a list."""
    tape, actor.tape = actor.tape, None
    return [] if tape is None else [tape]
