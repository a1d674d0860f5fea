"""Fault tests leave nothing behind."""

from tests.leaks import nothing_left, temporary_folder, warm_engine

__all__ = ["nothing_left", "temporary_folder", "warm_engine"]
