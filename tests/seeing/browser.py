"""A real browser without a window, where there is one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--no-first-run",
)

LIMIT = 90
"""Seconds after which a browser counts as hung."""


def browse(page: Path, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Open a page in a browser that has nothing from before, and knows no network."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"there is no browser here: none of {', '.join(NAMES)}")
    nowhere = "--host-resolver-rules=MAP * ~NOTFOUND"
    profile = f"--user-data-dir={folder / 'profile'}"
    return subprocess.run(
        [found, *QUIET, nowhere, profile, *options, page.as_uri()],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=True,
    )
