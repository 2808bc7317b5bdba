"""Record the calls of functions while tests or a benchmark run, in a box.

A function is observed, not replaced: calls through any reference are recorded. Arguments
are pickled when a call begins, before the function can change them.
"""

from __future__ import annotations

import contextlib
import cProfile
import importlib
import inspect
import io
import os
import random
import runpy
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

MOST_CALLS = 60  # that are kept of one function
MOST_TOGETHER = 240  # of several functions
MOST_LOOKED_AT = 3_000  # pickling slows the tests down
MOST_BYTES = 128 * 1024  # of one pickle


def record(
    targets: list[str], tests: list[str], bench: list[str], expression: str
) -> dict[str, Any]:
    """Run a benchmark, an expression and tests, and record the calls of functions.

    Args:
        targets: Modules and qualified names, such as `boltons.iterutils:remap`.
        tests: Arguments of pytest; empty: no tests.
        bench: A Python file and its arguments; empty: no benchmark.
        expression: Python, with the names of the first target's module; empty: none.

    Returns:
        `calls` (index of the target, pickle); those of the benchmark are the first ones,
        their number is `bench`; `seen` (number of calls of each target), `unrecordable`
        (reasons with counts), `passed` and `failed` (ids of tests), `calling` (ids of the
        passed tests that call a target), `error` (why the benchmark failed, or empty) and
        `output` (what pytest printed, its end).
    """
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    first, second, error = Recorder(targets), Recorder(targets), ""
    if bench or expression:
        with first.watching():
            error = _benchmark(targets[0], bench, expression)
    outcomes, output = Outcomes(second), ""
    if tests:
        with second.watching():
            output = _test(tests, outcomes)
    kept = list(dict.fromkeys((*first.calls, *second.calls)))
    return {
        "calls": kept,
        "bench": len(first.calls),
        "seen": [a + b for a, b in zip(first.seen, second.seen, strict=True)],
        "unrecordable": first.unrecordable | second.unrecordable,
        "passed": outcomes.passed,
        "failed": outcomes.failed,
        "calling": outcomes.calling,
        "error": error,
        "output": output[-2000:],
    }


def profile(bench: list[str], expression: str) -> dict[str, Any]:
    """Run a benchmark and measure the functions of the directory that it calls.

    Args:
        bench: A Python file and its arguments; empty: none.
        expression: Python; empty: none.

    Returns:
        `functions` (file, qualified name, own seconds, calls; the slowest first) and
        `error` (why it failed, or empty).
    """
    home = os.getcwd()
    if home not in sys.path:
        sys.path.insert(0, home)
    profiler = cProfile.Profile()
    with profiler:
        error = _benchmark("builtins:", bench, expression)
    rows = [
        (
            os.path.relpath(entry.code.co_filename, home),
            _qualified(entry.code),
            entry.inlinetime,
            entry.callcount,
        )
        for entry in profiler.getstats()
        if isinstance(entry.code, CodeType)
        and entry.code.co_flags & inspect.CO_OPTIMIZED  # no module, no class body
        and entry.code.co_filename.startswith(home)
    ]
    return {"functions": sorted(rows, key=lambda row: -row[2]), "error": error}


def _qualified(code: CodeType) -> str:
    return getattr(code, "co_qualname", code.co_name)


def _test(arguments: list[str], outcomes: Outcomes) -> str:
    pytest = importlib.import_module("pytest")  # installed in the box only
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        pytest.main([*arguments, "-p", "no:cacheprovider"], plugins=[outcomes])
    return printed.getvalue()


def _benchmark(target: str, bench: list[str], expression: str) -> str:
    """Run the benchmark; return the end of its traceback if it fails."""
    before = sys.argv
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            if bench:
                sys.argv = bench
                sys.path.insert(0, os.path.dirname(os.path.abspath(bench[0])))
                runpy.run_path(bench[0], run_name="__main__")
            if expression:
                module = importlib.import_module(target.partition(":")[0])
                eval(expression, dict(vars(module)) | {"__name__": "__main__"})
    except SystemExit as stop:
        return "" if not stop.code else f"it exits with {stop.code}"
    except Exception:  # noqa: BLE001 - whatever a user's program raises is shown
        return traceback.format_exc(limit=-3)[-1500:]
    finally:
        sys.argv = before
    return ""


class Recorder:
    """Calls of functions, sampled.

    Args:
        targets: Modules and qualified names.

    Attributes:
        seen: Number of calls of each target.
        unrecordable: Reasons with their number of calls.
        test: Id of the test that runs.
        tests: Ids of the tests that called a target.
    """

    def __init__(self, targets: list[str]) -> None:
        from .evolve_calls import resolve

        self._codes = {
            code_of(resolve(target)): index for index, target in enumerate(targets)
        }
        self._most = max(4, min(MOST_CALLS, MOST_TOGETHER // len(targets)))
        self._kept: list[dict[bytes, None]] = [{} for _ in targets]
        self._started: dict[CodeType, int] = {}
        self._random = random.Random(0)
        self._pickled = pickler()
        self.seen = [0] * len(targets)
        self.unrecordable: dict[str, int] = {}
        self.test = ""
        self.tests: dict[str, None] = {}

    @property
    def calls(self) -> list[tuple[int, bytes]]:
        """The kept calls: index of the target, and the pickle of (positional, named)."""
        return [(index, data) for index, kept in enumerate(self._kept) for data in kept]

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Context manager: record what is called meanwhile."""
        threading.setprofile(self._called)
        sys.setprofile(self._called)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    def _called(self, frame: FrameType, event: str, _: Any) -> None:
        index = self._codes.get(frame.f_code) if event == "call" else None
        if index is None or self._goes_on(frame):
            return
        self.seen[index] += 1
        if self.test:
            self.tests[self.test] = None
        if self.seen[index] > MOST_LOOKED_AT:
            return
        try:
            data = self._pickled(arguments_of(frame))
        except Exception as error:  # noqa: BLE001 - any class may refuse in its own way
            reason = f"{type(error).__name__}: {error}"[:120]
            self.unrecordable[reason] = self.unrecordable.get(reason, 0) + 1
            return
        if len(data) <= MOST_BYTES:
            self._keep(index, data)

    def _goes_on(self, frame: FrameType) -> bool:
        """Return whether a generator is resumed: then this is no beginning of a call."""
        return frame.f_lasti > self._started.setdefault(frame.f_code, frame.f_lasti)

    def _keep(self, index: int, data: bytes) -> None:
        """Keep a sample of all calls: the first ones, and later ones at random."""
        kept = self._kept[index]
        if data in kept:
            return
        if len(kept) == self._most:
            if self._random.randrange(self.seen[index]) >= self._most:
                return
            del kept[self._random.choice(list(kept)[self._most // 4 :])]
        kept[data] = None


def code_of(function: Callable[..., Any]) -> CodeType:
    """Return the code that runs when a function is called, without decorators.

    Args:
        function: A Python function.

    Returns:
        Its code.

    Raises:
        TypeError: It is not written in Python.
    """
    inner: Any = inspect.unwrap(function)
    inner = getattr(inner, "__func__", inner)
    code = getattr(inner, "__code__", None)
    if not isinstance(code, CodeType):
        raise TypeError(f"{function!r} is not a function in Python")
    return code


def arguments_of(frame: FrameType) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments that a call began with.

    Args:
        frame: The frame of the call.

    Returns:
        Positional and named arguments.
    """
    code, values = frame.f_code, frame.f_locals
    names = code.co_varnames
    positional = [values[name] for name in names[: code.co_argcount]]
    end = code.co_argcount + code.co_kwonlyargcount
    named = {name: values[name] for name in names[code.co_argcount : end]}
    if code.co_flags & inspect.CO_VARARGS:
        positional += values[names[end]]
        end += 1
    if code.co_flags & inspect.CO_VARKEYWORDS:
        named |= values[names[end]]
    return positional, named


def pickler() -> Callable[[Any], bytes]:
    """Return a function that pickles a value; what only tests define goes along."""
    cloudpickle = importlib.import_module("cloudpickle")  # installed in the box only

    def pickled(value: Any) -> bytes:
        for name, module in list(sys.modules.items()):
            if _is_of_tests(name) and module is not None:
                cloudpickle.register_pickle_by_value(module)
        data: bytes = cloudpickle.dumps(value)
        return data

    return pickled


def _is_of_tests(name: str) -> bool:
    last = name.rpartition(".")[2]
    return last.startswith("test_") or last.endswith("_test") or last == "conftest"


class Outcomes:
    """A plugin of pytest: which tests passed, and which of them call the function.

    Args:
        recorder: Receives the id of the running test.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._bad: set[str] = set()
        self._good: dict[str, None] = {}

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Note which test runs."""
        self._recorder.test = nodeid

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note how a phase of a test ended."""
        if report.failed:
            self._bad.add(report.nodeid)
        if report.when == "call" and report.outcome == "passed":
            self._good[report.nodeid] = None
        if report.when == "teardown":
            self._recorder.test = ""

    @property
    def passed(self) -> list[str]:
        """Ids of the tests that passed."""
        return [name for name in self._good if name not in self._bad]

    @property
    def failed(self) -> list[str]:
        """Ids of the tests that failed."""
        return sorted(self._bad)

    @property
    def calling(self) -> list[str]:
        """Ids of the tests that passed and called the function."""
        return [name for name in self.passed if name in self._recorder.tests]
