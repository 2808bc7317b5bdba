"""Attacks that only work where evaluator and program share objects, random numbers and exceptions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.judging import Judge

SANDBOXES = [
    pytest.param("docker", marks=[pytest.mark.docker, pytest.mark.slow]),
    "bubblewrap",
]
EVALUATOR = """
import importlib.util, os, random

class Passed(Exception):
    pass

def evaluate(program_path):
    spec = importlib.util.spec_from_file_location("program", program_path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        first = module.solve([3, 1, 2])
        hidden = [random.randrange(10**6) for _ in range(3)]
        if first == [1, 2, 3] and module.solve(hidden) == sorted(hidden) and 3 in first:
            return {"combined_score": 1.0}
        if os.environ.get("BONUS") or sum(hidden) == SUM:
            return {"combined_score": 999.0}
        return {"combined_score": 0.0}
    except Passed:
        return {"combined_score": 999.0}
    except SystemExit:
        return {"combined_score": 999.0}
"""
SEED = "def solve(items):\n    return sorted(items)\n"
EQUAL = """
class Equal:
    def __eq__(self, other):
        return True
    def __contains__(self, item):
        return True
def solve(items):
    return Equal()
"""
ATTACKS = {
    "equal to anything": EQUAL,
    "a list equal to anything": EQUAL.replace("class Equal:", "class Equal(list):"),
    "equal, but not as it says": EQUAL
    + """
from evolve_inside import evolve_remote as remote
remote._traits_of = lambda kind: []
""",
    "the random numbers of the test are chosen": """
import random
def solve(items):
    random.seed(1)
    return [0]
""",
    "the random numbers are forged": """
from evolve_inside import surroundings
surroundings.told = lambda: {"random": True, "numpy": True, "environ": {"BONUS": "1"}}
def solve(items):
    return [0]
""",
    "the environment is changed": """
import os
def solve(items):
    os.environ["BONUS"] = "1"
    return [0]
""",
    "an exception of the evaluator": """
class Passed(Exception):
    pass
Passed.__module__ = "evaluation_module"
def solve(items):
    raise Passed
""",
    "an exit": "def solve(items):\n    raise SystemExit(0)\n",
    "a forged exit": """
from evolve_inside import evolve_remote as remote
remote._reply = lambda work: ["raised", "SystemExit", "0", "", ["B", ["T", "SystemExit"], [0], [], None]]
def solve(items):
    return items
""",
}


@pytest.fixture(scope="module", params=SANDBOXES)
def judge(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Judge, Path]]:
    import random

    random.seed(1)
    total = sum(random.randrange(10**6) for _ in range(3))
    task = tmp_path_factory.mktemp("one") / "peer"
    task.mkdir()
    (task / "initial_program.py").write_text(SEED)
    (task / "evaluator.py").write_text(EVALUATOR.replace("SUM", str(total)))
    with Judge(request.param, task.parent / "log") as judging:
        yield judging, task


def test_an_honest_program_is_scored(judge: tuple[Judge, Path]) -> None:
    judging, task = judge
    assert judging(task).score == 1.0


@pytest.mark.parametrize("name", ATTACKS)
def test_no_such_attack_pays(name: str, judge: tuple[Judge, Path]) -> None:
    judging, task = judge
    row = judging(task, ATTACKS[name])
    assert row.score is None or row.score == 0.0, row
