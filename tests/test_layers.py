"""The layers of the package, and its public names, hold by test."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Generic

import pytest

import conveyor

pytestmark = pytest.mark.quick

ROOT = Path(__file__).parents[1]
PACKAGE = Path(conveyor.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

LAYERS = {
    "errors": set(),
    "log": set(),
    "cached": set(),
    "flow": {"errors"},
    "graph": {"errors", "cached"},
    "plan": {"errors", "flow", "graph"},
    "dsl": {"errors", "graph"},
    "engines": {"errors", "log", "cached", "flow", "graph", "plan", "dsl"},
    "seeing": {"errors", "flow", "graph", "engines"},
    "cli": {"graph", "dsl", "engines", "seeing"},
    "testing": {"dsl", "engines"},
    "__main__": {"cli"},
}
"""What each layer may import besides itself."""

LATE = {
    ("dsl/element.py", "engines"): "run, stream and open reach for an engine when they are called",
    ("engines/base.py", "seeing"): "who is shown a run is asked for late",
    ("engines/results.py", "seeing"): "so is what draws it and reports of it",
    ("engines/stats.py", "seeing"): "the verdict is asked of the figures, and read from them alone",
}
"""The imports that go up, each with its reason. They stand inside of functions."""

OTHERS = {
    "_replace",  # of a named tuple: public, in spite of its name
    "_getframe",  # of sys
    "_current_frames",
    "_exit",  # of os
    "_class_setstate",  # of cloudpickle
    "_code_reduce",
    "_make_skeleton_class",
    "_make_skeleton_enum",
    "_extract_code_globals",
    "_core",  # of loguru
    "_options",
    "_children",  # of multiprocessing
    "_forkserver",
    "_forkserver_address",
    "_forkserver_alive_fd",
    "_forkserver_pid",
    "_config",
    "_popen",
    "_resource_tracker",
    "_Unpickler",  # of pickle
    "_signal",  # of signal
}
"""Private names, by their looks, of what is not ours."""

KNOWN = {
    ("engines/processes/pickling.py", "_root"),
    ("engines/processes/culprit.py", "_callable"),
}
"""What engines use of elements that should have a public name."""

IMPURE = {
    "asyncio", "concurrent", "multiprocessing", "os", "random", "select", "signal", "socket",
    "subprocess", "threading", "time",
}  # fmt: skip
"""What a pure layer does not import."""

PUBLIC = {
    "AUTO", "AccountError", "Auto", "BalancedFork", "ConstructionError", "ConveyorError",
    "DeadLetter", "DeadLetters", "Element", "Feed", "Graph", "GraphError", "ImplicitPipeWarning",
    "Join", "JoinError", "Live", "NotPicklable", "Pipe", "Pipeline", "Processor",
    "ReplicatedFork", "ResourceError", "Results", "Snapshot", "Source", "StageError",
    "StageTimeout", "Stalled", "Stats", "Stream", "TooManyFailures", "UsageError", "WorkerDied",
    "__version__", "processor", "source",
}  # fmt: skip


@cache
def parsed(path: Path) -> ast.Module:
    """A file of the package; several tests read each, and none changes what it reads."""
    return ast.parse(path.read_text())


def layer(module: str) -> str | None:
    """The layer of a module of ours, or None."""
    parts = module.split(".")
    return parts[1] if parts[0] == "conveyor" and len(parts) > 1 else None


def imports(tree: ast.AST) -> Iterator[tuple[str, list[str], ast.stmt]]:
    """The modules that are imported, and the names from them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, [], node
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, [alias.name for alias in node.names], node


def only_for_checkers(tree: ast.AST) -> set[ast.AST]:
    """What stands under `if TYPE_CHECKING`, which never runs."""
    return {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for part in node.body
        for inner in ast.walk(part)
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_its_layer_may(path):
    name = str(path.relative_to(PACKAGE))
    own = name.split("/", maxsplit=1)[0].removesuffix(".py")
    if own == "__init__":
        return
    tree = parsed(path)
    unseen = only_for_checkers(tree)
    top = set(tree.body)
    for module, _, node in imports(tree):
        target = layer(module)
        if target is None or target == own or node in unseen or target in LAYERS[own]:
            continue
        assert (name, target) in LATE, f"{name} imports {module}"
        assert node not in top, f"{name} imports {module} at its top"


@pytest.mark.parametrize("folder", ["flow", "graph", "plan", "dsl"])
def test_a_pure_layer_knows_no_clock_process_or_chance(folder):
    for path in (PACKAGE / folder).rglob("*.py"):
        for module, _, _ in imports(parsed(path)):
            assert module.split(".")[0] not in IMPURE, f"{path} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nobody_measures_by_a_clock_that_may_be_set(path):
    tree = parsed(path)
    from_time = {name for module, names, _ in imports(tree) if module == "time" for name in names}
    assert "time" not in from_time
    assert "time.time" not in {
        ast.unparse(n) for n in ast.walk(tree) if isinstance(n, ast.Attribute)
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_private_names_stay_in_their_folder(path):
    folder = ".".join(["conveyor", *path.relative_to(PACKAGE).parts[:-1]])
    for module, names, _ in imports(parsed(path)):
        if layer(module) and module.rpartition(".")[0] != folder:
            assert not [name for name in names if name.startswith("_")], f"{path}: {module}"


def defined(tree: ast.AST) -> Iterator[str]:
    """The names that are given to something in a file."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from (alias.asname or alias.name for alias in names)


@cache
def defined_in(folder: Path) -> set[str]:
    """The names that are given to something in the files of a folder."""
    return {name for file in folder.glob("*.py") for name in defined(parsed(file))}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_private_attributes_stay_in_their_folder(path):
    here = defined_in(path.parent)
    name = str(path.relative_to(PACKAGE))
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and node.attr not in here:
            is_special = node.attr.endswith("__") or node.attr in OTHERS
            assert is_special or (name, node.attr) in KNOWN, f"{name}: {ast.unparse(node)}"


def test_every_exception_to_the_rules_is_needed():
    for name, upward in LATE:
        tree = parsed(PACKAGE / name)
        unseen = only_for_checkers(tree)
        assert upward in {layer(m) for m, _, node in imports(tree) if node not in unseen}
    for name, attribute in KNOWN:
        tree = parsed(PACKAGE / name)
        assert attribute in {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}


def tracked() -> list[Path]:
    """The files of the repository; none where this is only a part of it."""
    git = ["git", "-C", str(ROOT), "ls-files", "-z"]
    try:
        listed = subprocess.run(git, capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def test_no_file_speaks_of_the_machine_that_it_was_written_on():
    local = re.compile(rb"(?<![\w./])/(?:work|tmp|home|root)\b|\.\./shared\b")

    assert [path for path in tracked() if local.search(path.read_bytes())] == []


def test_nothing_of_multiprocessing_that_a_death_could_leave_locked_is_used():
    forbidden = {
        "Lock",
        "RLock",
        "Queue",
        "SimpleQueue",
        "Event",
        "Semaphore",
        "Manager",
        "Barrier",
    }
    for path in FILES:
        for module, names, _ in imports(parsed(path)):
            if module.split(".")[0] == "multiprocessing":
                assert not forbidden & set(names), path
                assert "shared_memory" not in names, path


def test_the_public_names_are_these():
    assert set(conveyor.__all__) == PUBLIC
    assert all(hasattr(conveyor, name) for name in PUBLIC)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_is_public_has_a_docstring(path):
    tree = parsed(path)
    assert ast.get_docstring(tree), path
    for node in tree.body:
        if not isinstance(node, (ast.ClassDef, ast.FunctionDef)) or node.name.startswith("_"):
            continue
        if "overload" not in [ast.unparse(decorator) for decorator in node.decorator_list]:
            assert ast.get_docstring(node), f"{path}: {node.name}"


def test_a_processor_has_one_private_name_of_ours():
    """All others are the user's, who may call attributes and methods as they like."""
    foreign = set(dir(Generic)) | {"_is_protocol", "_repr_mimebundle_"}  # which IPython looks for
    private = {name for name in dir(conveyor.Source) if name.startswith("_")}
    assert {name for name in private - foreign if not name.endswith("__")} == {"_conveyor"}


def test_the_types_ship():
    assert (PACKAGE / "py.typed").exists()
