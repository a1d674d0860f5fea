"""The course of a run: few samples, however long it is, that lose nothing."""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor import Feed, Processor
from conveyor.engines.samples import MOST, PERIOD, Flow, Sampler

pytestmark = pytest.mark.quick


class Shown(NamedTuple):
    """What a gauge shows."""

    items: int = 0
    busy: float = 0.0
    starved: float = 0.0
    blocked: float = 0.0

    @property
    def reading(self):
        return self


def test_what_the_workers_of_an_element_did_is_taken_together():
    sampler = Sampler({1: "a", 2: "a", 3: "b"})
    sampler.begin(10.0, {1: Shown(items=100), 3: Shown()})
    sampler.look(10.5, {1: Shown(items=130, busy=0.4), 2: Shown(items=20, busy=0.1)})

    first, last = sampler.samples
    assert (first.since, last.since) == (0.0, 0.5)
    assert first.elements == {"a": Flow(), "b": Flow()}
    assert last.elements == {"a": Flow(50, 0.5), "b": Flow()}


def test_a_worker_that_takes_the_place_of_another_counts_from_nothing():
    sampler = Sampler({1: "a"})
    sampler.begin(0.0, {1: Shown(items=7)})
    sampler.look(1.0, {1: Shown(items=10)})
    sampler.look(2.0, {})
    sampler.look(3.0, {1: Shown(items=2)})

    assert [one.elements["a"].items for one in sampler.samples] == [0, 3, 3, 5]


def test_a_long_run_has_no_more_samples_than_a_short_one():
    sampler, now = Sampler({1: "a"}), 0.0
    sampler.begin(now, {1: Shown()})
    looks = 0
    while now < 3600:
        now += sampler.patience(now)
        sampler.look(now, {1: Shown(items=int(now * 10))})
        looks += 1

    assert len(sampler.samples) <= MOST
    assert looks < 3600 / PERIOD / 20
    since = [one.since for one in sampler.samples]
    assert since == sorted(since)
    assert since[0] == 0.0
    assert all(one.elements["a"].items == int(one.since * 10) for one in sampler.samples)


@given(st.lists(st.integers(0, 50), max_size=20))
def test_what_a_run_ended_with_is_what_a_look_would_have_found(taken):
    sampler, other = Sampler({1: "a", 2: "b"}), Sampler({1: "a", 2: "b"})
    shown = {1: Shown(items=5), 2: Shown()}
    for one in (sampler, other):
        one.begin(1.0, shown)
        for number, items in enumerate(accumulate(taken)):
            one.look(2.0 + number, {1: Shown(items=items + 5)})
    last = {1: Shown(items=1000, busy=0.5), 2: Shown(items=3)}
    other.look(99.0, last)
    course = sampler.end(99.0, last)
    sampler.begin(100.0, last)  # another run changes nothing of it

    assert list(course) == other.samples
    assert len(course) == len(other.samples)
    assert (course[0], course[-1]) == (other.samples[0], other.samples[-1])


def test_the_sample_of_the_end_is_one_of_the_most_that_there_are():
    sampler = Sampler({1: "a"})
    sampler.begin(0.0, {})
    for number in range(1, MOST):
        sampler.look(number, {1: Shown(items=number)})
    assert len(sampler.samples) == MOST

    course = sampler.end(float(MOST), {1: Shown(items=MOST)})
    assert len(course) <= MOST
    assert course[-1].elements["a"].items == MOST


def test_a_run_ends_with_a_sample_of_all_that_it_did(on):
    pipeline = Feed() >> Processor(lambda n: n) % 2
    with pipeline.open(**on) as live:
        for items in (range(100), range(50)):
            stats = live.run(items).stats
            if on["engine"] == "inline":
                assert stats.samples == ()
            else:
                last = stats.samples[-1]
                assert last.elements["feed"].items == len(items)
                assert last.elements["output"].items == len(items)
                assert last.since <= stats.elapsed
