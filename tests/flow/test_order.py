"""Completeness and order, both from paths alone, however frames arrive."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from conveyor.flow.batch import Frame, Path, component
from conveyor.flow.order import Completion, Reorder
from tests.flow.trees import forests, leaves, trees

pytestmark = pytest.mark.quick


def prefix(order, arrived):
    """As many of ``order`` as have arrived without a gap."""
    count = 0
    while count < len(order) and order[count] in arrived:
        count += 1
    return order[:count]


@given(st.data(), trees, st.lists(st.integers(0, 9), min_size=1, max_size=3))
def test_a_tree_is_complete_when_its_last_leaf_has_come(data, tree, root):
    paths = data.draw(st.permutations(list(leaves(tree, tuple(root)))))
    completion = Completion()

    told = [completion.add(path, len(root)) for path in paths]

    assert told == [False] * (len(paths) - 1) + [True]
    assert completion.is_idle


@given(st.data(), forests)
def test_trees_are_complete_each_by_itself(data, forest):
    roots = [(component(n, last=False),) for n in range(len(forest))]
    paths = [p for root, tree in zip(roots, forest, strict=True) for p in leaves(tree, root)]
    arriving = data.draw(st.permutations(paths))
    completion = Completion()
    left = {root: sum(path[:1] == root for path in paths) for root in roots}
    for path in arriving:
        left[path[:1]] -= 1
        assert completion.add(path, 1) == (left[path[:1]] == 0)
    assert completion.is_idle


@given(trees)
def test_a_tree_that_is_not_complete_is_not_forgotten(tree):
    paths = list(leaves(tree, (2,)))
    completion = Completion()
    for path in paths[:-1]:
        completion.add(path, 1)

    assert completion.is_idle == (len(paths) == 1)


@given(st.data(), forests)
def test_frames_are_given_in_order_and_as_soon_as_they_are_next(data, forest):
    order = [(turn, path) for turn, tree in enumerate(forest) for path in leaves(tree)]
    reorder, arrived, given = Reorder(), set(), []
    for turn, path in data.draw(st.permutations(order)):
        given += [frame.items[0] for frame in reorder.put(turn, path, Frame((), [(turn, path)]))]
        arrived.add((turn, path))
        assert given == prefix(order, arrived)
        assert reorder.waiting == len(arrived) - len(given)
    assert given == order


@given(forests, forests)
def test_after_a_restart_turns_begin_anew(first, second):
    reorder = Reorder()
    for forest in (first, second):
        order = [(turn, path) for turn, tree in enumerate(forest) for path in leaves(tree)]
        given = []
        for turn, path in reversed(order):
            given += reorder.put(turn, path, Frame(path, [turn]))
        assert [(frame.items[0], frame.path) for frame in given] == order
        reorder.restart()


class GrowingFamilies(RuleBasedStateMachine):
    """Frames become families, and arrive, while others are still on their way."""

    def __init__(self) -> None:
        super().__init__()
        self.reorder = Reorder()
        self.completion = Completion()
        self.order: list[tuple[int, Path]] = []
        self.arrived: set[tuple[int, Path]] = set()
        self.given: list[tuple[int, Path]] = []
        self.complete: set[int] = set()
        self.turns = 0

    @property
    def under_way(self) -> list[tuple[int, Path]]:
        return [one for one in self.order if one not in self.arrived]

    @rule()
    def enter(self):
        self.order.append((self.turns, ()))
        self.turns += 1

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), members=st.integers(1, 4))
    def become_a_family(self, data, members):
        turn, path = one = data.draw(st.sampled_from(self.under_way))
        at = self.order.index(one)
        self.order[at : at + 1] = [
            (turn, (*path, component(n, last=n + 1 == members))) for n in range(members)
        ]

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def arrive(self, data):
        turn, path = one = data.draw(st.sampled_from(self.under_way))
        self.arrived.add(one)
        self.given += [f.items[0] for f in self.reorder.put(turn, path, Frame((), [one]))]
        if self.completion.add((turn * 2, *path), 1):
            self.complete.add(turn)

    @invariant()
    def what_is_next_has_been_given_and_nothing_else(self):
        assert self.given == prefix(self.order, self.arrived)

    @invariant()
    def those_turns_are_complete_of_which_nothing_is_under_way(self):
        assert self.complete == set(range(self.turns)) - {turn for turn, _ in self.under_way}


TestGrowingFamilies = GrowingFamilies.TestCase
