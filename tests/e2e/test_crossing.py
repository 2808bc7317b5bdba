"""What crosses between another engine's evaluator and its program: the table in docs/peers.md.

Each row has pairs of both: they are scored as in one process, refused, or marked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.argument_pairs import Pair
from tests.crossing_pairs import (
    APART,
    CROSS,
    EACH,
    TAIL,
    evaluator_of,
    make_pair,
    pairs_of,
    program_of,
)
from tests.judging import Judge
from tests.pair_outcomes import (
    MARKED,
    MARKS,
    TOGETHER,
    in_one_process,
    name_of,
    outcomes,
    write,
)

SANDBOXES = [
    pytest.param("docker", marks=[pytest.mark.docker, pytest.mark.slow]),
    "bubblewrap",
]
QUICK = 4  # pairs of each kind that every run of the tests tries
ONE = TAIL.replace(
    'sorted(name for name in globals() if name.startswith("case_"))', "[module.WHICH]"
)


def all_of(pairs: Sequence[Pair]) -> str:
    return evaluator_of(pairs, TAIL)


@pytest.mark.parametrize("sandbox", SANDBOXES)
def test_what_crosses_is_scored_as_in_one_process(sandbox: str, tmp_path: Path) -> None:
    pairs = [make_pair(kind, n) for kind in CROSS for n in range(QUICK)]
    with Judge(sandbox, tmp_path / "log") as judge:
        found = outcomes(judge, tmp_path / "t", pairs, all_of, program_of)
    assert found == Counter({(kind, "scored"): QUICK for kind in CROSS})


@pytest.mark.slow
@pytest.mark.parametrize("kind", CROSS)
def test_each_row_crosses(kind: str, tmp_path: Path) -> None:
    pairs = pairs_of(kind)
    with Judge("bubblewrap", tmp_path / "log") as judge:
        found = outcomes(judge, tmp_path / "t", pairs, all_of, program_of)
    assert found.total() >= EACH and found[kind, "scored"] >= 0.9 * found.total(), found
    assert {outcome for _, outcome in found} <= {"scored", "refused", TOGETHER, MARKED}


@pytest.mark.slow
@pytest.mark.parametrize("sandbox", SANDBOXES)
@pytest.mark.parametrize("kind", APART)
def test_what_does_not_cross_is_refused_or_marked(
    kind: str, sandbox: str, tmp_path: Path
) -> None:
    """As variants of a seed that uses none of it."""
    pairs = pairs_of(kind)
    evaluator = evaluator_of(pairs, ONE)
    idle = "def case_idle(module):\n    return 'idle'\n"
    task = write(
        tmp_path / "task", evaluator.replace("\n\ndef evaluate", f"\n\n{idle}\n\ndef evaluate"),
        "WHICH = 'case_idle'\n",
    )  # fmt: skip
    alone = write(tmp_path / "alone", evaluator_of(pairs, TAIL), program_of(pairs))
    expected = in_one_process(alone)
    with Judge(sandbox, tmp_path / "log") as judge:
        assert judge(task).score == 1.0
        for pair in pairs:
            name = name_of(pair)
            row = judge(task, f"{program_of([pair])}\nWHICH = {name!r}\n")
            marked = not MARKS.keys().isdisjoint(row.metrics)
            assert row.reason in ("inseparable", "refused") or marked, (pair, row)
            assert row.score is None or marked or row.metrics[name] == expected[name]
