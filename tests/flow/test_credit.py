"""Credit: what is on a link and has not been taken into work stays within bounds."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from conveyor.flow.credit import BYTES, FRAMES, Credit, is_due

pytestmark = pytest.mark.quick

sizes = st.sampled_from((0, 1, 1000, BYTES // 2, BYTES - 1, BYTES, BYTES * 3))


class CreditRules(RuleBasedStateMachine):
    """Whatever is sent and taken, what is on the link is within the bounds, and is known."""

    @initialize(capacity=st.none() | st.integers(1, 20), frames=st.integers(1, 5))
    def open(self, capacity, frames):
        self.credit = Credit(capacity, frames)
        self.capacity, self.frames = capacity, frames
        self.on_link: deque[tuple[int, int]] = deque()

    @rule(items=st.integers(0, 25), size=sizes)
    def send_if_admitted(self, items, size):
        if self.credit.admits(items, size):
            self.credit.send(items, size)
            self.on_link.append((items, size))

    @precondition(lambda self: self.on_link)
    @rule(data=st.data(), service=st.floats(0, 1))
    def take(self, data, service):
        before, frames = self.credit.service, data.draw(st.integers(1, len(self.on_link)))
        self.credit.taken(frames, service)
        for _ in range(frames):
            self.on_link.popleft()
        assert self.credit.service == (service or before)

    @rule()
    def lay_the_link_anew(self):
        before, self.credit = self.credit.service, self.credit.renewed()
        self.on_link.clear()
        assert self.credit.service == before

    @invariant()
    def what_is_on_the_link_is_known(self):
        items, size = map(sum, zip(*self.on_link, strict=True)) if self.on_link else (0, 0)
        assert self.credit.in_flight == len(self.on_link)
        assert (self.credit.items, self.credit.bytes) == (items, size)

    @invariant()
    def no_more_is_on_the_link_than_it_holds(self):
        assert self.credit.in_flight <= self.frames
        if self.credit.in_flight > 1:
            beside = self.credit.bytes - max(size for _, size in self.on_link)
            assert self.credit.bytes <= BYTES or beside <= BYTES // FRAMES
            assert self.capacity is None or self.credit.items <= self.capacity

    @invariant()
    def an_empty_link_takes_anything(self):
        assert self.on_link or self.credit.admits(10**9, BYTES * 10)


TestCreditRules = CreditRules.TestCase


@given(st.integers(1, 9))
def test_frames_are_sent_until_the_link_is_full(frames):
    credit = Credit(frames=frames)
    for _ in range(frames):
        assert credit.admits(1)
        credit.send(1)

    assert not credit.admits(1)


@given(st.integers(1, 20), st.integers(1, 20))
def test_items_are_sent_as_long_as_the_capacity_has_room(capacity, items):
    credit = Credit(capacity, frames=1000)
    while credit.admits(items):
        credit.send(items)

    assert credit.in_flight == max(1, capacity // items)


def test_a_link_holds_few_frames_unless_told_otherwise():
    credit = Credit()
    while credit.admits(1):
        credit.send(1)

    assert credit.in_flight == FRAMES


def test_an_unknown_service_time_leaves_the_known_one():
    credit = Credit()
    for _ in range(2):
        credit.send(1)
    credit.taken(1, 0.25)
    credit.taken(1, 0.0)

    assert credit.service == 0.25


@given(st.lists(st.sampled_from(("now", "done", "later"))))
def test_a_sender_never_waits_for_credit_that_is_only_owed(given_back):
    owed = 0
    for due in given_back:
        owed += 1
        if is_due(due, owed):
            owed = 0
        assert owed < FRAMES
        assert owed == 0 or due == "later"


@pytest.mark.parametrize("size", [BYTES, 100 * BYTES])
def test_no_frame_waits_for_a_credit_that_may_go_back_along_with_its_own(size):
    credit = Credit()
    credit.send(1, BYTES // FRAMES)
    assert credit.admits(1, size)
