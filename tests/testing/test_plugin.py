"""The pytest plugin, in runs of pytest of its own: it is loaded there as where it is installed."""

from __future__ import annotations

import re
import sys
from functools import partial

import pytest

pytest_plugins = ["pytester"]

STEPS = """
    import threading

    import pytest

    from conveyor import Feed, Processor, processor


    @processor
    def double(item):
        return 2 * item


    @processor
    def stuck(item):
        if item == 6:
            threading.Event().wait()
        return item


    class Gather(Processor):
        def __init__(self):
            self.items = []

        def process(self, item):
            self.items.append(item)

        def finish(self):
            return self.items
"""


@pytest.fixture
def run(pytester):
    """Runs pytest on some steps and these tests."""

    def run(tests, *options, alone=False):
        pytester.makepyfile(steps=STEPS, test_steps=f"from steps import *\n{tests}")
        method = pytester.runpytest_subprocess if alone else pytester.runpytest_inprocess
        return method("-p", "no:cacheprovider", *options)

    return run


@pytest.fixture
def run_alone(run):
    """Like `run`, in a process of its own."""
    return partial(run, alone=True)


def ids(result):
    """The tests that were run, each with how it ended."""
    found = re.findall(r"::(\S+) (PASSED|FAILED)", result.stdout.str())
    return dict(sorted(found))


# -- what it costs --


@pytest.mark.quick
def test_it_imports_nothing_that_no_test_has_asked_for(run_alone):
    result = run_alone("""
import sys

def test_nothing_heavy_is_there():
    heavy = ("loguru", "numpy", "psutil", "conveyor.engines.processes", "conveyor.testing.guard")
    assert not set(heavy) & set(sys.modules)
""")

    result.assert_outcomes(passed=1)


def test_tests_that_do_not_ask_for_it_are_as_they_were(run_alone):
    result = run_alone(
        """
kept = []

def test_a_plain_test_may_leave_what_it_likes():
    kept.append(open("/dev/null"))
""",
        "--conveyor-seeds=3",
        "--conveyor-limit=0.001",
    )

    result.assert_outcomes(passed=1)


# -- fixtures --


def test_a_pipeline_is_run_as_the_call_says(run):
    result = run("""
def test_run(conveyor_run):
    assert conveyor_run(double, [1, 2], ordered=True) == [2, 4]
    assert conveyor_run(double, [1, 2], engine="inline").stats["double"].items_out == 2
""")

    result.assert_outcomes(passed=1)


def test_a_test_runs_on_each_engine_and_inline_with_each_seed(run):
    test = """
def test_run(conveyor_run_each):
    assert conveyor_run_each(double % 2, [1, 2], ordered=True) == [2, 4]
"""

    assert set(ids(run(test, "-v"))) == {"test_run[inline]", "test_run[processes]"}
    assert set(ids(run(test, "-v", "--conveyor-seeds=2"))) == {
        "test_run[inline]",
        "test_run[inline-seed0]",
        "test_run[inline-seed1]",
        "test_run[processes]",
    }


# -- hangs --

RING = """
import os
import signal
import time
from pathlib import Path

from conveyor.engines.processes.look import pipelines


def seen():
    return {sight.worker: sight for sights in pipelines() for sight in sights}


def ring_once(is_so):
    \"\"\"Let the limit be over, whatever the clock says, once something is so.\"\"\"
    def wait():
        while not is_so():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGUSR2)

    threading.Thread(target=wait, daemon=True).start()


def lasts(seconds):
    \"\"\"What is blocked for a moment may yet get on.\"\"\"
    return seconds is None or seconds > 0.2


def are(**states):
    now = seen()
    return all(
        name in now and now[name].state == state and lasts(now[name].seconds)
        for name, state in states.items()
    )
"""


def test_a_hang_becomes_a_report_of_who_waits_for_whom(run_alone):
    result = run_alone(f"""{RING}
@pytest.mark.conveyor
def test_worker():
    ring_once(lambda: are(feed="blocked", double="blocked", stuck="busy", halve="starved"))
    (double >> stuck >> Processor(str).options(name="halve")).run(range(1_000_000))

def test_after_all_that_others_run():
    assert double.run([1]) == [2]
""")

    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            "the test has not come to its end in 120 s",
            "who waits for whom",
            "  feed * this process * blocked for * s: *",
            "  double * process * blocked for * s: the pipe to stuck is full",
            "  stuck * process * busy for * s with item 6",
            "  halve * process * starved for * s: the pipe from stuck is empty",
            "  output * this process * starved: the pipe from halve is empty",
            "  the others wait for stuck",
            "the stack of the caller*",
            "  File *test_steps.py*, in test_worker",
            "the stack of stuck (process *, the last call first)",
            "  File *steps.py*, line * in stuck",
        ],
    )
    result.stdout.no_fnmatch_line("*During handling*")
    assert "_pytest" not in result.stdout.str()


def test_a_hang_that_is_no_workers_fault_is_told_as_well(run_alone):
    result = run_alone(f"""{RING}
def wait_for_ever(name):
    Path(name).touch()
    threading.Event().wait()

@pytest.mark.conveyor(limit=100)
def test_items():
    def items():
        yield 1
        wait_for_ever("items")

    ring_once(lambda: Path("items").exists() and are(double="starved"))
    double.run(items())

@pytest.mark.conveyor
def test_inline():
    ring_once(Path("inline").exists)
    try:
        Processor(wait_for_ever).run(["inline"], engine="inline")
    except KeyboardInterrupt:
        pass  # whoever catches it, the test has failed
""")

    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "the test has not come to its end in 100 s",
            "  feed * starved * it waits for the caller's items",
            "  double * starved * the pipe from feed is empty",
            "  no worker has anything to do: the caller neither gives items *",
            "the stack of thread conveyor-items",
            "  File *, in items",
        ]
    )
    result.stdout.fnmatch_lines(["  File *, in wait_for_ever", "*threading.Event().wait()"])


def test_a_worker_that_is_stopped_or_clings_is_seen(run_alone):
    result = run_alone(f"""{RING}
@processor
def stopped(item):
    os.kill(os.getpid(), signal.SIGSTOP)

class Clinging(Processor):
    def process(self, item):
        return item

    def teardown(self):
        Path("clings").touch()
        threading.Event().wait()

@pytest.mark.conveyor
def test_stopped():
    ring_once(lambda: seen() and seen()["stopped"].condition == "stopped")
    stopped.run([1])

@pytest.mark.conveyor
def test_clinging():
    ring_once(Path("clings").exists)
    Clinging().run([1])
""")

    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "  stopped * with item 1 (the process is stopped)",
            "  it does not answer",
            "the stack of clinging*",
            "  File *, line * in teardown",
        ]
    )


def test_the_limit_of_the_mark_comes_before_that_of_the_command_and_of_the_file(run, pytester):
    pytester.makeini("[pytest]\nconveyor_limit = 0.001\n")
    tests = """
def test_plain(conveyor_run):
    double.run([1])

@pytest.mark.conveyor(limit=100)
def test_marked():
    double.run([1])
"""

    assert ids(run(tests, "-v")) == {"test_plain": "FAILED", "test_marked": "PASSED"}
    run(tests, "--conveyor-limit=0").assert_outcomes(passed=2)


@pytest.mark.parametrize("given", ["2", "limi=2", "limit=2, seed=1"])
def test_a_mark_that_says_something_else_fails_its_test(run, given):
    result = run(f"""
@pytest.mark.conveyor({given})
def test_marked():
    pass
""")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [f"*mark.conveyor takes limit=SECONDS and nothing else, not ({given})"]
    )


def test_who_debugs_has_time(pytester, run):
    run("""
@pytest.mark.conveyor(limit=0.5)
def test_slow():
    breakpoint()
""")
    command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-s")

    result = pytester.run(*command, stdin=b"import time; time.sleep(1)\ncontinue\n")

    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pytest.toml", "[pytest]\nconveyor_limit = 20"),
        ("pyproject.toml", "[tool.pytest]\nconveyor_limit = 0.5"),
        ("pyproject.toml", "[tool.pytest.ini_options]\nconveyor_limit = 20"),
        ("tox.ini", "[pytest]\nconveyor_limit = 20"),
    ],
)
def test_the_limit_is_a_number_in_each_kind_of_configuration(run, pytester, name, text):
    pytester.path.joinpath(name).write_text(text)
    seconds = text.rpartition(" ")[2]

    result = run(f"""
def test_it(conveyor_run, pytestconfig):
    assert float(pytestconfig.getini("conveyor_limit")) == {seconds}
""")

    result.assert_outcomes(passed=1)


def test_there_need_be_no_debugger(run):
    test = """
def test_run(conveyor_run):
    assert conveyor_run(double, [1], engine="inline") == [2]
"""

    run(test, "-p", "no:debugging").assert_outcomes(passed=1)


def test_settings_that_make_no_sense_are_refused(run, pytester):
    assert run("", "--conveyor-seeds=-1").ret == pytest.ExitCode.USAGE_ERROR
    pytester.makeini("[pytest]\nconveyor_limit = soon\n")
    result = run("")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*conveyor_limit takes seconds, not 'soon'"])


# -- leaks --


def test_what_a_test_leaves_is_its_failure(run_alone):
    result = run_alone("""
import os
import signal
from multiprocessing import shared_memory

from conveyor.testing import leaks

leaks.PATIENCE = 0.2  # what is left here stays
kept = []

@pytest.mark.conveyor
def test_leaves():
    outputs = double.stream([1, 2, 3])
    next(outputs)
    kept.append(outputs)
    kept.append(open(os.devnull))
    threading.Thread(target=threading.Event().wait, name="mine", daemon=True).start()
    kept.append(shared_memory.SharedMemory(create=True, size=1, name="mine-too"))
    if os.fork() == 0:
        os._exit(0)
    signal.signal(signal.SIGTERM, lambda *_: None)

@pytest.mark.conveyor
def test_what_was_there_before_is_not_its_own():
    kept[-1].unlink()
    assert double.run([1]) == [2]
""")

    result.assert_outcomes(failed=1, passed=1)
    (line,) = [one for one in result.stdout.lines if one.startswith("the test left")]
    for part in (
        r"process \d+ \(python",
        r"process \d+ \(a zombie\)",
        r"\d x socket",
        r"1 x /dev/null",
        r"thread mine",
        r"/dev/shm/mine-too",
        r"a handler of SIGTERM",
    ):
        assert re.search(part, line), line


def test_a_test_that_fails_anyway_is_told_of_that_alone(run_alone):
    result = run_alone("""
@pytest.mark.conveyor
def test_fails():
    outputs = double.stream([1, 2, 3])
    assert next(outputs) == 1
""")

    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*the test left*")


# -- seeds --

GATHERED = """
@pytest.mark.conveyor
def test_gathered():
    found = (Feed() >> double % 2 & Gather()).run(range(6), engine="inline")
    assert found == [[0, 2, 4, 6, 8, 10]]
"""


def test_a_seed_finds_what_depends_on_order_and_finds_it_again(run):
    assert ids(run(GATHERED, "-v")) == {"test_gathered": "PASSED"}

    result = run(GATHERED, "-v", "--conveyor-seeds=6")
    ended = ids(result)
    assert ended.pop("test_gathered[own-order]") == "PASSED"
    failed = [name for name, how in ended.items() if how == "FAILED"]
    assert len(ended) == 6
    assert failed
    seed = re.findall(r"\d+", failed[0])[-1]
    result.stdout.fnmatch_lines(
        [f"the inline engine ran in the order of seed {seed}; once more: --conveyor-seed={seed}"]
    )
    difference = r"assert \[\[.*"
    told = re.findall(difference, result.stdout.str())[0]

    again = run(GATHERED, "-v", f"--conveyor-seed={seed}")
    assert ids(again) == {f"test_gathered[seed{seed}]": "FAILED"}
    assert re.findall(difference, again.stdout.str())[0] == told


def test_seeds_reach_fixtures_hypothesis_and_parameters(run):
    result = run(
        """
from hypothesis import given, strategies as st

from conveyor.engines.order import seed

@pytest.fixture
def found():
    return seed()

def test_fixture(found, conveyor_seed):
    assert found == seed() == conveyor_seed

@pytest.mark.conveyor
@pytest.mark.parametrize("text", ["ab", "cd"])
def test_parameter(text):
    assert sorted((Feed() >> double % 2).run(text, engine="inline")) == [2 * one for one in text]

@pytest.mark.conveyor
@given(st.lists(st.integers()))
def test_hypothesis(items):
    assert sorted(double.run(items, engine="inline")) == sorted(2 * item for item in items)
""",
        "--conveyor-seeds=2",
    )

    result.assert_outcomes(passed=3 + 2 * 3 + 3)


def test_a_seed_without_a_test_of_pipelines_changes_nothing(run):
    assert ids(run("def test_plain(): pass", "-v", "--conveyor-seed=5")) == {"test_plain": "PASSED"}


def test_a_limit_may_be_longer_than_any_clock_goes(run):
    result = run(
        """
def test_it(conveyor_run):
    assert conveyor_run(double, [1], engine="inline") == [2]
""",
        "--conveyor-limit=inf",
        "-Werror",
    )
    result.assert_outcomes(passed=1)
