"""The progress of a run as plain lines: where the output is no terminal, or rich is not there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from conveyor.engines.snapshot import Snapshot


class Lines:
    """Writes a line now and then, and one at the end.

    Args:
        stream: where to.
    """

    period = 10.0

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, snapshot: Snapshot) -> None:
        """Write a line."""
        self._stream.write(f"conveyor: {summary(snapshot)}\n")
        self._stream.flush()

    def close(self) -> None:
        """There is nothing to clear up."""


def summary(snapshot: Snapshot) -> str:
    """How far a run has got, in a line."""
    return ", ".join(_parts(snapshot))


def _parts(snapshot: Snapshot) -> Iterator[str]:
    length = f" of {snapshot.length:,}" if snapshot.length is not None else ""
    yield f"{snapshot.items_in:,}{length} in"
    yield f"{snapshot.items_out:,} out"
    if snapshot.failed:
        yield f"{snapshot.failed:,} failed"
    if snapshot.elapsed > 0:
        yield f"{snapshot.items_in / snapshot.elapsed:,.0f}/s"
    yield f"{clock(snapshot.elapsed)} elapsed"
    if snapshot.remaining is not None:
        yield f"about {clock(snapshot.remaining)} left"
    if not snapshot.is_last:
        name, busy = max(
            ((name, one.busy) for name, one in snapshot.recent.items()), key=lambda one: one[1]
        )
        yield f"{name} busy {busy:.0%}"


def clock(seconds: float) -> str:
    """A time as minutes and seconds, with the hours where there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
