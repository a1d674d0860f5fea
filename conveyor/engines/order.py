"""Which order the inline engine takes: its own, or for a test one that a seed decides."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

_seeds: list[int] = []


def seed() -> int | None:
    """The seed that decides now, or None where the order is the engine's own."""
    return _seeds[-1] if _seeds else None


@contextmanager
def shuffled(seed: int) -> Generator[None]:
    """Let pipelines that are opened on the inline engine run in another order that is permitted.

    Of this whole process: a test may run a pipeline in a thread of its own.
    """
    _seeds.append(seed)
    try:
        yield
    finally:
        _seeds.pop()
