"""GitPython, imported without the git settings of the user's environment.

It starts `git version` when it is imported, and fails with a broken configuration or a
variable of its own that names no program.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from evolve.archive.git import ENVIRONMENT


@contextmanager
def _own_environment() -> Iterator[None]:
    before = {name: text for name, text in os.environ.items() if name.startswith("GIT")}
    for name in before:
        del os.environ[name]
    os.environ.update(ENVIRONMENT, GIT_PYTHON_REFRESH="quiet")
    try:
        yield
    finally:
        for name in (*ENVIRONMENT, "GIT_PYTHON_REFRESH"):
            os.environ.pop(name, None)
        os.environ.update(before)


with _own_environment():
    from git.objects.fun import tree_to_stream

__all__ = ["tree_to_stream"]
