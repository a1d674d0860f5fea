"""The notebook: its cells give what is stored in it, and an interrupt leaves the kernel usable."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "notebook.ipynb"


def run(*arguments, **environment):
    """Run Python with these arguments. The limit only keeps a hang from lasting.

    A kernel that is slow to end is killed, and then its folders stay: TMPDIR is for those.
    """
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def outputs(notebook):
    """What each cell with code gives: its streams, and what it shows, by kind."""
    return [
        shown(cell)
        for cell in json.loads(notebook.read_text("utf-8"))["cells"]
        if cell["cell_type"] == "code"
    ]


def shown(cell):
    found = {}
    for output in cell["outputs"]:
        if output["output_type"] == "stream":
            # What two streams say may come in any order.
            name = output["name"]
            found[name] = found.get(name, "") + "".join(output["text"])
        else:
            found |= {kind: "".join(text) for kind, text in output["data"].items()}
    if "figures-differ" in cell["metadata"].get("tags", ()):
        found = dict.fromkeys(found, "differs from run to run")
    return found


def test_the_cells_give_what_is_stored(tmp_path):
    copy = tmp_path / "notebook.ipynb"
    copy.write_bytes(NOTEBOOK.read_bytes())

    done = run("-m", "jupyter", "execute", "--inplace", copy, TMPDIR=str(tmp_path))

    assert done.returncode == 0, done.stderr
    assert outputs(copy) == outputs(NOTEBOOK)


def test_the_stored_notebook_shows_a_picture_and_what_workers_print():
    stored = outputs(NOTEBOOK)

    assert sum("image/svg+xml" in one for one in stored) == 1
    assert any("shouting" in one.get("stdout", "") and "stderr" in one for one in stored)


def test_an_interrupt_is_told_once_and_leaves_the_kernel_usable(tmp_path):
    done = run(Path(__file__).with_name("kernel.py"), TMPDIR=str(tmp_path))

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "interrupted": [["stream", "under way\n"], ["error", "KeyboardInterrupt"]],
        "after": [["stream", "True [1, 2] []\n"]],
    }
