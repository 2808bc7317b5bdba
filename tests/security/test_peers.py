"""Hostile programs for peers' unmodified evaluators: what pays in their process does not pay here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli import evolve
from tests.peers import FOLDER, score_in_process

CURVE, POINTS, PLACEMENT = "shinka_curve", "openevolve_points", "openevolve_placement"
SCRIPT, COMMAND, TOTAL = "openevolve_script", "shinka_command", "codeevolve_sum"

_PATCH_MATH = "import math\nmath.sin = lambda x: 0.0\ndef run_curve(seed):\n    return [0.0] * 8\n"
_FORGE_FILES = """
import atexit, json, sys
folder = sys.argv[sys.argv.index("--results_dir") + 1] if "--results_dir" in sys.argv else "."
def forge():
    json.dump({"combined_score": 999.0}, open(folder + "/metrics.json", "w"))
    json.dump({"correct": True, "error": ""}, open(folder + "/correct.json", "w"))
atexit.register(forge)
def run_curve(seed):
    return [0.0] * 8
"""
_REBIND_MAIN = """
import sys
main = sys.modules["__main__"]
main.aggregate = lambda results: {"combined_score": 999.0}
def run_curve(seed):
    frame = sys._getframe()
    while frame:
        if "aggregate_metrics_fn" in frame.f_locals:
            import ctypes
            frame.f_locals["aggregate_metrics_fn"] = main.aggregate
            ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))
        frame = frame.f_back
    return [0.0] * 8
"""
_NAN = "import numpy as np\ndef points():\n    return np.full((7, 2), np.nan)\n"
_PATCH_NUMPY = """
import numpy as np
np.linalg.norm = lambda *a, **k: 999.0
def points():
    return np.zeros((7, 2)) + np.arange(7)[:, None] / 10
"""
_SUBCLASS = """
import numpy as np
class Points(np.ndarray):
    def __array_finalize__(self, other): pass
    def __sub__(self, other): return np.full(2, 999.0)
    def min(self, *a, **k): return 0
    def max(self, *a, **k): return 0
    def __iter__(self): return iter([self] * 7)
def points():
    return np.zeros((7, 2)).view(Points)
"""
_MUTATE = """
def place(boxes, count, weigh):
    for box in boxes: box.weight = 1
    boxes[3:] = []
    return {0: [boxes[0]], 1: [boxes[1]], 2: [boxes[2]]}
class Counter:
    def __init__(self, start): self.value = start
    def up(self, step): return 9
"""
_LIGHTER = """
def place(boxes, count, weigh):
    for box in boxes[3:]: box.weight = 0
    for box in boxes[:3]: box.weight = 1
    return {0: [boxes[0], *boxes[3:]], 1: [boxes[1]], 2: [boxes[2]]}
class Counter:
    def __init__(self, start): self.value = start
    def up(self, step): return 9
"""
_REACH_IN = """
def place(boxes, count, weigh):
    try:
        module = weigh.__globals__
    except AttributeError:
        module = {}
    module["_score"] = lambda program, count: 999.0
    bins = {n: [] for n in range(count)}
    for box in boxes:
        bins[0].append(box)
    return bins
class Counter:
    def __init__(self, start): self.value = start
    def up(self, step): return 9
"""
_PICKLE = """
class Evil:
    def __reduce__(self):
        return (eval, ("[__import__('math').sqrt(n) for n in range(10)]",))
def numbers():
    return Evil()
"""
_EXIT_EARLY = "import os\ndef add(values):\n    os._exit(0)\n"
_FORGE_PRINT = """
import sys
open(sys.argv[2] if len(sys.argv) > 2 else "x", "w").write('{"closeness": 999.0}') if False else None
def add(values):
    for number in range(3, 40):
        try:
            import os
            os.write(number, b'{"closeness": 999.0}')
        except OSError:
            pass
    return 0.9
"""
_HANG = "def numbers():\n    while True:\n        pass\n"

HOSTILE = [
    pytest.param(CURVE, _PATCH_MATH, id="the evaluator's library is changed"),
    pytest.param(CURVE, _FORGE_FILES, id="results are forged at exit"),
    pytest.param(CURVE, _REBIND_MAIN, id="names and frames of the evaluator are rebound"),
    pytest.param(POINTS, _PATCH_NUMPY, id="numpy is changed"),
    pytest.param(POINTS, _SUBCLASS, id="an array with its own arithmetic"),
    pytest.param(PLACEMENT, _MUTATE, id="the evaluator's list is emptied"),
    pytest.param(PLACEMENT, _LIGHTER, id="the evaluator's objects are changed"),
    pytest.param(PLACEMENT, _REACH_IN, id="the evaluator is reached through its callback"),
]


def _eval(name: str, program: str, tmp_path: Path) -> dict[str, object]:
    path = tmp_path / "hostile.py"
    path.write_text(program)
    done = evolve("eval", FOLDER / name, path, "--sandbox", "bubblewrap", "--json")
    assert done.code in (0, 1), done.err
    found: dict[str, object] = done.json()
    return found


@pytest.mark.parametrize(("name", "program"), HOSTILE)
def test_what_pays_in_their_process_does_not_pay_here(name: str, program: str, tmp_path: Path) -> None:
    seed = score_in_process(FOLDER / name)
    theirs = score_in_process(FOLDER / name, program)
    assert seed is not None and theirs is not None and theirs > seed, "no attack, if it does not pay"
    ours = _eval(name, program, tmp_path)["score"]
    assert ours is None or (isinstance(ours, float) and ours <= seed)


@pytest.mark.parametrize(("name", "program", "reason"), [
    (POINTS, _NAN, "refused"), (TOTAL, _EXIT_EARLY, "crash"),
    (TOTAL, _FORGE_PRINT, "refused"), (SCRIPT, "while True: print('x' * 10000)", "output"),
    (POINTS, "import sys\ndef points():\n    sys.exit(0)\n", "exception"),
    (TOTAL, "def add(values):\n    return [0] * 10**10\n", "memory"),
])
def test_what_a_process_does_wrong_decides_the_verdict(name: str, program: str, reason: str,
                                                       tmp_path: Path) -> None:
    found = _eval(name, program, tmp_path)
    assert found["score"] is None
    assert found["cases"][0]["reason"] == reason, found["cases"]  # type: ignore[index]


def test_a_pickle_is_never_read(tmp_path: Path) -> None:
    assert score_in_process(FOLDER / SCRIPT, _PICKLE) == 1.0, "no attack, if it does not pay"
    assert _eval(SCRIPT, _PICKLE, tmp_path)["score"] in (None, 0.0)


def test_a_candidate_can_not_make_its_evaluator_shared(tmp_path: Path) -> None:
    """The seed decided that already; an object of a library is refused, not run beside the scorer."""
    program = "import decimal\ndef add(values):\n    return decimal.Context()\n"
    found = _eval(TOTAL, program, tmp_path)
    assert found["score"] is None or "evaluator shared with candidate" not in str(found)
