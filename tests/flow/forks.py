"""Random forks with all that goes on in their branches, and what a join behind must give.

Streams are lists of frames here: what goes into a fork comes out of it as one list for each
link, and a join takes them in any order that keeps the order of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any

from hypothesis import strategies as st

from conveyor.flow.batch import Frame, Scope, at_end, component, traced
from conveyor.flow.credit import Credit
from conveyor.flow.join import Interleave, LinkIn, Ordered, TwoOutputs, Zip
from conveyor.flow.route import Balance, LinkOut, Outlet, Replicate

Item = tuple[Any, ...]
"""Where it came from, then what was done to it."""

END = -1
"""Where that came from which is made at the end of the stream."""


@dataclass(frozen=True)
class Work:
    """A stage: so many outputs for an item, by turns, and so many at the end."""

    counts: tuple[int, ...]
    ends: int


@dataclass(frozen=True)
class Fork:
    kind: str
    branches: tuple[Branch, ...]


@dataclass(frozen=True)
class Joined:
    """A fork and the join that closes it."""

    fork: Fork
    how: str


@dataclass(frozen=True)
class Branch:
    """Stages and closed forks in a row, and maybe a fork that stays open."""

    steps: tuple[Work | Joined, ...] = ()
    fork: Fork | None = None


# -- at random --


def works(most: int) -> st.SearchStrategy[Work]:
    counts = st.lists(st.integers(0, most), min_size=1, max_size=3).map(tuple)
    return st.builds(Work, st.just((1,)) | counts, st.sampled_from((0, 0, 0, 1, most)))


@st.composite
def branches(draw, depth: int, *, zipped: bool) -> Branch:
    step = works(1 if zipped else 2)
    if depth:
        step |= joins(depth - 1, ("zip", "ordered"), zipped=zipped)
    steps = tuple(draw(st.lists(step, max_size=2)))
    return Branch(steps, draw(st.none() | forks(depth - 1, zipped=zipped)) if depth else None)


@st.composite
def forks(draw, depth: int, *, zipped: bool) -> Fork:
    inside = branches(depth, zipped=zipped)
    if zipped or draw(st.booleans()):
        return Fork("replicated", tuple(draw(st.lists(inside, min_size=1, max_size=3))))
    # Alike, so that it does not matter who gets an item.
    return Fork("balanced", (draw(inside),) * draw(st.integers(1, 3)))


@st.composite
def joins(draw, depth: int, hows: Sequence[str], *, zipped: bool = False) -> Joined:
    """Closed forks; one that is interleaved is balanced, so that the order is known."""
    how = draw(st.sampled_from((*hows, "interleave")))
    if how == "interleave":
        inside = draw(st.lists(works(1 if zipped else 2), max_size=2))
        return Joined(Fork("balanced", (Branch(tuple(inside)),) * draw(st.integers(1, 3))), how)
    return Joined(draw(forks(depth, zipped=zipped or how == "zip")), how)


# -- what must come out --

Place = tuple[int, ...]


def given(branch: Branch, item: Item) -> list[tuple[Place, Item]]:
    """What a branch gives for an item, each with the branches of open forks it went through."""
    items = [item]
    for step in branch.steps:
        items = [output for one in items for output in done(step, one)]
    if branch.fork is None:
        return [((), one) for one in items]
    return [pair for one in items for pair in through(branch.fork, one)]


def done(step: Work | Joined, item: Item) -> list[Item]:
    if isinstance(step, Joined):
        return joined(step, through(step.fork, item))
    number = step.counts[(source_of(item) + len(item)) % len(step.counts)]
    return [(*item, index) for index in range(number)]


def source_of(item: Item) -> int:
    """The number of the item that one was made of; a zip makes tuples of tuples."""
    while isinstance(item[0], tuple):
        item = item[0]
    return item[0]


def through(fork: Fork, item: Item) -> list[tuple[Place, Item]]:
    taken = fork.branches if fork.kind == "replicated" else fork.branches[:1]
    return [((n, *place), one) for n, b in enumerate(taken) for place, one in given(b, item)]


def joined(join: Joined, outputs: list[tuple[Place, Item]]) -> list[Item]:
    """What a join makes of all that came for one item.

    Raises:
        TwoOutputs: there were two from one branch of a zip.
    """
    if join.how != "zip":
        return [item for _, item in outputs]
    by_place = dict(outputs)
    if len(by_place) < len(outputs):
        raise TwoOutputs("", None)
    if len(by_place) < len(list(places(join.fork))):
        return []
    return [tuple(by_place[place] for place in sorted(by_place))]


def places(fork: Fork) -> Iterator[Place]:
    for number, branch in enumerate(fork.branches):
        for place in places(branch.fork) if branch.fork else [()]:
            yield (number, *place)


def finished(branch: Branch) -> list[tuple[Place, Item]]:
    """What a branch gives at the end of the stream."""
    found: list[tuple[Place, Item]] = []
    for number, step in enumerate(branch.steps):
        rest = Branch(branch.steps[number + 1 :], branch.fork)
        if isinstance(step, Joined):
            made = joined(step, ended(step.fork))
        else:
            made = [(END, index) for index in range(step.ends)]
        found += [pair for item in made for pair in given(rest, item)]
    return found + (ended(branch.fork) if branch.fork else [])


def ended(fork: Fork) -> list[tuple[Place, Item]]:
    return [((n, *place), one) for n, b in enumerate(fork.branches) for place, one in finished(b)]


# -- the machines --


class RunningWork:
    """A stage as the engine has it: it answers a frame with a frame or a family."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def take(self, frames: list[Frame], random: Random) -> list[Frame]:
        return [answer for frame in frames for answer in self.answers(frame, random)]

    def answers(self, frame: Frame, random: Random) -> Iterator[Frame]:
        outputs, origins = [], []
        for index, item in enumerate(frame.items or ()):
            made = done(self.work, item)
            outputs += made
            origins += [index] * len(made)
        is_plain = origins == list(range(frame.count)) and random.random() < 0.5
        parts = []
        for start, stop in chunks(len(outputs), random):
            scopes = traced(frame.scopes, None if is_plain else origins[start:stop])
            parts.append((outputs[start:stop], scopes))
        if is_plain and not frame.end:
            parts = [(outputs, frame.scopes)]
        if frame.end:
            for start, stop in chunks(self.work.ends, random):
                made = [(END, index) for index in range(start, stop)]
                parts.append((made, at_end(frame.scopes, stop - start)))
            parts.append(([], at_end(frame.scopes, 0)))
        elif not parts or random.random() < 0.2:
            parts.append(([], traced(frame.scopes, [])))
        for number, (items, scopes) in enumerate(parts):
            last = number + 1 == len(parts)
            path = (*frame.path, component(number, last=last)) if len(parts) > 1 else frame.path
            yield frame.derived(items, path=path, scopes=scopes, end=frame.end if last else 0)


def chunks(count: int, random: Random) -> Iterator[tuple[int, int]]:
    """Cut so many things at random places."""
    start = 0
    while start < count:
        stop = random.randint(start + 1, count)
        yield start, stop
        start = stop


class RunningFork:
    """A fork as a way out, with all that is in its branches.

    Args:
        fork: the fork.
        how: what closes it.
        in_turn: whether that restores the order of a zip.
        is_outermost: whether it is the outermost one that is closed there.
    """

    def __init__(self, fork: Fork, how: str, *, in_turn: bool, is_outermost: bool = True) -> None:
        numbered = is_outermost and (how == "ordered" or (how == "zip" and in_turn))
        is_traced = how == "ordered" or (how == "zip" and is_outermost)
        self.asks = numbered or (is_traced and fork.kind == "replicated")
        links = [LinkOut(n, Credit(frames=10**9)) for n in range(len(fork.branches))]
        for link in links:
            link.credit.service = 1e-12  # else a fork would wait for the first to be done
        if fork.kind == "replicated":
            self.outlet = Outlet(Replicate(links, is_traced, numbered))
        else:
            self.outlet = Outlet(Balance(links, range(len(links)), numbered))
        self.branches = [RunningBranch(b, how, in_turn=in_turn) for b in fork.branches]

    @property
    def links(self) -> list[int]:
        """For each link out of it, how many scopes its frames have from here on."""
        return [self.asks + scopes for branch in self.branches for scopes in branch.links]

    def take(self, frames: list[Frame], random: Random) -> list[list[Frame]]:
        """The streams of all links."""
        into: list[list[Frame]] = [[] for _ in self.branches]
        for frame in frames:
            for leaf, one in self.outlet.offer(frame):
                into[leaf.link].append(one)
        self.outlet.restart()
        return [
            stream
            for branch, stream_in in zip(self.branches, into, strict=True)
            for stream in branch.take(stream_in, random)
        ]


class RunningBranch:
    def __init__(self, branch: Branch, how: str, *, in_turn: bool) -> None:
        self.steps = [
            RunningWork(step) if isinstance(step, Work) else RunningJoin(step, in_turn=in_turn)
            for step in branch.steps
        ]
        self.fork = None
        if branch.fork is not None:
            self.fork = RunningFork(branch.fork, how, in_turn=in_turn, is_outermost=False)

    @property
    def links(self) -> list[int]:
        return [0] if self.fork is None else self.fork.links

    def take(self, frames: list[Frame], random: Random) -> list[list[Frame]]:
        for step in self.steps:
            frames = step.take(frames, random)
        return [frames] if self.fork is None else self.fork.take(frames, random)


class RunningJoin:
    """A fork and the join that closes it, one run after another."""

    def __init__(self, join: Joined, *, in_turn: bool) -> None:
        self.fork = RunningFork(join.fork, join.how, in_turn=in_turn)
        places = count()
        links = [
            LinkIn(scopes, next(places), f"branch {n}") for n, scopes in enumerate(self.fork.links)
        ]
        match join.how:
            case "interleave":
                self.joiner = Interleave()
            case "ordered":
                self.joiner = Ordered(links, needs_items=True)
            case _:
                self.joiner = Zip("zip", links, in_turn=in_turn)
        for _ in links:
            self.joiner.attach()

    def take(self, frames: list[Frame], random: Random) -> list[Frame]:
        arriving = shuffled(self.fork.take(frames, random), random)
        ready = [one for link, frame in arriving for one in self.joiner.put(link, frame)]
        return [part for frame in ready for part in relayed(frame)]


def relayed(frame: Frame) -> list[Frame]:
    """A frame as a worker sends it: the end goes without items, since it goes to every branch."""
    if not (frame.end and frame.count):
        return [frame]
    items, end = ((*frame.path, component(n, last=bool(n))) for n in (0, 1))
    return [frame.derived(frame.items, path=items), frame.derived([], path=end, end=1)]


def shuffled(streams: Sequence[Sequence[Frame]], random: Random) -> Iterator[tuple[int, Frame]]:
    """The frames of all streams, by which link each comes: any order, but each stream's own."""
    weights = [random.choice([0.01, 1.0, 10.0]) for _ in streams]
    at = [0] * len(streams)
    while left := [n for n, stream in enumerate(streams) if at[n] < len(stream)]:
        (link,) = random.choices(left, [weights[n] for n in left])
        yield link, streams[link][at[link]]
        at[link] += 1


# -- what goes in --

batches = st.lists(st.integers(0, 4), max_size=3)
"""The sizes of some batches."""


def entering(sizes: Sequence[int], random: Random) -> list[Frame]:
    """The frames of some batches, and the end, as they come out of a stage in an outer fork."""
    frames, ids = [], count()
    for number, size in enumerate(sizes):
        items = [(next(ids),) for _ in range(size)]
        cuts = list(chunks(size, random)) or [(0, 0)]
        for part, (start, stop) in enumerate(cuts):
            last = part + 1 == len(cuts)
            path = (component(number, last=False), 1, component(part, last=last))
            scope = Scope(1, -1, traced=True, origins=list(range(start, stop)))
            frames.append(Frame(path, items[start:stop], scopes=(scope,)))
    end = (component(len(sizes), last=True), 1)
    return [*frames, Frame(end, [], scopes=(Scope(1, -1, traced=True),), end=1)]
