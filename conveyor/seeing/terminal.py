"""The progress of a run, alive in a terminal."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.live import Live

from conveyor.engines.snapshot import Snapshot
from conveyor.seeing.picture import picture


class Terminal:
    """Draws the progress on the standard error, which is a terminal.

    What is printed meanwhile, here or by workers, comes to stand above. The standard output is
    only held up for that where it is a terminal, too.
    """

    period = 0.2

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        is_shown = sys.stdout is not None and sys.stdout.isatty()
        self._live = Live(
            console=self._console,
            auto_refresh=False,  # no thread: drawn between batches
            redirect_stdout=is_shown,
            vertical_overflow="ellipsis",
        )

    def show(self, snapshot: Snapshot) -> None:
        """Draw it in place of the last one."""
        self._live.start()
        self._live.update(picture(snapshot), refresh=True)

    def close(self) -> None:
        """Leave the last picture where it is, and give the terminal back."""
        self._live.stop()
