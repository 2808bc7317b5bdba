"""A task may not choose what protects the user; a flag of the user, or `trust`, may."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.config import resolve
from evolve.errors import ConfigError, TrustError
from tests.cli import evolve
from tests.security.strangers import leaves, write_task

LOCAL = '[run]\nsandbox = "local"'
CHOICES = {
    "sandbox": ('"local"', "--sandbox local"),
    "policy": ('"evil.module:Policy"', "--policy evil.module:Policy"),
    "operators": ('{"evil.module:Operator" = 1.0}', "--operator evil.module:Operator"),
    "runs_dir": ('"/etc"', "--runs-dir"),
    "model": ('["openai/gpt-4o@http://127.0.0.1:9/v1"]', "--model"),
    "novelty_judge": ('"openai/gpt-4o@http://127.0.0.1:9/v1"', "EVOLVE_NOVELTY_JUDGE"),
    "embedding": ('"transformer:/tmp/evil"', "--embedding"),
    "vllm_command": ('"touch /tmp/PWNED"', "EVOLVE_VLLM_COMMAND"),
    "vllm_options": ('"--load-format evil"', "EVOLVE_VLLM_OPTIONS"),
    "price": ('{"openai/gpt-4o" = [0.0, 0.0]}', "--price"),
    "price_per_second": ('{"openai/gpt-4o" = 0.0}', "EVOLVE_PRICE_PER_SECOND"),
}


@pytest.fixture
def no_sandbox_named(own_sandbox: None) -> None:
    """The task's own choice would take effect."""


@pytest.mark.usefixtures("no_sandbox_named")
@pytest.mark.parametrize(
    "verb", [("run", "--max-variants", "1"), ("eval",), ("check",), ("doctor",)]
)
def test_no_verb_runs_a_stranger_s_program_as_the_user(
    tmp_path: Path, verb: tuple[str, ...]
) -> None:
    mark = tmp_path / "PWNED"
    task = write_task(tmp_path / "task", LOCAL, leaves(mark))
    done = evolve(verb[0], task, *verb[1:], cwd=tmp_path)
    assert done.code != 0 and "--sandbox local" in done.out + done.err
    assert f"evolve trust {task}" in done.out + done.err
    assert not mark.exists()


@pytest.mark.usefixtures("no_sandbox_named")
def test_what_is_accepted_counts_until_it_changes(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    task = write_task(tmp_path / "task", LOCAL, leaves(mark))
    refused = evolve("eval", task)
    assert refused.code == 3 and not mark.exists()
    accepted = evolve("trust", task)
    assert accepted.code == 0 and "sandbox = 'local'" in accepted.err
    assert evolve("eval", task).code == 0 and mark.exists()
    (task / "evaluate.py").write_text((task / "evaluate.py").read_text() + "# more\n")
    assert evolve("eval", task).code == 3
    named = evolve("eval", task, "--sandbox", "local")
    assert named.code == 0, named.err


@pytest.mark.usefixtures("no_sandbox_named")
@pytest.mark.parametrize("key", CHOICES)
def test_each_choice_names_the_flag_of_the_user(tmp_path: Path, key: str) -> None:
    import tomllib

    value, flag = CHOICES[key]
    task = write_task(tmp_path / "task")
    run = tomllib.loads(f"{key} = {value}")
    with pytest.raises(TrustError) as refused:
        resolve({}, run, task / "task.toml")
    assert flag in refused.value.message and "evolve trust" in refused.value.hint
    assert resolve({key: run[key]}, run, task / "task.toml").origins[key] == "flag"


def test_a_task_lowers_limits_and_never_raises_those_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "evolve").mkdir()
    (tmp_path / "evolve/config.toml").write_text("budget_usd = 1.0\nmax_calls = 50\n")
    found = resolve({}, {"budget_usd": 100.0, "max_calls": 10}, tmp_path / "task.toml")
    assert (found.settings.budget_usd, found.settings.max_calls) == (1.0, 10)


@pytest.mark.parametrize(
    "line",
    [
        "OPENAI_BASE_URL=http://127.0.0.1:9/v1",
        "EVOLVE_SANDBOX=local",
        "LD_PRELOAD=x.so",
    ],
)
def test_the_dotenv_of_a_task_directory_sets_keys_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    task = write_task(tmp_path / "task")
    monkeypatch.chdir(task)
    (task / ".env").write_text("OPENAI_API_KEY=mine\nEVOLVE_MAX_VARIANTS=7\n")
    assert resolve({}, {}, task / "task.toml").settings.max_variants == 7
    (task / ".env").write_text(f"{line}\n")
    with pytest.raises(ConfigError, match="may not set"):
        resolve({}, {}, task / "task.toml")


@pytest.mark.parametrize(
    "line",
    [
        "EVOLVE_SANDBOX=local",
        "EVOLVE_SANDBOX=evil.module:Sandbox",
        "EVOLVE_POLICY=evil.module:Policy",
        'EVOLVE_OPERATORS={"evil.module:Operator" = 1.0}',
        "EVOLVE_VLLM_COMMAND=touch /tmp/PWNED",
        "EVOLVE_EMBEDDING=transformer:/tmp/evil",
        "EVOLVE_PRICE={}",
        "PATH=/tmp/evil",
        "LD_PRELOAD=/tmp/evil.so",
        "PYTHONPATH=/tmp/evil",
        "XDG_DATA_HOME=/tmp/evil",
        "DOCKER_HOST=tcp://evil.example",
        "OPENAI_BASE_URL=http://evil.example/v1",
        "OPENAI_API_BASE=http://evil.example/v1",
        "EVOLVE_MODEL=openai/gpt-4o@http://evil.example/v1",
    ],
)
def test_a_dotenv_of_a_folder_from_elsewhere_runs_nothing_and_gets_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-victim")
    (tmp_path / ".env").write_text(f"{line}\n")
    with pytest.raises(ConfigError, match="may not set"):
        resolve({}, {}, tmp_path / "task.toml")


@pytest.mark.parametrize(
    "text",
    [
        "OPENAI_API_KEY=mine\nOPENAI_BASE_URL=http://proxy.example/v1\n",
        "EVOLVE_MODEL=openai/gpt-4o\n",
        "EVOLVE_MODEL=hosted_vllm/x@http://127.0.0.1:8000/v1\n",
        "OLLAMA_API_BASE=http://127.0.0.1:11434\nEVOLVE_SANDBOX=docker\n",
        "HTTPS_PROXY=http://proxy:3128\nEVOLVE_WORKERS=4\n",
    ],
)
def test_a_dotenv_of_one_s_own_is_not_felt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "from the environment")
    (tmp_path / ".env").write_text(text)
    resolve({}, {}, tmp_path / "task.toml")


@pytest.mark.parametrize(
    "limit",
    [
        "memory_mb = 99999999999999",
        "cpus = 64",
        "processes = 5000000",
        "disk_mb = 99999999999999",
    ],
)
@pytest.mark.parametrize(
    "sandbox", [pytest.param("docker", marks=pytest.mark.docker), "bubblewrap"]
)
def test_limits_beyond_the_machine_are_lowered(
    tmp_path: Path, limit: str, sandbox: str
) -> None:
    """So no task can take the machine down, and one for a larger machine works."""
    task = write_task(tmp_path / "task", f"[limits]\n{limit}")
    done = evolve("eval", task, "--sandbox", sandbox)
    name = limit.partition(" ")[0]
    assert done.code == 0 and f"limits.{name} =" in done.err, done
    assert "is lowered to" in done.err
