"""What a run gives: its outputs, as a list or as they come."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from conveyor.engines.letters import DeadLetters
from conveyor.engines.stats import Stats
from conveyor.errors import UsageError

T = TypeVar("T")


class Results(list[T]):
    """The outputs of a run, as a list.

    Attributes:
        stats: what became of every item, and how the time went.
        dead_letters: the items that failed for good and were set aside.
        written: the pipeline, as it was written.
    """

    stats: Stats
    dead_letters: DeadLetters
    written: str

    def draw(self, path: str | Path) -> None:
        """Write the picture of the pipeline, with the figures of this run, to an SVG file.

        In a box stands how busy the workers of an element were, and how long an item took; along a
        pipe how many items went through it, and for how much of the time it was full.

        Args:
            path: where to; it ends in ``.svg``. What is there is replaced.

        Raises:
            UsageError: it has another suffix.
            OSError: the file can't be written.
        """
        from conveyor.engines.files import write_whole
        from conveyor.seeing.drawing import drawing

        target = Path(path)
        if target.suffix.lower() != ".svg":
            raise UsageError(f"a picture with figures goes to a file ending in .svg, not {target}")
        write_whole(target, drawing(self.stats).encode())

    def report(self, path: str | Path) -> None:
        """Write a report of this run: one HTML page, with no other file, script or network.

        It has the picture with its figures, what was slow, how it went over the time, the account
        of all items, how long they took, and the dead letters with their tracebacks.

        Args:
            path: where to. What is there is replaced.

        Raises:
            OSError: the file can't be written.
        """
        from conveyor.engines.files import write_whole
        from conveyor.seeing.report import report

        page = report(self.stats, written=self.written, letters=self.dead_letters)
        write_whole(Path(path), page.encode("utf-8", "backslashreplace"))


class Stream(Generator[T, None, None]):
    """The outputs of a run, as they come: what ``stream`` gives.

    Attributes:
        dead_letters: the items that failed for good and were set aside, so far. They are kept
            until they are taken out: of an endless stream, take them (``clear()``) now and then.
    """

    def __init__(
        self,
        outputs: Generator[T, None, None],
        dead_letters: DeadLetters,
        break_off: Callable[[], None],
    ) -> None:
        self._outputs = outputs
        self.dead_letters = dead_letters
        self._break_off = break_off
        """Has the run end where it is at work: who is at work can't be closed."""

    def __iter__(self) -> Generator[T, None, None]:  # noqa: PYI058 - it can be closed
        """The outputs. Not `self`, so that a loop costs no call of ours for each of them."""
        return self._outputs

    def send(self, value: None, /) -> T:
        """Give the next output."""
        return self._outputs.send(value)

    def throw(self, *error: Any) -> T:
        """Break the run off with an error."""
        return self._outputs.throw(*error)

    def close(self) -> None:
        """Break the run off; a second call does nothing.

        A run that is at work, since another thread waits for the next output, or since this is
        called by a signal handler or by what the run itself has called, ends there with a
        :class:`~conveyor.UsageError`.
        """
        try:
            self._outputs.close()
        except ValueError:
            if not getattr(self._outputs, "gi_running", False):
                raise
            self._break_off()
            with suppress(ValueError):  # it may have given its output a moment before
                self._outputs.close()
