"""All that is known of a run for its trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from conveyor.engines.stats import Width
from conveyor.engines.tape import Tape


class Lane(NamedTuple):
    """One worker, as a trace shows it.

    Attributes:
        name: the id of its node; unique.
        element: what the user wrote, of which it may be a copy.
        senders: the lanes that it gets batches from, by their numbers.
        gathers: whether it makes one batch of what several of them sent.
    """

    name: str
    element: str
    senders: Sequence[int] = ()
    gathers: bool = False


@dataclass(slots=True)
class Traced:
    """All that is known of a run for its trace.

    Attributes:
        lanes: the workers that there can be, by their numbers.
        tapes: what they did.
        widths: for each fork that follows the load, how wide it was when.
        has_pipes: whether batches wait between workers.
    """

    lanes: Mapping[int, Lane]
    tapes: Sequence[Tape]
    widths: Mapping[str, Sequence[Width]] = field(default_factory=dict[str, Sequence[Width]])
    has_pipes: bool = True
