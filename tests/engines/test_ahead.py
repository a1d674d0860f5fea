"""How far a step gets ahead of the next one, where a pipe has a capacity."""

from __future__ import annotations

import time

import pytest

from conveyor import Feed, Pipe, Processor

pytestmark = pytest.mark.quick


class Made(Processor):
    """Counts what it has made, in a file that all can see."""

    def __init__(self, folder):
        self.folder = folder

    def process(self, item):
        count(self.folder / "made")
        return item


class MadeByTwos(Made):
    def process(self, item):
        for _ in range(2):
            yield super().process(item)


class Used(Made):
    def process(self, item):
        """How many there are that it has not used yet, this one among them."""
        time.sleep(0.002)  # so that whoever may get ahead does
        ahead = (self.folder / "made").stat().st_size - (self.folder / "used").stat().st_size
        count(self.folder / "used")
        return ahead


def count(path):
    with path.open("a") as file:
        file.write("x")


AHEAD = {
    "a step": lambda made, pipe, used: made >> pipe >> used,
    "with retries": lambda made, pipe, used: made.options(retries=1) >> pipe >> used,
    "with restarts": lambda made, pipe, used: made.options(restarts=1) >> pipe >> used,
    "of two branches": lambda made, pipe, used: (
        Feed() >> made >> pipe >> used * Processor(lambda item: 0)
    ),
    "into a balanced fork": lambda made, pipe, used: Feed() >> made >> pipe >> used % 1,
}


@pytest.mark.parametrize("capacity", [1, 2, 7])
@pytest.mark.parametrize("kind", [Made, MadeByTwos])
@pytest.mark.parametrize("name", AHEAD)
def test_a_step_gets_no_further_ahead_than_a_capacity_allows(name, kind, capacity, tmp_path):
    for file in ("made", "used"):
        (tmp_path / file).touch()
    pipeline = AHEAD[name](kind(tmp_path), Pipe(capacity=capacity), Used(tmp_path))
    ahead = max(pipeline.run(range(60)))
    # What one item gave goes as a whole where the worker has restarts.
    in_hand = in_the_pipe = in_work = max(capacity, 1 if kind is Made else 2)
    assert ahead <= in_hand + in_the_pipe + in_work
