"""The tasks that ship: the seed scores, and no cheat does, in a real sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.tasks import load_task
from tests.cli import evolve
from tests.judging import verdicts

SEEDS = {
    "circle_packing": (0.9, 1.1),
    "cap_set": (64, 64),
    "bin_packing": (0.87, 0.88),
    "nearest_c": (0.001, 10),
    "circle_packing_32": (1.08, 1.09),
    "heilbronn_triangle": (0.00228, 0.00229),
    "point_distances": (18, 18),
    "autocorrelation": (2.25, 2.26),
    "erdos_overlap": (0.425, 0.426),
    "prism_placement": (21.891, 21.892),
    "job_shop": (0.799, 0.8),
    "pendulum_law": (0.6, 1.0),
    "tour_planner": (0.6, 0.8),
}

PACKINGS = {
    "too few": "return [(0.5, 0.5, 0.5)]",
    "empty": "return []",
    "nothing": "return None",
    "nan": "return [(float('nan'), 0.5, 1.0)] * 26",
    "infinite": "return [(0.5, 0.5, float('inf'))] * 26",
    "complex": "return [(0.5, 0.5, 1 + 0j)] * 26",
    "strings": "return [('0.5', '0.5', '0.1')] * 26",
    "booleans": "return [(True, True, True)] * 26",
    "all the same": "return [(0.5, 0.5, 0.1)] * 26",
    "negative radii": "return [(0.5, 0.5, -0.1)] * 25 + [(0.5, 0.5, 0.5)]",
    "outside": "return [(5.0 * k, 0.5, 0.5) for k in range(26)]",
    "touching beyond the last digit": "return [(0.25, 0.25, 0.25), (0.75, 0.25, 0.25000000000000006)] + [(0.5, 0.9, 0.0)] * 24",
    "subclassed floats": "class F(float):\n        def __lt__(self, o): return False\n"
    "    return [(F(0.5), F(0.5), F(9.0))] * 26",
    "an array of nan": "import numpy\n    return numpy.full((26, 3), numpy.nan)",
    "an array of objects": "import numpy\n    return numpy.array([[0.5, 0.5, 'x']] * 26, dtype=object)",
    "an early exit": "import os\n    os._exit(0)",
    "sys.exit": "import sys\n    sys.exit(0)",
    "a forged score": "print('{\"score\": 99}')\n    return {'score': 99.0}",
}
CAPS = {
    "a line": "return [[0] * 6, [1] * 6, [2] * 6]",
    "twice": "return [[0] * 6, [0] * 6]",
    "other numbers": "return [[k, 0, 0, 0, 0, 0] for k in range(200)]",
    "floats": "return [[0.0] * 6]",
    "booleans": "return [[True] * 6]",
    "another dimension": "return [[0] * 7]",
    "too many": "return [[k % 3, k // 3 % 3, 0, 0, 0, 0] for k in range(3000)]",
}
BINS = {
    "one bin": "return [0] * len(items)",
    "no bins": "return []",
    "negative": "return [-1] * len(items)",
    "smaller items": "items[:] = [1] * len(items)\n    return [0] * len(items)",
    "floats": "return [float(k) for k in range(len(items))]",
}
PROGRAMS = {
    "does not compile": "int main(void) { return",
    "no answer": "int main(void) { return 0; }",
    "wrong answers": '#include <stdio.h>\nint main(void){int n;scanf("%d",&n);'
    'while(n--)puts("0");return 0;}',
    "a huge number": '#include <stdio.h>\nint main(void){int n;scanf("%d",&n);'
    'while(n--)puts("99999999999999999999");return 0;}',
    "a failure": "int main(void) { return 3; }",
}


@pytest.mark.parametrize("name", SEEDS)
def test_the_seed_scores(tasks: Path, tmp_path: Path, name: str) -> None:
    task = load_task(tasks / name)
    (verdict,) = verdicts(task, [task.seed[task.entry]], "local", tmp_path / "log")
    assert verdict.failed is None, verdict.failed
    low, high = SEEDS[name]
    assert low <= verdict.score <= high


@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.parametrize("name", SEEDS)
def test_no_attack_of_evolve_check_pays(tasks: Path, name: str) -> None:
    done = evolve("check", tasks / name, "--json")
    assert done.code == 0, [
        row for row in done.json()["attacks"] if row["result"] == "PAYS"
    ]
    assert done.json()["seconds"] < 10


def test_every_task_that_ships_says_what_is_known(tasks: Path) -> None:
    folders = sorted(
        path.parent.name
        for path in tasks.glob("*/task.toml")
        if not path.parent.name.startswith("agent_")
    )  # see tests/agents
    assert folders == sorted(SEEDS) and len(folders) >= 12
    for name in folders:
        task = load_task(tasks / name)
        text = (tasks / name / "README.md").read_text()
        assert "seed" in text and "| score" in text, name
        if name == "nearest_c":
            continue  # speed has no bound
        assert task.spec.best_known is not None and task.spec.ceiling is not None, name
        assert not task.above_ceiling(task.spec.best_known.score), name
        step = 1e-9 if task.spec.maximize else -1e-9
        assert task.above_ceiling(task.spec.ceiling + step), name


def test_the_law_of_the_pendulum_gets_all_digits(tasks: Path, tmp_path: Path) -> None:
    law = (
        b"import math\ndef period(length, gravity, angle):\n    a, b = 1.0, math.cos(angle / 2)\n"
        b"    for _ in range(9):\n        a, b = (a + b) / 2, math.sqrt(a * b)\n"
        b"    return 2 * math.pi * math.sqrt(length / gravity) / a\n"
    )
    (verdict,) = verdicts(
        load_task(tasks / "pendulum_law"), [law], "local", tmp_path / "log"
    )
    assert verdict.score == 12.0


@pytest.mark.docker
@pytest.mark.parametrize(
    ("name", "head", "cheats"),
    [
        ("circle_packing", "def pack(n):\n    ", PACKINGS),
        ("cap_set", "def cap_set(n):\n    ", CAPS),
        ("bin_packing", "def pack(items, capacity):\n    ", BINS),
        ("nearest_c", "", PROGRAMS),
    ],
)
def test_no_cheat_scores(
    tasks: Path, tmp_path: Path, name: str, head: str, cheats: dict[str, str]
) -> None:
    task = load_task(tasks / name)
    programs = [f"{head}{body}\n".encode() for body in cheats.values()]
    found = verdicts(
        task, [*programs, task.seed[task.entry]], "docker", tmp_path / "log"
    )
    scored = [
        cheat
        for cheat, verdict in zip(cheats, found, strict=False)
        if verdict.failed is None
    ]
    assert scored == []
    assert all(
        v.failed is not None and v.failed.reason != "evaluator" for v in found[:-1]
    ), [v.failed for v in found[:-1]]
    assert found[-1].failed is None, "the seed still scores after all of them"


def test_a_score_above_the_ceiling_is_quarantined(tasks: Path, tmp_path: Path) -> None:
    """An evaluator at fault: what it claims above a proved bound is kept, flagged, and never best."""
    import shutil

    folder = Path(shutil.copytree(tasks / "cap_set", tmp_path / "task"))
    toml = (folder / "task.toml").read_text().replace("ceiling = 112", "ceiling = 64")
    (folder / "task.toml").write_text(toml)
    done = evolve(
        "run",
        folder,
        "--sandbox",
        "local",
        "--max-variants",
        24,
        "--window",
        8,
        "--policy",
        "weighted",
        "--set",
        "operators={syntactic=0.7, recombine=0.3}",
        "--json",
        cwd=tmp_path,
    )
    assert done.code == 0, done.err
    tree = evolve("tree", "--json", cwd=tmp_path).json()
    above = [v for v in tree if v["score"] is not None and v["score"] > 64]
    assert above and all(v["quarantined"] for v in above)
    assert done.events()[-1]["best"]["score"] == 64.0
    assert "quarantined" in evolve("show", above[0]["id"], cwd=tmp_path).out
