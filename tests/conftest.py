"""How hard Hypothesis looks: `HYPOTHESIS_PROFILE=thorough pytest` before a release."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

in_ci = os.environ.get("CI", "").lower() in ("1", "true")
patient = {
    "deadline": None,  # machines are slow at times
    "derandomize": in_ci,  # a red CI is about the change, not about luck
    "suppress_health_check": [HealthCheck.too_slow],
}
settings.register_profile("quick", max_examples=15, **patient)
settings.register_profile("default", max_examples=20, **patient)
settings.register_profile("thorough", max_examples=1000, **patient)


def pytest_configure(config: pytest.Config) -> None:
    usual = "quick" if config.option.markexpr == "quick" else "default"
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", usual))
