"""Programs that are longer than `prompt_tokens`, through the real command line."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli import EVOLVE, ScriptedServer, evolve
from tests.crash.test_kill import kill_at_random
from tests.e2e.test_repeatable import asked, tree

Start = Callable[..., ScriptedServer]
SCORER = """def evaluate(candidate, case):
    return {"score": float(candidate.call("solve", 3)), "feedback": "higher is better"}
"""
LONG = "\n\n".join(f"def f{k}(x):\n    return x + {k}" for k in range(900))
MARKED = f"""{LONG}


# EVOLVE-BLOCK-START
def solve(x):
    best = 1.5
    return f7(x) * best
# EVOLVE-BLOCK-END
"""


def written(folder: Path, files: dict[str, str], run: str = "") -> Path:
    (folder / "initial").mkdir(parents=True)
    (folder / "task.toml").write_text(
        f'name = "long"\ndescription = "Make solve(3) large."\nentry = "main.py"\n{run}'
    )
    (folder / "evaluate.py").write_text(SCORER)
    for path, text in files.items():
        (folder / "initial" / path).write_text(text)
    return folder


def modules() -> dict[str, str]:
    """A program of several modules, of which a prompt holds few."""
    parts = {
        f"part{k}.py": f"def part(x):\n    y = {k}.5\n    return x + y\n"
        + f"# {'-' * 70}\n" * 40
        for k in range(12)
    }
    calls = "\n".join(f"import part{k}" for k in range(12))
    total = " + ".join(f"part{k}.part(x)" for k in range(12))
    return {**parts, "main.py": f"{calls}\n\n\ndef solve(x):\n    return {total}\n"}


@pytest.mark.slow
def test_a_run_asks_the_same_when_it_is_killed_and_replayed(
    tmp_path: Path, scripted: Start
) -> None:
    """Which of the modules a prompt shows is drawn for each proposal."""
    server = scripted("--latency", 0.1, "--spread", 1)
    task = written(tmp_path / "task", modules(), "[run]\nprompt_tokens = 4000\n")
    words = [
        *("--model", server.model, "--sandbox", "local", "--seed", "5", "--json"),
        *("--max-variants", "9", "--window", "4", "--runs-dir", str(tmp_path)),
    ]
    done = evolve("run", task, "--name", "whole", *words)
    assert done.code == 0, done.err
    first = [EVOLVE, "run", str(task), "--name", "r", *words]
    kill_at_random(first, random.Random(2))
    assert (tmp_path / "r").exists()
    done = evolve("resume", "r", "--runs-dir", tmp_path)
    assert done.code in (0, 2), done.err  # 2: it was at its end already
    assert asked(tmp_path, "r") == asked(tmp_path, "whole")
    assert tree(tmp_path, "r") == tree(tmp_path, "whole")
    replayed = evolve("replay", "whole", "--runs-dir", tmp_path)
    assert replayed.code == 0 and "0 differences" in replayed.err, replayed.err


def test_a_limit_that_holds_nothing_is_an_error_before_the_run(
    tmp_path: Path, scripted: Start
) -> None:
    unmarked = MARKED.replace("# EVOLVE-BLOCK", "# BLOCK")
    task = written(
        tmp_path / "task", {"main.py": unmarked}, "[run]\nprompt_tokens = 1500\n"
    )
    model = scripted().model
    sandbox = ("--sandbox", "local")
    for words in (
        ("run", task, "--model", model, *sandbox),
        ("run", task, "--model", model, "--max-calls", 3, "--dry-run", *sandbox),
        ("doctor", task, "--model", model, *sandbox),
    ):
        done = evolve(*words, cwd=tmp_path)
        said = " ".join((done.out + done.err).split())
        assert done.code in (2, 3), said
        assert "main.py needs a prompt of about" in said
        assert "prompt_tokens = 1500" in said and "raise prompt_tokens" in said
        assert not (tmp_path / "runs").exists()
    without = evolve("doctor", task, *sandbox, cwd=tmp_path)
    assert "warn main.py" in without.out or "warn what may change" in without.out


def test_a_dry_run_shows_the_part_that_may_change(
    tmp_path: Path, scripted: Start
) -> None:
    task = written(tmp_path / "task", {"main.py": MARKED})
    done = evolve(
        *("run", task, "--model", scripted().model, "--max-calls", 3, "--dry-run"),
        *("--sandbox", "local"),
        cwd=tmp_path,
    )
    assert done.code == 0, done.err
    assert "def f7(x):\n    return x + 7\n" in done.out and "def f8(" not in done.out
    assert "    return f7(x) * best\n# EVOLVE-BLOCK-END" in done.out
    tokens = int(done.err.rpartition(" tokens; a call")[0].split()[-1].replace(",", ""))
    assert tokens < 1500


def test_a_dry_run_tells_which_files_are_shown(tmp_path: Path, scripted: Start) -> None:
    task = written(tmp_path / "task", modules(), "[run]\nprompt_tokens = 4000\n")
    done = evolve(
        *("run", task, "--model", scripted().model, "--max-calls", 3, "--dry-run"),
        *("--sandbox", "local"),
        cwd=tmp_path,
    )
    said = " ".join(done.err.split())
    assert (
        done.code == 0 and "held to 4,000 tokens (prompt_tokens): of 13 files" in said
    )
    assert "by names and signatures" in said and ".py: part(x)" in done.out
