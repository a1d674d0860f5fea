"""The way out of a worker: a tree of forks with links as its leaves.

A frame is offered to the root and comes to rest at links. Where a link has no credit, what it
should get waits, but only that: every other branch of a replicated fork is served first. Two
branches that meet again in a zip would deadlock otherwise.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from conveyor.flow.batch import LEAVE, Frame, Scope, component, cut
from conveyor.flow.credit import Credit


@dataclass(slots=True)
class LinkOut:
    """A leaf: a link to another worker.

    Attributes:
        link: its number.
        credit: what may still be sent.
    """

    link: int
    credit: Credit


@dataclass(slots=True)
class Replicate:
    """Every branch gets every frame; the path tells the branch.

    Attributes:
        branches: where they lead.
        traced: whether a join behind matches item by item.
        in_turn: whether a join behind restores the order in which frames entered.
    """

    branches: Sequence[Route]
    traced: bool = False
    in_turn: bool = False
    turn: int = 0


@dataclass(slots=True)
class Balance:
    """Each frame goes to the branch with the least waiting; the end goes to all.

    Attributes:
        branches: where they lead.
        edges: for each branch, the index of its edge in the graph.
        in_turn: whether a join behind restores the order in which frames entered.
        slots: for a fork that follows the load, the slot of each branch.
        items: for each branch, the items that it got.
        taking: the branches, by their indexes, that are attached and take frames.
        leaving: those that are to get no more, but their end.
    """

    branches: Sequence[Route]
    edges: Sequence[int]
    in_turn: bool = False
    slots: Sequence[int] = ()
    turn: int = 0
    items: list[int] = field(default_factory=list[int])
    taking: list[int] = field(default_factory=list[int])
    leaving: list[int] = field(default_factory=list[int])

    def __post_init__(self) -> None:
        self.items = [0] * len(self.branches)
        if not self.slots:
            self.taking = list(range(len(self.branches)))


Route = LinkOut | Replicate | Balance


class Outlet:
    """Takes the frames of a worker and gives them to links as far as credit goes.

    Args:
        root: the way out.
        cuts: whether a frame is cut that is over the capacity of a link, or is too much work for
            a branch where others may be free sooner. Else it may go alone.
    """

    def __init__(self, root: Route, *, cuts: bool = True) -> None:
        self.root = root
        self._cuts = cuts
        self._waiting: list[tuple[Route, Frame]] = []
        self.leaves = list(leaves(root))
        self._forks = list(_forks(root))
        self.balances = [fork for fork in self._forks if isinstance(fork, Balance)]
        self.copies = len(self.balances) < len(self._forks)
        """Whether a frame may go to several links."""
        self.most = _most(root)
        """The most items at once that there can be room for; None where no pipe has a capacity."""
        self.bounded = cuts and any(leaf.credit.capacity is not None for leaf in self.leaves)
        """Whether a frame may have to be cut, so that it must come with its items."""
        self._dealt = [leaf for fork in self.balances for leaf in leaves(fork)] if cuts else []

    @property
    def service(self) -> float:
        """Seconds per item that the slowest stage behind takes; 0 while unknown.

        Of branches that share the items it is the fastest, where the slow ones get less of a batch.
        """
        if self._cuts:
            return _service(self.root)
        return max([leaf.credit.service for leaf in self.leaves])

    def deals(self, count: int) -> bool:
        """Whether a frame of so many items may have to be dealt in parts, and needs its items."""
        return any(leaf.credit.is_too_much(count) for leaf in self._dealt)

    @property
    def is_clear(self) -> bool:
        """Whether all that was offered has been given to links."""
        return not self._waiting

    def offer(self, frame: Frame) -> list[tuple[LinkOut, Frame]]:
        """Take a frame. The next may only be offered when :attr:`is_clear`.

        Returns:
            What to send now, and by which link; credit for it has been taken.
        """
        assert not self._waiting, "a frame was offered while another one waits"
        self._waiting.append((self.root, frame))
        return self.advance()

    def advance(self) -> list[tuple[LinkOut, Frame]]:
        """What can be sent now that credit has come."""
        sent: list[tuple[LinkOut, Frame]] = []
        blocked: list[tuple[Route, Frame]] = []
        # Newest last: a frame that a fork hands on stands before those that came after it.
        todo = self._waiting[::-1]
        busy: set[int] = set()
        full: set[int] = set()
        while todo:
            route, frame = todo.pop()
            match route:
                case LinkOut():
                    if route.link in busy or not self._fits(route, frame, todo, sent):
                        busy.add(route.link)
                        blocked.append((route, frame))
                case Replicate():
                    todo += _replicated(route, frame)[::-1]
                case Balance():
                    branch = None if id(route) in full else _chosen(route, frame)
                    if branch is None:
                        full.add(id(route))
                        blocked.append((route, frame))
                    elif self._is_to_be_dealt(frame, route.branches[branch]):
                        halves = cut(frame, -(-frame.count // 2))
                        todo += [(route, half) for half in halves][::-1]
                    else:
                        todo += _balanced(route, frame, branch)[::-1]
        self._waiting = blocked
        return sent

    def _fits(
        self,
        leaf: LinkOut,
        frame: Frame,
        todo: list[tuple[Route, Frame]],
        sent: list[tuple[LinkOut, Frame]],
    ) -> bool:
        """Send a frame by a link where it has room, in pieces where it is over the capacity."""
        capacity = leaf.credit.capacity
        if (
            self._cuts
            and capacity is not None
            and frame.count > capacity
            and frame.items is not None
        ):
            todo += [(leaf, piece) for piece in cut(frame, capacity)][::-1]
            return True
        size = frame.size
        if not leaf.credit.admits(frame.count, size):
            return False
        leaf.credit.send(frame.count, size)
        sent.append((leaf, frame))
        return True

    def _is_to_be_dealt(self, frame: Frame, branch: Route) -> bool:
        """Whether a branch of a balanced fork is to get less of a frame: it is slow.

        The frame was made when nobody knew that. Of halves, and halves of these, the small ones go
        there, and the others to who is faster.
        """
        if not self._cuts or frame.items is None or frame.end:
            return False
        return any(leaf.credit.is_too_much(frame.count) for leaf in leaves(branch))

    def attach(self, slots: Collection[int]) -> None:
        """Let the branches with these slots take frames: by new links, with fresh credit."""
        for fork, branch in self._with(slots):
            for leaf in leaves(fork.branches[branch]):
                leaf.credit = leaf.credit.renewed()
            for inner in _forks(fork.branches[branch]):
                inner.turn = 0
            fork.taking = sorted([*fork.taking, branch])

    def detach(self, slots: Collection[int]) -> None:
        """Let the branches with these slots end, each along with a frame that goes to others.

        That frame becomes a family, so the end is a part of its batch, and nothing but the path
        tells where in the stream it stands.
        """
        for fork, branch in self._with(slots):
            fork.taking.remove(branch)
            fork.leaving.append(branch)

    def _with(self, slots: Collection[int]) -> list[tuple[Balance, int]]:
        return [
            (fork, branch)
            for fork in self.balances
            for branch, slot in enumerate(fork.slots)
            if slot in slots
        ]

    @property
    def turns(self) -> list[tuple[int, list[int]]]:
        """For each fork, how many frames have entered it, and the items that its branches got."""
        return [
            (fork.turn, list(fork.items) if isinstance(fork, Balance) else [])
            for fork in self._forks
        ]

    def resume(self, turns: Sequence[tuple[int, list[int]]]) -> None:
        """Go on from these :attr:`turns`."""
        for fork, (turn, items) in zip(self._forks, turns, strict=True):
            fork.turn = turn
            if isinstance(fork, Balance):
                fork.items = list(items)

    def restart(self) -> None:
        """Begin the turns anew, for another run."""
        for fork in self._forks:
            fork.turn = 0
            if isinstance(fork, Balance):
                fork.items = [0] * len(fork.branches)


def _most(route: Route) -> int | None:
    if isinstance(route, LinkOut):
        return route.credit.capacity
    found = [_most(branch) for branch in route.branches]
    known = [most for most in found if most is not None]
    if isinstance(route, Balance):
        return max(known) if len(known) == len(found) else None
    return min(known, default=None)


def _service(route: Route) -> float:
    # Asked for with each frame, however many branches there are.
    if isinstance(route, LinkOut):
        return route.credit.service
    if isinstance(route, Replicate):
        return max([_service(branch) for branch in route.branches])
    branches = route.branches
    known = [service for n in route.taking if (service := _service(branches[n]))]
    return min(known) if known else 0.0


def _forks(route: Route) -> Iterator[Replicate | Balance]:
    if not isinstance(route, LinkOut):
        yield route
        for branch in route.branches:
            yield from _forks(branch)


def leaves(route: Route) -> Iterator[LinkOut]:
    """All links of a way out, left to right."""
    if isinstance(route, LinkOut):
        yield route
    else:
        for branch in route.branches:
            yield from leaves(branch)


def _entered(fork: Replicate | Balance, frame: Frame, *, traced: bool) -> Frame:
    """The frame with the scope of the fork, where a join behind will ask for it."""
    if not (fork.in_turn or traced):
        return frame
    turn = -1
    if fork.in_turn:
        turn = fork.turn
        fork.turn += 1
    return frame.readdressed(scopes=(*frame.scopes, Scope(len(frame.path), turn, traced)))


def _replicated(fork: Replicate, frame: Frame) -> list[tuple[Route, Frame]]:
    frame = _entered(fork, frame, traced=fork.traced)
    return _to_all(fork.branches, frame)


def _to_all(branches: Sequence[Route], frame: Frame) -> list[tuple[Route, Frame]]:
    last = len(branches) - 1
    return [
        (branch, frame.readdressed(path=(*frame.path, component(number, last=number == last))))
        for number, branch in enumerate(branches)
    ]


def _balanced(fork: Balance, frame: Frame, branch: int) -> list[tuple[Route, Frame]]:
    frame = _entered(fork, frame, traced=False)
    if frame.end:
        # It carries no items here (see `WayOutEnd.takes_end_along`), so nothing is doubled.
        return _to_all([fork.branches[n] for n in sorted(fork.taking + fork.leaving)], frame)
    fork.items[branch] += frame.count
    leaving = _ending(fork, frame)
    if not leaving:
        return [(fork.branches[branch], frame)]
    fork.leaving = [n for n in fork.leaving if n not in leaving]
    first, *ends = _to_all([fork.branches[n] for n in (branch, *leaving)], frame)
    return [first, *((way, frame.derived([], path=end.path, end=LEAVE)) for way, end in ends)]


def _ending(fork: Balance, frame: Frame) -> list[int]:
    """The branches that can end along with a frame: no other one waits for them to have room.

    What came of the end of the stream is no such frame. Those branches get that end besides, and
    a join that merges all of it could not tell the one from the other.
    """
    if frame.path[0] & 1:
        return []
    last = frame.derived([])
    return [n for n in fork.leaving if _waiting(fork.branches[n], last) is not None]


def _chosen(fork: Balance, frame: Frame) -> int | None:
    """The branch with room that has the least waiting, or None where all are full."""
    if frame.end:
        return 0
    best, least = None, None
    for number in fork.taking:
        waiting = _waiting(fork.branches[number], frame)
        if waiting is not None and (least is None or waiting < least):
            best, least = number, waiting
    return best


Waiting = tuple[float, int]
"""Work that waits: the seconds that it is expected to take, and the frames."""


def _waiting(route: Route, frame: Frame) -> Waiting | None:
    """What waits on a branch, or None where it has no room for this frame."""
    match route:
        case LinkOut(credit=credit):
            items = frame.count if credit.capacity is None else min(frame.count, credit.capacity)
            size = frame.size if items == frame.count else frame.size * items // frame.count
            has_room = credit.admits(items, size) and not credit.is_ahead(items)
            return (credit.expected, credit.in_flight) if has_room else None
        case Replicate(branches=branches):
            all_waiting = [_waiting(branch, frame) for branch in branches]
            known = [waiting for waiting in all_waiting if waiting is not None]
            return max(known) if len(known) == len(all_waiting) else None
        case Balance(branches=branches, taking=taking):
            some = [w for n in taking if (w := _waiting(branches[n], frame)) is not None]
            return min(some) if some else None
