"""The crash matrix: each phase of the work, each way to die, each place, and each policy.

Every phase meets every place and every policy. The way changes from one to the next, so that all
pairs are there, and the whole takes seconds.
"""

from __future__ import annotations

import itertools
import re

import pytest

from conveyor import Feed, Processor, WorkerDied
from tests.faults.deaths import ENDED, FATAL, PHASES, WAYS, Dies, Item

pytestmark = pytest.mark.conveyor(limit=100)  # then it tells all stacks, also of workers

ITEMS = 30
PLACES = ("first", "middle", "last")
POLICIES = {
    "fail": {},
    "set aside": {"on_error": "dead_letter"},
    "restart": {"restarts": 3},
    "restart, set aside": {"restarts": 3, "on_error": "dead_letter"},
}
CELLS = [
    (phase, tuple(WAYS)[(number + number // len(WAYS)) % len(WAYS)], place, policy)
    for number, (policy, place, phase) in enumerate(itertools.product(POLICIES, PLACES, PHASES))
]
"""The cells: a phase, a way, a place and a policy."""


def run(phase, way, place, policy, once=None):
    dies = Dies(phase, way, once).options(**POLICIES[policy])
    stages = [Processor(same), Processor(same)]
    stages.insert(PLACES.index(place), dies)
    pipeline = Feed() >> stages[0] >> stages[1] >> stages[2]
    return pipeline.run(Item(number) for number in range(ITEMS))


def same(item):
    return item


def numbers(items):
    return sorted(item.number for item in items)


def test_every_pair_is_there():
    for one, other in itertools.combinations(range(4), 2):
        seen = {(cell[one], cell[other]) for cell in CELLS}
        wanted = len({cell[one] for cell in CELLS}) * len({cell[other] for cell in CELLS})
        assert len(seen) == wanted


def ids(cells):
    return [" / ".join(cell) for cell in cells]


DEADLY = [cell for cell in CELLS if not cell[3].startswith("restart")]


@pytest.mark.parametrize(("phase", "way", "place", "policy"), DEADLY, ids=ids(DEADLY))
def test_a_death_is_told_and_named(phase, way, place, policy):
    if (phase, way) == ("teardown", "terminate"):
        # Who clears up is ending anyway, so being told to end changes nothing.
        assert len(run(phase, way, place, policy)) == ITEMS + 1
        return
    with pytest.raises(WorkerDied) as caught:
        run(phase, way, place, policy)
    error = caught.value
    assert (error.stage, error.exitcode) == ("dies", WAYS[way][1])
    if phase == "process":
        assert error.item == f"Item({FATAL})"
    elif phase == "give":
        among = [int(number) for number in re.findall(r"Item\((\d+)\)", error.item)]
        assert among[0] <= FATAL <= among[-1]  # what is given is given together
    elif phase == "load":
        assert error.item.endswith("as it was loaded") or error.item.startswith("one of a batch")
    else:
        assert error.item is None


REVIVED = [cell for cell in CELLS if cell[3] == "restart"]


@pytest.mark.parametrize(("phase", "way", "place", "policy"), REVIVED, ids=ids(REVIVED))
def test_with_restarts_nothing_is_lost_or_doubled(tmp_path, phase, way, place, policy):
    once = tmp_path / "died"
    results = run(phase, way, place, policy, once)
    assert once.exists()
    assert numbers(results) == [*range(ITEMS), ENDED + ITEMS]
    assert results.dead_letters == []


FATAL_EACH_TIME = [cell for cell in CELLS if cell[3] == "restart, set aside"]


@pytest.mark.parametrize(
    ("phase", "way", "place", "policy"), FATAL_EACH_TIME, ids=ids(FATAL_EACH_TIME)
)
def test_who_dies_each_time_costs_an_item_or_all_restarts(phase, way, place, policy):
    if phase == "teardown":
        assert numbers(run(phase, way, place, policy)) == [*range(ITEMS), ENDED + ITEMS]
    elif phase in ("process", "give"):
        results = run(phase, way, place, policy)
        others = [number for number in range(ITEMS) if number != FATAL]
        assert numbers(results) == [*others, ENDED + ITEMS - 1]
        (letter,) = results.dead_letters
        assert (letter.item.number, type(letter.error)) == (FATAL, WorkerDied)
    elif phase == "load":
        results = run(phase, way, place, policy)
        others = [number for number in range(ITEMS) if number != FATAL]
        assert numbers(results) == [*others, ENDED + ITEMS - 1]
        (letter,) = results.dead_letters
        assert repr(letter.item) == f"<not loaded: loaded({FATAL},)>"
        assert re.match(r"number \d+ of a batch of \d+, as it was loaded", letter.error.item)
    else:
        with pytest.raises(WorkerDied) as caught:
            run(phase, way, place, policy)
        assert (caught.value.stage, caught.value.exitcode) == ("dies", WAYS[way][1])
