"""Models where litellm is not installed, and a model that is asked through it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli import Result, ScriptedServer, evolve, evolve_process

Start = Callable[..., ScriptedServer]
KEY = "sk-planted-0123456789abcdef"
PIP = "[llm]'"


@pytest.fixture
def without(tmp_path: Path) -> dict[str, str]:
    """An environment in which litellm and what it brings can't be imported."""
    (tmp_path / "hide").mkdir()
    (tmp_path / "hide" / "sitecustomize.py").write_text(
        "import sys\nfor name in ('litellm', 'openai', 'tiktoken'):\n    sys.modules[name] = None\n"
    )
    return {
        "PYTHONPATH": str(tmp_path / "hide"),
        "EVOLVE_SANDBOX": "local",
        "OPENAI_API_KEY": KEY,
    }


def run(
    cwd: Path,
    task: Path,
    model: str,
    env: dict[str, str],
    *more: str,
    call: Callable[..., Result] = evolve_process,
) -> Result:
    return call(
        "run",
        task,
        "--model",
        model,
        "--name",
        "r",
        "--max-variants",
        "4",
        "--json",
        *more,
        cwd=cwd,
        env=env,
    )


def test_openais_models_need_no_litellm(
    tmp_path: Path, tasks: Path, scripted: Start, without: dict[str, str]
) -> None:
    server = scripted("--key", KEY)
    done = run(
        tmp_path,
        tasks / "cap_set",
        server.openai,
        without,
        "--price",
        "openai/scripted=1/2",
        "--embedding",
        server.openai,
    )
    assert done.code == 0, done.err
    last = done.events()[-1]
    assert last["variants"] == 4 and last["spend_usd"] > 0
    assert server.stats()["calls"] > 4


@pytest.mark.parametrize(
    "model",
    [
        "ollama/scripted",
        pytest.param("lm_studio/scripted", marks=pytest.mark.slow),
        pytest.param("llamafile/scripted", marks=pytest.mark.slow),
    ],
)
def test_ones_own_servers_need_no_litellm(
    tmp_path: Path, tasks: Path, scripted: Start, model: str, without: dict[str, str]
) -> None:
    """Slow: the other servers, whose addresses the quick tests compare with litellm's."""
    address = scripted().model.partition("@")[2]
    variable = {"ollama": "OLLAMA", "lm_studio": "LM_STUDIO", "llamafile": "LLAMAFILE"}[
        model[:-9]
    ]
    done = run(
        tmp_path, tasks / "cap_set", model, without | {f"{variable}_API_BASE": address}
    )
    assert done.code == 0 and done.events()[-1]["variants"] == 4, done.err


def test_a_price_that_only_litellm_lists_has_two_ways(
    tmp_path: Path, tasks: Path, without: dict[str, str]
) -> None:
    done = run(tmp_path, tasks / "cap_set", "openai/gpt-4o-mini", without)
    assert done.code == 2 and done.err.count("error:") == 1, done.err
    assert "--price openai/gpt-4o-mini=PROMPT/REPLY" in done.err and PIP in done.err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("model", "guess"),
    [("anthropic/claude-x", None), ("openia/gpt-4o-mini", "did you mean 'openai'?")],
)
def test_other_providers_need_litellm(
    tmp_path: Path, tasks: Path, model: str, guess: str | None, without: dict[str, str]
) -> None:
    done = run(tmp_path, tasks / "cap_set", model, without, "--price", f"{model}=1/2")
    assert (
        done.code == 2 and f"{model} needs litellm, which is not installed" in done.err
    ), done.err
    assert PIP in done.err and "openrouter" in done.err and "Traceback" not in done.err
    assert (guess or "use one of") in done.err and ("did you mean" in done.err) is (
        guess is not None
    )


def test_the_doctor_names_the_command_that_installs_litellm(
    tmp_path: Path, without: dict[str, str]
) -> None:
    done = evolve_process(
        "doctor",
        "--sandbox",
        "local",
        "--model",
        "anthropic/claude-x",
        cwd=tmp_path,
        env=without,
    )
    assert done.code == 3 and "litellm, which is not installed" in done.out, done.out
    assert PIP in done.out


@pytest.mark.slow
def test_a_model_through_litellm(tmp_path: Path, tasks: Path, scripted: Start) -> None:
    server = scripted("--key", KEY)
    model = server.model.replace("hosted_vllm/", "litellm_proxy/")
    env = {"LITELLM_PROXY_API_KEY": KEY, "EVOLVE_SANDBOX": "local"}
    price = ("--price", "litellm_proxy/scripted=1/2")
    done = run(tmp_path, tasks / "cap_set", model, env, *price, call=evolve)
    assert done.code == 0, done.err
    assert done.events()[-1]["variants"] == 4 and done.events()[-1]["spend_usd"] > 0
    wrong = evolve(
        "resume",
        "r",
        "--max-variants",
        "5",
        cwd=tmp_path,
        env=env | {"LITELLM_PROXY_API_KEY": "sk-wrong-key"},
    )
    assert wrong.code == 2 and wrong.err.count("error:") == 1, wrong.err
    assert "check the key" in wrong.err
