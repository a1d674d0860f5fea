"""Fault tests leave nothing behind."""

from tests.leaks import nothing_left, warm_engine

__all__ = ["nothing_left", "warm_engine"]
