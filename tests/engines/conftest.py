"""Engine tests leave nothing behind, and contracts hold on every engine."""

import pytest

from tests.engines.engines import ENGINES
from tests.leaks import nothing_left, temporary_folder, warm_engine

__all__ = ["nothing_left", "on", "temporary_folder", "warm_engine"]


@pytest.fixture(params=list(ENGINES))
def on(request):
    """The options of a run on each engine."""
    return ENGINES[request.param]
