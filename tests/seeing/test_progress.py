"""Progress: snapshots for a function, a live view in a terminal, a notebook, or plain lines."""

from __future__ import annotations

import io
import itertools
import json
import os
import pty
import subprocess
import sys
import time
from dataclasses import FrozenInstanceError

import pytest

from conveyor import AUTO, Feed, Processor, Snapshot, Source, UsageError
from conveyor.seeing.lines import Lines, clock, summary
from tests.terminal import on_terminal


def nap(item):
    time.sleep(0.005)
    return item


slow = Processor(nap)
MANY = 120
"""`slow` is at work on so many for three times as long as from one snapshot to the next."""

same = Processor(abs)


class Walk(Source[int]):
    def generate(self):
        yield from range(MANY)


def test_a_function_gets_snapshots_while_it_runs_and_one_at_the_end(on):
    seen: list[Snapshot] = []
    results = (Feed() >> slow).run(range(MANY), progress=seen.append, **on)
    *during, last = seen
    assert during
    assert not any(one.is_last for one in during)
    assert (last.is_last, last.items_in, last.items_out, last.stats) == (
        True,
        MANY,
        MANY,
        results.stats,
    )
    assert [one.items_out for one in seen] == sorted(one.items_out for one in seen)
    assert all(0 < one.elapsed <= results.stats.elapsed for one in seen)


def test_a_snapshot_says_what_was_written_and_what_each_element_does(on):
    seen = []
    pipeline = Feed() >> same >> slow
    pipeline.run(range(MANY), progress=seen.append, **on)
    assert {one.expression for one in seen} == {repr(pipeline)}
    assert seen[-2].recent["nap"].busy > 0.5 > seen[-2].recent["abs"].busy
    assert seen[-2].recent["nap"].rate > 0
    with pytest.raises(FrozenInstanceError):
        seen[0].length = 3


@pytest.mark.parametrize(
    ("items", "length"),
    [(range(MANY), MANY), (iter([0] * MANY), MANY), ((n for n in range(MANY)), None)],
    ids=["sized", "hinted", "unknown"],
)
def test_the_time_left_is_told_where_the_items_have_a_length(items, length):
    seen = []
    (Feed() >> slow).run(items, progress=seen.append)
    assert {one.length for one in seen} == {length}
    assert (seen[0].remaining is None) == (length is None)
    assert seen[-1].remaining is None


def test_a_source_may_have_a_length():
    seen = []
    (Source(list(range(MANY))) >> slow).run(progress=seen.append)
    assert {one.length for one in seen} == {MANY}
    (Walk() >> slow).run(progress=seen.append)
    assert seen[-1].length is None


def test_a_length_that_fails_is_not_known():
    class Odd(list):
        def __len__(self):
            raise RuntimeError

    seen = []
    (Feed() >> same).run(Odd([1, 2]), progress=seen.append)
    assert (seen[-1].length, seen[-1].items_out) == (None, 2)


def test_a_stream_and_a_live_pipeline_have_it_too(on):
    with (Feed() >> same).open(**on) as live:
        for run in (live.run, lambda items, **how: list(live.stream(items, **how))):
            seen = []
            run([1, 2], progress=seen.append)
            assert [one.is_last for one in seen][-1]
    seen = []
    assert list((Feed() >> same).stream([1], progress=seen.append, **on)) == [1]
    assert seen[-1].items_out == 1


def test_failures_are_told():
    def fail(item):
        raise ValueError

    seen = []
    (Feed() >> Processor(fail).options(on_error="skip")).run(range(20), progress=seen.append)
    assert seen[-1].failed == 20


def test_what_the_function_raises_ends_the_run(on):
    def refuse(snapshot):
        raise LookupError("enough")

    endless = (Feed() >> slow).stream(itertools.count(), progress=refuse, **on)
    with pytest.raises(LookupError, match="enough"):
        list(endless)


def test_what_it_raises_at_the_end_is_raised_too(on):
    def refuse(snapshot):
        if snapshot.is_last:
            raise LookupError("at last")

    with pytest.raises(LookupError, match="at last"):
        (Feed() >> same).run([1], progress=refuse, **on)


@pytest.mark.parametrize("wrong", ["yes", 1, None])
def test_anything_else_is_refused_before_a_process_starts(wrong):
    with pytest.raises(UsageError, match="progress takes"):
        (Feed() >> same).run([1], progress=wrong)


# -- lines --


def test_lines_are_written_where_the_standard_error_is_no_terminal(capsys, on):
    assert (Feed() >> same).run([1, 2, 3], progress=True, **on) == [1, 2, 3]
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("conveyor: 3 of 3 in, 3 out, ")
    assert err.endswith("/s, 0:00 elapsed\n")


def test_nothing_is_written_when_it_is_off(capsys):
    (Feed() >> same).run([1, 2, 3])
    assert capsys.readouterr() == ("", "")


def test_a_line_says_what_there_is_to_say():
    seen = []
    pipeline = Feed() >> Processor(lambda n: n // (n % 2)).options(on_error="skip") >> slow
    pipeline.run(range(MANY), progress=seen.append)
    during, last = summary(seen[-2]), summary(seen[-1])
    assert f" of {MANY} in, " in during
    assert "left, nap busy " in during
    assert last.startswith(f"{MANY} of {MANY} in, {MANY // 2} out, {MANY // 2} failed, ")


def test_each_snapshot_becomes_a_line():
    stream, seen = io.StringIO(), []
    view = Lines(stream)

    def show(snapshot):
        seen.append(snapshot)
        view.show(snapshot)

    (Feed() >> slow).run(range(MANY), progress=show)
    lines = stream.getvalue().splitlines()
    assert lines == [f"conveyor: {summary(snapshot)}" for snapshot in seen]
    assert len(lines) > 1


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.4, "0:00"), (61, "1:01"), (3599.7, "1:00:00"), (36_000, "10:00:00")]
)
def test_times_are_shown_as_on_a_clock(seconds, shown):
    assert clock(seconds) == shown


# -- what may go wrong with a view --


class Gone(io.StringIO):
    """A stream that nobody reads any more."""

    def write(self, text):
        raise BrokenPipeError


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [None, Gone(), closed()], ids=["none", "gone", "closed"])
def test_a_standard_error_that_can_not_be_written_breaks_no_run(stream, monkeypatch, on):
    monkeypatch.setattr(sys, "stderr", stream)
    assert (Feed() >> same).run([1, 2], progress=True, ordered=True, **on) == [1, 2]


# -- a terminal --

SCRIPT = """
import sys, time
from conveyor import Auto, Feed, Processor

def nap(item):
    time.sleep(0.01)
    if item == 20:
        print("a worker prints [bold]this[/bold]")
    if item == 150 and {fails}:
        raise ValueError("bad item")
    return item

for n in (Feed() >> Processor(nap) % Auto(2, 2) & Processor(abs)).stream(range(200), progress=True):
    if n == 30:
        print("the caller prints")
print("the end")
"""


@pytest.fixture(scope="module")
def rich():
    return pytest.importorskip("rich")


@pytest.fixture(scope="module")
def shown(rich):
    """The exit code of the script, and what it wrote to a terminal."""
    code, screen, _ = on_terminal("-c", SCRIPT.format(fails=False))
    return code, screen


def test_a_terminal_has_a_live_view(shown):
    code, screen = shown
    assert code == 0
    assert "Feed() >> Processor(nap) % Auto(min=2, max=2) & Processor(abs)" in screen
    assert "\x1b[1A" in screen  # it is drawn in its own place
    last = screen.rpartition("Feed() >>")[2]
    assert "200 of 200 in, 200 out" in last
    assert "nap is the bottleneck" in last
    assert last.endswith("\x1b[?25hthe end\n")  # the cursor is back


def test_what_is_printed_meanwhile_stands_above_the_view(shown):
    _, screen = shown
    for text in ("a worker prints [bold]this[/bold]\n", "the caller prints\n"):
        before, _, behind = screen.partition(text)
        assert before.endswith("\x1b[2K") or "Feed() >>" not in before
        assert "Feed() >>" in behind


def test_a_failure_gives_the_terminal_back(rich):
    code, screen, _ = on_terminal("-c", SCRIPT.format(fails=True))
    assert code == 1
    assert "\x1b[?25h" in screen
    assert "ValueError: bad item" in screen.rpartition("\x1b[?25h")[2]


def test_an_output_that_is_no_terminal_gets_what_is_printed(rich):
    code, screen, out = on_terminal("-c", SCRIPT.format(fails=False), stdout=False)
    assert code == 0
    assert sorted(out.splitlines()) == [
        "a worker prints [bold]this[/bold]",
        "the caller prints",
        "the end",
    ]
    assert "prints" not in screen


def test_without_rich_a_terminal_gets_lines():
    without = "import sys; sys.modules['rich'] = None\n"
    code, screen, _ = on_terminal("-c", without + SCRIPT.format(fails=False))
    assert code == 0
    assert "conveyor: 200 of 200 in, 200 out" in screen
    assert "\x1b" not in screen


def test_a_terminal_that_goes_away_breaks_no_run(rich):
    leader, follower = pty.openpty()
    script = (
        "from conveyor import Feed, Processor; import time\n"
        "def nap(n): time.sleep(0.01); return n\n"
        "print(len((Feed() >> Processor(nap)).run(range(100), progress=True)))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=follower,
        env={**os.environ, "TERM": "xterm"},
        start_new_session=True,
    )
    os.close(follower)
    os.close(leader)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, b"100\n")


def test_the_width_of_a_fork_is_in_the_view(rich):
    from rich.console import Console

    from conveyor.seeing.picture import picture

    seen = []
    (Feed() >> slow % AUTO >> same % 2).run(range(100), progress=seen.append)
    for snapshot in seen:
        console = Console(file=io.StringIO(), width=100)
        console.print(picture(snapshot))
        rows = console.file.getvalue().splitlines()
        (row,) = (
            row.split() for row in rows if row.startswith("nap ") and row[4:].split()[0].isdigit()
        )
        assert row[7] == str(snapshot.stats.widths["fork"][-1].width)


def test_a_long_name_gives_way_to_the_figures(rich):
    from rich.console import Console

    from conveyor.seeing.picture import picture

    seen = []
    pipeline = Feed() >> same.options(name="normalise_the_text_and_strip_accents")
    pipeline.run(range(12_345), engine="inline", progress=seen.append)
    console = Console(file=io.StringIO(), width=80)
    console.print(picture(seen[-1]))
    head, row = (
        next(line for line in console.file.getvalue().splitlines() if line.startswith(start))
        for start in (" ", "normalise")
    )
    assert " ".join(head.split()) == "in out per s busy starved blocked workers failed"
    assert row.split()[0].endswith("\N{HORIZONTAL ELLIPSIS}")
    assert row.split()[1:3] == ["12,345", "12,345"]


# -- a notebook --


NOTEBOOK = """
import json, nbclient, nbformat
cell = '''
import time
from conveyor import Feed, Processor

def nap(n):
    time.sleep(0.01)
    if n == 3:
        print("from a worker")
    return n

len((Feed() >> Processor(nap)).run(range(150), progress=True))
'''
book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
nbclient.NotebookClient(book, timeout=60).execute()
print(json.dumps(book.cells[0].outputs))
"""


def test_a_notebook_has_a_view_that_is_updated(rich, tmp_path):
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", NOTEBOOK],
        cwd=tmp_path,
        # A kernel is killed where it is slow to end, and then its folders stay.
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "TMPDIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outputs = json.loads(done.stdout)
    (shown,) = (one["data"]["text/html"] for one in outputs if "text/html" in one.get("data", {}))
    assert "150 of 150 in, 150 out" in shown  # the last state, in place of those before
    assert "nap is the bottleneck" in shown
    printed = [one["text"] for one in outputs if one["output_type"] == "stream"]
    assert printed == ["from a worker\n"]
