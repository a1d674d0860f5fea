"""The inline engine in other orders: each is one that the pipeline permits, and all are reached."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conveyor import Feed, Join, Processor, processor
from conveyor.engines.order import seed, shuffled
from tests.engines.test_agreement import outcome
from tests.strategies import inputs, runnables

pytestmark = pytest.mark.quick

SEEDS = range(60)


@processor
def once(item):
    return item


@processor
def thrice(item):
    yield from (f"{item}{part}" for part in "xyz")


class Mark(Processor):
    def __init__(self, name):
        self.name = name

    def process(self, item):
        return f"{self.name}{item}"


class Count(Processor):
    def __init__(self):
        self.count = 0

    def process(self, item):
        self.count += 1

    def finish(self):
        return self.count


class Gather(Processor):
    def __init__(self):
        self.items = []

    def process(self, item):
        self.items.append(item)

    def finish(self):
        return "".join(self.items)


def on_seed(number, pipeline, items, **options):
    with shuffled(number):
        return pipeline.run(items, engine="inline", **options)


def outcomes(pipeline, items, **options):
    """What some seeds give, each once."""
    return {tuple(on_seed(number, pipeline, items, **options)) for number in SEEDS}


@given(runnables(items=inputs(30)), st.integers(0, 9))
def test_a_seed_gives_the_same_outputs_in_some_order(case, number):
    expected = outcome(case, engine="inline")

    with shuffled(number):
        assert Counter(outcome(case, engine="inline")) == Counter(expected)


@settings(max_examples=3 * settings.default.max_examples)
@given(runnables(items=inputs(30)), st.integers(0, 9))
def test_a_seed_gives_the_same_list_when_ordered(case, number):
    expected = outcome(case, engine="inline")

    with shuffled(number):
        assert outcome(case, engine="inline", ordered=True) == expected


@given(runnables(items=inputs(30)), st.integers(0, 9))
def test_a_seed_gives_the_same_each_time(case, number):
    with shuffled(number):
        assert outcome(case, engine="inline") == outcome(case, engine="inline")


def test_a_balanced_fork_may_give_its_branches_any_items():
    found = outcomes(Feed() >> Count() % 2, range(3))

    assert found == {(0, 3), (1, 2), (2, 1), (3, 0)}


def test_the_branches_of_a_replicated_fork_run_in_any_order():
    pipeline = Feed() >> Mark("a") * Mark("b") * Mark("c") & Gather()

    assert len(outcomes(pipeline, "1")) == 6


def test_items_overtake_one_another_on_the_way_to_a_join():
    firsts = {found[0] for found in outcomes(Feed() >> once % 3 & once, "123")}

    assert firsts == {"1", "2", "3"}


def test_items_overtake_one_another_on_the_way_to_the_output():
    assert len(outcomes(Feed() >> once * once, "12")) > 1


def test_what_comes_by_one_branch_stays_in_order():
    for number in SEEDS:
        found = on_seed(number, Feed() >> Mark("a") * Mark("b"), "123456")
        assert [one for one in found if one[0] == "a"] == [f"a{i}" for i in range(1, 7)]


def test_a_chain_has_one_order():
    assert outcomes(once >> thrice >> once, "12") == {("1x", "1y", "1z", "2x", "2y", "2z")}


def test_an_ordered_join_restores_the_order_of_one_to_many_before_an_inner_fork():
    inner = thrice >> Mark("b") * Mark("c")
    pipeline = Feed() >> Mark("a") * inner & Join("ordered")

    assert outcomes(pipeline, "12") == {tuple(pipeline.run("12", engine="inline"))}


def test_a_zip_pairs_what_belongs_together_behind_an_inner_join():
    pipeline = Feed() >> once * (once % 2 & once) & Join("zip")

    assert {tuple(sorted(found)) for found in outcomes(pipeline, "123")} == {
        (("1", "1"), ("2", "2"), ("3", "3"))
    }


def test_an_endless_stream_goes_on():
    def endless():
        while True:
            yield "1"

    with shuffled(1):
        outputs = (Feed() >> once % 2 & once).stream(endless(), engine="inline")
        assert [output for output, _ in zip(outputs, range(1000), strict=False)] == ["1"] * 1000


def test_the_order_is_the_engines_own_again_outside():
    with shuffled(1), shuffled(2):
        assert seed() == 2

    assert seed() is None
    assert (Feed() >> Count() % 2).run(range(4), engine="inline") == [2, 2]
