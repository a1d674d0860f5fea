"""Chaos, for a while: workers are killed at random moments, and nothing is lost or left behind."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = 250
LIMIT = 250
"""Seconds that only keep a hang from lasting; chaos prints all stacks before that."""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_lost_doubled_or_left_behind(seed):
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.chaos", "--kills", str(KILLS), "--seed", str(seed)],
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
