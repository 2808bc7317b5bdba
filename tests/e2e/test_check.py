"""`evolve check`: what a bad evaluator accepts is found, and what a good one refuses is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli import Result, evolve
from tests.peers import FOLDER

PROGRAM = """
def solve(n):
    return [0.1 * k for k in range(n)], 0.1 * n


def helper(n):
    return n
"""
TOML = 'name = "t"\ndescription = "d"\n[limits]\ntime_s = 2\n'
READS_A_CLAIM = """
def evaluate(candidate, case):
    values, claim = candidate.call("solve", 5)
    return claim
"""
FORGETS_THE_SIZE = """
def evaluate(candidate, case):
    values, _ = candidate.call("solve", 5)
    return 1.0 / (1.0 + sum(values))
"""
FORGIVES = """
from scorer import CandidateError

def evaluate(candidate, case):
    costs = []
    for n in (3, 30, 3, 30):
        try:
            costs.append(sum(candidate.call("solve", n)[0]))
        except CandidateError:
            continue
    return -sum(costs)
"""
GOOD = """
def evaluate(candidate, case):
    values, _ = candidate.call("solve", 5)
    if type(values) is not list or len(values) != 5 or any(type(v) is not float for v in values):
        candidate.fail("five floats are wanted")
    if any(v > 1 for v in values):
        candidate.fail("none above one")
    return sum(values)
"""
MEASURES = "import time\n" + GOOD.replace(
    "return sum(values)", "return sum(values) + time.perf_counter() % 1e-3")


def check(tmp_path: Path, scorer: str, toml: str = TOML, *options: str) -> Result:
    folder = tmp_path / "task"
    (folder / "initial").mkdir(parents=True)
    (folder / "initial" / "program.py").write_text(PROGRAM)
    (folder / "evaluate.py").write_text(scorer)
    (folder / "task.toml").write_text(toml)
    return evolve("check", folder, "--sandbox", "bubblewrap", *(options or ("--json",)))


def paying(done: Result) -> set[str]:
    return {row["attack"] for row in done.json()["attacks"] if row["result"] == "PAYS"}


@pytest.mark.parametrize(("scorer", "attacks"), [
    (READS_A_CLAIM, {"a claim", "huge"}),
    pytest.param(FORGETS_THE_SIZE, {"short", "one element", "empty"}, marks=pytest.mark.slow),
    pytest.param(FORGIVES, {"exceptions"}, marks=pytest.mark.slow),
])
def test_what_a_bad_evaluator_accepts(tmp_path: Path, scorer: str, attacks: set[str]) -> None:
    done = check(tmp_path, scorer)
    assert done.code == 1, done.err
    assert attacks <= paying(done)
    assert all(row["fix"] for row in done.json()["attacks"] if row["result"] == "PAYS")
    assert done.json()["paying"] == len(paying(done))


def test_a_good_evaluator_passes_and_its_tolerance_is_told(tmp_path: Path) -> None:
    done = check(tmp_path, GOOD)
    assert done.code == 0 and not paying(done), done.out
    rows = {row["attack"]: row for row in done.json()["attacks"]}
    assert rows["hangs"]["result"] == "refused" and "timeout" in rows["hangs"]["said"]
    assert rows["nan"]["result"] == rows["booleans"]["result"] == rows["strings"]["result"] == "refused"
    assert rows["names rebound"]["result"] == "no effect"
    told = "\n".join(done.json()["notes"])
    assert "times (1 + 1e-4) are accepted and gain" in told and "no ceiling" in told


@pytest.mark.slow
def test_what_changes_from_time_to_time_is_told(tmp_path: Path) -> None:
    told = "\n".join(check(tmp_path, MEASURES).json()["notes"])
    assert "not repeatable" in told and "measures time" in told


@pytest.mark.slow
def test_above_a_proved_bound_does_not_pay(tmp_path: Path) -> None:
    done = check(tmp_path, READS_A_CLAIM, 'ceiling = 0.6\n' + TOML)
    assert done.code == 0, done.out
    rows = {row["attack"]: row for row in done.json()["attacks"]}
    assert "quarantined" in rows["a claim"]["said"]


@pytest.mark.slow
def test_peers_are_attacked_too(tmp_path: Path) -> None:
    done = evolve("check", FOLDER / "openevolve_script", "--sandbox", "bubblewrap", "--json")
    assert done.code == 1 and "short" in paying(done), done.err  # it never looks at the length
    together = Path(shutil.copytree(FOLDER / "openevolve_together", tmp_path / "together"))
    done = evolve("check", together, "--sandbox", "bubblewrap", "--json")
    assert done.code == 1 and {"forged results", "looks around"} <= paying(done)
    assert done.json()["evaluator_shared"] is True


@pytest.mark.slow
def test_the_table(tmp_path: Path) -> None:
    done = check(tmp_path, READS_A_CLAIM, TOML, "--sandbox", "bubblewrap")
    assert done.code == 1 and "recompute the score" in " ".join(done.out.split())
    assert "attacks pay" in done.out
