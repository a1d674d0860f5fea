"""Random ways out, and what each of their links must get."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from hypothesis import strategies as st

from conveyor.flow.credit import Credit
from conveyor.flow.route import Balance, LinkOut, Replicate, Route


@dataclass(frozen=True)
class Leaf:
    """A link that holds so many items; None for no bound."""

    capacity: int | None = None


@dataclass(frozen=True)
class Fork:
    kind: str
    branches: tuple[Shape, ...]
    in_turn: bool = False
    traced: bool = False


Shape = Leaf | Fork


def forks(branches: st.SearchStrategy[Shape]) -> st.SearchStrategy[Fork]:
    some = st.lists(branches, min_size=1, max_size=3).map(tuple)
    balanced = st.builds(Fork, st.just("balanced"), some, st.booleans())
    return balanced | st.builds(Fork, st.just("replicated"), some, st.booleans(), st.booleans())


links = st.builds(Leaf, st.none() | st.integers(1, 6))
shapes = st.recursive(links, forks, max_leaves=6)


def laid(shape: Shape, frames: int, numbers: Iterator[int] | None = None) -> Route:
    """The way out of that shape, its links numbered from left to right."""
    numbers = count() if numbers is None else numbers
    if isinstance(shape, Leaf):
        link = LinkOut(next(numbers), Credit(shape.capacity, frames))
        link.credit.service = 1e-12  # else a balanced fork would wait for the first to be done
        return link
    branches = tuple(laid(branch, frames, numbers) for branch in shape.branches)
    if shape.kind == "replicated":
        return Replicate(branches, shape.traced, shape.in_turn)
    return Balance(branches, tuple(range(len(branches))), shape.in_turn)


def links_of(route: Route) -> list[LinkOut]:
    if isinstance(route, LinkOut):
        return [route]
    return [link for branch in route.branches for link in links_of(branch)]


def forks_to(route: Route, link: int) -> list[Replicate | Balance]:
    """The forks on the way to a link, outermost first."""
    if isinstance(route, LinkOut):
        return []
    branch = next(b for b in route.branches if any(x.link == link for x in links_of(b)))
    return [route, *forks_to(branch, link)]
