"""What a worker did in a run, as its counters tell it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from operator import sub
from typing import TYPE_CHECKING, NamedTuple

from conveyor.engines.account import COUNTS, Account
from conveyor.engines.counters import (
    BATCHES,
    BLOCKED,
    BUSY,
    BYTES_IN,
    BYTES_OUT,
    CPU,
    ELSEWHERE,
    FIELDS,
    FILTERED,
    ITEMS,
    OUT,
    PEAK,
    PICKLING,
    QUEUED,
    RETRIED,
    SERVICE,
    SKIPPED,
    STARVED,
    TIMES,
    read,
)
from conveyor.engines.histogram import Histogram

if TYPE_CHECKING:
    from conveyor.engines.figures import Figures


_FIRST = struct.Struct(f"{RETRIED + 1}Q")
"""Those counters that an account is made of, and some more."""


def _accounted(copy: bytes) -> tuple[int, ...]:
    """The counters in a copy, as an account has them."""
    if not copy:
        return _NOTHING
    fields = _FIRST.unpack_from(copy)
    skipped, dead, added, retried = fields[SKIPPED : RETRIED + 1]
    return fields[ITEMS], fields[OUT], fields[FILTERED], skipped, dead, added, 0, retried


_NOTHING = (0,) * len(COUNTS)


class Counted(NamedTuple):
    """What a worker did in a run, as two readings of its counters.

    Attributes:
        worker: its name.
        element: the element that it belongs to.
        process: the number of its process; -1 for the caller's.
        before: a copy of the counters from when the run began; empty where the worker came later.
        after: a copy of the counters from the end.
    """

    worker: str
    element: str
    process: int
    before: bytes
    after: bytes

    @property
    def account(self) -> Account:
        """What became of the items."""
        return Account(*map(sub, _accounted(self.after), _accounted(self.before)))

    def figures(self) -> Figures:
        """What the counters say."""
        from conveyor.engines.figures import Figures  # slow to import

        before, after = read(self.before), read(self.after)
        grown = [now - then for now, then in zip(after, before, strict=True)]
        account = self.account
        return Figures(
            **{name: getattr(account, name) for name in COUNTS},
            batches=grown[BATCHES],
            bytes_in=grown[BYTES_IN],
            bytes_out=grown[BYTES_OUT],
            busy=grown[BUSY] / 1e9,
            starved=grown[STARVED] / 1e9,
            blocked=grown[BLOCKED] / 1e9,
            elsewhere=grown[ELSEWHERE] / 1e9,
            pickling=grown[PICKLING] / 1e9,
            cpu=grown[CPU] / 1e9,
            queued=grown[QUEUED] / 1e9,
            peak_memory=after[PEAK] << 10,
            service=Histogram.of(grown[TIMES:FIELDS], grown[SERVICE] / 1e9),
        )


def measured_by(counted: Sequence[Counted]) -> dict[str, Account]:
    """The account of each element, as its workers count it."""
    accounts: dict[str, Account] = {}
    for one in counted:
        before = accounts.get(one.element)
        accounts[one.element] = one.account if before is None else before + one.account
    return accounts
