"""When a run in which nothing moves is stalled, and when that is told: once for each stall."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["slow", "stalled"]
"""Nothing moves, but somebody at work computes; or nothing moves, and nobody does."""

LOOKS = 10
"""Looks in the time after which a run counts as stalled."""

LONGEST, SHORTEST = 1.0, 0.02
"""Seconds from one look to the next, at most and at least."""

LATE = 2
"""Of the time between two looks at most so many periods count: who looks was away for the rest,
and then all others waited for that."""

SHARE = 0.05
"""The share of a core that counts as computing. To look again and again for what does not come
takes less."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a run has shown.

    Attributes:
        marks: differ from those of the look before where anything has moved since.
        is_due: whether something should move: not where all that has gone in has come out, and
            the run only waits for more.
        is_running: whether somebody at work has a core, or waits for one.
        cpu: seconds of CPU time of all who are at work; None where nobody has looked.
    """

    marks: Hashable
    is_due: bool
    is_running: bool = False
    cpu: float | None = None


class Stillness:
    """For how long nothing has moved.

    Args:
        limit: the seconds after which that is told.

    Attributes:
        period: the seconds from one look to the next.
        still: for how many seconds nothing has moved.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.period = max(SHORTEST, min(LONGEST, limit / LOOKS))
        self.begin()

    def begin(self) -> None:
        """A run begins."""
        self._last: tuple[float, Look] | None = None
        self._told: Verdict | None = None
        self.still = self._idle = 0.0

    def look(self, now: float, seen: Look) -> Verdict | None:
        """Take note of what is seen at a time, in seconds; give the verdict if it is to be told."""
        last, self._last = self._last, (now, seen)
        if last is None or not seen.is_due or seen.marks != last[1].marks:
            self._told = None
            self.still = self._idle = 0.0
            return None
        elapsed = min(now - last[0], LATE * self.period)
        self.still += elapsed
        self._idle = 0.0 if _computes(last[1], seen, elapsed) else self._idle + elapsed
        verdict = self._verdict()
        self._told = verdict or self._told
        return verdict

    def _verdict(self) -> Verdict | None:
        if self._idle >= self.limit:
            return "stalled" if self._told != "stalled" else None
        # Of one that has only just fallen silent, more is known soon.
        is_slow = self.still >= self.limit and self._idle < self.limit / 2
        return "slow" if is_slow and self._told is None else None


def _computes(before: Look, now: Look, elapsed: float) -> bool:
    """Whether somebody has computed between two looks; where that is not known, yes."""
    if now.is_running or before.cpu is None or now.cpu is None:
        return True
    # Less than before, where a process that was started from one has ended.
    return abs(now.cpu - before.cpu) > SHARE * elapsed
