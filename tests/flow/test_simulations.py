"""Some of the simulated runs that `make simulations` makes many of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conveyor.flow.source import Window
from tests.flow.simulations import CHUNK, many, simulated

pytestmark = pytest.mark.quick


def test_all_comes_out_whatever_happens():
    report = many(range(150))

    assert not report.wrong, "\n".join(report.wrong.values())
    assert set(report.seen) == {
        "attached",
        "detached",
        "deaths",
        "replicated forks",
        "balanced forks",
        "forks that follow the load",
        "interleave joins",
        "ordered joins",
        "zip joins",
    }
    assert report.seen["deaths"] > 500


def test_a_seed_gives_the_same_run_again():
    for seed in range(10):
        assert simulated(seed) == simulated(seed)


def test_a_run_that_goes_wrong_is_told_and_its_seed_gives_it_again(monkeypatch):
    monkeypatch.setattr(Window, "is_open", property(lambda self: True))
    wrong = many(range(100)).wrong
    assert wrong

    for seed, what in wrong.items():
        assert "batches within the window" in what
        (again,) = many([seed]).wrong.items()
        assert again[0] == seed


def test_the_command_makes_as_many_runs_as_it_is_asked_for():
    """One more than a process makes between two reports, so there are several processes."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.flow.simulations", "--runs", str(CHUNK + 1)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{CHUNK + 1} runs: ")
