"""Who is shown the progress of a run: a terminal, a notebook, lines of text, or a function."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import TextIO

from conveyor.engines.snapshot import Snapshot
from conveyor.engines.watch import View
from conveyor.errors import UsageError
from conveyor.seeing.lines import Lines


def view_for(progress: object) -> View | None:
    """The view for the argument ``progress``; None where there is to be none.

    Raises:
        UsageError: it is neither a bool nor a function.
    """
    if isinstance(progress, bool):
        return _standard() if progress else None
    if callable(progress):
        return Told(progress)
    raise UsageError(f"progress takes True, False, or a function of one snapshot, not {progress!r}")


class Told:
    """A function of the user's. What it raises ends the run, as what the items raise does."""

    period = 0.2

    def __init__(self, function: Callable[[Snapshot], object]) -> None:
        self._function = function

    def show(self, snapshot: Snapshot) -> None:
        """Call it."""
        self._function(snapshot)

    def close(self) -> None:
        """It has been told of the end, if there was one."""


def _standard() -> View | None:
    """The view that fits where this process writes to; None where it can't write."""
    stream = sys.stderr
    if stream is None:
        return None
    has_rich = find_spec("rich") is not None
    if has_rich and _is_notebook():
        from conveyor.seeing.notebook import Notebook

        return Safe(Notebook())
    if has_rich and _is_terminal(stream):
        from conveyor.seeing.terminal import Terminal

        return Safe(Terminal())
    return Safe(Lines(stream))


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # it is closed
        return False


def _is_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


class Safe:
    """A view of ours, which breaks no run: where it fails, there is nothing more to see.

    A stream that has been closed, or a terminal that is gone, is the usual reason.

    Args:
        view: the view.
    """

    def __init__(self, view: View) -> None:
        self.period = view.period
        self._view: View | None = view

    def show(self, snapshot: Snapshot) -> None:
        """Show it, if that can be done."""
        if self._view is not None:
            try:
                self._view.show(snapshot)
            except TimeoutError:
                raise
            except Exception:
                self.close()

    def close(self) -> None:
        """Let go of the view."""
        view, self._view = self._view, None
        if view is not None:
            try:
                view.close()
            except Exception:
                return
