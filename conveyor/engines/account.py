"""What became of the items that went into an element, or into a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from operator import add, attrgetter, sub


@dataclass(frozen=True, slots=True)
class Account:
    """What went in and what became of it, in items. It balances.

    ``items_in + added == items_out + filtered + skipped + dead + merged``

    Attributes:
        items_in: items that came in; for a source, those it made.
        items_out: items that went on.
        filtered: items for which nothing was given, or for which a zip lacked a part.
        skipped: items that failed and were left out (``on_error="skip"``).
        dead: items that failed and became dead letters.
        added: copies that a replicated fork made, outputs beyond the first of an item, and
            what ``finish`` gave.
        merged: parts that a zip put into one tuple, beyond the first.
        retried: attempts beyond the first of an item; they change no balance.
    """

    items_in: int = 0
    items_out: int = 0
    filtered: int = 0
    skipped: int = 0
    dead: int = 0
    added: int = 0
    merged: int = 0
    retried: int = 0

    def __add__(self, other: Account) -> Account:
        return Account(*map(add, _counts(self), _counts(other)))

    def __sub__(self, other: Account) -> Account:
        return Account(*map(sub, _counts(self), _counts(other)))

    @property
    def balances(self) -> bool:
        """Whether every item is accounted for."""
        gone = self.filtered + self.skipped + self.dead + self.merged
        return self.items_in + self.added == self.items_out + gone


COUNTS = tuple(one.name for one in fields(Account))
"""The names of what is counted, in their order."""

_counts = attrgetter(*COUNTS)


def total_account(elements: Mapping[str, Account], entered: int) -> Account:
    """The account of a run as a whole, into which so many items came."""
    sums = [sum(counts) for counts in zip(*map(_counts, elements.values()), strict=True)]
    return Account(entered, elements["output"].items_out, *sums[2:])
