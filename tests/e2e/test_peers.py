"""Task directories of other engines, unmodified: same score for the honest, no score for the rest."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evolve.tasks import load_task
from tests.cli import evolve
from tests.conftest import ROOT
from tests.judging import Judge
from tests.peers import FOLDER, SEPARATE, TOGETHER, score_in_process

SHARED = "evaluator shared with candidate"
SANDBOXES = [
    pytest.param("docker", marks=[pytest.mark.docker, pytest.mark.slow]),
    "bubblewrap",
]


@pytest.mark.parametrize(
    "name", ["shinka_curve", "openevolve_points", "codeevolve_sum"]
)
def test_the_seed_scores_as_in_its_own_engine(name: str) -> None:
    done = evolve("eval", FOLDER / name, "--sandbox", "bubblewrap", "--json")
    assert done.code == 0, done.err + done.out
    case = done.json()["cases"][0]
    assert case["score"] == score_in_process(FOLDER / name)
    assert SHARED not in case["metrics"]


def test_every_way_to_use_a_program_scores_as_in_its_own_engine(tmp_path: Path) -> None:
    """One process for all of them; the command's exit codes are looked at above, once a format."""
    with Judge("bubblewrap", tmp_path / "log") as judge:
        for name in SEPARATE:
            row = judge(FOLDER / name)
            assert row.score == score_in_process(FOLDER / name), (name, row)
            assert SHARED not in row.metrics


@pytest.mark.parametrize("sandbox", SANDBOXES)
def test_what_can_not_be_separated_is_marked_everywhere(
    sandbox: str, tmp_path: Path
) -> None:
    done = evolve("eval", FOLDER / TOGETHER, "--sandbox", sandbox, "--json")
    assert done.json()["score"] == score_in_process(FOLDER / TOGETHER)
    assert done.json()["cases"][0]["metrics"][SHARED] is True
    assert "executes the candidate's text itself" in done.err
    run = evolve(
        "run",
        FOLDER / TOGETHER,
        "--sandbox",
        sandbox,
        "--runs-dir",
        tmp_path,
        "--name",
        "r",
        "--max-variants",
        "3",
    )
    assert run.code == 0, run.err
    reads = {
        verb: evolve(
            *verb.split(), "r" if "tree" in verb else "seed", "--runs-dir", tmp_path
        )
        for verb in ("tree", "show", "tree --json", "show --json")
    }
    assert SHARED in reads["tree"].out and SHARED in reads["show"].out
    assert all(row["evaluator_shared"] for row in reads["tree --json"].json())
    assert reads["show --json"].json()["evaluator_shared"] is True


@pytest.mark.docker
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("shinka_moves", marks=pytest.mark.slow),
        "openevolve_placement",
        pytest.param("codeevolve_c", marks=pytest.mark.slow),
    ],
)
def test_runs_find_something_better_in_docker(name: str, tmp_path: Path) -> None:
    before = _files(FOLDER / name)
    done = evolve(
        "run",
        FOLDER / name,
        "--runs-dir",
        tmp_path,
        "--name",
        "r",
        "--max-variants",
        "12",
        "--sandbox",
        "docker",
    )
    assert done.code == 0, done.err
    rows = evolve("tree", "r", "--json", "--runs-dir", tmp_path).json()
    scored = [row["score"] for row in rows if row["score"] is not None]
    assert len(rows) >= 12 and len(scored) >= 2 and not rows[0]["evaluator_shared"]
    assert _files(FOLDER / name) == before


def _files(folder: Path) -> dict[Path, bytes]:
    return {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_benchmark_compares_the_scores() -> None:
    names = ("shinka_curve", "openevolve_points", "codeevolve_sum")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.peers_tasks",
            *(str(FOLDER / name) for name in names),
        ],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for name in names:
        assert done.stdout.count(str(score_in_process(FOLDER / name))) >= 2, done.stdout


@pytest.mark.slow
def test_the_benchmark_looks_below_a_folder_and_tries_variants(tmp_path: Path) -> None:
    """A program that draws has two scores that differ, and ranges that overlap."""
    for place, name in (("one", "codeevolve_sum"), ("two/deep", "openevolve_points")):
        shutil.copytree(FOLDER / name, tmp_path / place / name)
    random = tmp_path / "two" / "random"
    shutil.copytree(FOLDER / "shinka_curve", random)
    seed = (random / "initial.py").read_text()
    (random / "initial.py").write_text(
        f"import random\n{seed}".replace("0.5 *", "random.random() *")
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.peers_tasks",
            str(tmp_path / "one"),
            str(tmp_path / "two"),
            "--variants",
            "3",
        ],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {line.split("|")[1].strip(): line for line in done.stdout.splitlines()[2:]}
    assert list(rows) == [
        "one/codeevolve_sum",
        "two/deep/openevolve_points",
        "two/random",
    ]
    assert all("variants)" in row for row in rows.values())
    assert (
        rows["two/random"].count("(5 times)") == 2
        and "5 times" not in rows["one/codeevolve_sum"]
    )


@pytest.mark.slow
def test_what_reaches_for_the_process_pays_there_and_not_here() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.peers_attacks",
            FOLDER / "shinka_curve",
            FOLDER / "openevolve_points",
        ],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    head, _, *rows = (
        [cell.strip() for cell in line.split("|")] for line in done.stdout.splitlines()
    )
    curve, points = (dict(zip(head, row, strict=True)) for row in rows)
    assert curve["forged results"] == f"1e+09 / {curve['seed']}"
    assert points["libraries changed"].endswith(f"e+09 / {points['seed']}")
    # it leaves no file there
    assert points["forged results"] == f"{points['seed']} / {points['seed']}"
    assert curve["nan"] == points["nan"] == "nan / refused"


def test_the_scorer_may_be_another_program(tmp_path: Path) -> None:
    better = tmp_path / "better.py"
    better.write_text("def add(values):\n    return sum(values)\n")
    done = evolve(
        "eval", FOLDER / "codeevolve_sum", better, "--sandbox", "bubblewrap", "--json"
    )
    assert done.json()["score"] == score_in_process(
        FOLDER / "codeevolve_sum", better.read_text()
    )


def test_what_a_configuration_gives() -> None:
    points = load_task(FOLDER / "openevolve_points")
    assert points.spec.description == "Spread seven points in the unit square."
    assert points.spec.limits.time_s == 20.0 and points.spec.run == {"max_variants": 11}
    assert points.spec.environment.packages == ("numpy",)
    told = "\n".join(points.warnings)
    assert "without effect in its own engine, too: prompt.use_meta_prompting" in told
    assert "evaluator.memory_limit_mb" in told
    assert "unknown key 'evaluator.parallel_evaluation'; did you mean" in told
    moves = load_task(FOLDER / "shinka_moves")
    assert moves.spec.limits.time_s == 20.0 and set(moves.seed) == {
        "initial.py",
        "world.py",
    }
    assert moves.spec.description == "Reach every goal in one step."
    total = load_task(FOLDER / "codeevolve_sum")
    assert total.peer is not None and total.peer.fitness_key == "closeness"


@pytest.mark.parametrize(
    ("name", "config", "text", "told"),
    [
        ("openevolve_points", "config.yaml", "a: [", "config.yaml:1"),
        (
            "openevolve_points",
            "config.yaml",
            "evaluator: {timeout: soon}",
            "invalid evaluator.timeout 'soon'",
        ),
        ("openevolve_points", "config.yaml", "evaluator: 3", "evaluator holds a int"),
        (
            "openevolve_points",
            "evaluator.py",
            "def score(path):\n    return {}\n",
            "does not define evaluate",
        ),
        ("openevolve_points", "evaluator.py", "def (", "evaluator.py:1"),
        (
            "codeevolve_sum",
            "configs/config.yaml",
            "INIT_FILE_DATA: {filename: x.py}",
            "x.py",
        ),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, name: str, config: str, text: str, told: str
) -> None:
    task = Path(shutil.copytree(FOLDER / name, tmp_path / "task"))
    (task / config).write_text(text)
    done = evolve("eval", task, "--sandbox", "bubblewrap")
    assert done.code == 2 and told in done.err and "Traceback" not in done.err


@pytest.mark.docker
def test_a_missing_compiler_is_named(tmp_path: Path) -> None:
    task = Path(shutil.copytree(FOLDER / "shinka_command", tmp_path / "task"))
    (task / "initial.py").rename(task / "initial.jl")
    done = evolve("eval", task, "--sandbox", "docker")
    assert done.code == 3 and "julia, which is not installed" in done.err


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (("initial_program.py", "evaluator/evaluate.sh"), "needs its own container"),
        (("instruction.md", "tests/test.sh"), "this is a Harbor task"),
        (("something.py",), "other supported formats: ShinkaEvolve"),
    ],
)
def test_what_is_not_read_is_said(
    tmp_path: Path, files: tuple[str, ...], told: str
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    done = evolve("eval", tmp_path)
    assert done.code == 2 and told in " ".join(done.err.split())


def test_a_seed_that_can_not_run_is_told_though_its_evaluator_goes_on(
    tmp_path: Path,
) -> None:
    """A module that is missing gave a lower score and no word."""
    (tmp_path / "initial_program.py").write_text(
        "import no_such_module_of_ours\ndef f():\n    return 1\n"
    )
    (tmp_path / "evaluator.py").write_text(
        "import importlib\n"
        "def evaluate(path):\n"
        "    import importlib.util as u\n"
        "    spec = u.spec_from_file_location('p', path)\n"
        "    m = u.module_from_spec(spec)\n"
        "    try:\n"
        "        spec.loader.exec_module(m)\n"
        "        return {'combined_score': float(m.f())}\n"
        "    except Exception:\n"
        "        return {'combined_score': 0.25}\n"
    )
    said = (
        "the seed raises ModuleNotFoundError: No module named 'no_such_module_of_ours'"
    )
    for verb in ("eval", "run", "doctor"):
        more = ("--max-variants", "1") if verb == "run" else ()
        done = evolve(verb, tmp_path, *more, cwd=tmp_path.parent)
        assert said in done.err + done.out, (verb, done)
        assert "requirements.txt" in done.err + done.out
