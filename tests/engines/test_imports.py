"""What processors import is imported once, in the fork server."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from types import ModuleType

import pytest

from conveyor import Feed, Processor
from conveyor.engines.processes.imports import imported_by

MODEL = """
import sys
there = [name for name in ("numpy", "decimal") if name in sys.modules]
import numpy
from decimal import Decimal
import colorsys
import conveyor

class Model(conveyor.Processor):
    def setup(self):
        self.was_there = [*there, *(["colorsys"] if "colorsys" in sys.modules else [])]

    def process(self, item):
        return numpy.size, Decimal(item) and self.was_there
"""


def run(program):
    """What a fresh interpreter prints of a worker's answer."""
    program += "\nprint(Model().run([1])[0][1])"
    command = [sys.executable, "-W", "error", "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.strip()


def test_what_a_processor_of_the_script_refers_to_is_there_before_its_worker():
    found = MODEL.replace("[*there,", "[*[n for n in ('numpy', 'decimal') if n in sys.modules],")
    assert run(found) == "['numpy', 'decimal']"


def test_what_the_module_of_a_processor_imports_is_there_before_that_module(tmp_path, monkeypatch):
    (tmp_path / "models.py").write_text(MODEL)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = run("import conveyor\nfrom models import Model")
    assert found == "['numpy', 'decimal', 'colorsys']"


@pytest.mark.parametrize("trouble", ["raise RuntimeError", "raise SystemExit", "raise ImportError"])
def test_a_module_that_the_fork_server_cannot_import_is_no_trouble(trouble, tmp_path, monkeypatch):
    package = tmp_path / "site-packages"
    package.mkdir()
    (package / "fragile.py").write_text(
        "import os\n"
        "first = os.environ.setdefault('FIRST', str(os.getpid()))\n"
        f"if os.getppid() == int(first): {trouble}\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(package))
    program = """
import conveyor, fragile

class Model(conveyor.Processor):
    def process(self, item):
        return item, fragile.__name__
"""
    assert run(program) == "fragile"


class Restless(type):
    """Puts something into its module whenever it is asked for that, as another thread may."""

    @property
    def __module__(cls):
        vars(sys.modules["restless"])[f"name{next(numbers)}"] = cls
        return "restless"


numbers = itertools.count()


def test_a_module_may_be_filled_while_it_is_looked_at(monkeypatch):
    module = ModuleType("restless")
    monkeypatch.setitem(sys.modules, "restless", module)
    module.known = Restless("Known", (Processor,), {"process": lambda self, item: item})
    imported_by((Feed() >> module.known()).compile())
    assert next(numbers) > 1


def test_a_worker_imports_nothing_of_ours_that_the_fork_server_has_not_imported():
    program = """
import conveyor

class Model(conveyor.Processor):
    def process(self, item):
        import sys
        return item, " ".join(sorted(name for name in sys.modules if name.startswith("conveyor")))
"""
    preloads = (
        "import sys, conveyor.engines.processes.preload\n"
        "print(*sorted(name for name in sys.modules if name.startswith('conveyor')))"
    )
    command = [sys.executable, "-c", preloads]
    there = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert run(program) == there.stdout.strip()


def test_what_takes_long_is_imported_while_the_fork_server_starts():
    program = (
        "import sys, conveyor.engines.opening, conveyor.engines.processes.fork_server\n"
        "import conveyor.engines.processes.imports\n"
        "late = ('cloudpickle', 'logging', 'pathlib', 'traceback')\n"
        "late += ('conveyor.engines.stage', 'conveyor.engines.processes.worker')\n"
        "print(*(name for name in late if name in sys.modules))"
    )
    command = [sys.executable, "-c", program]
    early = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert early.stdout.strip() == ""


def test_the_fork_server_does_without_what_no_worker_needs():
    program = "import sys, conveyor.engines.processes.preload; print('pathlib' in sys.modules)"
    command = [sys.executable, "-c", program]
    needless = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert needless.stdout.strip() == "False"


def test_a_worker_does_not_look_for_garbage_in_what_it_has_inherited():
    program = """
import conveyor

class Model(conveyor.Processor):
    def process(self, item):
        import gc
        return item, (gc.isenabled(), gc.get_freeze_count() > 10_000)
"""
    assert run(program) == "(True, True)"


def test_what_clears_up_behind_us_leaves_the_cores_to_the_start_of_a_run():
    program = """
import os
from multiprocessing import resource_tracker
import conveyor

class Model(conveyor.Processor):
    def process(self, item):
        return item, None

Model().run([1])
print(os.getpriority(os.PRIO_PROCESS, resource_tracker._resource_tracker._pid))
"""
    assert run(program).splitlines()[0] == "19"


def test_what_clears_up_behind_the_user_already_is_left_as_it_is():
    program = """
import os
from multiprocessing import resource_tracker
import conveyor

class Model(conveyor.Processor):
    def process(self, item):
        return item, None

resource_tracker.ensure_running()
Model().run([1])
print(os.getpriority(os.PRIO_PROCESS, resource_tracker._resource_tracker._pid))
"""
    assert run(program).splitlines()[0] == f"{os.getpriority(os.PRIO_PROCESS, 0)}"
