"""State that a program shares with its evaluator in one process, besides arguments and answers.

The evaluator's process sends its changes: the state of random numbers that it seeded,
variables of the environment, `sys.argv`, the limit of recursion, numpy's handling of errors.
The program's process reports captured output, and whether random numbers were drawn. This file needs the standard library only.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import random
import sys
from collections.abc import Iterator
from typing import Any

# random numbers that the program has seeded or drawn, and its output, since the last answer
_told: dict[str, Any] = {}
_shared: dict[str, Any] = {}  # states of random numbers that are shared
_captures: list[str] = []
_noticed: set[str] = set()


def begin() -> None:
    """Notice from now on when the program seeds its random numbers."""
    del sys.argv[1:]  # those of the server
    _notice()


def prepare(text: bytes) -> None:
    """Load libraries that are needed before a program is run.

    Args:
        text: The program's.
    """
    if b"numpy" in text and importlib.util.find_spec("numpy") is not None:
        import numpy.random  # noqa: F401 - the program may seed it while it is loaded
    _notice()


def _notice() -> None:
    for name, module in (
        ("random", random),
        ("numpy", sys.modules.get("numpy.random")),
    ):
        if module is not None and name not in _noticed:
            _noticed.add(name)
            module.seed = _noticing(module.seed, name)  # type: ignore[attr-defined]


def _noticing(seed: Any, name: str) -> Any:
    def noticing(*args: Any, **kwargs: Any) -> Any:
        result = seed(*args, **kwargs)
        if args or kwargs:
            _told[name] = True
        return result

    noticing.__name__ = "seed"
    return noticing


def apply(changes: dict[str, Any]) -> None:
    """Take over the evaluator's changes.

    Args:
        changes: Kind -> new value.
    """
    for name, value in changes.get("environ", {}).items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    if "argv" in changes:
        sys.argv[:] = changes["argv"]
    if "recursion" in changes:
        sys.setrecursionlimit(changes["recursion"])
    if "errors" in changes:
        import numpy

        numpy.seterr(**changes["errors"])
    if "captures" in changes:
        _captures[:] = changes["captures"]
    for name in ("random", "numpy"):
        if name in changes:
            _set(name, changes[name])
            _shared[name] = _state(name)


def _set(name: str, state: Any) -> None:
    if name == "random":
        random.setstate(state)
    else:
        import numpy

        numpy.random.set_state(state)


def _state(name: str) -> Any:
    if name == "random":
        return random.getstate()
    import numpy

    state: Any = numpy.random.get_state()
    kind, keys, *rest = state
    return kind, keys.tobytes(), *rest


@contextlib.contextmanager
def within() -> Iterator[None]:
    """Context manager: keep the program's output, if the evaluator captures it."""
    kept = {name: io.StringIO() for name in _captures}
    streams = {name: getattr(sys, name) for name in kept}
    for name, stream in kept.items():
        setattr(sys, name, stream)
    try:
        yield
    finally:
        for name, stream in streams.items():
            setattr(sys, name, stream)
            text = kept[name].getvalue()
            if text:
                _told[name] = _told.get(name, "") + text


def told() -> dict[str, Any]:
    """Return the news since the last answer."""
    for name, before in _shared.items():
        now = _state(name)
        if now != before:
            _shared[name] = now
            _told[name] = True
    found = dict(_told)
    _told.clear()
    return found
