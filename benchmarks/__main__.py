"""The command: ``python -m benchmarks [WORKLOAD ...]``."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import plot, report, runner
from benchmarks.results import FOLDER, Record, machine
from benchmarks.workloads import WORKLOADS

PAGE = Path(__file__).with_name("README.md")


def main() -> None:
    """Run workloads, print what was reached, and keep it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument("--rounds", type=int, default=5, help="how often each has its turn")
    parser.add_argument("--only", default="", help="only contestants with this in their names")
    parser.add_argument("--scale", type=float, default=1.0, help="of the sizes, for a quick look")
    parser.add_argument("--limit", type=float, default=runner.LIMIT, help="seconds, then it hangs")
    parser.add_argument("--save", action="store_true", help="keep the results as the last ones")
    parser.add_argument("--add", action="store_true", help="--save, as more rounds of those kept")
    parser.add_argument("--page", action="store_true", help="only write the page and the picture")
    options = parser.parse_args()
    if options.page:
        write_page()
        return
    unknown = [name for name in options.workloads if name not in WORKLOADS]
    if unknown:
        parser.error(f"no such workload: {', '.join(unknown)}; there are {', '.join(WORKLOADS)}")
    done = []
    for name in options.workloads or WORKLOADS:
        workload = WORKLOADS[name]
        record = (Record.load(name) if options.add else None) or Record(name, machine())
        print(f"{name}: {workload.title}", flush=True)
        runner.run(
            workload,
            record,
            rounds=options.rounds,
            scale=options.scale,
            only=options.only,
            limit=options.limit,
            tell=lambda line: print(line, flush=True),
        )
        print("", report.plain(report.contestants(workload, record)), sep="\n")
        print(*report.failures(record), "", sep="\n")
        if options.save or options.add:
            record.save()
        done.append((workload, record))
    print(report.plain(report.targets(done)))
    if options.save or options.add:
        write_page()


def write_page(folder: Path = FOLDER, page: Path = PAGE) -> None:
    """Write the results that are kept into the README, and draw them."""
    records = ((workload, Record.load(workload.name, folder)) for workload in WORKLOADS.values())
    pairs = [(workload, record) for workload, record in records if record is not None]
    picture = folder / "results.svg"
    try:
        plot.draw(pairs, picture)
    except ImportError:
        print("there is no new picture: matplotlib is not installed")
    summary = report.summary(pairs, picture.relative_to(page.parent).as_posix())
    text = page.read_text(encoding="utf-8")
    page.write_text(report.inserted(text, summary), encoding="utf-8")


if __name__ == "__main__":
    main()
