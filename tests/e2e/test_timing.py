"""Timed tasks, from the command line: what is sure, confirmed, verified and replayed."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from evolve.checking.machine import machine_findings
from tests.cli import Result, evolve

LOOPS = 60_000
PROGRAM = """def work(start):
    total = 0
    for step in range({loops}):
        total += (start + step * step) % 7
    return start % 1000
"""
TOML = """name = "burn"
description = "burn less time"
[timing]
function = "work"
seconds = 20
[[cases]]
id = "main"
[[cases]]
id = "unseen"
split = "heldout"
"""
SCORER = """def draw(rng, case):
    return [int(rng.integers(1 << 40))]
"""
BOX = ("--sandbox", "bubblewrap")


def write_task(folder: Path, scorer: str = SCORER, toml: str = TOML) -> Path:
    (folder / "initial").mkdir(parents=True)
    (folder / "task.toml").write_text(toml)
    (folder / "evaluate.py").write_text(scorer)
    (folder / "initial" / "main.py").write_text(PROGRAM.format(loops=LOOPS))
    return folder


def variant(place: Path, loops: int) -> Path:
    path = place / f"of_{loops}.py"
    path.write_text(PROGRAM.format(loops=loops))
    return path


@pytest.mark.alone
def test_a_gain_is_confirmed_verified_and_replayed(tmp_path: Path) -> None:
    task, runs = write_task(tmp_path / "task"), tmp_path / "runs"

    def on(verb: str, *more: str | Path) -> Result:
        done = evolve(verb, "a", "--runs-dir", runs, *more)
        assert done.code == 0, done.err
        return done

    options = ("--name", "a", "--runs-dir", runs, *BOX)
    first = evolve("run", task, "--max-variants", "1", *options)
    assert first.code == 0, first.err
    assert first.err.splitlines()[-1] == "no improvement that is sure"

    confirmed = []
    for loops in (LOOPS // 2, LOOPS // 8):
        on("add", variant(tmp_path, loops))
        resumed = on("resume", "--max-variants", "+1", "--json")
        confirmed.append(resumed.events()[-1]["confirmed"])
    assert [found["look"] for found in confirmed] == [1, 2]
    assert all(found["finding"]["sure"] for found in confirmed)
    assert 1.4 < confirmed[0]["finding"]["ratio"] < 2.6
    assert 4.0 < confirmed[1]["finding"]["ratio"] < 10.0

    best = _best(runs)
    assert 3.0 < best["metrics"]["ratio"] < 6.0, "measured against the one before"
    assert best["metrics"]["reference"] == pytest.approx(2.0, rel=0.3)
    assert best["score"] == best["metrics"]["ratio"] * best["metrics"]["reference"]

    for view in (
        on("tree"),
        on("best"),
        on("export", "--html", tmp_path / "page.html"),
    ):
        if view.out.strip():
            assert "x faster than the seed" in view.out
    assert "x faster than the seed" in (tmp_path / "page.html").read_text()
    verified = on("verify")
    assert "to" in verified.out and "2 of 2 cases hold" in verified.out
    replayed = evolve("replay", "a", "--name", "b", "--runs-dir", runs, *BOX)
    assert replayed.code == 0 and "0 differences" in replayed.err + replayed.out


def _best(runs: Path) -> dict[str, Any]:
    """Return the evaluation of the best variant."""
    shown = evolve("show", "best", "--run", "a", "--runs-dir", runs, "--json")
    assert shown.code == 0, shown.err
    return dict(shown.json()["evaluations"][0])


def test_a_no_op_does_not_become_the_best(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task")
    no_op = tmp_path / "no_op.py"
    no_op.write_text(PROGRAM.format(loops=LOOPS).replace("total", "sum_of_all"))
    done = evolve("eval", task, no_op, "--json", *BOX)
    assert done.code == 0 and done.json()["score"] <= 1.0


def test_a_wrong_answer_fails(tmp_path: Path) -> None:
    task, wrong = write_task(tmp_path / "task"), tmp_path / "wrong.py"
    wrong.write_text("def work(start):\n    return start % 1000 + start % 2\n")
    done = evolve("eval", task, wrong, "--json", *BOX)
    (case,) = done.json()["cases"]
    assert done.code == 1 and case["reason"] == "invalid"
    assert "differs from that of the reference" in case["message"]


def test_a_check_of_the_task_decides_which_answers_are_right(tmp_path: Path) -> None:
    check = (
        "def check(candidate, answer, expected, arguments):\n"
        "    if abs(answer - expected) > 1:\n"
        "        candidate.fail('too far from the right answer')\n"
    )
    task = write_task(tmp_path / "task", SCORER + check)
    near, far = tmp_path / "near.py", tmp_path / "far.py"
    near.write_text("def work(start):\n    return start % 1000 + 1\n")
    far.write_text("def work(start):\n    return start % 1000 + 2\n")
    assert evolve("eval", task, near, "--json", *BOX).json()["score"] > 10
    (case,) = evolve("eval", task, far, "--json", *BOX).json()["cases"]
    assert case["message"] == "too far from the right answer"


def test_inputs_that_repeat_are_the_tasks_fault(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task", "def draw(rng, case):\n    return [3]\n")
    done = evolve("eval", task, "--json", *BOX)
    (case,) = done.json()["cases"]
    assert case["reason"] == "evaluator" and "draw from more" in case["message"]


@pytest.mark.parametrize(
    ("toml", "scorer", "message"),
    [
        (TOML.replace('function = "work"\n', ""), SCORER, "timing.function"),
        (TOML.replace("seconds =", "second ="), SCORER, "timing.second"),
        ('direction = "minimize"\n' + TOML, SCORER, "a higher speed is better"),
        (
            TOML,
            "def evaluate(candidate, case):\n    return 1\n",
            "does not define draw",
        ),
    ],
)
def test_what_is_missing_is_named(
    tmp_path: Path, toml: str, scorer: str, message: str
) -> None:
    done = evolve("eval", write_task(tmp_path / "task", scorer, toml), *BOX)
    assert done.code in (1, 2) and message in done.err


@pytest.mark.alone
def test_time_gives_seconds_and_all_answers(tmp_path: Path) -> None:
    scorer = """def evaluate(candidate, case):
    timing = candidate.time("work", [[n] for n in range(5)], rounds=3)
    assert len(timing.answers) == 12 and len(timing.rounds) == 3
    for (n,), answer in timing.answers:
        if answer != n % 1000:
            candidate.fail("wrong")
    return {"score": 1 / timing.cpu_seconds, "metrics": {"seconds": timing.seconds}}
"""
    toml = 'name = "t"\ndescription = "t"\n'
    task = write_task(tmp_path / "task", scorer, toml)
    slow = evolve("eval", task, "--json", *BOX).json()
    half = variant(tmp_path, LOOPS // 2)
    fast = evolve("eval", task, half, "--json", *BOX).json()
    assert 1.3 < fast["score"] / slow["score"] < 3.0
    assert slow["cases"][0]["metrics"]["seconds"] > 0


@pytest.mark.alone
def test_noise_names_the_least_gain(tmp_path: Path) -> None:
    done = evolve("noise", write_task(tmp_path / "task"), "--json", *BOX)
    assert done.code == 0, done.err
    (case,) = done.json()["cases"]
    gains = case["detectable"]
    assert case["count"] == 30 and case["deviation"] > 0
    assert gains["60"] < gains["20"] < gains["5"]
    assert evolve("noise", write_task(tmp_path / "other"), *BOX).out.startswith("case")


@pytest.mark.alone
def test_noise_of_a_task_that_is_not_timed(tmp_path: Path) -> None:
    scorer = """import random
def evaluate(candidate, case):
    candidate.call("work", 1)
    return 1 + random.gauss(0, 0.01)
"""
    task = write_task(tmp_path / "task", scorer, 'name = "t"\ndescription = "t"\n')
    done = evolve("noise", task, "--json", "--seconds", "3", *BOX)
    (case,) = done.json()["cases"]
    assert 0.003 < case["deviation"] < 0.03


def test_a_machine_that_is_not_fit_is_described(tmp_path: Path) -> None:
    cpu = tmp_path / "sys/devices/system/cpu"
    core = max(os.sched_getaffinity(0))
    (cpu / f"cpu{core}/topology").mkdir(parents=True)
    (cpu / f"cpu{core}/topology/thread_siblings_list").write_text(f"0,{core + 8}\n")
    (cpu / f"cpu{core}/cpufreq").mkdir()
    (cpu / f"cpu{core}/cpufreq/scaling_governor").write_text("powersave\n")
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/cpu.stat").write_text("nr_periods 9\nnr_throttled 4\n")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/stat").write_text("cpu 100 0 100 500 0 0 0 50 0 0\n")
    warned = " ".join(f.what for f in machine_findings(tmp_path) if f.state == "warn")
    for word in ("shares its core", "throttled", "stolen", "powersave"):
        assert word in warned


@pytest.mark.slow
def test_the_winner_of_a_noisy_task_is_confirmed_on_heldout_cases(
    tmp_path: Path,
) -> None:
    scorer = """import random
def evaluate(candidate, case):
    draw = random.Random(f"{case.seed}-{case.attempt}-{case.id}")
    return candidate.call("work", 1) + draw.gauss(0, 0.5)
"""
    toml = 'name = "t"\ndescription = "t"\n[run]\nrepeats = 3\n[[cases]]\nid = "main"\n'
    toml += '[[cases]]\nid = "unseen"\nsplit = "heldout"\n'
    task, runs = write_task(tmp_path / "task", scorer, toml), tmp_path / "runs"
    better = tmp_path / "better.py"
    better.write_text("def work(start):\n    return 9\n")
    options = ("--name", "a", "--runs-dir", runs, "--sandbox", "local")
    assert evolve("run", task, "--max-variants", "1", *options).code == 0
    assert evolve("add", "a", better, "--runs-dir", runs).code == 0
    more = ("--max-variants", "+6", "--runs-dir", runs)
    for _ in range(3):  # until the variant has as many attempts as its rivals
        last = evolve("resume", "a", *more).err.splitlines()[-1]
        if "held-out" in last:
            break
    assert re.match(r"\+\d+(\.\d+)? better than the seed \(", last), last
    assert "8 pairs of held-out evaluations, look 1)" in last
    assert last in evolve("tree", "a", "--runs-dir", runs).out
    verified = evolve("verify", "a", "--runs-dir", runs)
    assert verified.code == 0 and "the seed" in verified.out, verified.out
