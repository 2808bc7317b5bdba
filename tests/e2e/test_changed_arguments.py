"""Programs that change their arguments in place: scored as in their evaluator's process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from evolve.archive import Evaluation
from evolve.peers.arguments import NOT_PASSED_BACK
from tests.argument_pairs import Pair, evaluator_of, make_pair, program_of
from tests.judging import Judge

SANDBOXES = [
    pytest.param("docker", marks=[pytest.mark.docker, pytest.mark.slow]),
    "bubblewrap",
]
ALONE = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("evaluator", sys.argv[1] + "/evaluator.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(json.dumps(module.evaluate(sys.argv[1] + "/initial_program.py")))
"""


QUICK = 300  # pairs that every run of the tests tries


def in_one_process(folder: Path) -> dict[str, Any]:
    """What the evaluator finds where the program runs in its own process."""
    done = subprocess.run(
        [sys.executable, "-c", ALONE, folder],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def write(folder: Path, pairs: list[Pair]) -> Path:
    folder.mkdir()
    (folder / "evaluator.py").write_text(evaluator_of(pairs))
    (folder / "initial_program.py").write_text(program_of(pairs))
    return folder


def outcomes(judge: Judge, folder: Path, pairs: list[Pair]) -> Counter[tuple[str, str]]:
    """Kind and outcome of each pair; several at once, or one by one if one is refused."""
    write(folder, pairs)
    expected, row = in_one_process(folder), judge(folder)
    if row.score is None and len(pairs) > 1:
        half = len(pairs) // 2
        parts = (pairs[:half], pairs[half:])
        found = Counter[tuple[str, str]]()
        for name, part in zip("ab", parts, strict=True):
            found += outcomes(judge, folder.with_name(f"{folder.name}{name}"), part)
        return found
    if row.score is None:
        return Counter({(pairs[0].kind, str(row.reason)): 1})
    scored = Counter[tuple[str, str]]()
    for pair in pairs:
        name = pair.case.split()[1].partition("(")[0]
        if row.metrics[name] != expected[name]:
            raise AssertionError((pair, expected[name], row.metrics[name]))
        scored[pair.kind, "scored"] += 1
    return scored


@pytest.mark.parametrize("sandbox", SANDBOXES)
@pytest.mark.parametrize("first", [0, pytest.param(QUICK, marks=pytest.mark.slow)])
def test_changes_are_scored_as_in_one_process(
    sandbox: str, first: int, tmp_path: Path
) -> None:
    """In all 2,000 pairs, of which CI runs the greater part with the slow tests."""
    last = QUICK if first == 0 else 2000
    found: Counter[tuple[str, str]] = Counter()
    with Judge(sandbox, tmp_path / "log") as judge:
        for start in range(first, last, 100):
            pairs = [make_pair(number) for number in range(start, start + 100)]
            found += outcomes(judge, tmp_path / f"t{start}", pairs)
    assert {outcome for _, outcome in found} <= {"scored", "refused", "inseparable"}
    kinds = {kind for kind, _ in found}
    for kind in kinds:
        scored = found[kind, "scored"]
        count = sum(n for (of, _), n in found.items() if of == kind)
        assert count >= 15 and scored >= 0.9 * count, (kind, found)


EVALUATOR = """
import importlib.util

class State:
    def __init__(self):
        self.rows = [[1, 2], [3]]
        self.total = 6

def evaluate(program_path):
    spec = importlib.util.spec_from_file_location("cand", program_path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    items, far, state = [3, 1, 2], [[0, 5], [5, 0]], State()
    tour = module.solve(items, far, state)
    module.later()
    length = sum(far[a][b] for a, b in zip(tour, tour[1:]))
    return {"combined_score": -length, "items": str(items), "far": str(far),
            "state": f"{state.rows} {state.total}"}
"""
SEED = """
def solve(items, far, state):
    items.sort()
    return [0, 1]

def later():
    pass
"""
HONEST = {"items": "[1, 2, 3]", "far": "[[0, 5], [5, 0]]", "state": "[[1, 2], [3]] 6"}
UNASKED = {
    "solve changes argument 2 of solve (list)": SEED.replace(
        "items.sort()", "items.sort(); far[0][1] = far[1][0] = 0"
    ),
    "solve changes argument 3 of solve (State)": SEED.replace(
        "items.sort()", "items.sort(); state.total = 0"
    ),
    "solve changes argument 3 of solve (list)": SEED.replace(
        "items.sort()", "items.sort(); state.rows[1] += [9]"
    ),
    "later changes argument 2 of solve (list)": SEED.replace(
        "items.sort()", "items.sort(); globals()['kept'] = far"
    ).replace("pass", "kept[0][:] = [0, 0]"),
    "later changes argument 1 of solve (list)": SEED.replace(
        "items.sort()", "items.sort(); globals()['kept'] = items"
    ).replace("pass", "kept.clear()"),
}


@pytest.fixture(scope="module", params=SANDBOXES)
def judge(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Evaluation]]:
    folder = tmp_path_factory.mktemp("unasked")
    (folder / "evaluator.py").write_text(EVALUATOR)
    (folder / "initial_program.py").write_text(SEED)
    with Judge(request.param, folder.parent / "log") as judging:
        yield partial(judging, folder)


def test_the_seed_has_no_mark(judge: Callable[[str], Evaluation]) -> None:
    row = judge(SEED)
    assert row.score == -5.0 and row.metrics == HONEST | {"combined_score": -5.0}


@pytest.mark.parametrize("change", UNASKED)
def test_what_the_seed_leaves_alone_stays_as_it_is(
    change: str, judge: Callable[[str], Evaluation]
) -> None:
    """A program can't zero the distances that its tour is measured with."""
    row = judge(UNASKED[change])
    assert row.score == -5.0 and row.metrics.pop(NOT_PASSED_BACK) == change, row
    assert row.metrics == HONEST | {"combined_score": -5.0}


def test_a_change_that_cannot_be_told_is_never_a_score(
    judge: Callable[[str], Evaluation],
) -> None:
    deep = "for _ in range(30): items[:] = [items.copy()]"
    row = judge(SEED.replace("items.sort()", deep))
    assert row.score is None and row.reason == "inseparable", row
    assert "solve changes argument 1 of solve (list)" in row.message
    finite = judge(SEED.replace("items.sort()", "items[:] = [float('nan')]"))
    assert finite.score is None and "not finite" in finite.message


FORGED = """
from evolve_inside import evolve_remote as remote

def forged(codec):
    return [[number, ["l"]] for number in (*codec.shared.values, 10**6, -1)]

remote._Codec.changes = forged
"""


def test_forged_changes_reach_only_what_the_seed_changes(
    judge: Callable[[str], Evaluation],
) -> None:
    row = judge(FORGED + SEED)
    assert row.score == -5.0 and row.metrics["items"] == "[]", row
    assert (row.metrics["far"], row.metrics["state"]) == (
        HONEST["far"],
        HONEST["state"],
    )
    assert NOT_PASSED_BACK in row.metrics
