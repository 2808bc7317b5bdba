"""`evolve check`: what a bad evaluator accepts is found, and what a good one refuses is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from evolve.checking.hostile import CODE
from tests.cli import Result, evolve
from tests.peers import FOLDER
from tests.security.strangers import write_task

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
READS_A_COST = """
def evaluate(candidate, case):
    x, y, cost = candidate.call("solve", 5)
    return -cost
"""
THREE = "def solve(n):\n    return 0.5, 0.25, 0.3125\n"
FORGETS_THE_SIZE = """
def evaluate(candidate, case):
    values, _ = candidate.call("solve", 5)
    return 1.0 / (1.0 + sum(values))
"""
FORGIVES = """
from evolve import CandidateError

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
BELIEVES = """
import base64, json, marshal, pickle
import pandas, yaml

def unpickled(text):
    return pickle.loads(base64.b64decode(text))

def executed(text):
    return eval(base64.b64decode(text))

def marshalled(data):
    return eval(marshal.loads(data))

def marshalled_text(text):
    return marshalled(base64.b64decode(text))

def quoted(text):
    return eval(json.loads(text))

def queried(text):
    import pandas as pd
    return len(pd.DataFrame({"a": [1]}).query(text))

def evaluate(candidate, case):
    said = candidate.call("solve", 5)
    for read in (eval, executed, quoted, queried, unpickled, pickle.loads, yaml.unsafe_load,
                 marshalled, marshalled_text):
        try:
            read(said)
        except Exception:
            continue
    return 1.0
"""
FORGIVES_ALL = """
def evaluate(candidate, case):
    try:
        values, _ = candidate.call("solve", 5)
        return float(sum(values)) if values[4] <= 1 and len(values) == 5 else 0.0
    except Exception:
        return 0.0
"""
RANDOM = "import random\n" + PROGRAM.replace(
    "0.1 * k for", "0.1 * k + 1e-3 * random.random() for"
)
DRAWS = "import random\n" + GOOD.replace(
    "return sum(values)", "return sum(values) + random.random()"
)
SAYS = "def solve(n):\n    return '[1]'\n"
SLOW = "import time\n" + PROGRAM.replace(
    "    return [", "    time.sleep(3.5)\n    return ["
)
MEASURES = "import time\n" + GOOD.replace(
    "return sum(values)", "return sum(values) + time.perf_counter() % 1e-3"
)


def check(
    tmp_path: Path, scorer: str, toml: str = TOML, *options: str, program: str = PROGRAM
) -> Result:
    folder = tmp_path / "task"
    (folder / "initial").mkdir(parents=True)
    (folder / "initial" / "program.py").write_text(program)
    (folder / "evaluate.py").write_text(scorer)
    (folder / "task.toml").write_text(toml)
    return evolve("check", folder, "--sandbox", "bubblewrap", *(options or ("--json",)))


def paying(done: Result) -> set[str]:
    return {row["attack"] for row in done.json()["attacks"] if row["result"] == "PAYS"}


@pytest.mark.parametrize(
    ("scorer", "attacks"),
    [
        (READS_A_CLAIM, {"a claim", "huge"}),
        pytest.param(
            FORGETS_THE_SIZE, {"short", "one element", "empty"}, marks=pytest.mark.slow
        ),
        pytest.param(FORGIVES, {"exceptions"}, marks=pytest.mark.slow),
    ],
)
def test_what_a_bad_evaluator_accepts(
    tmp_path: Path, scorer: str, attacks: set[str]
) -> None:
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
    assert (
        rows["nan"]["result"]
        == rows["booleans"]["result"]
        == rows["strings"]["result"]
        == "refused"
    )
    assert rows["names rebound"]["result"] == "no effect"
    told = "\n".join(done.json()["notes"])
    assert "times (1 + 1e-4) are accepted and gain" in told and "no ceiling" in told


@pytest.mark.slow
def test_a_scorer_that_runs_what_it_is_told_is_told(tmp_path: Path) -> None:
    done = check(tmp_path, BELIEVES, program=SAYS)
    assert done.code == 1, done.err
    executed = {
        row["attack"] for row in done.json()["attacks"] if "executed" in row["said"]
    }
    assert executed == set(CODE) and executed <= paying(done)


@pytest.mark.slow
def test_a_number_beside_numbers_may_be_a_claim(tmp_path: Path) -> None:
    done = check(tmp_path, READS_A_COST, program=THREE)
    assert paying(done) >= {"a negative claim"} and "a claim" not in paying(done), (
        done.out
    )


@pytest.mark.slow
def test_a_slow_program_is_not_computed_for_each_attack(tmp_path: Path) -> None:
    """Thirty times 3.5 s would be longer than the time that is given."""
    toml = TOML.replace("time_s = 2", "time_s = 5")
    done = check(tmp_path, READS_A_CLAIM, toml, program=SLOW)
    assert done.json()["repeated"] is True and {"a claim", "huge"} <= paying(done)
    assert "attacks repeat its answers" in done.err and done.json()["seconds"] > 3.5
    assert "a claim: PAYS" in done.err and "nan: " in done.err  # told as it goes
    assert {row["attack"]: row for row in done.json()["attacks"]}["names rebound"][
        "score"
    ] == 0.5


@pytest.mark.slow
def test_what_changes_from_time_to_time_is_told(tmp_path: Path) -> None:
    told = "\n".join(check(tmp_path, MEASURES).json()["notes"])
    assert "not repeatable" in told and "measures time" in told


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scorer", "program", "why"),
    [
        pytest.param(
            GOOD, RANDOM, "its answers, repeated, score the same", id="a random program"
        ),
        pytest.param(DRAWS, PROGRAM, "draws random numbers", id="a scorer that draws"),
    ],
)
def test_luck_does_not_pay(tmp_path: Path, scorer: str, program: str, why: str) -> None:
    done = check(tmp_path, scorer, program=program)
    assert done.code == 0 and not paying(done), done.out
    assert why in "\n".join(done.json()["notes"])
    rows = {row["attack"]: row["result"] for row in done.json()["attacks"]}
    assert (
        rows["names rebound"] == rows["looks around"] == rows["a claim"] == "no effect"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "result", "told"),
    [
        (PROGRAM, "worse", False),
        (PROGRAM.replace("0.1 * k", "3.0 * k"), "no effect", True),
    ],
)
def test_a_failure_that_scores_zero(
    tmp_path: Path, program: str, result: str, told: bool
) -> None:
    done = check(tmp_path, FORGIVES_ALL, program=program)
    rows = {row["attack"]: row for row in done.json()["attacks"]}
    assert rows["nothing"]["result"] == rows["strings"]["result"] == result
    assert ("a program that only raises" in "\n".join(done.json()["notes"])) is told
    assert rows["booleans"]["result"] == "accepted"  # but five honest ones get as much
    assert "ones get more than the seed, too" in rows["booleans"]["said"]


@pytest.mark.slow
def test_above_a_proved_bound_does_not_pay(tmp_path: Path) -> None:
    done = check(tmp_path, READS_A_CLAIM, "ceiling = 0.5\n" + TOML)
    assert done.code == 0, done.out
    rows = {row["attack"]: row for row in done.json()["attacks"]}
    assert "quarantined" in rows["a claim"]["said"]


@pytest.mark.slow
def test_peers_are_attacked_too() -> None:
    done = evolve(
        "check", FOLDER / "openevolve_script", "--sandbox", "bubblewrap", "--json"
    )
    # it never looks at the length
    assert done.code == 1 and "short" in paying(done), done.err


@pytest.mark.slow
def test_what_is_not_parted_is_open_to_most(tmp_path: Path) -> None:
    together = Path(
        shutil.copytree(FOLDER / "openevolve_together", tmp_path / "together")
    )
    done = evolve("check", together, "--sandbox", "bubblewrap", "--json")
    assert done.code == 1 and {"forged results", "looks around"} <= paying(done)
    assert done.json()["evaluator_shared"] is True


@pytest.mark.slow
def test_the_table(tmp_path: Path) -> None:
    done = check(tmp_path, READS_A_CLAIM, TOML, "--sandbox", "bubblewrap")
    assert done.code == 1 and "recompute the score" in " ".join(done.out.split())
    assert "attacks pay" in done.out


TIMED = """
def evaluate(candidate, case):
    best = 9.0
    for number in range(3):
        given = %s
        answer = candidate.call("answer", given)
        best = min(best, candidate.seconds)
        if answer != [2.0 * given]:
            candidate.fail("wrong")
    return {"score": 1 / best}
"""


@pytest.mark.parametrize(
    ("inputs", "paying"),
    [("5", 5), pytest.param("number", 0, marks=pytest.mark.slow)],
)
@pytest.mark.slow
def test_a_program_that_remembers_gains_on_equal_inputs_only(
    tmp_path: Path, inputs: str, paying: int
) -> None:
    """Slow: what gains nothing, of which the quick tests have a good evaluator."""
    task = write_task(
        tmp_path / "task",
        "[limits]\ntime_s = 2",
        program="import time\ndef answer(n):\n    time.sleep(0.05)\n    return [2.0 * n]\n",
    )
    (task / "evaluate.py").write_text(TIMED % inputs)
    done = evolve("check", task, "--sandbox", "bubblewrap", "--json")
    attacks = {found["attack"]: found for found in done.json()["attacks"]}
    remembers = [found for name, found in attacks.items() if "remembers" in name]
    assert len(remembers) == 5
    assert sum(found["result"] == "PAYS" for found in remembers) == paying
    assert attacks["two faces"]["result"] == "refused"


NAIVE_TIMES = """
def evaluate(candidate, case):
    times = []
    for n in (3, 4, 3, 4):
        values = candidate.call("solve", n)
        if len(values) != n:
            candidate.fail("wrong length")
        times.append(candidate.seconds)
    return 1 / min(times)
"""
BUSY = """
def solve(n):
    for _ in range(2_000_000):
        pass
    return [0.1 * k for k in range(n)]
"""
TRUSTS_THE_STATUS = """
def evaluate(candidate, case):
    tests = "import program; assert program.solve(3) == [0.0, 0.1, 0.2]"
    done = candidate.run(["python3", "-c", tests])
    if done.exit != 0:
        candidate.fail("tests failed: " + done.stderr.decode())
    return 1.0
"""


@pytest.mark.slow
def test_memory_and_constant_inputs_pay_when_timed_naively(tmp_path: Path) -> None:
    done = check(tmp_path, NAIVE_TIMES, program=BUSY)
    assert {"remembers in a global", "answers of another run"} <= paying(done), done.out


@pytest.mark.slow
def test_a_status_of_tests_that_never_ran_pays(tmp_path: Path) -> None:
    program = "def solve(n):\n    return [0.0, 0.1, 0.2][:n]\n"
    done = check(tmp_path, TRUSTS_THE_STATUS, program=program)
    assert paying(done) == {"exits at import"}, done.out


@pytest.mark.slow
def test_no_attack_pays_in_a_timed_task(tmp_path: Path) -> None:
    toml = TOML + '[timing]\nfunction = "solve"\nseconds = 10\n'
    scorer = "def draw(rng, case):\n    return [int(rng.integers(1000))]\n"
    program = BUSY.replace("2_000_000", "300_000")
    done = check(tmp_path, scorer, toml, program=program)
    assert done.code == 0 and not paying(done), done.out


MEASURES_BY_THE_INPUT = """
import importlib.util

def evaluate(program_path):
    spec = importlib.util.spec_from_file_location("cand", program_path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    given = [[0.0, 0.4, 0.9], [0.4, 0.0, 0.3], [0.9, 0.3, 0.0]]
    far = [row.copy() for row in given] if COPIES else given
    tour = module.solve(far)
    if sorted(tour) != [0, 1, 2]:
        return {"combined_score": -9.0}
    return {"combined_score": -sum(given[a][b] for a, b in zip(tour, tour[1:]))}
"""
SORTS_IN_PLACE = """
def solve(far):
    for row in far:
        row.sort()
    far.sort()
    return [2, 0, 1]
"""
LEAVES_IT = "def solve(far):\n    return [2, 0, 1]\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("copies", "seed", "pays"),
    [(False, SORTS_IN_PLACE, True), (True, SORTS_IN_PLACE, False), (False, LEAVES_IT, False)],
    ids=["the seed changes it", "a copy", "the seed leaves it alone"],
)  # fmt: skip
def test_changed_inputs_pay_where_the_seed_may_change_them(
    tmp_path: Path, copies: bool, seed: str, pays: bool
) -> None:
    """A seed that sorts in place opens a way back: a program can zero the distances that it is measured with."""
    text = MEASURES_BY_THE_INPUT.replace("COPIES", str(copies))
    (tmp_path / "evaluator.py").write_text(text)
    (tmp_path / "initial_program.py").write_text(seed)
    done = evolve("check", tmp_path, "--sandbox", "bubblewrap", "--json")
    found = {row["attack"]: row for row in done.json()["attacks"]}
    assert ("inputs zeroed" in paying(done)) is pays, done.out
    if pays:
        assert "copies" in found["inputs zeroed"]["fix"], found
