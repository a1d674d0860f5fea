"""Widths that follow the load: within bounds, into free cores only, and at rest on steady load."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.flow.scale import AT_FIRST, IDLE_SECONDS, Bounds, Load, Scaler

pytestmark = pytest.mark.quick

PERIOD = 0.1

bounds = st.integers(1, 4).flatmap(
    lambda least: st.builds(Bounds, st.just(least), st.integers(least, least + 8), st.booleans())
)
shares = st.floats(0, 1)
forks = st.dictionaries(st.sampled_from("abc"), bounds, min_size=1)


def load(width, busy, *, stalled=0.0, idle=None, flows=True):
    """The load of a fork whose branches have one worker each."""
    return Load(width, busy, busy, width - busy if idle is None else idle, stalled, flows)


@st.composite
def loads(draw, width):
    busy = draw(shares) * width
    waiting = draw(shares) * (width - busy)
    return load(width, busy, stalled=draw(shares), idle=waiting, flows=draw(st.booleans()))


def first(scaler):
    return {one.fork: one.width for one in scaler.first()}


@given(forks, st.integers(1, 32), shares, st.data())
def test_bounds_are_kept_and_only_free_cores_are_taken(forks, cores, others, data):
    scaler = Scaler(forks, cores)
    widths = first(scaler)
    for period in range(30):
        seen = {name: data.draw(loads(width)) for name, width in widths.items()}
        decision = scaler.decide(period * PERIOD, seen, others)
        assert all(forks[name].least <= width <= forks[name].most for name, width in widths.items())
        if decision is None:
            continue
        before, widths[decision.fork] = widths[decision.fork], decision.width
        assert decision.width != before
        assert decision.reason
        used = others + sum(one.cores for one in seen.values())
        if decision.width > before:
            per_branch = seen[decision.fork].cores / before
            assert used + (decision.width - before) * per_branch <= cores + 0.5 + 1e-9
        else:
            assert forks[decision.fork].narrows


@given(forks, st.integers(1, 64))
def test_at_first_forks_share_the_cores(forks, cores):
    widths = first(Scaler(forks, cores))

    for name, fork in forks.items():
        assert fork.least <= widths[name] <= min(fork.most, max(AT_FIRST, fork.least))
    if max(fork.least for fork in forks.values()) <= cores // len(forks):
        assert sum(widths.values()) <= cores


@dataclass
class Steady:
    """A fork that always has the same amount of work: so many workers' worth."""

    work: float
    width: int

    def load(self):
        busy = min(self.work, float(self.width))
        return load(self.width, busy, stalled=1.0 if self.work > self.width else 0.0)


def settled(scaler, running, seconds=60):
    """Let steady loads work on the widths; give how often each fork was changed late."""
    late = dict.fromkeys(running, 0)
    for period in range(int(seconds / PERIOD)):
        now = period * PERIOD
        decision = scaler.decide(now, {name: one.load() for name, one in running.items()}, 0.0)
        if decision is not None:
            running[decision.fork].width = decision.width
            late[decision.fork] += now > seconds / 2
    return late


works = st.floats(0, 20)


@given(works, st.integers(1, 16), st.integers(1, 16))
def test_on_steady_load_a_fork_comes_to_rest(work, cores, width):
    fork = Bounds(1, cores)
    running = {"a": Steady(work, min(width, cores))}

    assert settled(Scaler({"a": fork}, cores), running) == {"a": 0}
    assert running["a"].width >= min(cores, work) - 0.5
    assert running["a"].width == 1 or running["a"].width - 1 <= max(1.0, work) / 0.5


@given(works, works, st.integers(2, 16))
def test_two_forks_come_to_rest_and_leave_no_core_free_that_is_needed(one, two, cores):
    forks = {"a": Bounds(1, cores), "b": Bounds(1, cores)}
    scaler = Scaler(forks, cores)
    widths = first(scaler)
    running = {"a": Steady(one, widths["a"]), "b": Steady(two, widths["b"])}

    assert settled(scaler, running) == {"a": 0, "b": 0}
    used = sum(fork.load().cores for fork in running.values())
    for fork in running.values():
        assert fork.work <= fork.width or fork.width == cores or used > cores - 0.5


def test_a_heavy_fork_gets_the_cores_that_a_light_one_leaves():
    scaler = Scaler({"heavy": Bounds(1, 4), "light": Bounds(1, 4)}, 4)
    running = {"heavy": Steady(9.0, 2), "light": Steady(0.1, 2)}
    settled(scaler, running)

    assert (running["heavy"].width, running["light"].width) == (4, 1)


def test_of_two_forks_that_stall_the_one_at_work_is_widened():
    """What is before the narrow place stalls too, but its workers wait for room."""
    scaler = Scaler({"before": Bounds(1, 4), "narrow": Bounds(1, 4)}, 4)
    before = load(1, 0.1, stalled=1.0)
    decision = scaler.decide(0.0, {"before": before, "narrow": load(1, 1.0, stalled=0.9)}, 0.0)

    assert (decision.fork, decision.width) == ("narrow", 2)


def test_what_keeps_cores_busy_elsewhere_leaves_none():
    scaler = Scaler({"a": Bounds(1, 4)}, 4)

    assert scaler.decide(0.0, {"a": load(1, 1.0, stalled=1.0)}, 3.0) is None
    assert scaler.decide(0.0, {"a": load(1, 1.0, stalled=1.0)}, 2.0).width == 2


def test_workers_that_are_being_set_up_are_neither_busy_nor_idle():
    scaler = Scaler({"a": Bounds(1, 4)}, 4)
    for period in range(100):
        setting_up = load(2, 0.0, stalled=1.0, idle=0.0)
        assert scaler.decide(period * PERIOD, {"a": setting_up}, 0.0) is None


def test_a_fork_is_given_time_before_it_gets_narrower():
    scaler = Scaler({"a": Bounds(1, 4)}, 4)

    assert scaler.decide(0.0, {"a": load(4, 0.5)}, 0.0) is None
    assert scaler.decide(IDLE_SECONDS / 2, {"a": load(4, 2.0)}, 0.0) is None
    decision = scaler.decide(IDLE_SECONDS, {"a": load(4, 0.1)}, 0.0)
    assert decision.width == 3, "as many as were needed in that time"


def test_a_pause_is_no_idle_time():
    scaler = Scaler({"a": Bounds(1, 4)}, 4)
    scaler.decide(0.0, {"a": load(4, 0.5)}, 0.0)
    scaler.pause()

    assert scaler.decide(IDLE_SECONDS, {"a": load(4, 0.5)}, 0.0) is None
