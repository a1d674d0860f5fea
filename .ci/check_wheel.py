"""Check that the installed package is all that a wheel should hold; run it with -I."""

import sys
from importlib import metadata, resources
from pathlib import Path

import conveyor


def check(fits: bool, otherwise: str) -> None:
    """End with a message where something does not fit."""
    if not fits:
        sys.exit(f"the wheel is wrong: {otherwise}")


files = {str(path) for path in metadata.files("conveyor-dsl") or ()}
tops = {name.split("/")[0] for name in files if not name.startswith("..")}
home = Path(conveyor.__file__)

check(home.is_relative_to(sys.prefix), f"the package was imported from {home}")
check(metadata.version("conveyor-dsl") == conveyor.__version__, "two versions")
check(resources.files("conveyor").joinpath("py.typed").is_file(), "no py.typed")
check(any(name.endswith("licenses/LICENSE") for name in files), "no LICENSE")
check(Path(sys.prefix, "bin", "conveyor").is_file(), "no command")
plugins = [one.name for one in metadata.entry_points(group="pytest11")]
check("conveyor" in plugins, "no plugin for pytest")
check(len(tops) == 2, f"wanted the package and its metadata, found {sorted(tops)}")
print(f"conveyor {conveyor.__version__} installs and imports, with its types and its licence")
