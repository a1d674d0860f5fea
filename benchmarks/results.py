"""What was measured, and where it is kept: a JSON file for each workload."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("numpy", "joblib", "loky", "mpire", "mpipe", "pypeln", "ray", "distributed")

FOLDER = Path(__file__).with_name("results")


@dataclass(slots=True)
class Record:
    """All rounds of one workload.

    Attributes:
        workload: its name.
        machine: where and when it was measured, on which commit.
        rounds: for each contestant, for each round, the value of each metric by its name. A
            round that failed is empty, so that the rounds of all contestants match.
        failures: why a contestant has no value, or no more.
    """

    workload: str
    machine: dict[str, str]
    rounds: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def values(self, contestant: str, metric: str) -> list[float]:
        """What was measured of a contestant, a value for each round that has that metric.

        A round that failed has none, nor has one that was kept before the metric was thought of.
        """
        rounds = self.rounds.get(contestant, [])
        return [values[metric] for values in rounds if metric in values]

    def save(self, folder: Path = FOLDER) -> None:
        """Write it to its file."""
        folder.mkdir(exist_ok=True)
        text = json.dumps(asdict(self), indent=1) + "\n"
        (folder / f"{self.workload}.json").write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, workload: str, folder: Path = FOLDER) -> Record | None:
        """Read it from its file; None where there is none."""
        file = folder / f"{workload}.json"
        return cls(**json.loads(file.read_text(encoding="utf-8"))) if file.exists() else None


def machine() -> dict[str, str]:
    """Where we are, and how busy it is."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "load": f"{os.getloadavg()[0]:.2f}",
        "peers": ", ".join(f"{name} {_version(name)}" for name in PACKAGES if _version(name)),
    }


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        run = subprocess.run(
            command, cwd=FOLDER.parent, capture_output=True, text=True, check=True, timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return run.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
