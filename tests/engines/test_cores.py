"""How many physical cores there are for a process, and how much memory for large items."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from conveyor.engines.processes import cores, groups
from conveyor.engines.processes.cores import physical_cores
from conveyor.engines.processes.memory import bound

pytestmark = pytest.mark.quick


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Files of a kernel, for a machine of four cores with two threads each, and no limit."""
    monkeypatch.setattr(cores, "_CPUS", tmp_path / "cpus")
    monkeypatch.setattr(groups, "_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(groups, "_PROCESSES", tmp_path / "processes")
    for cpu in range(8):
        write(tmp_path / f"cpus/cpu{cpu}/topology/thread_siblings_list", f"{cpu % 4},{cpu % 4 + 4}")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    return tmp_path


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


def test_there_are_no_more_than_the_machine_has():
    assert 1 <= physical_cores() <= (psutil.cpu_count(logical=False) or os.cpu_count())


def test_a_process_on_one_cpu_has_one_core():
    script = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        "from conveyor.engines.processes.cores import physical_cores; print(physical_cores())"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "1\n"


@pytest.mark.parametrize(
    ("cpus", "wanted"), [(range(8), 4), ([0, 4], 1), ([0, 1], 2), ([0, 1, 5], 2), ([7], 1)]
)
def test_threads_of_one_core_count_once(machine, monkeypatch, cpus, wanted):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(cpus))
    assert physical_cores() == wanted


@pytest.mark.parametrize(
    ("own", "limits", "wanted"),
    [
        ("0::/", {"cpu.max": "max 100000"}, 4),
        ("0::/", {"cpu.max": "200000 100000"}, 2),
        ("0::/", {"cpu.max": "150000 100000"}, 2),
        ("0::/", {"cpu.max": "50000 100000"}, 1),
        ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000"}, 3),
        ("0::/a/b", {"a/b/cpu.max": "100000 100000", "a/cpu.max": "300000 100000"}, 1),
        ("0::/of/the/host", {"cpu.max": "200000 100000"}, 2),
        (
            "4:memory:/x\n2:cpu,cpuacct:/a\n0::/",
            {
                "cpu,cpuacct/a/cpu.cfs_quota_us": "200000",
                "cpu,cpuacct/a/cpu.cfs_period_us": "99999",
            },
            3,
        ),
        ("1:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 4),
        ("0::/", {}, 4),
    ],
)
def test_a_control_group_may_allow_fewer(machine, own, limits, wanted):
    write(machine / "processes/self/cgroup", own)
    for name, text in limits.items():
        write(machine / "groups" / name, text)
    assert physical_cores() == wanted


@pytest.mark.parametrize(
    ("own", "limits"),
    [
        ("0::/a/b", {"a/b/memory.max": "max", "a/memory.max": "4096", "memory.max": "8192"}),
        ("0::/of/the/host", {"memory.max": "4096"}),
        (
            "4:memory:/x\n0::/",
            {"memory/x/memory.limit_in_bytes": "4096", "memory/memory.limit_in_bytes": "8192"},
        ),
    ],
)
def test_large_items_take_a_quarter_of_what_a_control_group_allows(machine, own, limits):
    write(machine / "processes/self/cgroup", own)
    assert bound() > 4096
    for name, text in limits.items():
        write(machine / "groups" / name, text)
    assert bound() == 1024


def test_where_the_kernel_does_not_say_threads_are_averaged(machine, monkeypatch):
    monkeypatch.setattr(cores, "_CPUS", machine / "nowhere")
    counts = {True: 16, False: 8}
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: counts[logical])
    assert physical_cores() == 4
    counts[False] = None
    assert physical_cores() == 8
