"""Odd values at every shipped evaluator of programs: a true score, or a typed fault of the candidate.

Four of them blamed the evaluator, whose arithmetic they broke.
"""

import importlib.util
import io
import json
import math
import struct
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from evolve.candidate import KEPT_BYTES, Candidate, Case
from evolve.evaluation import scorer
from evolve.sandbox.inside import wire
from tests.conftest import ROOT

# agents are scored by their workspaces; nearest_c runs programs
FOLDERS = sorted(
    path.name
    for path in (ROOT / "tasks").iterdir()
    if (path / "task.toml").exists()
    and not path.name.startswith(("agent", "nearest_c"))
)
HUGE = int("9" * 4000)


def raw(tree: object, *blobs: bytes) -> bytes:
    text = json.dumps(tree).encode()
    return struct.pack(">I", len(text)) + text + b"".join(blobs)


def array(kind: str, *shape: int, data: bytes = b"") -> bytes:
    return raw({"$a": [kind, shape]}, data)


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 1


ODD = {
    "huge int": raw(HUGE),
    "negative huge int": raw(-HUGE),
    "-0.0": raw(-0.0),
    "denormal": raw(5e-324),
    "largest float": raw(sys.float_info.max),
    "true": raw(True),
    "text": raw("1e9"),
    "0-d array": array("<f8", data=struct.pack("<d", 1e300)),
    "empty, huge shape": array("<f8", 0, 2**39),
    "f2 array": array("<f2", 2, data=b"\0<\0<"),
    "u1 array": array("|u1", 3, data=b"\xff\xff\xff"),
    "list of huge": raw([HUGE] * 50),
    "rows of huge": raw([[HUGE] * 3] * 26),
    "rows of huge 2": raw([[int("9" * 300)] * 2] * 26),
    "rows of true": raw([[True] * 3] * 26),
    "rows of denormals": raw([[5e-324] * 3] * 26),
    "bytes": raw({"$b": 4}, b"1234"),
    "dict": raw({"$d": [[0, 1], [0, 2], [True, 3]]}),
    "dict like a list": raw({"$d": [[k, [0.5, 0.5, 0.1]] for k in range(26)]}),
    "nested 60": raw(nested(60)),
    "none": raw(None),
    "2-d b1": array("|b1", 26, 3, data=b"\1" * 78),
    "2-d f2": array("<f2", 26, 3, data=np.full((26, 3), 0.25, "<f2").tobytes()),
    "2-d u8 max": array("<u8", 26, 3, data=b"\xff" * 624),
    "strings": raw(["1"] * 26),
    "lone surrogate": b'\0\0\0\x08"\\ud800"',
    "1e999": b"\0\0\0\x051e999",
    "NaN": b"\0\0\0\x03NaN",
    "tuple key": raw({"$d": [[{"$t": [[]]}, 1]]}),
    "more digits than an int may have": struct.pack(">I", 5000) + b"9" * 5000,
}


def sized(n: int) -> dict[str, bytes]:
    """Odd values of the size that a case asks for."""
    return {
        "n huge": raw([HUGE] * n),
        "n x 1e308": raw([1e308] * n),
        "n huge float rows": raw([[1e308, 1e308, 1e308]] * n),
        "n int rows": raw([[10**305, 10**305 + k, 1] for k in range(n)]),
        "n pairs huge": raw([[HUGE, k] for k in range(n)]),
        "n pairs 1e308": raw([[1e308, -1e308 + k] for k in range(n)]),
        "n x 2**70": raw([2**70] * n),
        "n x -0.0": raw([-0.0] * n),
        "n x tiny": raw([5e-324] * n),
        "n u1": array("|u1", n, data=b"\xff" * n),
        "n f2": array("<f2", n, data=b"\xff\x7b" * n),
        "n f8 rows": array("<f8", n, 3, data=struct.pack("<d", 1e308) * 3 * n),
    }


class Answers(Candidate):
    """A candidate that answers every call with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(io.BytesIO(), {})
        self.seconds, self._answer = 1.0, answer

    def call(
        self, function: str, *args: Any, timeout_s: float | None = None, **kwargs: Any
    ) -> Any:
        return self.decoded(self._answer)


@contextmanager
def evaluator(folder: Path) -> Iterator[ModuleType]:
    """The task's evaluate.py, with its folder on the path as in a scorer."""
    path, modules = list(sys.path), set(sys.modules)
    sys.path.insert(0, str(folder))
    spec = importlib.util.spec_from_file_location("evaluate", folder / "evaluate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            origin = getattr(sys.modules[name], "__file__", None) or ""
            if origin.startswith(str(folder)):
                del sys.modules[name]


def outcome(evaluate: Callable[..., Any], answer: bytes, case: Case) -> tuple[str, Any]:
    header, payload = scorer.score(evaluate, Answers(answer), case, "evaluate.py")
    if header["op"] != "result":
        return header["op"], header["message"]
    return "result", wire.decode(payload)["score"]


@pytest.mark.parametrize("name", FOLDERS)
def test_no_value_breaks_a_shipped_evaluator(name: str) -> None:
    folder = ROOT / "tasks" / name
    listed = tomllib.loads((folder / "task.toml").read_text()).get("cases")
    chosen = (listed or [{"id": "main"}])[0]
    case = Case(chosen["id"], "search", chosen.get("params", {}), 7)
    sizes = {value for value in case.params.values() if type(value) is int} | {20}
    values = dict(ODD)
    for size in (size for size in sizes if size < 2000):
        values |= {f"{what} ({size})": value for what, value in sized(size).items()}
    with evaluator(folder) as module:
        for what, value in values.items():
            op, found = outcome(module.evaluate, value, case)
            assert op in ("result", "refused"), (what, found)
            assert op == "refused" or math.isfinite(found), what


CASE = Case("main", "search", {}, 7)
FAULTS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "an int without a float": (float, HUGE),
    "a sum of large floats": (sum, [1e308] * 20),
    "a power": (lambda value: value**4.0, 1e300),
    "a text of many digits": (lambda value: float(len(str(value * value))), HUGE),
    "an inverse": (lambda value: 1 / value, 5e-324),
    "in an array": (lambda value: float(value.sum()), np.full(20, 1e308)),
    "in a dict": (lambda value: float(value["x"]), {"x": HUGE}),
    "as a metric": (lambda value: {"score": 1, "metrics": {"m": value * 1e300}}, 1e300),
    "in a metric": (lambda value: {"score": 1, "metrics": {"m": value**2}}, HUGE),
    "as a key": (lambda value: float(next(iter(value))), {HUGE: 1}),
}


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("what", FAULTS)
def test_a_number_that_breaks_arithmetic_is_the_candidates_fault(what: str) -> None:
    compute, value = FAULTS[what]
    op, message = outcome(
        lambda candidate, case: compute(candidate.call("answer")),
        wire.encode(value),
        CASE,
    )
    assert op == "refused" and "too large or too small" in message


BUGS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "its own overflow": (lambda value: math.exp(1000), 1.0),
    "its own int": (lambda value: float(10**400), [1, 2.5, "x"]),
    "its own infinity": (lambda value: math.inf, 7),
    "a division by zero": (lambda value: 1 / (value - value), 1e300),
    "a key that is not there": (lambda value: {}["x"], HUGE),
    "another value": (lambda value: int("x"), HUGE),
    "a type": (lambda value: value.size, 1e308),
    "0 is no small number": (lambda value: math.exp(1000), [0, 0.0, -0.0, True]),
}


@pytest.mark.parametrize("what", BUGS)
def test_a_real_bug_of_an_evaluator_is_not_hidden(what: str) -> None:
    compute, value = BUGS[what]
    op, _ = outcome(
        lambda candidate, case: compute(candidate.call("answer")),
        wire.encode(value),
        CASE,
    )
    assert op == "broken"


def test_the_kept_answers_are_bounded() -> None:
    candidate = Answers(raw("x" * 5_000_000))
    for _ in range(20):
        candidate.call("answer")
    assert len(candidate.answers) > 1 and sum(map(len, candidate.answers)) <= KEPT_BYTES
