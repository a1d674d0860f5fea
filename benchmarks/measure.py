"""One measurement, in a process of its own: ``python -m benchmarks.measure`` is run by the runner.

It writes a JSON object to the file named last: the value of each metric, or what was wrong.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from benchmarks.workloads import WORKLOADS


def measure(workload: str, contestant: str, size: int) -> dict[str, object]:
    """Let a contestant do the work once, check what comes out, and score it."""
    of = WORKLOADS[workload]
    run = of.contestant(contestant).run(size)
    answer, expected = of.answer(run.result), of.expected(size)
    if answer != expected:
        return {"wrong": f"gave {answer!r}, not {expected!r}"}
    return {"values": of.score(run, size)}


def main(workload: str, contestant: str, size: str, file: str) -> None:
    """Measure, and leave the outcome in the file."""
    Path(file).write_text(json.dumps(measure(workload, contestant, int(size))), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
    # Some peers would wait for work that nobody wants any more.
    os._exit(0)
