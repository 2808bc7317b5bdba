"""Evaluators of other engines that measure time: as in their own process, without the transport."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest

from evolve.peers.clock_use import clocks_of
from tests.cli import evolve
from tests.conftest import ROOT
from tests.judging import Judge

FOLDER = ROOT / "tests" / "clock_tasks"
NAMES = sorted(path.name for path in FOLDER.iterdir())
# ROUNDS of a program -> its speed as a multiple of the seed's
VARIANTS = {1: 2.0, 4: 0.5}
SANDBOXES = [pytest.param("docker", marks=pytest.mark.docker), "bubblewrap"]
# Wide, for machines with other load; benchmarks/foreign_clocks.py measures it exactly.
LEAST, MOST, MOST_SCORES, MOST_SANDBOXES = 0.75, 1.3, 5, 4


@pytest.mark.alone
@pytest.mark.parametrize("sandbox", SANDBOXES)
def test_speeds_are_those_of_the_evaluators_process(
    sandbox: str, tmp_path: Path
) -> None:
    assert len(NAMES) >= 8
    for name in NAMES:
        text = (FOLDER / name / "initial_program.py").read_text()
        for rounds, gain in {2: 1.0, **VARIANTS}.items():
            program = text.replace("ROUNDS = 2", f"ROUNDS = {rounds}")
            found: list[list[float]] = []
            # an evaluator with its sandbox can be slow as long as it lives
            while len(found) < MOST_SANDBOXES and not (
                found and _fits(found[-1], gain)
            ):
                with Judge(sandbox, tmp_path / "log") as judge:
                    found.append(_scores(judge, FOLDER / name, program, gain))
            assert _fits(found[-1], gain), (name, rounds, found)


def _fits(scores: list[float], gain: float) -> bool:
    return LEAST < median(scores) / gain < MOST


def _scores(judge: Judge, folder: Path, program: str, gain: float) -> list[float]:
    """Scores of a program, more of them while other load on the machine disturbs."""
    scores: list[float] = []
    while len(scores) < MOST_SCORES and not (
        scores and _fits(scores, gain) and len(scores) % 2
    ):
        row = judge(folder, program)
        assert row.score is not None and "shared" not in str(row.metrics), row
        scores.append(row.score)
    return scores


@pytest.mark.parametrize("verb", ["eval", "run", "doctor"])
def test_one_line_names_the_clock(verb: str, tmp_path: Path) -> None:
    more = ("--max-variants", "1") if verb == "run" else ()
    done = evolve(
        verb, FOLDER / "timeit", "--sandbox", "bubblewrap", *more, cwd=tmp_path
    )
    said = " ".join((done.err + done.out).split())
    assert said.count("evaluator.py:30 reads timeit.repeat: clocks stop") == 1, said


def test_what_reads_a_clock_is_found(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text(
        "import resource as r\ndef f():\n    return r.getrusage(0)\n"
    )
    evaluator = tmp_path / "evaluator.py"
    evaluator.write_text(
        "import time as t, helper\nfrom time import perf_counter as pc\n"
        "from datetime import datetime\nimport timeit\n"
        "a = pc()\nb = t.process_time_ns()\nc = datetime.now()\nd = timeit.timeit\n"
        "t.sleep(1)\ntime = t.strftime('%Y')\n"
    )
    use = clocks_of(tmp_path, evaluator)
    assert [(found.file, found.line, found.clock) for found in use.readings] == [
        ("evaluator.py", 5, "time.perf_counter"),
        ("evaluator.py", 6, "time.process_time_ns"),
        ("evaluator.py", 7, "datetime.datetime.now"),
        ("evaluator.py", 8, "timeit.timeit"),
        ("helper.py", 3, "resource.getrusage"),
    ]
    assert "helper.py:3 reads resource.getrusage" in str(use.explained())
    evaluator.write_text("import math\ntime = math.pi\n")
    assert clocks_of(tmp_path, evaluator).explained() is None


MARK = "timed through transport"
UNCORRECTED = """
import importlib.util, resource

def evaluate(path):
    spec = importlib.util.spec_from_file_location("program", path)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    begun = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    for _ in range(20):
        program.answer()
    return {"combined_score": resource.getrusage(resource.RUSAGE_SELF).ru_utime - begun}
"""


def test_a_clock_that_is_not_corrected_marks_all_scores(tmp_path: Path) -> None:
    task = tmp_path / "task"
    task.mkdir()
    (task / "evaluator.py").write_text(UNCORRECTED)
    (task / "initial_program.py").write_text("def answer():\n    return 1\n")
    where = ("--runs-dir", tmp_path)
    done = evolve(
        *("run", task, "--sandbox", "bubblewrap", "--name", "r"),
        *("--max-variants", "2", *where),
    )
    assert done.code == 0, done.err
    assert "reads resource.getrusage, which includes the transport" in " ".join(
        done.err.split()
    )
    for verb in (("tree", "r"), ("show", "seed")):
        shown = evolve(*verb, *where)
        assert f"{MARK}, x " in shown.out, shown
    rows = evolve("tree", "r", "--json", *where).json()
    assert all(row["through_transport"].startswith(f"{MARK}, x ") for row in rows)
    seed = evolve("show", "seed", "--json", *where).json()
    assert seed["evaluations"][0]["metrics"][MARK] > 1.25


def test_time_limits_use_the_real_clocks(tmp_path: Path) -> None:
    """An evaluator's own limit in another thread does not wait for a clock that stands."""
    (tmp_path / "initial_program.py").write_text(
        "import time\ndef slow():\n    time.sleep(3)\n    return 1\n"
    )
    (tmp_path / "evaluator.py").write_text(
        "import importlib.util, time\n"
        "from concurrent.futures import ThreadPoolExecutor, TimeoutError\n"
        "def evaluate(path):\n"
        "    spec = importlib.util.spec_from_file_location('program', path)\n"
        "    program = importlib.util.module_from_spec(spec)\n"
        "    spec.loader.exec_module(program)\n"
        "    start = time.time()\n"
        "    try:\n"
        "        ThreadPoolExecutor(1).submit(program.slow).result(timeout=0.5)\n"
        "    except TimeoutError:\n"
        "        return {'combined_score': 7.0}\n"
        "    return {'combined_score': time.time() - start}\n"
    )
    with Judge("bubblewrap", tmp_path / "log") as judge:
        assert judge(tmp_path).score == 7.0
