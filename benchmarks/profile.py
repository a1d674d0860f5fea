"""Where the time of every process goes: ``python -m benchmarks.profile [chain3 | dicts | arrays]``.

A timer interrupts each worker, and the parent, a thousand times a second and looks which line
runs. It is set by a processor's own ``setup``, so a pipeline that is not profiled pays nothing,
and what is seen are real workers at work. Waiting counts as time.
"""

from __future__ import annotations

import json
import linecache
import re
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from time import perf_counter
from types import FrameType
from typing import Any, NamedTuple

from benchmarks import report
from benchmarks.workloads import arrays, chain3, dicts
from conveyor import Processor

INTERVAL = 0.001
"""Seconds between two looks."""

KINDS = {
    "unpickle": re.compile(r"loads\(|unpack\w*\("),
    "pickle": re.compile(r"dumps?\(|pack\w*\("),
    "write": re.compile(r"\bwritev?\(|sendmsg\(|send_bytes\("),
    "read": re.compile(r"\breadv?(into)?\(|recv\w*\("),
    "wait": re.compile(r"\bpoll\("),
}
"""What a line does, by the first of these that fits; what fits none is the engine's own work."""

COLUMNS = ("process", *KINDS, "engine")


class Sampler:
    """Counts which lines of this process are seen running.

    Args:
        file: where the counts are written.
        ours: the file whose code counts as ``process``.
    """

    def __init__(self, file: Path, ours: str) -> None:
        self._file = file
        self._ours = ours
        self._seen: Counter[str] = Counter()
        self._lines: Counter[str] = Counter()
        self._started = perf_counter()
        signal.signal(signal.SIGALRM, self._look)
        signal.setitimer(signal.ITIMER_REAL, INTERVAL, INTERVAL)

    def _look(self, _: int, frame: FrameType | None) -> None:
        if frame is None:
            return
        self._seen[self._kind(frame)] += 1
        self._lines[f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {_line(frame)}"] += 1

    def _kind(self, frame: FrameType) -> str:
        """What the process does: the innermost line that is known decides."""
        at: FrameType | None = frame
        while at is not None:
            if at.f_code.co_filename == self._ours:
                return "process"
            line = _line(at)
            for kind, pattern in KINDS.items():
                if pattern.search(line):
                    return kind
            if re.search(r"\bprocess\(", line):
                return "process"
            at = at.f_back if at.f_code.co_name == "<listcomp>" else None
        return "engine"

    def stop(self) -> None:
        """Stop, and write what was seen."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        outcome = {
            "seconds": perf_counter() - self._started,
            "kinds": self._seen,
            "lines": self._lines.most_common(8),
        }
        self._file.write_text(json.dumps(outcome), encoding="utf-8")


def _line(frame: FrameType) -> str:
    return linecache.getline(frame.f_code.co_filename, frame.f_lineno or 0).strip()


class Profiled(Processor[Any, Any]):
    """A stage that watches the process that it is in."""

    def __init__(self, function: Callable[[Any], Any], file: Path) -> None:
        self.function = function
        self.file = file

    def setup(self) -> None:
        """Begin to look."""
        self.sampler = Sampler(self.file, self.function.__code__.co_filename)

    def process(self, item: Any) -> Any:
        """The work."""
        return self.function(item)

    def teardown(self) -> None:
        """Tell what was seen."""
        self.sampler.stop()


class Subject(NamedTuple):
    """What can be profiled: the stages, the items, and how many of them."""

    stages: tuple[Callable[[Any], Any], ...]
    items: Callable[[int], Iterable[Any]]
    size: int


SUBJECTS = {
    "chain3": Subject(chain3.STAGES, range, 3_000_000),
    "dicts": Subject(dicts.STAGES, dicts.records, 300_000),
    "arrays": Subject((arrays.checked, arrays.checksum), arrays.arrays, 400),
}


def profile(subject: Subject) -> tuple[list[list[str]], list[str]]:
    """Run a pipeline; a table of where its processes were, and the lines seen most."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number}.json" for number in range(len(subject.stages) + 1)]
        first, *others = [
            Profiled(function, file)
            for function, file in zip(subject.stages, files[1:], strict=True)
        ]
        pipeline: Any = first
        for other in others:
            pipeline = pipeline >> other
        items = subject.items(subject.size)
        with pipeline.open() as live:
            parent = Sampler(files[0], __file__)
            started = perf_counter()
            live.run(items)
            seconds = perf_counter() - started
            parent.stop()
        outcomes = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    rows = [["ns an item", *COLUMNS]]
    lines = []
    for number, outcome in enumerate(outcomes):
        name = f"stage {number}" if number else "parent"
        seen = Counter(outcome["kinds"])
        each = outcome["seconds"] / max(1, seen.total()) / subject.size * 1e9
        rows.append([name, *(f"{seen[kind] * each:,.0f}" for kind in COLUMNS)])
        for line, count in outcome["lines"]:
            lines.append(f"{name:8} {count / max(1, seen.total()):6.1%}  {line}")
    rows.append(["", f"{subject.size / seconds:,.0f} items/s", *[""] * (len(COLUMNS) - 1)])
    return rows, lines


def main(names: list[str]) -> None:
    """Profile what is named, or all."""
    for name in names or SUBJECTS:
        rows, lines = profile(SUBJECTS[name])
        print(name, report.plain(rows), *lines, "", sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
