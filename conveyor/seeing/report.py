"""The report of a run: one HTML page that needs no network, no script and no other file."""

from __future__ import annotations

import os
import platform
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape
from itertools import chain

from conveyor.engines.letters import DeadLetter
from conveyor.engines.stats import Stats
from conveyor.engines.table import accounts, times
from conveyor.engines.telling import short
from conveyor.errors import ConveyorError, StageError
from conveyor.graph import ProcessorNode
from conveyor.seeing.charts import histogram, layers, throughput
from conveyor.seeing.drawing import drawing, micro, rate, time

SHOWN = 100
"""The most dead letters that are shown one by one."""

_STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1c2530; --soft: #5a6876;
  --rule: #d9dfe6; --card: #f6f8fa; --blue: #2a62a6; --orange: #b0560f; --red: #b3261e }
@media (prefers-color-scheme: dark) { :root { --paper: #14181d; --ink: #e3e8ee; --soft: #9aa7b4;
  --rule: #313a44; --card: #1b2128; --blue: #78aef0; --orange: #f0a35e; --red: #f28b82 } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 24px 20px 60px; max-width: 1080px; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif }
h1 { font-size: 22px; margin: 0 0 4px } h2 { font-size: 17px; margin: 34px 0 8px }
h3 { font-size: 14px; margin: 14px 0 2px; font-weight: 600 }
p { margin: 6px 0 } .soft { color: var(--soft) } .small { font-size: 13px }
code, pre, td, th.num, .mono { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas,
  "DejaVu Sans Mono", monospace; font-size: 13px }
pre { margin: 6px 0; padding: 10px 12px; background: var(--card); border-radius: 6px;
  overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere }
.wide { overflow-x: auto; border: 1px solid var(--rule); border-radius: 8px }
.wide svg { display: block; max-width: 100%; min-width: var(--least); height: auto }
.cards { display: flex; flex-wrap: wrap; gap: 10px; margin: 14px 0 }
.card { background: var(--card); border-radius: 8px; padding: 8px 14px; min-width: 110px }
.card b { display: block; font-size: 19px }
.verdict { border-left: 4px solid var(--orange); padding: 8px 14px; background: var(--card);
  border-radius: 0 8px 8px 0 }
.error { border-left-color: var(--red) }
table { border-collapse: collapse } th, td { padding: 3px 12px 3px 0; text-align: right;
  white-space: nowrap } th { color: var(--soft); font-weight: 500; font-size: 13px }
tr > :first-child, .text td, .text th { text-align: left }
tbody tr { border-top: 1px solid var(--rule) }
.scroll { overflow-x: auto }
.pair { display: flex; flex-wrap: wrap; gap: 6px 28px }
svg.chart { max-width: 100%; height: auto; display: block }
svg.chart text { font: 11px system-ui, "DejaVu Sans", sans-serif; fill: var(--soft) }
.chart .axis { stroke: var(--soft); fill: none } .chart .grid { stroke: var(--rule); fill: none }
.chart .rate { stroke: var(--blue); stroke-width: 1.6; fill: none }
.chart .area { fill: var(--blue); opacity: 0.16 } .chart .bar, .chart .busy { fill: var(--blue) }
.chart .blocked { fill: var(--orange) } .chart .none { fill: var(--card) }
svg.chart .name { font: 12px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  fill: var(--ink) }
.key::before { content: ""; display: inline-block; width: 11px; height: 11px; margin: 0 5px 0 12px;
  border-radius: 2px; background: var(--blue) } .key.orange::before { background: var(--orange) }
.key.none::before { background: var(--card); border: 1px solid var(--rule) }
details { border-top: 1px solid var(--rule); padding: 4px 0 } summary { cursor: pointer }
""".strip()

_CODE = re.compile(r"`([^`]+)`")
_WIDTH = re.compile(r'width="([0-9.]+)"')

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""What a browser may load for the page: nothing. What it may run: nothing."""


def report(
    stats: Stats,
    *,
    written: str,
    letters: Sequence[DeadLetter],
    error: BaseException | None = None,
) -> str:
    """The page.

    Args:
        stats: the account of the run.
        written: the expression.
        letters: its dead letters.
        error: what ended it, where it failed.
    """
    parts = chain(
        _head(stats, written, error),
        _picture(stats),
        _over_time(stats),
        _tables(stats),
        _latencies(stats),
        _failures(stats, letters),
        _made_by(stats),
    )
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(f'Run of {_clipped(written, 60)}')}</title>\n"
        f"<style>\n{_STYLE}\n</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _clipped(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "\N{HORIZONTAL ELLIPSIS}"


# -- the parts of the page --


def _head(stats: Stats, written: str, error: BaseException | None) -> Iterator[str]:
    yield "<h1>A run of a pipeline</h1>"
    yield f"<pre>{escape(written)}</pre>"
    total = stats.total
    gone = {"filtered": total.filtered, "skipped": total.skipped, "dead letters": total.dead}
    cards = {
        "items in": f"{total.items_in:,}",
        "items out": f"{total.items_out:,}",
        **{name: f"{items:,}" for name, items in gone.items() if items},
        "elapsed": time(stats.elapsed),
        "in on average": rate(total.items_in / stats.elapsed) if stats.elapsed else "",
        "worker processes": str(stats.processes),
    }
    boxes = "".join(
        f'<div class="card"><b>{escape(value)}</b><span class="soft small">{escape(name)}</span>'
        "</div>"
        for name, value in cards.items()
    )
    yield f'<div class="cards">{boxes}</div>'
    if error is not None:
        yield '<h2>It failed</h2><p class="verdict error">The figures are those up to then.</p>'
        yield f"<pre>{escape(f'{type(error).__name__}: {error}')}</pre>"
    else:
        told = _CODE.sub(r"<code>\1</code>", escape(stats.verdict()))
        yield f'<p class="verdict">{told}</p>'


def _picture(stats: Stats) -> Iterator[str]:
    yield "<h2>The pipeline</h2>"
    drawn = drawing(stats)
    # A picture that is a little too wide is made to fit; of a wider one, a part is seen.
    least = float(_WIDTH.findall(drawn)[0]) * 0.75
    yield f'<div class="wide" style="--least: {least:.0f}px">{drawn}</div>'
    yield (
        '<p class="soft small">In a box: how busy its workers were, and how long an item took on '
        "average. Along a pipe: how many items went through it, and for how much of the time it "
        "was full.</p>"
    )


def _over_time(stats: Stats) -> Iterator[str]:
    rates = throughput(stats.samples, "output") if stats.samples else ""
    if not rates:
        return
    yield "<h2>Over the time</h2>"
    yield f"<h3>Items in a second that came out</h3>{rates}"
    yield (
        '<h3>How the workers spent their time</h3><p class="soft small">'
        '<span class="key">at work</span><span class="key orange">waiting for room: the pipe '
        'behind was full</span><span class="key none">waiting for something to do</span></p>'
    )
    there = stats.samples[-1].elements
    yield layers(stats.samples, [node.id for node in stats.graph.processors if node.id in there])
    for fork, history in stats.widths.items():
        rows = [[f"{one.since:.1f} s", str(one.width), one.reason] for one in history]
        yield f"<h3>How wide {escape(fork)} was</h3>"
        yield _table([["from", "branches", "why"], *rows], kind="text")
    if stats.placed:
        rows = [[f"{one.since:.1f} s", one.shared, one.reason] for one in stats.placed]
        yield "<h3>Who shared a process</h3>"
        yield _table([["from", "processes", "why"], *rows], kind="text")


def _tables(stats: Stats) -> Iterator[str]:
    yield "<h2>What became of the items</h2>"
    yield _table(accounts(stats))
    if timed := times(stats):
        yield "<h2>How the time went</h2>"
        yield _table(timed)


def _table(rows: Sequence[Sequence[str]], *, kind: str = "figures") -> str:
    head, *body = rows
    heads = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = "".join(
        f"<tr>{''.join(f'<td>{escape(micro(cell))}</td>' for cell in row)}</tr>" for row in body
    )
    return (
        f'<div class="scroll"><table class="{kind}"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def _latencies(stats: Stats) -> Iterator[str]:
    timed = [(name, one.service) for name, one in stats.elements.items() if one.service.counts]
    if not timed:
        return
    yield '<h2>How long an item took</h2><div class="pair">'
    for name, service in timed:
        quantiles = ", ".join(
            f"{word} {time(value)}"
            for word, value in (("p50", service.p50), ("p90", service.p90), ("p99", service.p99))
        )
        yield (
            f'<div><h3 class="mono">{escape(name)}</h3><p class="soft small">{quantiles}</p>'
            f"{histogram(service)}</div>"
        )
    yield "</div>"


def _failures(stats: Stats, letters: Sequence[DeadLetter]) -> Iterator[str]:
    skipped = stats.total.skipped
    if not letters and not skipped:
        return
    yield "<h2>Items that failed</h2>"
    if skipped:
        yield f"<p>{skipped:,} were skipped: nothing is kept of those.</p>"
    if not letters:
        return
    kinds = Counter((letter.stage, _kind(letter.error)) for letter in letters)
    rows = [[stage, kind, f"{count:,}"] for (stage, kind), count in kinds.most_common(20)]
    yield _table([["stage", "error", "dead letters"], *rows], kind="text")
    if len(letters) < stats.total.dead:
        yield f"<p>Those are {len(letters):,} of {stats.total.dead:,}: the first ones.</p>"
    for letter in letters[:SHOWN]:
        said = f"{letter.stage}: {short(letter.item)}"
        yield (
            f'<details><summary class="mono">{escape(said)}</summary>'
            f"<pre>{escape(str(letter.error))}</pre></details>"
        )
    if len(letters) > SHOWN:
        yield f'<p class="soft">The first {SHOWN} of {len(letters):,} are shown.</p>'


def _kind(error: ConveyorError) -> str:
    """What kind of error it is: of the user's exceptions, their type."""
    if isinstance(error, StageError):
        return error.reason.partition(":")[0]
    return type(error).__name__


def _made_by(stats: Stats) -> Iterator[str]:
    from conveyor import __version__

    written = datetime.now().astimezone()
    engine = "worker processes" if stats.processes else "the calling process"
    count = len([node for node in stats.graph.nodes if isinstance(node, ProcessorNode)])
    facts = {
        "written": f"{written:%Y-%m-%d %H:%M:%S %z}",
        "engine": f"{count} processors in {stats.processes or ''} {engine}".replace("  ", " "),
        "conveyor": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "cores": f"{len(os.sched_getaffinity(0))} of {os.cpu_count()}",
    }
    told = " \N{MIDDLE DOT} ".join(f"{name} {value}" for name, value in facts.items())
    yield f'<p class="soft small" style="margin-top:40px">{escape(told)}</p>'
