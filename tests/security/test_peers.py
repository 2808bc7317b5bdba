"""Hostile programs for peers' unmodified evaluators: what pays in their process does not pay here."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli import evolve
from tests.judging import Judge
from tests.peers import FOLDER, score_in_process

CURVE, POINTS, PLACEMENT = "shinka_curve", "openevolve_points", "openevolve_placement"
SCRIPT, TOTAL = "openevolve_script", "codeevolve_sum"
TRUSTING, SHARED = "openevolve_trusting", "evaluator shared with candidate"

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

_RADII = """
class Radii:
    shape, asked = (3,), 0
    def __len__(self): return 3
    def __getitem__(self, index):
        if index > 2: raise IndexError
        return 0.5
    def __iter__(self):
        self.asked += 1
        return iter([0.5 if self.asked == FIRST else 333.0] * 3)
    def sum(self, *a, **k): return 999.0
    def min(self, *a, **k): return 0.5
    max = min
def run():
    return Radii()
"""
_OTHER_ITEMS = _RADII.replace("FIRST", "0")
_NO_LIST = (
    _OTHER_ITEMS
    + """
try:
    from evolve_inside import evolve_remote
    evolve_remote._ANSWERS["shape"] = lambda number: None
except ImportError: pass
"""
)
_EVIL = """
class Evil:
    def __reduce__(self): return (eval, ("list(map(int, ['333'] * 3))",))
"""
_DUMPS = "import base64, pickle\n" + _EVIL


def _how(how: str, text: str) -> str:
    return f"HOW = {how!r}\n{text}\n"


HOSTILE = [
    pytest.param(CURVE, _PATCH_MATH, id="the evaluator's library is changed"),
    pytest.param(CURVE, _FORGE_FILES, id="results are forged at exit"),
    pytest.param(
        CURVE, _REBIND_MAIN, id="names and frames of the evaluator are rebound"
    ),
    pytest.param(POINTS, _PATCH_NUMPY, id="numpy is changed"),
    pytest.param(POINTS, _SUBCLASS, id="an array with its own arithmetic"),
    pytest.param(PLACEMENT, _MUTATE, id="the evaluator's list is emptied"),
    pytest.param(PLACEMENT, _LIGHTER, id="the evaluator's objects are changed"),
    pytest.param(
        PLACEMENT, _REACH_IN, id="the evaluator is reached through its callback"
    ),
    pytest.param(
        TRUSTING,
        _how("loops", _RADII.replace("FIRST", "1")),
        id="other items in the second loop",
    ),
    pytest.param(
        TRUSTING, _how("indexes", _OTHER_ITEMS), id="other items than indexed"
    ),
    pytest.param(
        TRUSTING, _how("indexes", _NO_LIST), id="other items than indexed, and no list"
    ),
    pytest.param(TRUSTING, _how("numpy", _NO_LIST), id="numpy asks for the sum"),
    pytest.param(
        TRUSTING,
        _how("methods", _RADII.replace("FIRST", "1")),
        id="methods of an array",
    ),
]
TRUSTED = [
    pytest.param(TRUSTING, _how(how, text), id=how)
    for how, text in (
        ("loops", "def run(): return [0.5, 0.5, 0.5]"),
        ("indexes", "class R(list): pass\ndef run(): return R([0.5, 0.5, 0.5])"),
        (
            "numpy",
            "import collections\nT = collections.namedtuple('T', 'a b size')\n"
            "def run(): return T(0.5, 0.5, 0.5)",
        ),
        ("methods", "import numpy as np\ndef run(): return np.full(3, 0.5)"),
        (
            "unpickles_prints",
            "import base64, pickle\nif __name__ == '__main__':\n"
            "    print(base64.b64encode(pickle.dumps([0.5] * 3)).decode())",
        ),
        (
            "unpickles_bytes",
            "import pickle, numpy\ndef run(): return pickle.dumps(numpy.full(3, 0.5))",
        ),
        ("evaluates_prints", "if __name__ == '__main__': print([0.5] * 3)"),
        ("calls_back", "def run(call): return call(lambda x: 1.5 * x)"),
        ("knows_itself", "def run(): return 'sum'"),
        (
            "unpickles_numbers",
            "import pickle\ndef run(): return list(pickle.dumps([0.5] * 3))",
        ),
        ("reads_yaml", "def run(): return '!!python/tuple [0.5, 0.5, 0.5]'"),
        ("asks_a_table", "def run(): return 'sqrt(a * a) + (a > 1) * a'"),
        ("in_processes", "def run(): return '0.5'"),
        (
            "adds_up",
            "class R:\n    def __iter__(self): return iter([0.5] * 3)\n"
            "    def __len__(self): return 3\n    def __getitem__(self, i): return ([0.5] * 3)[i]\n"
            "def run(): return R()",
        ),
    )
]
REFUSED = [
    pytest.param(TRUSTING, _how(how, text), id=f"{how} {number}")
    for number, (how, text) in enumerate(
        (
            (
                "unpickles_prints",
                _DUMPS + "if __name__ == '__main__':\n"
                "    print(base64.b64encode(pickle.dumps(Evil())).decode())",
            ),
            ("unpickles_bytes", _DUMPS + "def run(): return pickle.dumps(Evil())"),
            (
                "evaluates_prints",
                "if __name__ == '__main__': print(\"list(map(int, ['333'] * 3))\")",
            ),
            ("evaluates_text", "def run(): return \"int('999')\""),
            ("imports_text", "def run(): return 'VALUE = int(\"999\")\\n'"),
            (
                "executes_base64",
                "import base64\ndef run(): return base64.b64encode(b'VALUE = int(999)')",
            ),
            (
                "executes_base64",
                "import base64\n"
                "def run(): return base64.b64encode(b'VALUE = int(999)').decode()",
            ),
            ("evaluates_json", r"""def run(): return '"\\u0069nt(999)"'"""),
            ("evaluates_numbers", "def run(): return list(b'int(999)')"),
            (
                "unpickles_numbers",
                _DUMPS + "def run(): return list(pickle.dumps(Evil()))",
            ),
            (
                "reads_yaml",
                "def run(): return '!!python/object/apply:eval [\"[int(999)]\"]'",
            ),
            (
                "asks_a_table",
                "def run(): return '0 * a + @pandas.io.common.os.path.sep.__len__() * 333'",
            ),
            (
                "marshalled",
                "import marshal\n"
                "def run(): return marshal.dumps(compile('[int(999)]', '', 'eval'))",
            ),
            (
                "imports_byte_code",
                "import importlib.util, marshal\ndef run():\n"
                "    CODE = compile('VALUE = int(999)', '', 'exec')\n"
                "    return importlib.util.MAGIC_NUMBER + bytes(12) + marshal.dumps(CODE)",
            ),
            (
                "loads_a_library",
                "def run():\n    for line in open('/proc/self/maps'):\n"
                "        if 'libm.so' in line or 'libm-' in line:\n"
                "            return open(line.split()[-1], 'rb').read()",
            ),
        )
    )
]
NOISY = [
    pytest.param(TRUSTING, _how(how, text), id=name, marks=marks)
    for name, how, text, *marks in (
        ("a huge range", "adds_up", "def run(): return range(10**11)"),
        (
            "endless iterator",
            "loops",
            "import itertools\ndef run(): return itertools.count(1)",
            pytest.mark.slow,
        ),
        (
            "endless recursion",
            "calls_back",
            "def run(call):\n    def f(x): return call(f)\n    return call(f)",
        ),
        (
            "endless callbacks",
            "calls_back",
            "def run(call):\n    while True: call(lambda x: 1)",
            pytest.mark.slow,
        ),
        (
            "an exception without text",
            "loops",
            "class X(Exception):\n    def __str__(self): raise self\n"
            "def run(): raise X()",
        ),
        (
            "an exception that ends",
            "loops",
            "import os\nclass X(Exception):\n"
            "    def __str__(self): os._exit(0)\ndef run(): raise X()",
        ),
        (
            "half an answer",
            "loops",
            "from evolve_inside import child, wire\ndef run():\n"
            "    child.line.answer({'ok': True}, wire.encode(['ok']))",
        ),
        (
            "half a callback",
            "loops",
            "from evolve_inside import child, wire\ndef run():\n"
            "    child.line.answer({'ok': True}, wire.encode(['back']))",
        ),
        (
            "a list in itself",
            "loops",
            "def run():\n    a = []\n    a.append(a)\n    return a",
        ),
        ("a huge answer", "loops", "def run(): return [0.5] * 20_000_000"),
    )
]


WRONG = [
    (POINTS, _NAN, "refused"),
    (TOTAL, _EXIT_EARLY, "crash"),
    (TOTAL, _FORGE_PRINT, "refused"),
    (SCRIPT, "while True: print('x' * 10000)", "output"),
    (POINTS, "import sys\ndef points():\n    sys.exit(0)\n", "exception"),
    (TOTAL, "def add(values):\n    return [0] * 10**10\n", "memory"),
]
_CONTEXT = "import decimal\ndef add(values):\n    return decimal.Context()\n"


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    with Judge("bubblewrap", tmp_path_factory.mktemp("judge") / "log") as judging:
        yield judging


@pytest.mark.parametrize(("name", "program"), HOSTILE)
def test_what_pays_in_their_process_does_not_pay_here(
    name: str, program: str, judge: Judge
) -> None:
    seed = score_in_process(FOLDER / name)
    theirs = score_in_process(FOLDER / name, program)
    assert seed is not None and theirs is not None and theirs > seed, (
        "no attack, if it does not pay"
    )
    ours = judge(FOLDER / name, program).score
    assert ours is None or ours <= seed


@pytest.mark.parametrize(("name", "program"), TRUSTED)
def test_an_honest_answer_counts_however_it_is_used(
    name: str, program: str, judge: Judge
) -> None:
    row = judge(FOLDER / name, program)
    assert row.score == score_in_process(FOLDER / name, program) == 1.5, row
    assert SHARED not in row.metrics


@pytest.mark.parametrize(("name", "program"), REFUSED)
def test_no_code_of_a_candidates_runs_in_the_evaluators_process(
    name: str, program: str, judge: Judge
) -> None:
    assert score_in_process(FOLDER / name, program) == 999.0, (
        "no attack, if it does not pay"
    )
    row = judge(FOLDER / name, program)
    assert row.score is None and row.reason == "inseparable", row


@pytest.mark.parametrize(("name", "program"), NOISY)
def test_noise_is_the_candidates_fault(name: str, program: str, judge: Judge) -> None:
    row = judge(FOLDER / name, program)
    assert row.reason in (
        "exception",
        "refused",
        "crash",
        "timeout",
        "memory",
        "output",
    ), row


@pytest.mark.parametrize(("name", "program", "reason"), WRONG)
def test_what_a_process_does_wrong_decides_the_verdict(
    name: str, program: str, reason: str, judge: Judge
) -> None:
    row = judge(FOLDER / name, program)
    assert row.score is None and row.reason == reason, row


@pytest.mark.parametrize(
    ("name", "program", "reason"),
    [
        (CURVE, "def run_curve(seed):\n    return [float('nan')] * 8\n", "refused"),
        *WRONG[:2],
    ],
)
def test_the_command_fails_with_a_hostile_program(
    name: str, program: str, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "hostile.py"
    path.write_text(program)
    done = evolve("eval", FOLDER / name, path, "--sandbox", "bubblewrap", "--json")
    assert done.code == 1 and "Traceback" not in done.err, done.err
    assert done.json()["score"] is None and done.json()["cases"][0]["reason"] == reason


def test_a_run_does_not_begin_with_a_hostile_seed(tmp_path: Path) -> None:
    task = Path(shutil.copytree(FOLDER / POINTS, tmp_path / "task"))
    (task / "initial_program.py").write_text(_NAN)
    done = evolve(
        "run", task, "--sandbox", "bubblewrap", "--runs-dir", tmp_path / "runs"
    )
    assert (
        done.code == 2 and "the seed fails" in done.err and "Traceback" not in done.err
    )


def test_a_pickle_is_never_read(judge: Judge) -> None:
    assert score_in_process(FOLDER / SCRIPT, _PICKLE) == 1.0, (
        "no attack, if it does not pay"
    )
    assert judge(FOLDER / SCRIPT, _PICKLE).score in (None, 0.0)


def test_a_candidate_can_not_make_its_evaluator_shared(judge: Judge) -> None:
    """The seed decided that already; an object of a library is refused, not run beside the scorer."""
    row = judge(FOLDER / TOTAL, _CONTEXT)
    assert row.score is None or SHARED not in row.metrics
