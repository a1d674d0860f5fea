"""The way out: who gets a frame, in what order, and who has to wait for whom."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from conveyor.flow.batch import LEAVE, Frame, Scope, component, origin
from conveyor.flow.credit import AHEAD_SECONDS, BYTES, FRAMES, Credit
from conveyor.flow.order import Completion
from conveyor.flow.route import Balance, LinkOut, Outlet, Replicate
from tests.flow.routes import forks_to, laid, links_of, shapes

pytestmark = pytest.mark.quick


def links(*frames, service=1e-6):
    found = [LinkOut(number, Credit(frames=room)) for number, room in enumerate(frames)]
    for leaf in found:
        leaf.credit.service = service
    return found


def batch(number, items=(), *, end=0):
    return Frame((component(number, last=bool(end)),), list(items), end=end)


def by_link(sent):
    return [(leaf.link, frame.items) for leaf, frame in sent]


class OutletRules(RuleBasedStateMachine):
    """Frames are offered, credit comes back in any order, and no link waits for another one."""

    @initialize(shape=shapes, frames=st.integers(1, 3))
    def open(self, shape, frames):
        self.frames = frames
        self.root = laid(shape, frames)
        self.links = links_of(self.root)
        self.outlet = Outlet(self.root)
        self.offered: list[Frame] = []
        self.on_link = {leaf.link: deque() for leaf in self.links}
        self.got = {leaf.link: [] for leaf in self.links}
        self.is_settled = True

    # -- what happens --

    @precondition(lambda self: self.outlet.is_clear)
    @rule(
        count=st.integers(0, 12),
        size=st.sampled_from((0, 9, BYTES // 3, BYTES, BYTES * 2)),
        is_end=st.sampled_from((False, False, False, True)),
    )
    def offer(self, count, size, is_end):
        number, count = len(self.offered), 0 if is_end else count
        items = [(number, index) for index in range(count)]
        payload = bytes(size) if count else None
        frame = Frame((component(number, last=False),), items, end=int(is_end), payload=payload)
        self.offered.append(frame)
        for leaf in self.links:
            self.got[leaf.link].append([])
        self.note(self.outlet.offer(frame))

    @rule()
    def advance(self):
        self.note(self.outlet.advance())

    @precondition(lambda self: any(self.on_link.values()))
    @rule(data=st.data())
    def give_credit(self, data):
        leaf = data.draw(st.sampled_from([leaf for leaf in self.links if self.on_link[leaf.link]]))
        leaf.credit.taken(1, 0.0)
        self.on_link[leaf.link].popleft()
        self.is_settled = False

    def note(self, sent):
        for leaf, frame in sent:
            assert frame.path[:1] == self.offered[-1].path
            self.on_link[leaf.link].append(frame)
            self.got[leaf.link][-1].append(frame)
        self.is_settled = True

    # -- what must hold --

    @invariant()
    def no_link_holds_more_than_its_credit(self):
        for leaf in getattr(self, "links", ()):
            frames = self.on_link[leaf.link]
            assert len(frames) <= self.frames
            if len(frames) > 1:
                capacity = leaf.credit.capacity
                assert capacity is None or sum(frame.count for frame in frames) <= capacity
                sizes = [frame.size for frame in frames]
                assert sum(sizes) <= BYTES or sum(sizes) - max(sizes) <= BYTES // FRAMES

    @invariant()
    def every_piece_fits_the_capacity(self):
        for leaf in getattr(self, "links", ()):
            for frame in self.on_link[leaf.link]:
                assert leaf.credit.capacity is None or frame.count <= leaf.credit.capacity

    @precondition(lambda self: self.offered and self.outlet.is_clear)
    @invariant()
    def all_that_was_offered_has_gone_where_it_should_and_once(self):
        assert self.is_delivered(self.root)
        paths = [frame.path for leaf in self.links for frame in self.got[leaf.link][-1]]
        completion = Completion()
        assert [completion.add(path, 1) for path in paths] == [False] * (len(paths) - 1) + [True]

    def is_delivered(self, route):
        """Whether what was offered last has gone to where it should below ``route``."""
        match route:
            case LinkOut():
                pieces = self.got[route.link][-1]
                items = [item for piece in pieces for item in piece.items]
                ends = [piece.end for piece in pieces]
                frame = self.offered[-1]
                return items == frame.items and ends[-1:] == [frame.end] and not any(ends[:-1])
            case Balance() if not self.offered[-1].end:
                (branch,) = [branch for branch in route.branches if self.has_begun(branch)]
                return self.is_delivered(branch)
            case _:
                return all(map(self.is_delivered, route.branches))

    def has_begun(self, route):
        """Whether some of what was offered last has gone by ``route``."""
        return any(self.got[leaf.link][-1] for leaf in links_of(route))

    @precondition(lambda self: self.offered and self.is_settled)
    @invariant()
    def nothing_waits_for_a_link_with_room(self):
        assert self.outlet.is_clear or not self.is_held_up(self.root)

    def is_held_up(self, route):
        """Whether something waits that could go by ``route`` now."""
        frame = self.offered[-1]
        match route:
            case LinkOut(link=link):
                sent = sum(piece.count for piece in self.got[link][-1])
                if self.got[link][-1] and sent == frame.count:
                    return False
                return has_room(route, frame, sent)
            case Balance() if not frame.end:
                begun = [branch for branch in route.branches if self.has_begun(branch)]
                if begun:
                    return self.is_held_up(begun[0])
                return any(has_room(branch, frame) for branch in route.branches)
            case _:
                return any(map(self.is_held_up, route.branches))

    @invariant()
    def each_link_gets_frames_in_order(self):
        for frames in getattr(self, "got", {}).values():
            paths = [frame.path for pieces in frames for frame in pieces]
            assert paths == sorted(paths)

    @invariant()
    def frames_remember_the_forks_where_a_join_will_ask(self):
        for leaf in getattr(self, "links", ()):
            asking = [f for f in forks_to(self.root, leaf.link) if f.in_turn or is_traced(f)]
            for frame in self.on_link[leaf.link]:
                assert [s.traced for s in frame.scopes] == list(map(is_traced, asking))
                assert [s.turn >= 0 for s in frame.scopes] == [fork.in_turn for fork in asking]

    @precondition(lambda self: self.offered and self.outlet.is_clear)
    @invariant()
    def turns_count_what_entered_a_fork(self):
        entered: dict[int, dict[int, tuple]] = {}
        for leaf in self.links:
            asking = [f for f in forks_to(self.root, leaf.link) if f.in_turn or is_traced(f)]
            for frame in (one for pieces in self.got[leaf.link] for one in pieces):
                for fork, scope in zip(asking, frame.scopes, strict=True):
                    if fork.in_turn:
                        address = frame.path[: scope.depth]
                        assert entered.setdefault(id(fork), {}).setdefault(scope.turn, address) == (
                            address
                        )
        for turns in entered.values():
            assert sorted(turns) == list(range(len(turns)))
            assert sorted(turns.values()) == [turns[turn] for turn in sorted(turns)]


def is_traced(fork):
    return isinstance(fork, Replicate) and fork.traced


def has_room(route, frame, sent=0):
    """Whether a branch has room for a frame, of which some items may have been sent."""
    match route:
        case LinkOut(credit=credit):
            left = frame.count - sent
            items = left if credit.capacity is None else min(left, credit.capacity)
            size = frame.size if items == frame.count else frame.size * items // frame.count
            return credit.admits(items, size)
        case Replicate():
            return all(has_room(branch, frame) for branch in route.branches)
        case Balance():
            return any(has_room(branch, frame) for branch in route.branches)


TestOutletRules = OutletRules.TestCase


def test_a_replicated_fork_gives_a_frame_to_every_branch():
    sent = Outlet(Replicate(links(1, 1, 1))).offer(batch(0, "ab"))

    assert by_link(sent) == [(0, ["a", "b"]), (1, ["a", "b"]), (2, ["a", "b"])]
    assert [frame.path for _, frame in sent] == [(0, 0), (0, 2), (0, 5)]


@given(st.integers(0, 2))
def test_a_blocked_branch_does_not_hold_up_the_others(blocked):
    branches = links(1, 1, 1)
    branches[blocked].credit.send(1)
    outlet = Outlet(Replicate(branches))

    assert [leaf.link for leaf, _ in outlet.offer(batch(0, "a"))] == (
        [link for link in range(3) if link != blocked]
    )
    branches[blocked].credit.taken(1, 0.0)
    assert [leaf.link for leaf, _ in outlet.advance()] == [blocked]
    assert outlet.is_clear


@given(st.lists(st.integers(0, 4), min_size=1, max_size=5))
def test_a_balanced_fork_takes_a_branch_with_room_and_the_least_waiting(waiting):
    branches = links(*[4] * len(waiting))
    for leaf, frames in zip(branches, waiting, strict=True):
        for _ in range(frames):
            leaf.credit.send(1)
    sent = Outlet(Balance(branches, range(len(waiting)))).offer(batch(0, "a"))

    assert [waiting[leaf.link] for leaf, _ in sent] == [min(waiting)] * (min(waiting) < 4)


def taught(leaf, service):
    """A link whose receiver has told its service time."""
    leaf.credit.send(1)
    leaf.credit.taken(1, service)


def test_what_waits_on_a_branch_is_measured_in_time():
    slow, fast = branches = links(9, 9)
    taught(slow, 0.001)
    taught(fast, 0.0001)
    outlet = Outlet(Balance(branches, (0, 1)))
    sent = [outlet.offer(batch(number, "a"))[0][0].link for number in range(11)]

    assert sent.count(1) == 9
    assert sent.count(0) == 2


def test_slow_items_stay_where_any_branch_can_get_them():
    branches = links(9, 9)
    for leaf in branches:
        taught(leaf, AHEAD_SECONDS)
    outlet = Outlet(Balance(branches, (0, 1)))

    assert [len(outlet.offer(batch(number, "a"))) for number in range(3)] == [1, 1, 0]


def test_a_branch_gets_no_second_frame_before_it_is_known_how_long_the_first_takes():
    branches = links(9, 9, service=0.0)
    outlet = Outlet(Balance(branches, (0, 1)))

    assert [len(outlet.offer(batch(number, "a"))) for number in range(3)] == [1, 1, 0]
    branches[1].credit.taken(1, 0.001)
    assert by_link(outlet.advance()) == [(1, ["a"])]
    assert by_link(outlet.offer(batch(3, "b"))) == [(1, ["b"])]


def test_what_is_too_much_for_a_branch_is_dealt_to_all_of_them():
    slow, fast = branches = links(9, 9)
    taught(slow, 0.1)
    taught(fast, 0.001)
    fork = Balance(branches, (0, 1))
    sent = Outlet(fork).offer(batch(0, range(14)))

    assert by_link(sent) == [
        (0, [0]),
        (1, [1]),
        (1, [2, 3]),
        (1, [4, 5, 6]),
        (1, list(range(7, 14))),
    ]
    assert fork.items == [1, 13]


def test_what_would_be_dealt_in_parts_goes_whole_where_it_may_not_be_cut():
    slow, fast = branches = links(9, 9)
    taught(slow, 0.1)
    taught(fast, 0.001)
    sent = Outlet(Balance(branches, (0, 1)), cuts=False).offer(batch(0, range(14)))

    assert by_link(sent) == [(0, list(range(14)))]


def test_a_frame_that_may_be_dealt_needs_its_items():
    slow, fast = branches = links(9, 9)
    taught(slow, 0.01)
    taught(fast, 0.001)
    fork = Balance(branches, (0, 1))

    assert [Outlet(fork).deals(count) for count in (1, 4, 5)] == [False, False, True]
    assert not Outlet(fork, cuts=False).deals(5)
    assert not Outlet(Replicate(branches)).deals(5)


services = st.sampled_from((0.0, 1e-9, 0.002, 0.009, 0.5))


@given(shapes, st.integers(1, 3), st.data())
def test_frames_that_are_dealt_in_parts_are_whole_at_every_join(shape, frames, data):
    root = laid(shape, frames)
    outlet, on_link = Outlet(root), {leaf.link: deque() for leaf in links_of(root)}
    got = {leaf.link: [] for leaf in links_of(root)}

    def note(sent):
        for leaf, frame in sent:
            on_link[leaf.link].append(leaf)
            got[leaf.link].append(frame)

    for number in range(data.draw(st.integers(1, 4))):
        items = [(number, index) for index in range(data.draw(st.integers(0, 12)))]
        note(outlet.offer(batch(number, items)))
        while not outlet.is_clear or (any(on_link.values()) and data.draw(st.booleans())):
            busy = data.draw(st.sampled_from([link for link in on_link if on_link[link]]))
            on_link[busy].popleft().credit.taken(1, data.draw(services))
            if not outlet.is_clear:
                note(outlet.advance())

        came = [frame for pieces in got.values() for frame in pieces if frame.path[0] == number * 2]
        completion = Completion()
        assert [completion.add(frame.path, 1) for frame in came] == [False] * (len(came) - 1) + [
            True
        ]
        assert items_behind(root, came_by(got, number)) == items

    for pieces in got.values():
        assert [piece.path for piece in pieces] == sorted(piece.path for piece in pieces)


def came_by(got, number):
    """By each link, the items that came of one frame."""
    return {
        link: [item for piece in pieces for item in piece.items if piece.path[0] == number * 2]
        for link, pieces in got.items()
    }


def items_behind(route, came):
    """What came behind a route, which is the same behind each branch of a replicated fork."""
    if isinstance(route, LinkOut):
        return came[route.link]
    behind = [items_behind(branch, came) for branch in route.branches]
    if isinstance(route, Balance):
        return sorted(item for items in behind for item in items)
    assert all(items == behind[0] for items in behind)
    return behind[0]


@given(st.lists(services, min_size=1, max_size=4), st.integers(1, 40))
def test_nothing_of_several_items_is_worth_more_to_a_branch_than_may_wait(told, count):
    branches = links(*[9] * len(told), service=0.0)
    for leaf, service in zip(branches, told, strict=True):
        taught(leaf, service)
    sent = Outlet(Balance(branches, range(len(told)))).offer(batch(0, range(count)))

    for leaf, frame in sent:
        assert frame.count == 1 or frame.count * leaf.credit.service <= AHEAD_SECONDS


def test_a_frame_waits_for_the_first_branch_that_has_room():
    branches = links(1, 1, 1)
    outlet = Outlet(Balance(branches, (0, 1, 2)))
    for number in range(3):
        outlet.offer(batch(number, "a"))
    assert outlet.offer(batch(3, "b")) == []
    branches[1].credit.taken(1, 0.0)

    assert by_link(outlet.advance()) == [(1, ["b"])]


def test_the_end_goes_to_every_branch_of_a_balanced_fork():
    sent = Outlet(Balance(links(1, 1), (0, 1))).offer(batch(5, end=1))

    assert [(leaf.link, frame.path, frame.end) for leaf, frame in sent] == [
        (0, (11, 0), 1),
        (1, (11, 3), 1),
    ]


def test_a_branch_that_leads_to_several_has_room_if_all_of_them_have():
    one, two, three = links(1, 1, 1)
    two.credit.send(1)
    outlet = Outlet(Balance([Replicate([one, two]), three], (0, 1)))

    assert by_link(outlet.offer(batch(0, "a"))) == [(2, ["a"])]
    assert by_link(outlet.offer(batch(1, "b"))) == []
    two.credit.taken(1, 0.0)
    assert by_link(outlet.advance()) == [(0, ["b"]), (1, ["b"])]


@given(st.integers(1, 20), st.integers(1, 6))
def test_a_frame_over_the_capacity_goes_in_pieces_as_there_is_room(count, capacity):
    leaf = LinkOut(0, Credit(capacity))
    outlet, pieces = Outlet(leaf), []
    sent = outlet.offer(batch(0, range(count)))
    while sent:
        pieces += [frame for _, frame in sent]
        leaf.credit.taken(len(sent), 0.0)
        sent = outlet.advance()

    assert [item for piece in pieces for item in piece.items] == list(range(count))
    assert all(piece.count <= capacity for piece in pieces)
    assert outlet.is_clear


def test_the_most_items_at_once_are_what_the_pipes_with_a_capacity_hold():
    five, nine, free = (LinkOut(n, Credit(capacity)) for n, capacity in enumerate([5, 9, None]))
    assert Outlet(free).most is None
    assert Outlet(five).most == 5
    assert Outlet(Replicate([five, nine, free])).most == 5
    assert Outlet(Balance([five, nine], (0, 1))).most == 9
    assert Outlet(Balance([five, free], (0, 1))).most is None
    assert Outlet(Replicate([Balance([five, free], (0, 1)), nine])).most == 9


@given(st.integers(1, 20), st.integers(1, 6))
def test_the_items_of_a_piece_know_their_place_in_the_frame_that_entered(count, capacity):
    leaf = LinkOut(0, Credit(capacity, frames=100))
    leaf.credit.capacity = capacity
    outlet, origins = Outlet(Replicate([leaf], traced=True)), []
    sent = outlet.offer(batch(0, range(count)))
    while sent:
        for _, frame in sent:
            origins += [origin(frame.scopes[0], index) for index in range(frame.count)]
        leaf.credit.taken(len(sent), 0.0)
        sent = outlet.advance()

    assert origins == list(range(count))


def follows_load(*rooms, attached):
    """A fork that follows the load, and its way out, with some of its slots attached."""
    fork = Balance(links(*rooms), range(len(rooms)), slots=range(10, 10 + len(rooms)))
    outlet = Outlet(fork)
    outlet.attach([10 + branch for branch in attached])
    return fork, outlet


def test_only_what_is_attached_takes_frames():
    _, outlet = follows_load(1, 1, 1, attached=[0, 2])

    assert [by_link(outlet.offer(batch(n, "a")))[0][0] for n in range(2)] == [0, 2]
    assert outlet.offer(batch(2, "b")) == []
    outlet.attach([11])
    assert by_link(outlet.advance()) == [(1, ["b"])]


def test_the_end_goes_to_what_is_attached():
    _, outlet = follows_load(1, 1, 1, attached=[2, 0])
    sent = outlet.offer(batch(5, end=1))

    assert [(leaf.link, frame.path) for leaf, frame in sent] == [(0, (11, 0)), (2, (11, 3))]


def test_a_branch_that_is_detached_gets_its_end_along_with_the_next_frame():
    fork, outlet = follows_load(4, 4, 4, attached=[0, 1, 2])
    outlet.detach([10, 12])
    sent = outlet.offer(batch(3, "ab"))

    assert [(leaf.link, frame.path, frame.items, frame.end) for leaf, frame in sent] == [
        (1, (6, 0), ["a", "b"], 0),
        (0, (6, 2), [], LEAVE),
        (2, (6, 5), [], LEAVE),
    ]
    assert by_link(outlet.offer(batch(4, "c"))) == [(1, ["c"])]
    assert fork.items == [0, 3, 0]


def test_nothing_waits_for_a_branch_that_is_to_leave():
    fork, outlet = follows_load(2, 1, attached=[0, 1])
    fork.branches[1].credit.send(1)
    outlet.detach([11])

    assert by_link(outlet.offer(batch(0, "a"))) == [(0, ["a"])]
    fork.branches[1].credit.taken(1, 0.0)
    assert [leaf.link for leaf, _ in outlet.offer(batch(1, "b"))] == [0, 1]


def test_the_end_of_the_stream_is_also_that_of_a_branch_that_is_to_leave():
    _, outlet = follows_load(2, 2, attached=[0, 1])
    outlet.detach([11])

    assert [frame.end for _, frame in outlet.offer(batch(0, end=1))] == [1, 1]
    assert [frame.end for _, frame in outlet.offer(batch(0, "a"))] == [0, LEAVE]


def test_what_is_attached_again_begins_with_fresh_credit():
    fork, outlet = follows_load(2, 2, attached=[0, 1])
    late = fork.branches[1].credit
    for number in range(2):
        outlet.offer(batch(number, "a"))
    outlet.detach([11])
    assert [leaf.link for leaf, _ in outlet.offer(batch(2, "b"))] == [0, 1]
    outlet.attach([11])

    assert [by_link(outlet.offer(batch(n, "c")))[0][0] for n in (3, 4)] == [1, 1]
    late.taken(2, 0.0)
    assert outlet.offer(batch(5, "d")) == []


def test_the_items_of_each_branch_are_counted():
    fork = Balance(links(4, 1), (0, 1))
    outlet = Outlet(fork)
    for number in range(4):
        outlet.offer(batch(number, range(number + 1)))
    outlet.offer(batch(4))

    assert fork.items == [1 + 3 + 4, 2]


def test_another_run_counts_and_numbers_anew():
    inner = Balance(links(4, 4), (0, 1), in_turn=True)
    outlet = Outlet(Replicate([inner], traced=True, in_turn=True))
    turns = []
    for _ in range(2):
        for number in range(2):
            ((_, frame),) = outlet.offer(batch(number, "a"))
            turns.append(frame.scopes)
        outlet.restart()
        assert inner.items == [0, 0]

    assert (
        turns[:2]
        == turns[2:]
        == [
            (Scope(1, 0, traced=True), Scope(2, 0)),
            (Scope(1, 1, traced=True), Scope(2, 1)),
        ]
    )


def test_a_frame_is_refused_while_another_one_waits():
    outlet = Outlet(links(1)[0])
    outlet.offer(batch(0, "a"))
    outlet.offer(batch(1, "b"))

    with pytest.raises(AssertionError, match="another one waits"):
        outlet.offer(batch(2, "c"))


def test_the_slowest_stage_behind_counts():
    one, two = links(1, 1)
    for leaf, service in ((one, 0.5), (two, 0.25)):
        leaf.credit.send(1)
        leaf.credit.taken(1, service)

    assert Outlet(Replicate([one, two])).service == 0.5
