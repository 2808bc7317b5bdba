"""Programs that change their arguments in place: scored as in their evaluator's process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from evolve.archive import Evaluation
from evolve.peers.arguments import NOT_PASSED_BACK
from tests.argument_pairs import evaluator_of, make_pair, program_of
from tests.judging import Judge
from tests.pair_outcomes import TOGETHER, outcomes

SANDBOXES = [
    pytest.param("docker", marks=[pytest.mark.docker, pytest.mark.slow]),
    "bubblewrap",
]
QUICK = 300  # pairs that every run of the tests tries


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
            texts = evaluator_of, program_of
            found += outcomes(judge, tmp_path / f"t{start}", pairs, *texts)
    assert {outcome for _, outcome in found} <= {"scored", "refused", TOGETHER}
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
