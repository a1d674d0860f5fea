"""How the site reads docstrings: a griffe extension.

They are written for `help()`, with roles and `::` as in reStructuredText; the site is Markdown.
Parameters with a leading underscore are not for users, and are left out.
"""

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:attr|class|data|func|meth):`~?([\w.]+)`")


class ForTheSite(griffe.Extension):
    """Mends what has been read, object by object."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Write roles as code, and let a code block begin behind a single colon."""
        if obj.docstring is not None:
            text = ROLE.sub(r"`\1`", obj.docstring.value)
            obj.docstring.value = re.sub("::$", ":", text, flags=re.MULTILINE)

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Leave private parameters out."""
        for parameter in list(func.parameters):
            if parameter.name.startswith("_"):
                del func.parameters[parameter.name]
