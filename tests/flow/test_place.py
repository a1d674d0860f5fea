"""Where workers are placed: the best cut of a row, and whether it is worth a change."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.flow.place import SLACK, WORTH, decide, placed

pytestmark = pytest.mark.quick


@st.composite
def rows(draw: st.DrawFn) -> tuple[list[float], list[int], set[int]]:
    """The work of some workers, where they are, and which of them stay."""
    work = draw(st.lists(st.integers(0, 100).map(float), min_size=1, max_size=8))
    processes = draw(st.integers(1, len(work)))
    current = draw(st.sampled_from(list(cuts(len(work), processes))))
    return work, current, draw(st.sets(st.integers(0, len(work) - 1)))


def cuts(workers: int, processes: int) -> list[list[int]]:
    """All ways to give each process a run of workers."""
    return [
        [sum(n >= end for end in ends) for n in range(workers)]
        for ends in combinations(range(1, workers), processes - 1)
    ]


def largest(work: list[float], processes: list[int]) -> float:
    return max(
        sum(one for one, there in zip(work, processes, strict=True) if there == process)
        for process in processes
    )


def moves(current: list[int], processes: list[int]) -> int:
    return sum(one != other for one, other in zip(current, processes, strict=True))


@given(rows())
def test_no_cut_leaves_less_to_the_fullest_process(
    row: tuple[list[float], list[int], set[int]],
) -> None:
    work, current, stays = row
    allowed = [
        cut for cut in cuts(len(work), max(current) + 1) if all(cut[n] == current[n] for n in stays)
    ]
    best = placed(work, current, stays)
    assert best in allowed
    least = min(largest(work, cut) for cut in allowed)
    assert largest(work, best) <= least * (1 + SLACK)
    as_good = [cut for cut in allowed if largest(work, cut) <= least * (1 + SLACK)]
    assert moves(current, best) == min(moves(current, cut) for cut in as_good)


@given(rows())
def test_a_change_is_made_only_where_it_is_worth_it(
    row: tuple[list[float], list[int], set[int]],
) -> None:
    work, current, stays = row
    best, decision = placed(work, current, stays), decide(work, current, stays)
    is_worth_it = largest(work, best) <= largest(work, current) * (1 - WORTH) and sum(work) > 0
    assert (decision is not None) == is_worth_it
    if decision is not None:
        assert list(decision.processes) == best
        assert decide(work, best, stays) is None


def test_workers_leave_the_process_of_a_heavy_one() -> None:
    decision = decide([1, 12, 6, 1, 1], [0, 0, 0, 1, 1], set())
    assert decision is not None
    assert decision.processes == (0, 0, 1, 1, 1)
    assert decision.reason == ("process 1 had 90% of the work, and none has more than 62% now")


def test_workers_that_stay_bound_what_can_move() -> None:
    assert placed([1, 9, 9, 1], [0, 0, 0, 1], {2}) == [0, 0, 0, 1]
    assert placed([1, 9, 9, 1], [0, 0, 0, 1], {1}) == [0, 0, 1, 1]


def test_nothing_is_decided_before_there_was_any_work() -> None:
    assert decide([0, 0, 0], [0, 0, 1], set()) is None
