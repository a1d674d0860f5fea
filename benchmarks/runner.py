"""Runs workloads: all contestants in turn, round after round, each time in a new process.

A contestant that hangs is killed at a hard limit, with all that it has started. Its failure is
told, and it has no further rounds. What gave a wrong result counts as a failure too.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.contest import Contestant, Workload
from benchmarks.peers import OUT_OF_THE_WAY
from benchmarks.results import Record

ROOT = Path(__file__).parents[1]

LIMIT = 60.0
"""Seconds that one measurement may take."""

SMALLEST = 10
"""The least that a contestant is given, however small the scale."""


def run(
    workload: Workload,
    record: Record,
    *,
    rounds: int,
    scale: float = 1.0,
    only: str = "",
    limit: float = LIMIT,
    tell: Callable[[str], None] = print,
) -> None:
    """Measure all contestants of a workload that are installed.

    Args:
        workload: what to run.
        record: what was measured is added to it.
        rounds: how often each contestant has its turn.
        scale: what the sizes are multiplied by; less than 1 for a quick look.
        only: where given, only contestants whose names have this in them.
        limit: seconds after which a measurement is killed.
        tell: is called with news as they come.
    """
    contestants = []
    for one in workload.contestants:
        if only not in one.name:
            continue
        if one.needs is None or is_installed(one.needs):
            contestants.append(one)
        else:
            record.failures[one.name] = "not installed"
    for number in range(rounds):
        for one in contestants:
            if one.name in record.failures:
                record.rounds.setdefault(one.name, []).append({})
                continue
            size = max(SMALLEST, int(one.size * scale)) if one.size >= SMALLEST else one.size
            outcome = measure(workload, one, size, limit)
            if isinstance(outcome, str):
                record.failures[one.name] = outcome
                outcome = {}
            record.rounds.setdefault(one.name, []).append(outcome)
            said = ", ".join(f"{value:.4g} {name}" for name, value in outcome.items())
            tell(f"  round {number + 1}  {one.name:24} {said or record.failures[one.name]}")


def is_installed(distribution: str) -> bool:
    """Whether a peer can be measured here."""
    if distribution in OUT_OF_THE_WAY:
        return OUT_OF_THE_WAY[distribution].is_dir()
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def measure(
    workload: Workload, contestant: Contestant, size: int, limit: float
) -> dict[str, float] | str:
    """One measurement: the value of each metric, or what went wrong."""
    # As where it is installed: without this, whoever imports much would compile it each time.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory(prefix="conveyor-bench-") as folder:
        file = Path(folder) / "outcome.json"
        with (Path(folder) / "stderr").open("w+b") as stderr:
            command = [
                sys.executable, "-m", "benchmarks.measure",
                workload.name, contestant.name, str(size), str(file),
            ]  # fmt: skip
            child = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )
            try:
                child.wait(limit)
            except subprocess.TimeoutExpired:
                return f"hung: killed after {limit:g} s"
            finally:
                # All that it has started and left behind is in its group.
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                child.wait()
            if not file.exists():
                stderr.seek(0)
                last = stderr.read().decode(errors="replace").strip().splitlines()[-1:]
                return f"failed: {last[0] if last else f'exit code {child.returncode}'}"
            outcome = json.loads(file.read_text(encoding="utf-8"))
    if "wrong" in outcome:
        return f"wrong: {outcome['wrong']}"
    values: dict[str, float] = outcome["values"]
    return values
