"""An answer that works when it is looked at has worked before the evaluator's clock stops."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.judging import Judge

SANDBOXES = [pytest.param("docker", marks=pytest.mark.docker), "bubblewrap"]
WORK_S = 0.4
SEED = f"""
import time
def solve(n):
    time.sleep({WORK_S})
    return [i * i for i in range(n)]
"""
LAZY = f"""
import time
class Lazy{{bases}}:
    def __init__(self, n):
        self.n, self.v = n, None
    def _do(self):
        if self.v is None:
            time.sleep({WORK_S})
            self.v = [i * i for i in range(self.n)]
        return self.v
    def __getitem__(self, k):
        return self._do()[k]
    def __len__(self):
        return self.n
{{more}}
def solve(n):
    return Lazy(n)
"""
ITERATES = "    def __iter__(self):\n        return iter(self._do())\n"
LAZY_ONES = {
    "with iteration": LAZY.format(bases="", more=ITERATES),
    "a list": LAZY.format(bases="(list)", more=ITERATES),
    "an abstract sequence": LAZY.format(
        bases="(__import__('collections.abc').abc.Sequence)", more=""
    ),
}
EVALUATOR = """
import importlib.util, time
def evaluate(program_path):
    spec = importlib.util.spec_from_file_location("program", program_path)
    m = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(m)
    best = 9e9
    for n in (50, 60):
        t = time.perf_counter()
        r = m.solve(n)
        t = time.perf_counter() - t
        best = min(best, t)
        if len(r) != n or any(r[i] != i * i for i in range(n)):
            return {"combined_score": 0.0, "error": "wrong"}
    return {"combined_score": 1.0 / best}
"""


@pytest.mark.parametrize("sandbox", SANDBOXES)
def test_a_lazy_answer_gains_nothing(tmp_path: Path, sandbox: str) -> None:
    task = tmp_path / "peer"
    task.mkdir()
    (task / "initial_program.py").write_text(SEED)
    (task / "evaluator.py").write_text(EVALUATOR)
    with Judge(sandbox, tmp_path / "log") as judge:
        assert 0.0 < (judge(task).score or 0.0) < 1.2 / WORK_S
        for name, program in LAZY_ONES.items():
            found = judge(task, program)
            assert found.score is None or found.score < 1.2 / WORK_S, (name, found)
