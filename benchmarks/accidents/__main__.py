"""The command: ``python -m benchmarks.accidents [ACCIDENT ...]``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.accidents import table
from benchmarks.accidents.deeds import ACCIDENTS
from benchmarks.accidents.newcomers import NEWCOMERS
from benchmarks.accidents.outcome import Outcome, outcome
from benchmarks.accidents.watch import LIMIT, watch
from benchmarks.peers import OUT_OF_THE_WAY
from benchmarks.results import FOLDER, machine
from benchmarks.runner import is_installed

FILE = FOLDER / "accidents.json"
PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"

Kept = dict[str, Any]


def main() -> None:
    """Let all contestants meet accidents, print what came of it, and keep it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accidents", description=__doc__)
    parser.add_argument("accidents", nargs="*", metavar="ACCIDENT", help=", ".join(ACCIDENTS))
    parser.add_argument("--only", default="", help="only contestants with this in their names")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds, then it hangs")
    parser.add_argument("--save", action="store_true", help="keep it, and write it into the page")
    parser.add_argument("--page", action="store_true", help="only write what is kept into the page")
    options = parser.parse_args()
    if options.page:
        write_page()
        return
    if options.save and (options.accidents or options.only):
        parser.error("what is kept is the whole: --save goes with no selection")
    unknown = [name for name in options.accidents if name not in ACCIDENTS]
    if unknown:
        parser.error(f"no such accident: {', '.join(unknown)}; there are {', '.join(ACCIDENTS)}")
    where = {**machine(), "peers": ", ".join(filter(None, [machine()["peers"], *_elsewhere()]))}
    names = [
        name
        for name, one in NEWCOMERS.items()
        if options.only in name and (one.needs is None or is_installed(one.needs))
    ]
    outcomes: dict[str, dict[str, Outcome]] = {}
    for accident in options.accidents or ACCIDENTS:
        print(f"{accident}: {ACCIDENTS[accident].title}", flush=True)
        for name in names:
            came = outcome(accident, watch(name, accident, options.limit))
            outcomes.setdefault(accident, {})[name] = came
            print(f"  {name:20} {came}  {came.error}", flush=True)
    print("", report.plain(table.rows(outcomes)), "", *table.behind(outcomes), sep="\n")
    if options.save:
        kept = {
            "machine": where,
            "limit": options.limit,
            "outcomes": {
                accident: {name: asdict(one) for name, one in of.items()}
                for accident, of in outcomes.items()
            },
        }
        FILE.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        write_page()


def _elsewhere() -> Iterator[str]:
    """The versions of those that are not on the path."""
    for name, folder in OUT_OF_THE_WAY.items():
        for one in distributions(name=name, path=[str(folder)]):
            yield f"{name} {one.version}"


def write_page(file: Path = FILE, page: Path = PAGE) -> None:
    """Write the outcomes that are kept into the page."""
    kept = json.loads(file.read_text(encoding="utf-8"))
    text = page.read_text(encoding="utf-8")
    page.write_text(report.inserted(text, summary(kept)), encoding="utf-8")


def summary(kept: Kept) -> str:
    """All that is kept, in Markdown."""
    outcomes = {
        accident: {
            name: Outcome(**{**one, "names": tuple(one["names"])}) for name, one in of.items()
        }
        for accident, of in kept["outcomes"].items()
    }
    where = kept["machine"]
    lines = [*report.markdown(table.rows(outcomes)), ""]
    lines += ["Where others do better than Conveyor with no setting, or are done sooner:", ""]
    lines += [*table.behind(outcomes)] or ["Nowhere."]
    what = [
        where["date"],
        f"commit {where['commit']}",
        f"CPython {where['python']}",
        *(where[key] for key in ("system", "processor")),
        f"{where['cores']} cores",
        f"load {where['load']}",
        where["peers"],
    ]
    lines += ["", f"One run each: {', '.join(what)}."]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
