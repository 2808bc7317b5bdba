"""Runs pytest in the candidate's box and reports each test; its text is the program.

Nothing of the candidate is imported before the secret has been read and pytest's functions have
been noted. A report does not count if one of them was replaced, or if a plugin is neither
pytest's, nor an installed one, nor a file of the scorer.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sys
import types
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

WATCHED = ("_pytest", "pluggy", "unittest", "builtins")


class Replaced:
    """The functions of pytest as they were before the candidate was imported."""

    def __init__(self) -> None:
        self._noted: list[tuple[Any, str, Any, Any]] = [
            (space, str(name), value, getattr(value, "__code__", None))
            for space in _spaces()
            for name, value in space.items()
            if callable(value)
            or isinstance(value, property | classmethod | staticmethod)
        ]

    def first(self) -> str | None:
        """Return the name of a function that is not as it was."""
        for space, name, value, code in self._noted:
            if space.get(name) is not value:
                return name
            if code is not None and value.__code__ is not code:
                return name
        return None


def _spaces() -> Iterator[Any]:
    """Yield the names of each watched module and of its classes."""
    for module in [m for n, m in sys.modules.items() if n.split(".")[0] in WATCHED]:
        yield vars(module)
        for value in list(vars(module).values()):
            if isinstance(value, type) and value.__module__ == module.__name__:
                yield vars(value)


class Reporter:
    """A plugin that notes the outcome of each test.

    Args:
        tests: path -> SHA-256 of the scorer's files
    """

    def __init__(self, tests: dict[str, str]) -> None:
        self.root, self.tests = Path.cwd().resolve(), tests
        self.outcomes: dict[str, str] = {}
        self.problems: list[str] = []
        self.replaced: Replaced | None = None
        self.installed = [Path(pytest.__file__).parents[1], Path(os.__file__).parent]
        self.manager: Any = None

    def pytest_load_initial_conftests(self, early_config: Any) -> None:
        """Note what is there before the candidate can be imported.

        pytest's own plugins, which change some functions, come first; conftests last.
        """
        self.manager = early_config.pluginmanager
        self.replaced = Replaced()
        sys.path.insert(0, str(self.root))

    def pytest_plugin_registered(self, plugin: Any) -> None:
        """Note a plugin that the candidate brings."""
        if self.manager is not None and not self.known(plugin):
            name = getattr(plugin, "__file__", None) or type(plugin).__name__
            self.problems.append(f"a plugin that is not among the tests: {name}")

    def known(self, plugin: Any) -> bool:
        """Return whether a plugin is pytest's, installed, or the scorer's."""
        if not isinstance(plugin, types.ModuleType):
            kind = type(plugin)
            home = vars(sys.modules.get(kind.__module__, sys))
            ours = kind.__module__.split(".")[0] == "_pytest"
            return ours and home.get(kind.__name__) is kind
        path = Path(str(plugin.__file__)).resolve()
        if any(path.is_relative_to(folder) for folder in self.installed):
            return True
        return self.as_sent(path)

    def as_sent(self, path: Path) -> bool:
        """Return whether a file is one of the scorer's, unchanged."""
        if not path.is_relative_to(self.root):
            return False
        sent = self.tests.get(path.relative_to(self.root).as_posix())
        return sent == hashlib.sha256(path.read_bytes()).hexdigest()

    def pytest_collectstart(self, collector: Any) -> None:
        """Look at a file of tests before it is imported."""
        if isinstance(collector, pytest.Module) and not self.as_sent(collector.path):
            self.problems.append(f"{collector.path.name} is not as the scorer sent it")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        """Look at pytest before a test runs."""
        self.look()
        return (yield)

    def pytest_runtest_logfinish(self) -> None:
        """Look at pytest after a test has run."""
        self.look()

    def pytest_sessionfinish(self) -> None:
        """Look at pytest before its own plugins undo their changes."""
        self.look()

    def look(self) -> None:
        """Note a function of pytest that was replaced."""
        if self.replaced is not None and (name := self.replaced.first()) is not None:
            self.problems.append(f"{name} was replaced")

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note an outcome: passed only if set-up, call and tear-down have passed."""
        before = self.outcomes.get(report.nodeid)
        outcome = str(report.outcome)
        if hasattr(report, "wasxfail"):
            outcome = "xfailed" if report.skipped else "xpassed"
        if (report.when == "call" or outcome != "passed") and before in (
            None,
            "passed",
        ):
            self.outcomes[report.nodeid] = outcome


def main(order: dict[str, Any], report: int, sign: Callable[[str, str], str]) -> None:
    """Run the tests, then write one line a test, or why none counts.

    Args:
        order: arguments and tests
        report: file descriptor
        sign: makes the code of a line
    """
    reporter = Reporter(order["tests"])
    file, dump = os.fdopen(report, "wb"), json.dumps
    options = ["-p", "no:cacheprovider", *order["arguments"]]
    pytest.main(options, plugins=[reporter])
    lines = [("", "problem", problem) for problem in reporter.problems] or [
        (sign(outcome, test), outcome, test)
        for test, outcome in reporter.outcomes.items()
    ]
    with file:
        file.write(b"".join(dump(line).encode() + b"\n" for line in lines))


def _signer(secret: bytes) -> Callable[[str, str], str]:
    digest = hmac.digest

    def sign(outcome: str, test: str) -> str:
        return digest(secret, f"{outcome} {test}".encode(), "sha256").hex()[:32]

    return sign


if __name__ == "__main__":
    _order = json.loads(sys.stdin.buffer.read())
    _sign = _signer(bytes.fromhex(_order.pop("secret")))
    _report = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what the tests print is no report
    main(_order, _report, _sign)
