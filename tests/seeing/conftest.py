"""What shows a run leaves nothing behind, on any engine."""

from tests.engines.conftest import nothing_left, on, warm_engine

__all__ = ["nothing_left", "on", "warm_engine"]
