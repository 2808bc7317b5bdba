"""What becomes of pairs of an evaluator and a program, next to what one process gives."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from evolve.peers.arguments import NOT_PASSED_BACK
from evolve.peers.shared import EVALUATOR_SHARED
from evolve.peers.surroundings import APART
from tests.argument_pairs import Pair
from tests.judging import Judge

TOGETHER = "together"
MARKED = "marked"
MARKS = {EVALUATOR_SHARED: TOGETHER, NOT_PASSED_BACK: MARKED, APART: MARKED}
_ALONE = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("evaluation_module", sys.argv[1] + "/evaluator.py")
module = importlib.util.module_from_spec(spec)
sys.modules["evaluation_module"] = module
spec.loader.exec_module(module)
found = module.evaluate(sys.argv[1] + "/initial_program.py")
print(chr(10) + json.dumps(found))
"""
Texts = Callable[[Sequence[Pair]], str]


def in_one_process(folder: Path) -> dict[str, Any]:
    """What the evaluator finds where the program runs in its own process."""
    done = subprocess.run(
        [sys.executable, "-c", _ALONE, folder],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def name_of(pair: Pair) -> str:
    """The name of the evaluator's function."""
    return pair.case.split()[1].partition("(")[0]


def write(folder: Path, evaluator: str, program: str) -> Path:
    """A task directory."""
    folder.mkdir()
    (folder / "evaluator.py").write_text(evaluator)
    (folder / "initial_program.py").write_text(program)
    return folder


def outcomes(
    judge: Judge, folder: Path, pairs: list[Pair], evaluator: Texts, program: Texts
) -> Counter[tuple[str, str]]:
    """Kind and outcome of each pair; all at once, or in halves if one is refused or marked.

    Raises:
        AssertionError: A pair is scored with another value than in one process.
    """
    write(folder, evaluator(pairs), program(pairs))
    expected, row = in_one_process(folder), judge(folder)
    marks = [MARKS[mark] for mark in row.metrics if mark in MARKS]
    if (row.score is None or marks) and len(pairs) > 1:
        half = len(pairs) // 2
        found = Counter[tuple[str, str]]()
        for name, part in (("a", pairs[:half]), ("b", pairs[half:])):
            place = folder.with_name(f"{folder.name}{name}")
            found += outcomes(judge, place, part, evaluator, program)
        return found
    if row.score is None:
        return Counter({(pairs[0].kind, str(row.reason)): 1})
    for pair in pairs:
        name = name_of(pair)
        if row.metrics[name] != expected[name] and MARKED not in marks:
            raise AssertionError((pair, expected[name], row.metrics[name]))
    outcome = marks[0] if marks else "scored"
    return Counter((pair.kind, outcome) for pair in pairs)
