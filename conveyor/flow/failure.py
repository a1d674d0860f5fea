"""What becomes of an item that failed, and when a run has failed too often."""

from __future__ import annotations

from typing import Literal, NamedTuple

OnError = Literal["fail", "skip", "dead_letter"]
Verdict = Literal["retry", "fail", "skip", "dead_letter"]

LEAST_ITEMS = 100
"""Before so many items have gone in, a share of them says little: one in two may be one in all."""


class Policy(NamedTuple):
    """What is done about the failed items of one stage.

    Attributes:
        retries: how often an item is tried again.
        on_error: what becomes of it when all attempts have failed.
    """

    retries: int = 0
    on_error: OnError = "fail"

    @property
    def is_set(self) -> bool:
        """Whether anything but failing at once is wanted."""
        return self.retries > 0 or self.on_error != "fail"

    def verdict(self, attempts: int) -> Verdict:
        """What to do about an item that has failed so many times."""
        return "retry" if attempts <= self.retries else self.on_error


class Tolerance(NamedTuple):
    """How many failed items a run bears.

    Attributes:
        limit: a count (int), a share of the items that went in (float), or None for any number.
    """

    limit: float | None = None

    def is_exceeded(self, failures: int, items: int, *, at_end: bool = False) -> bool:
        """Whether a run with so many failures has to end.

        Args:
            failures: the items that failed for good.
            items: the items that have gone in so far.
            at_end: whether these are all. Until then a share counts from `LEAST_ITEMS` on.
        """
        if self.limit is None:
            return False
        if isinstance(self.limit, int):
            return failures > self.limit
        return (at_end or items >= LEAST_ITEMS) and failures > self.limit * items
