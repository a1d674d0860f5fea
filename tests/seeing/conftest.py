"""Who looks at a run leaves nothing behind, and sees every engine alike."""

from tests.engines.conftest import on
from tests.leaks import nothing_left, temporary_folder, warm_engine

__all__ = ["nothing_left", "on", "temporary_folder", "warm_engine"]
