"""Small charts, as SVG for a page: lines over the time, layers over the time, and histograms.

Colours are classes of the page, so that it can have a light and a dark set of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from math import floor, log10

from conveyor.engines.histogram import Histogram
from conveyor.engines.samples import Flow, Sample
from conveyor.seeing.drawing import time

_RIGHT, _TOP, _BOTTOM = 28.0, 10.0, 24.0


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where a chart stands, and what its edges mean.

    Attributes:
        wide, tall: the size of the whole.
        last: the value at the right edge; the left one is 0.
        most: the value at the top; at the bottom it is 0.
        left: where it begins, behind what stands on its left.
    """

    wide: float
    tall: float
    last: float
    most: float
    left: float = 56.0

    def x(self, value: float) -> float:
        return self.left + (self.wide - self.left - _RIGHT) * value / (self.last or 1.0)

    def y(self, value: float) -> float:
        return self.tall - _BOTTOM - (self.tall - _TOP - _BOTTOM) * value / (self.most or 1.0)

    def head(self, title: str) -> str:
        return (
            f'<svg class="chart" viewBox="0 0 {self.wide:g} {self.tall:g}" role="img" '
            f'width="{self.wide:g}" height="{self.tall:g}"><title>{escape(title)}</title>'
        )

    def time_axis(self) -> Iterator[str]:
        """Marks along the bottom, in seconds."""
        base = self.tall - _BOTTOM
        yield f'<path class="axis" d="M{self.left:g} {base:g}H{self.wide - _RIGHT:g}"/>'
        for value in ticks(self.last, 8):
            yield _word(self.x(value), base + 15, f"{value:g} s", "middle")

    def value_axis(self) -> Iterator[str]:
        """Lines across, with their values on the left."""
        for value in ticks(self.most, 4):
            y = self.y(value)
            yield f'<path class="grid" d="M{self.left:g} {y:.1f}H{self.wide - _RIGHT:g}"/>'
            yield _word(self.left - 6, y + 4, _number(value), "end")


def ticks(most: float, wanted: int) -> list[float]:
    """Round values from 0 to ``most``, about as many as wanted."""
    if most <= 0:
        return [0.0]
    size = 10.0 ** floor(log10(most / wanted))
    step = next(size * n for n in (1, 2, 5, 10) if most / (size * n) <= wanted)
    return [round(step * n, 12) for n in range(int(most / step * (1 + 1e-9)) + 1)]


def _number(value: float) -> str:
    for least, unit in ((1e6, "M"), (1e3, "k")):
        if value >= least:
            return f"{value / least:g}{unit}"
    return f"{value:g}"


def _word(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(points: Iterable[tuple[float, float]]) -> str:
    return "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


POINTS = 100
"""The most points of a line: between more, the batches would be seen and not the run."""


def _thinned(samples: Sequence[Sample]) -> list[Sample]:
    """Some of the samples, the first and the last among them."""
    stride = -(-len(samples) // POINTS)
    return [*samples[:-1:stride], samples[-1]]


def throughput(samples: Sequence[Sample], element: str) -> str:
    """Items in a second that an element took, over the time."""
    rates = [
        (after.since, (_items(after, element) - _items(before, element)) / elapsed)
        for before, after in pairwise(_thinned(samples))
        if (elapsed := after.since - before.since) > 0
    ]
    if not rates:
        return ""
    frame = _Frame(1040, 180, samples[-1].since, max(value for _, value in rates) or 1.0)
    line = _line((frame.x(when), frame.y(value)) for when, value in [(0.0, rates[0][1]), *rates])
    area = f"M{frame.x(0):.1f} {frame.y(0):.1f}L{line}V{frame.y(0):.1f}Z"
    parts = [
        frame.head(f"items in a second that came to {element}"),
        *frame.value_axis(),
        f'<path class="area" d="{area}"/><path class="rate" d="M{line}"/>',
        *frame.time_axis(),
        "</svg>",
    ]
    return "".join(parts)


def _items(sample: Sample, element: str) -> int:
    return sample.elements[element].items


_ROW, _STRIP = 30.0, 22.0


def layers(samples: Sequence[Sample], elements: Sequence[str]) -> str:
    """How the workers of each element spent their time, over the time: at work, or waiting."""
    names = [_clipped(name) for name in elements]
    left = 7.5 * max(map(len, names)) + 12
    frame = _Frame(1040, _TOP + _ROW * len(names) + _BOTTOM, samples[-1].since, 1.0, left)
    parts = [frame.head("how the workers of each element spent their time")]
    for row, (name, element) in enumerate(zip(names, elements, strict=True)):
        base = _TOP + row * _ROW + _STRIP
        label = _word(left - 8, base - 7, name, "end").replace("<text", '<text class="name"')
        wide = frame.x(frame.last) - left
        parts.append(
            f'{label}<rect class="none" x="{left:g}" y="{base - _STRIP:g}" width="{wide:.1f}" '
            f'height="{_STRIP:g}"/>'
        )
        parts += _strip(samples, element, frame, base)
    return "".join([*parts, *frame.time_axis(), "</svg>"])


def _clipped(name: str) -> str:
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"


LONGEST = 22
"""The most letters of a name."""


def _strip(samples: Sequence[Sample], element: str, frame: _Frame, base: float) -> Iterator[str]:
    """Work from the bottom up, and above it the waiting for room."""
    paths: dict[str, list[str]] = {"busy": [], "blocked": []}
    for before, after in pairwise(samples):
        busy, blocked = _shares(before.elements[element], after.elements[element])
        left, right = frame.x(before.since), frame.x(after.since)
        for name, low, high in (("busy", 0.0, busy), ("blocked", busy, busy + blocked)):
            if high - low >= 0.01:  # noqa: PLR2004 - less can't be seen
                top, foot = base - _STRIP * min(1.0, high), base - _STRIP * low
                paths[name].append(f"M{left:.1f} {top:.1f}H{right:.1f}V{foot:.1f}H{left:.1f}Z")
    for name, path in paths.items():
        if path:
            yield f'<path class="{name}" d="{"".join(path)}"/>'


def _shares(before: Flow, after: Flow) -> tuple[float, float]:
    """The shares of the time in which workers were at work, and waited for room."""
    busy, blocked = after.busy - before.busy, after.blocked - before.blocked
    time = busy + blocked + after.starved - before.starved
    return (busy / time, blocked / time) if time > 0 else (0.0, 0.0)


def histogram(times: Histogram) -> str:
    """How many items took how long; the time grows from left to right by its size."""
    buckets = list(times.buckets())
    low, high = log10(max(1e-9, buckets[0][0])), log10(buckets[-1][1])
    frame = _Frame(430, 130, (high - low) or 1.0, max(items for _, _, items in buckets))
    parts = [frame.head(f"how long {times.items} items took"), *frame.value_axis()]
    for start, end, items in buckets:
        left, right = frame.x(log10(max(1e-9, start)) - low), frame.x(log10(end) - low)
        top = frame.y(items)
        told = f"{time(start)} to {time(end)}: {items} items"
        parts.append(
            f'<rect class="bar" x="{left:.1f}" y="{top:.1f}" width="{max(1.0, right - left):.1f}" '
            f'height="{frame.y(0) - top:.1f}"><title>{escape(told)}</title></rect>'
        )
    base = frame.tall - _BOTTOM
    parts.append(f'<path class="axis" d="M{frame.left:g} {base:g}H{frame.wide - _RIGHT:g}"/>')
    parts += [
        _word(frame.x(value - low), base + 15, time(10.0**value), "middle")
        for value in _decades(low, high)
    ]
    return "".join([*parts, "</svg>"])


def _decades(low: float, high: float) -> list[float]:
    """Round times between two, as powers of ten; the ends where there are none."""
    first = floor(low) + 1
    inner = [float(value) for value in range(first, floor(high) + 1)]
    return inner if len(inner) > 1 else [low + (high - low) * n / 4 for n in range(5)]
