"""An object of a program shows one face: what was checked is what is scored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evolve.archive import Evaluation
from tests.cli import evolve
from tests.judging import Judge

SANDBOXES = [pytest.param("docker", marks=pytest.mark.docker), "bubblewrap"]
EVALUATOR = """
import argparse
from shinka.core import run_shinka_eval
def validate(result):
    good = len(result) == 2 and all(0 <= x <= 1 for x in result)
    return good, None if good else "outside 0..1"
def aggregate(results):
    total = float(sum(sum(x for x in r) for r in results) / len(results))
    return {"combined_score": total, "public": {}, "private": {}}
def main(program_path, results_dir):
    run_shinka_eval(program_path=program_path, results_dir=results_dir,
                    experiment_fn_name="run_experiment", num_runs=2,
                    get_experiment_kwargs=lambda i: {"seed": i}, validate_fn=validate,
                    aggregate_metrics_fn=aggregate)
if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("--program_path")
    p.add_argument("--results_dir")
    a = p.parse_args()
    main(a.program_path, a.results_dir)
"""
HONEST = "def run_experiment(seed=0):\n    return [1.0, 1.0]\n"
FACES = {
    "items after the next call": """
class Row:
    calls = 0
    def __init__(self):
        Row.calls += 1
        self.mine = Row.calls
    def _values(self):
        return [1.0, 1.0] if Row.calls == self.mine else [1e9, 1e9]
    def __getitem__(self, k):
        return self._values()[k]
    def __iter__(self):
        return iter(self._values())
    def __len__(self):
        return 2
def run_experiment(seed=0):
    return Row()
""",
    "an object without iteration": """
class Row:
    calls = 0
    def __init__(self):
        Row.calls += 1
        self.mine = Row.calls
    def __getitem__(self, k):
        if k > 1:
            raise IndexError(k)
        return 1.0 if Row.calls == self.mine else 1e9
    def __len__(self):
        return 2
def run_experiment(seed=0):
    return Row()
""",
    "numbers that count looks": """
class Row(list):
    looks = 0
    def __iter__(self):
        Row.looks += 1
        return iter([1.0, 1.0] if Row.looks < 3 else [1e9, 1e9])
def run_experiment(seed=0):
    return Row([1.0, 1.0])
""",
    "an iterator that starts again": """
class Row:
    passes = 0
    def __iter__(self):
        Row.passes += 1
        self.left = 2
        return self
    def __next__(self):
        if not self.left:
            raise StopIteration
        self.left -= 1
        return 1.0 if Row.passes < 2 else 1e9
    def __len__(self):
        return 2
def run_experiment(seed=0):
    return Row()
""",
    "a list that the next call changes": """
kept = [[], [1.0, 1.0]]
def run_experiment(seed=0):
    kept[0][:] = [1e9, 1e9]
    kept.reverse()
    return kept[0]
""",
    "a mapping": """
class Row(dict):
    calls = 0
    def __iter__(self):
        return iter([0.5, 1.0] if Row.calls < 2 else [1e9, 2e9])
    def keys(self):
        return list(self)
def run_experiment(seed=0):
    Row.calls += 1
    return Row({0.5: 1, 1.0: 1})
""",
}


BLOCK = "# EVOLVE-BLOCK-START\n%s\n# EVOLVE-BLOCK-END\n"


class Scored:
    """Scores programs in a peer's task."""

    def __init__(self, judge: Judge, task: Path) -> None:
        self._judge, self._task = judge, task

    def __call__(self, program: str) -> Evaluation:
        return self._judge(self._task, BLOCK % program)


@pytest.fixture(scope="module", params=SANDBOXES)
def scored(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scored]:
    folder = tmp_path_factory.mktemp("faces")
    task = folder / "peer"
    task.mkdir()
    (task / "initial.py").write_text(BLOCK % HONEST)
    (task / "evaluate.py").write_text(EVALUATOR)
    with Judge(request.param, folder / "log") as judge:
        yield Scored(judge, task)


def test_an_honest_program_keeps_its_score(scored: Scored) -> None:
    assert scored(HONEST).score == 2.0


@pytest.mark.parametrize("name", FACES)
def test_no_face_is_scored_that_was_not_checked(scored: Scored, name: str) -> None:
    found = scored(FACES[name])
    assert found.score is None or found.score <= 2.0, found


STATEFUL = """
class Counter:
    def __init__(self):
        self.value = 0
    def step(self):
        self.value += 1
def make():
    return Counter()
def advance(counter):
    counter.value += 10
"""
USES_IT = """
import importlib.util
def evaluate(program_path):
    spec = importlib.util.spec_from_file_location("program", program_path)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    counter = program.make()
    seen = [counter.value]
    counter.step()
    seen.append(counter.value)
    program.advance(counter)
    seen.append(counter.value)
    return {"combined_score": float(sum(seen))}
"""


def test_an_object_may_change_by_a_call_that_uses_it(tmp_path: Path) -> None:
    (tmp_path / "initial_program.py").write_text(STATEFUL)
    (tmp_path / "evaluator.py").write_text(USES_IT)
    found = evolve("eval", tmp_path, "--sandbox", "bubblewrap", "--json").json()
    assert found["score"] == 0 + 1 + 11, found
