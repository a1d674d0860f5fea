"""The arena: places that are lent never overlap, and come back when all tickets are back."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from conveyor.flow.arena import PAGE, Arena

pytestmark = pytest.mark.quick

SIZE = 16 * PAGE
TICKETS = 12


class ArenaRules(RuleBasedStateMachine):
    """Whatever is lent and given back, nobody gets what another one may still look at."""

    def __init__(self):
        super().__init__()
        self.arena = Arena(SIZE, TICKETS)
        self.leases = []
        self.back = set()
        self.written = set()
        self.limit = SIZE

    def lend(self, lease):
        assert not self.back & set(lease.tickets)
        self.leases.append(lease)

    @rule(size=st.integers(1, SIZE), readers=st.integers(1, 4), room=st.integers(0, SIZE))
    def allot(self, size, readers, room):
        room = min(room, SIZE - self.arena.used)
        before = self.arena.used
        lease = self.arena.allot(size, readers, room)
        if lease is None:
            return
        assert lease.size >= size > lease.size - PAGE
        assert lease.start % PAGE == 0
        assert 0 <= lease.start <= lease.start + lease.size <= SIZE
        assert len(lease.tickets) == readers
        assert self.arena.used - before == (lease.size if lease.is_fresh else 0) <= room
        pages = set(range(lease.start, lease.start + lease.size, PAGE))
        assert lease.is_fresh or pages <= self.written
        self.written |= pages
        self.lend(lease)

    @rule(origin=st.integers(0, 99), readers=st.integers(1, 4))
    def lend_on(self, origin, readers):
        lease = self.arena.lend_on(origin, readers)
        if lease is not None:
            assert (lease.origin, len(lease.tickets)) == (origin, readers)
            self.lend(lease)

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def give_back(self, data):
        lent = {ticket for lease in self.leases for ticket in lease.tickets} - self.back
        if lent:
            self.back.add(data.draw(st.sampled_from(sorted(lent))))

    @rule()
    def settle(self):
        over = [lease for lease in self.leases if set(lease.tickets) <= self.back]
        assert sorted(self.arena.settle(self.back.__contains__), key=str) == sorted(over, key=str)
        for lease in over:
            self.leases.remove(lease)
            self.back -= set(lease.tickets)

    @rule()
    def spare(self):
        lent = self.pages()
        for start, size in self.arena.spare():
            pages = set(range(start, start + size, PAGE))
            assert not pages & lent
            self.written -= pages
        assert self.arena.used == len(lent) * PAGE

    def pages(self):
        return {
            page
            for lease in self.leases
            for page in range(lease.start, lease.start + lease.size, PAGE)
        }

    @invariant()
    def places_do_not_overlap(self):
        assert len(self.pages()) * PAGE == sum(lease.size for lease in self.leases)

    @invariant()
    def a_ticket_has_one_holder(self):
        tickets = [ticket for lease in self.leases for ticket in lease.tickets]
        assert len(tickets) == len(set(tickets)) <= TICKETS

    @invariant()
    def what_has_memory_is_counted(self):
        assert self.arena.used == len(self.written) * PAGE

    def teardown(self):
        self.back = {ticket for lease in self.leases for ticket in lease.tickets}
        self.settle()
        self.spare()
        assert self.arena.is_idle
        whole = self.arena.allot(SIZE, TICKETS, SIZE)
        assert whole is not None


TestArena = ArenaRules.TestCase


def test_memory_that_was_written_is_taken_first():
    arena = Arena(SIZE, TICKETS)
    first = arena.allot(PAGE, 1, SIZE)
    arena.allot(PAGE, 1, SIZE)
    arena.settle(set(first.tickets).__contains__)
    assert arena.allot(PAGE, 1, SIZE).start == first.start


def test_the_tightest_place_is_taken():
    arena = Arena(SIZE, TICKETS)
    leases = [arena.allot(pages * PAGE, 1, SIZE) for pages in (4, 1, 2, 1)]
    free = {leases[0].tickets[0], leases[2].tickets[0]}
    arena.settle(free.__contains__)
    assert arena.allot(2 * PAGE, 1).start == leases[2].start
