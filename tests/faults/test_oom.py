"""A worker that the kernel kills, since memory has run out, and one that somebody else kills."""

from __future__ import annotations

import os
import signal
import time

import pytest

from conveyor import Feed, Processor, WorkerDied
from conveyor.engines.processes import groups, oom
from conveyor.engines.processes.oom import OomWatch
from tests.faults.scripts import run

RAN_OUT = "the kernel ran out of memory and killed it"
PERHAPS = "killed by SIGKILL (out of memory, perhaps)"

LIMIT = 256 << 20
"""Bytes that the processes of a script may have together."""


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


# -- the kernel itself --


@pytest.fixture
def group():
    """A control group of its own that has little memory."""
    made = limit = None
    for around in groups.groups("self", "memory"):
        made = around / f"conveyor-test-{os.getpid()}"
        try:
            made.mkdir()
        except OSError:
            continue
        limits = [made / name for name in ("memory.max", "memory.limit_in_bytes")]
        limit = next((path for path in limits if path.exists()), None)
        if limit is not None:
            break
        made.rmdir()
    if made is None or limit is None:
        pytest.skip("no control group with a limit of memory can be made here")
    limit.write_text(str(LIMIT))
    yield made
    while True:  # its processes have ended, and the kernel knows soon
        try:
            made.rmdir()
        except OSError:
            time.sleep(0.01)
        else:
            return


def test_a_worker_that_the_kernel_killed_is_told_from_one_that_somebody_else_did(group, tmp_path):
    ended = run(
        tmp_path,
        f"""
        open("{group}/cgroup.procs", "w").write(str(os.getpid()))

        @processor
        def greedy(how):
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            return len(bytearray({2 * LIMIT}))

        for how in ("kill", "take", "kill"):
            try:
                greedy.run([how])
            except WorkerDied as error:
                print(error.stage, error.item, error.exitcode, error.how)
        """,
    )
    assert ended.code == 0, ended.err
    assert ended.out.splitlines() == [
        f"greedy 'kill' -9 it was {PERHAPS}",
        f"greedy 'take' -9 it was killed by SIGKILL: {RAN_OUT}",
        f"greedy 'kill' -9 it was {PERHAPS}",
    ]


# -- what it counts, in files of ours --


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """Files of a kernel that has killed nobody yet."""
    monkeypatch.setattr(groups, "_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(groups, "_PROCESSES", tmp_path / "processes")
    monkeypatch.setattr(oom, "_MACHINE", tmp_path / "vmstat")
    write(tmp_path / "vmstat", "nr_free_pages 7\noom_kill 0\noom_kill_other 9")
    return tmp_path


@pytest.mark.parametrize(
    ("own", "counter", "others"),
    [
        ("0::/a/b", "groups/a/b/memory.events.local", ["groups/a/b/memory.events", "vmstat"]),
        ("0::/a/b", "groups/a/b/memory.events", ["groups/a/memory.events", "vmstat"]),
        ("0::/a/b", "groups/a/memory.events.local", ["groups/memory.events.local", "vmstat"]),
        ("0::/of/the/host", "groups/memory.events", ["vmstat"]),
        ("4:memory:/x\n0::/", "groups/memory/x/memory.oom_control", ["groups/x/memory.events"]),
        ("0::/", "vmstat", ["groups/a/memory.events"]),
    ],
)
def test_the_count_of_the_own_group_says_it(kernel, own, counter, others):
    write(kernel / "processes/1/cgroup", own)
    for name in (counter, *others):
        write(kernel / name, "oom 3\noom_kill 2")
    watch = OomWatch()
    found = watch.started(1)
    for name in others:
        write(kernel / name, "oom 3\noom_kill 3")
    assert not watch.has_killed(found)
    write(kernel / counter, "oom 3\noom_kill 3")
    assert watch.has_killed(found)


def test_two_deaths_and_one_count_are_told_apart_as_far_as_can_be(kernel):
    watch = OomWatch()
    counters = [watch.started(pid) for pid in (1, 2)]
    write(kernel / "vmstat", "oom_kill 1")
    assert [watch.has_killed(one) for one in counters] == [True, False]


def test_a_run_says_what_the_kernel_counted(kernel):
    def killed(grows):
        def die(item):
            if grows:
                write(kernel / "vmstat", "oom_kill 1")
            os.kill(os.getpid(), signal.SIGKILL)

        with pytest.raises(WorkerDied) as caught:
            (Feed() >> Processor(die).options(name="fatal")).run([1])
        return str(caught.value)

    assert killed(grows=False) == f"the worker of stage 'fatal' died on item 1: it was {PERHAPS}"
    assert killed(grows=True).endswith(f"killed by SIGKILL: {RAN_OUT}")


def test_it_is_said_of_workers_that_are_started_again_as_well(kernel):
    def die(item):
        write(kernel / "vmstat", f"oom_kill {item}")
        os.kill(os.getpid(), signal.SIGKILL)

    fatal = Processor(die).options(restarts=3, on_error="dead_letter")
    (letter,) = fatal.run([1]).dead_letters
    assert str(letter.error).endswith(PERHAPS)  # the first death was counted, the second was not


def test_where_nothing_can_be_read_nothing_is_said(kernel):
    (kernel / "vmstat").unlink()
    watch = OomWatch()
    assert not watch.has_killed(watch.started(1))
