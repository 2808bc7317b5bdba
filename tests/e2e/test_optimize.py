"""From a function of somebody's repository to a task that judges variants of it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from evolve.archive import Evaluation
from evolve.tasks import load_task
from tests.cli import evolve
from tests.judging import Judge
from tests.repositories import LEDGER, WAVES, write_repository
from tests.repository_variants import HONEST, WRONG

pytestmark = pytest.mark.slow
SCORER = (
    "\n\ndef evaluate(candidate, case):\n    accept(candidate, case)\n    return 1.0\n"
)
FILE = "ledger/entries.py"


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_repository(tmp_path_factory.mktemp("ledger"), LEDGER)


def optimized(repository: Path, target: str, output: Path, *more: str) -> str:
    done = evolve(
        "optimize",
        target,
        "-o",
        output,
        "--sandbox",
        "bubblewrap",
        *more,
        cwd=repository,
    )
    assert done.code == 0, done.err
    return done.out


def without_times(task: Path) -> Path:
    """The same judgement without the timing that follows it."""
    text = (task / "task.toml").read_text()
    before, _, rest = text.partition("[timing]")
    (task / "task.toml").write_text(before + rest[rest.index("[limits]") :])
    with (task / "evaluate.py").open("a") as file:
        file.write(SCORER)
    return task


@pytest.fixture(scope="module")
def tasks(ledger: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("tasks")
    for name in ("summarize", "normalize"):
        optimized(ledger, f"src/ledger/entries.py:{name}", place / name)
        without_times(place / name)
    return {name: place / name for name in ("summarize", "normalize")}


def judged(judge: Judge, tasks: dict[str, Path], variant: str) -> Evaluation:
    """The verdict on a function, put where the original is."""
    name = "summarize" if "def summarize" in variant else "normalize"
    seed = load_task(tasks[name]).seed[FILE].decode()
    start = seed.index(f"def {name}")
    end = min(
        at for mark in ("\n\n\n", "\n# EVOLVE") if (at := seed.find(mark, start)) > 0
    )
    files = {FILE: (seed[:start] + variant.strip() + seed[end:]).encode()}
    return judge.files(tasks[name], files)


def test_wrong_variants_are_refused(tasks: dict[str, Path], tmp_path: Path) -> None:
    with Judge("bubblewrap", tmp_path / "log") as judge:
        rows = {name: judged(judge, tasks, text) for name, text in WRONG.items()}
    assert len(rows) == 20
    assert [name for name, row in rows.items() if row.reason != "invalid"] == []


def test_honest_variants_are_accepted(tasks: dict[str, Path], tmp_path: Path) -> None:
    with Judge("bubblewrap", tmp_path / "log") as judge:
        rows = {name: judged(judge, tasks, text) for name, text in HONEST.items()}
    refused = {name: row.message for name, row in rows.items() if row.score != 1.0}
    assert len(rows) == 20 and len(refused) <= 1, refused


def test_what_was_found_is_said_and_nothing_is_changed(
    ledger: Path, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in ledger.rglob("*") if path.is_file()}
    said = optimized(ledger, "ledger.entries:Book.balance", tmp_path / "task")
    assert "may change: ledger/entries.py:Book.balance" in said
    assert "left out: .env (may be secret), deploy.pem (may be secret)" in said
    assert "not demanded: 1, such as tests/test_entries.py::test_that_fails" in said
    after = {path: path.read_bytes() for path in ledger.rglob("*") if path.is_file()}
    assert after == before
    written = [path.name for path in (tmp_path / "task").rglob("*")]
    assert ".env" not in written and "deploy.pem" not in written
    seed = (tmp_path / "task" / "initial" / FILE).read_text()
    assert "EVOLVE-BLOCK" not in seed and seed == LEDGER["src/ledger/entries.py"]


@pytest.mark.parametrize("sandbox", ["bubblewrap", "docker"])
def test_a_compiled_dependency_and_a_benchmark(sandbox: str, tmp_path: Path) -> None:
    repository = write_repository(tmp_path / "waves", WAVES, git=False)
    task = tmp_path / "task"
    said = optimized(
        repository, "waves.py:histogram", task, "--bench", "python bench.py"
    )
    assert "calls of the benchmark, with small changes" in said
    packages = tomllib.loads((task / "task.toml").read_text())["environment"][
        "packages"
    ]
    assert packages[0] == "numpy>=1.26"
    done = evolve("eval", task, "--sandbox", sandbox)
    assert done.code == 0 and "score 1.0" in done.out, done.out + done.err
    faster = WAVES["waves.py"].replace(
        WAVES["waves.py"][WAVES["waves.py"].index("    counts =") :],
        "    inside = values[(0 <= values) & (values < bins)]\n"
        "    return np.bincount(inside, minlength=bins)\n",
    )
    changed = tmp_path / "faster.py"
    changed.write_text(faster)
    with Judge(sandbox, tmp_path / "log") as judge:
        row = judge.files(task, {"waves.py": changed.read_bytes()})
    assert row.score is not None and row.score > 3, row


def test_a_benchmark_lists_slow_functions_and_the_first_is_taken(
    tmp_path: Path,
) -> None:
    bench = """from ledger import Entry, normalize, summarize

entries = [Entry(str(n % 50), 1.0 * n, "USD") for n in range(1000)]
for _ in range(3):
    summarize(entries)
normalize(entries, {"USD": 2})
"""
    repository = write_repository(tmp_path / "ledger", {**LEDGER, "bench.py": bench})
    arguments = (".", "--bench", "python bench.py", "--sandbox", "bubblewrap")
    listed = evolve("optimize", *arguments, cwd=repository)
    assert listed.code == 0, listed.err
    first = listed.out.splitlines()[1].split()
    assert first[1:3] == ["ledger.entries:summarize", "3"]
    assert int(first[3]) > 20 and int(first[4]) == 12  # recorded calls, and tests
    assert "next: evolve optimize ledger.entries:summarize --bench" in listed.out
    taken = evolve(
        "optimize", *arguments, "--yes", "-o", tmp_path / "t", cwd=repository
    )
    assert taken.code == 0, taken.err
    assert "timed: 1 calls of the benchmark" in taken.out
    assert (
        'editable = ["ledger/entries.py:summarize"]'
        in (tmp_path / "t" / "task.toml").read_text()
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["src/ledger/entries.py:sumarize"], "has no function 'sumarize'"),
        (["src/ledger/nothing.py:summarize"], "there is no Python file"),
        (["ledger.entries:Entry"], "has no function that can be called alone"),
        (["ledger.entries:summarize", "--test", "make test"], "invalid test command"),
        (["ledger.entries:summarize", "--bench", "bench.py"], "invalid benchmark"),
        (["ledger.entries:summarize", "--model", "x"], "unknown option '--model'"),
        (
            [
                "ledger.entries:normalize",
                "--test",
                "pytest tests/test_entries.py::test_limits",
            ],
            "no call of ledger.entries.normalize could be recorded: the tests ran, and did",
        ),
        (
            ["ledger.entries:summarize", "--test", "", "--bench-call", "summarize(1)"],
            "the benchmark fails in the sandbox",
        ),
    ],
)
def test_what_can_not_be_optimized_is_explained(
    ledger: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = evolve(
        "optimize",
        *arguments,
        "-o",
        tmp_path / "x",
        "--sandbox",
        "bubblewrap",
        cwd=ledger,
    )
    assert done.code == 2 and message in done.err.replace("\n", " "), done.err
    assert not (tmp_path / "x").exists()
