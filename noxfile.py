"""The checks on every CPython that this machine has: `nox -l` lists them.

Interpreters are looked for on PATH and in the folders of pyenv and uv, and each one is really
run: a name on PATH may be a shim that fails, or may start another version than its name says.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

import nox

if TYPE_CHECKING:
    from collections.abc import Iterator

OLDEST = (3, 11)
ROOT = Path(__file__).parent
LEFT_OUT = (".git", ".venv", ".nox", ".hypothesis", ".*_cache", "__pycache__", "build", "dist")

# Prints [version, path of the real binary], or null where it is nothing to test on.
PROBE = """
import json, platform, sys, sysconfig
fits = (
    platform.python_implementation() == "CPython"
    and sys.version_info.releaselevel == "final"
    and not sysconfig.get_config_var("Py_GIL_DISABLED")
)
binary = getattr(sys, "_base_executable", None) or sys.executable
print(json.dumps([list(sys.version_info[:3]), binary] if fits else None))
"""


def candidates() -> Iterator[Path]:
    """Yield every file that might be an interpreter."""
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv")
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python")
    managed = [*pyenv.glob("versions/*/bin"), *uv.glob("*/bin")]
    yield Path(sys.executable)
    for folder in (*managed, *map(Path, os.get_exec_path())):
        for file in sorted(folder.glob("python3*")):
            named = re.fullmatch(r"python3(?:\.(\d+))?", file.name)
            if named and (named[1] is None or (3, int(named[1])) >= OLDEST):
                yield file


def probe(candidate: Path) -> tuple[tuple[int, ...], Path] | None:
    """Ask the candidate for its version and its real binary; None where it does not fit."""
    try:
        run = subprocess.run(
            [candidate, "-I", "-c", PROBE], capture_output=True, text=True, timeout=20, check=True
        )
        answer = json.loads(run.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return (tuple(answer[0]), Path(answer[1])) if answer else None


def interpreters() -> dict[str, Path]:
    """Find the newest CPython of each minor version: {"3.11": path, ...}, oldest first."""
    best: dict[tuple[int, ...], tuple[tuple[int, ...], Path]] = {}
    tried: set[Path] = set()
    for candidate in candidates():
        binary = candidate.resolve()
        if binary in tried:
            continue
        tried.add(binary)
        found = probe(candidate)
        if found is None:
            continue
        minor = found[0][:2]
        if minor >= OLDEST and (minor not in best or found[0] > best[minor][0]):
            best[minor] = found
    return {f"{minor[0]}.{minor[1]}": best[minor][1] for minor in sorted(best)}


def put_on_path(binary: Path, name: str) -> None:
    """See that `name` means this binary, for nox looks its interpreters up on PATH."""
    binary = binary.with_name(name)
    if Path(shutil.which(name) or "").resolve() != binary.resolve():
        os.environ["PATH"] = os.pathsep.join([str(binary.parent), os.environ.get("PATH", "")])


FOUND = interpreters()
for version, binary in FOUND.items():
    put_on_path(binary, f"python{version}")
RUNNING = f"{sys.version_info[0]}.{sys.version_info[1]}"
OTHERS = [version for version in FOUND if version != RUNNING]

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["lint", "types", "tests"]


@nox.session(python=list(FOUND) or None)
def tests(session: nox.Session) -> None:
    """Run the whole suite on the built package, on every CPython found."""
    run_tests(session)


@nox.session(python=OTHERS or None)
def quick(session: nox.Session) -> None:
    """Run the quick selection on the built package, on every CPython but the running one."""
    if not OTHERS:
        session.skip("there is no other CPython here")
    run_tests(session, "-m", "quick")


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the sdist, a wheel from it, and see that the wheel installs, imports and is typed."""
    session.install("build")
    with tempfile.TemporaryDirectory() as folder:
        session.run("python", "-m", "build", "--outdir", folder, str(ROOT), silent=True)
        (built,) = Path(folder).glob("*.whl")
        session.install(str(built))
        session.run("python", "-I", "-W", "error", str(ROOT / ".ci" / "check_wheel.py"))


@nox.session
def lint(session: nox.Session) -> None:
    """Run `make lint`."""
    make(session, "lint")


@nox.session
def types(session: nox.Session) -> None:
    """Run `make types`."""
    make(session, "types")


def make(session: nox.Session, target: str) -> None:
    """Run a target of the Makefile with the session's Python."""
    session.install("-e", ".[dev]")
    session.run("make", target, f"PYTHON={session.virtualenv.bin}/python", external=True)


def run_tests(session: nox.Session, *options: str) -> None:
    """Test the package as installed: the tests run where its source is not beside them."""
    session.install(".[dev,examples]")
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=left_out)
        with session.chdir(tree):
            session.run(
                "python",
                "-m",
                "pytest",
                "-n",
                "3",
                "--dist",
                "worksteal",
                *options,
                *session.posargs,
            )


def left_out(folder: str, names: list[str]) -> set[str]:
    """Name what a copy of the tree leaves out: caches, builds and the package itself."""
    out = {name for name in names if any(fnmatch(name, pattern) for pattern in LEFT_OUT)}
    return out | {"conveyor"} if Path(folder) == ROOT else out
