"""What evaluator and program would share in one process, as the evaluator's process sees it.

The evaluator's changes are sent with its next call: random numbers that it has seeded,
variables of the environment, `sys.argv`, the limit of recursion, numpy's handling of errors.
Nothing comes back but printed text: a program could choose the numbers that test it, or the
libraries that a tool loads. A score for which that may matter is marked.
"""

import os
import random
import sys
from collections.abc import Callable
from typing import Any

APART = "random numbers drawn apart"
_STREAMS = ("stdout", "stderr")
_PLACES = ("PATH", "HOME", "TMPDIR", "TEMP", "TMP", "PWD")


class Surroundings:
    """The shared state of one process of the evaluator, and the part that was sent.

    Args:
        folder: the task's; `sys.argv` of a script there is the evaluator's own
        note_apart: called if the evaluator draws random numbers after the program did
    """

    def __init__(self, folder: str, note_apart: Callable[[], None]) -> None:
        self._folder, self._note_apart = folder, note_apart
        self._streams = {name: getattr(sys, name) for name in _STREAMS}
        self._sent: dict[str, Any] = {
            "environ": _environ(),
            "argv": list(sys.argv),
            "recursion": sys.getrecursionlimit(),
            "captures": [],
        }
        if "numpy" in sys.modules:
            self._sent["errors"] = _numpy().geterr()
        self._seeded: set[str] = set()
        # states when the program drew, of random numbers not seeded since
        self._drawn: dict[str, Any] = {}
        self._notice_seeds()

    def _notice_seeds(self) -> None:
        modules = {"random": random, "numpy": getattr(_numpy(), "random", None)}
        for name, module in modules.items():
            for function in ("seed", "setstate", "set_state"):
                real = getattr(module, function, None)
                if real is not None:
                    setattr(module, function, self._noticing(name, real))

    def _noticing(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def noticing(*args: Any, **kwargs: Any) -> Any:
            self._seeded.add(name)
            self._drawn.pop(name, None)
            self._sent.pop(name, None)  # the program may have drawn since
            return real(*args, **kwargs)

        noticing.__name__ = real.__name__
        return noticing

    def news(self) -> dict[str, Any]:
        """Return the changes since the last ones; they count as sent from now on.

        Returns:
            As `evolve.sandbox.inside.surroundings.apply` takes it.
        """
        now: dict[str, Any] = {
            "recursion": sys.getrecursionlimit(),
            "captures": [
                n for n in _STREAMS if getattr(sys, n) is not self._streams[n]
            ],
        }
        if "errors" in self._sent:
            now["errors"] = _numpy().geterr()
        if sys.argv and not sys.argv[0].startswith(self._folder):
            now["argv"] = [str(part) for part in sys.argv]
        found = {name: new for name, new in now.items() if new != self._sent[name]}
        self._sent |= found
        environ = _environ()
        if environ != self._sent["environ"]:
            found["environ"] = _difference(self._sent["environ"], environ)
            self._sent["environ"] = environ
        return found | self._random_news()

    def _random_news(self) -> dict[str, Any]:
        self.compare()
        found = {}
        for name in self._seeded:
            state, comparable = _state(name)
            if self._sent.get(name) != comparable:
                self._sent[name] = comparable
                found[name] = state
        return found

    def compare(self) -> None:
        """Notice whether the evaluator drew random numbers after the program did."""
        for name, before in self._drawn.items():
            if _state(name)[1] != before:
                self._note_apart()

    def take(self, told: list[Any], note: Callable[[str], None]) -> None:
        """Take over the news of the program's process: claims.

        Args:
            told: Pairs of name and value.
            note: Called with each text.
        """
        for pair in told:
            match pair:
                case [("stdout" | "stderr") as name, str(text)]:
                    note(text)
                    if getattr(sys, name) is not self._streams[name]:
                        getattr(sys, name).write(text)
                case ["random" | "numpy" as name, True] if name in _loaded():
                    self._drawn[name] = _state(name)[1]


def _numpy() -> Any:
    return sys.modules.get("numpy")


def _loaded() -> tuple[str, ...]:
    return ("random", "numpy") if "numpy.random" in sys.modules else ("random",)


def _environ() -> dict[str, str]:
    """Return the environment, except for what names places of this machine."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in _PLACES and not name.startswith(("LD_", "PYTHON"))
    }


def _difference(before: dict[str, str], now: dict[str, str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {
        name: value for name, value in now.items() if before.get(name) != value
    }
    return found | {name: None for name in before if name not in now}


def _state(name: str) -> tuple[Any, Any]:
    """Return a state of random numbers, to be sent and to be compared."""
    if name == "random":
        state = random.getstate()
        return state, state
    kind, keys, *rest = _numpy().random.get_state()
    return (kind, keys, *rest), (kind, keys.tobytes(), *rest)
