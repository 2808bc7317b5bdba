"""What a person types first: names without a provider, a run before an id, settings by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.errors import ConfigError
from evolve.models.names import parse_model
from evolve.scripted.server import Script
from tests.cli import evolve
from tests.server import serving

LOCAL = ("--sandbox", "local", "--max-variants", 4)


@pytest.mark.parametrize(
    ("typed", "model"),
    [
        ("gpt-4o-mini", "openai/gpt-4o-mini"),
        ("o3-mini", "openai/o3-mini"),
        ("claude-sonnet-4", "anthropic/claude-sonnet-4"),
        ("gemini-2.5-pro", "gemini/gemini-2.5-pro"),
        ("deepseek-chat", "deepseek/deepseek-chat"),
        ("openai/gpt-4o", "openai/gpt-4o"),
    ],
)
def test_a_well_known_model_needs_no_provider(typed: str, model: str) -> None:
    assert parse_model(typed).model == model


def test_an_unknown_one_does() -> None:
    for typed in ("llama-3", "gpt-4o@http://127.0.0.1:1/v1"):
        with pytest.raises(ConfigError, match="invalid model"):
            parse_model(typed)


def test_show_takes_a_run_before_the_id(steps_task: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        done = evolve("run", steps_task, *LOCAL, "--name", name, cwd=tmp_path)
        assert done.code == 0 and "random seed 0" in done.err
        assert "gain +" in done.err and "--model NAME" in done.err
    best = evolve("best", "one", "--json", cwd=tmp_path).json()["id"]
    shown = evolve("show", "one", best, cwd=tmp_path)
    assert shown.code == 0 and best in shown.out
    assert evolve("show", best, "--run", "one", cwd=tmp_path).out == shown.out
    wrong = evolve("show", "one", best, "more", cwd=tmp_path)
    assert wrong.code == 2 and "evolve show RUN ID" in wrong.err


def test_any_setting_is_set_by_name(steps_task: Path, tmp_path: Path) -> None:
    run = ("run", steps_task, *LOCAL, "--name", "r", "-q")
    done = evolve(*run, "--set", "policy=best_of_n", "--set", "seed=7", cwd=tmp_path)
    assert done.code == 0 and "random seed 7" in done.err
    assert "syntactic" not in done.err, "quiet: no line per candidate"
    assert "stopped:" in done.err
    text = (tmp_path / "runs/r/run.toml").read_text()
    assert 'policy = "best_of_n"' in text and "seed = 7" in text
    for wrong, said in (("nonsense=1", "nonsense"), ("seed", "NAME=VALUE")):
        refused = evolve("run", steps_task, "--set", wrong, cwd=tmp_path)
        assert refused.code == 2 and said in refused.err, refused.err


def test_a_text_without_numbers_needs_a_model(tmp_path: Path) -> None:
    task = tmp_path / "task"
    (task / "initial").mkdir(parents=True)
    (task / "initial/prompt.txt").write_text("Answer politely.\n")
    (task / "evaluate.py").write_text(
        "def evaluate(candidate, case):\n    return 1.0\n"
    )
    (task / "task.toml").write_text(
        'name = "words"\ndescription = "A prompt."\nentry = "prompt.txt"\n'
    )
    done = evolve("run", task, *LOCAL, cwd=tmp_path)
    assert done.code == 2 and "can change prompt.txt" in done.err
    assert "--model NAME" in done.err and not (tmp_path / "runs").exists()
    with serving(Script()) as server:
        done = evolve("run", task, *LOCAL, "--model", server.model, cwd=tmp_path)
    assert done.code == 0 and "HTTP 500" not in done.err, done.err
    assert " scored " in done.err, "the scripted model changes words, too"


@pytest.mark.slow
def test_check_shows_what_matters(steps_task: Path) -> None:
    short = evolve("check", steps_task, "--sandbox", "bubblewrap")
    whole = evolve("check", steps_task, "--sandbox", "bubblewrap", "-v")
    assert short.code == whole.code
    assert len(short.out.splitlines()) < 15 < len(whole.out.splitlines())
    assert "evolve check -v" in short.out


def test_a_shipped_task_is_found_by_its_name(tmp_path: Path) -> None:
    done = evolve("run", "circle_packing", *LOCAL, "--name", "r", cwd=tmp_path)
    assert done.code == 0 and "on circle_packing" in done.err, done.err
    missing = evolve("run", "circle", cwd=tmp_path)
    assert missing.code == 2 and "circle_packing" in missing.err


@pytest.mark.parametrize(
    "place",
    [
        "bubblewrap",
        pytest.param("docker", marks=[pytest.mark.docker, pytest.mark.slow]),
    ],
)
def test_a_command_that_is_not_there_says_how_to_add_it(
    tmp_path: Path, place: str
) -> None:
    task = tmp_path / "task"
    (task / "initial").mkdir(parents=True)
    (task / "initial/program.py").write_text("X = 1\n")
    (task / "evaluate.py").write_text(
        "def evaluate(candidate, case):\n    candidate.run(['ls'])\n    return 1.0\n"
    )
    toml = 'name = "c"\ndescription = "d"\nentry = "program.py"\n'
    (task / "task.toml").write_text(toml)
    done = evolve("eval", task, "--sandbox", place)
    assert done.code == 1 and 'tools = ["ls"]' in done.out, done.out
    (task / "task.toml").write_text(f'{toml}[environment]\ntools = ["ls"]\n')
    done = evolve("eval", task, "--sandbox", place)
    assert done.code == 0, done.out + done.err
