"""What is told of a test that hangs."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable, Mapping
from types import FrameType
from typing import TYPE_CHECKING

from conveyor.engines.processes import waits

if TYPE_CHECKING:
    from conveyor.engines.processes.look import Sight

_IDLE = "the caller neither gives items nor takes outputs"
_MACHINERY = ("/_pytest/", "/pluggy/")


def hang_report(
    seconds: float, frame: FrameType | None, *, threads: Mapping[str, FrameType]
) -> str:
    """Who waits for whom in all pipelines that are under way, and where everybody stands.

    Args:
        seconds: the limit that is over.
        frame: where the caller stands.
        threads: where other threads of this process stand, by their names.
    """
    pipelines = _pipelines()
    lines = [f"the test has not come to its end in {seconds:g} s"]
    for number, sights in enumerate(pipelines, 1):
        which = f" in pipeline {number} of {len(pipelines)}" if len(pipelines) > 1 else ""
        verdict = waits.verdict(sights, "no worker has anything to do: " + _IDLE)
        lines += ["", f"who waits for whom{which}", *waits.table(sights), verdict]
    lines += ["", "the stack of the caller (the last call last)", *_stack(frame)]
    for name, other in threads.items():
        lines += ["", f"the stack of thread {name}", *_stack(other)]
    lines += _worker_stacks(pipelines)
    return "\n".join(lines)


def _pipelines() -> list[list[Sight]]:
    if "conveyor.engines.processes.look" not in sys.modules:
        return []  # no pipeline has been opened on processes
    from conveyor.engines.processes.look import pipelines

    return pipelines()


def _worker_stacks(pipelines: list[list[Sight]]) -> Iterable[str]:
    if not pipelines:
        return ()
    from conveyor.engines.processes.look import all_stacks

    return waits.stack_lines([one for sights in pipelines for one in sights], all_stacks())


def _stack(frame: FrameType | None) -> list[str]:
    """The lines of a stack, from the test on: what called that says nothing."""
    frames = traceback.extract_stack(frame)
    machinery = [
        number
        for number, one in enumerate(frames)
        if any(part in one.filename for part in _MACHINERY)
    ]
    lines = traceback.format_list(frames[machinery[-1] + 1 if machinery else 0 :])
    return "".join(lines).rstrip().splitlines()
