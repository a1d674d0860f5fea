"""Chaos, for a short while: `make chaos` does it for longer."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = 40
LIMIT = 250
"""Seconds that only keep a hang from lasting; chaos prints all stacks before that."""


@pytest.mark.slow
def test_nothing_is_lost_doubled_or_left_behind():
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.chaos", "--kills", str(KILLS)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert (done.returncode, "WRONG" in done.stdout) == (0, False), done.stdout + done.stderr
    restarts = re.search(r"(\d+) workers started again", done.stdout)
    assert restarts is not None
    assert int(restarts[1]) >= KILLS
