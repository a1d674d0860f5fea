"""The progress of a run, alive below the cell of a notebook."""

from __future__ import annotations

import importlib
import io
from typing import Any

from rich.console import Console

from conveyor.engines.snapshot import Snapshot
from conveyor.seeing.picture import picture

_WIDTH = 100
_FORMAT = '<pre style="line-height:normal; overflow-x:auto">{code}</pre>'


class Notebook:
    """Updates one output of the cell. It needs no widgets, and stays when the notebook is kept."""

    period = 0.5

    def __init__(self) -> None:
        self._display: Any = importlib.import_module("IPython.display")
        self._handle: Any = None

    def show(self, snapshot: Snapshot) -> None:
        """Draw it in place of the last one."""
        shown = self._display.HTML(_html(snapshot))
        if self._handle is None:
            self._handle = self._display.display(shown, display_id=True)
        else:
            self._handle.update(shown)

    def close(self) -> None:
        """The last one stays."""


def _html(snapshot: Snapshot) -> str:
    console = Console(
        file=io.StringIO(), record=True, width=_WIDTH, force_terminal=True, force_jupyter=False
    )
    console.print(picture(snapshot))
    return console.export_html(inline_styles=True, code_format=_FORMAT)
