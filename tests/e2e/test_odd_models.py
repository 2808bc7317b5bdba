"""Models as they really answer, through the command line."""

from __future__ import annotations

import shlex
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from evolve.archive import ArchiveReader, Call, CallState
from tests.cli import Result, ScriptedServer, evolve
from tests.conformance.quirks import CONTEXT, TEXT, Odd, odd_server

Start = Callable[..., ScriptedServer]
NO_PROXY = dict.fromkeys(("NO_PROXY", "no_proxy"), "")


@pytest.fixture(scope="module")
def odd() -> Iterator[Odd]:
    with odd_server() as server:
        yield server


def run(
    cwd: Path, task: Path, *more: str | int, env: dict[str, str] | None = None
) -> Result:
    return evolve("run", task, "--name", "r", *map(str, more), cwd=cwd, env=env)


def calls_of(cwd: Path) -> list[Call]:
    reader = ArchiveReader.open(cwd / "runs" / "r" / "archive.db")
    found = reader.calls()
    reader.close()
    return found


def nowhere() -> str:
    """An address of this machine where no server listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"127.0.0.1:{listening.getsockname()[1]}"


def test_a_page_ends_the_run_with_its_text_and_its_address(
    tmp_path: Path, steps_task: Path, odd: Odd
) -> None:
    model = odd.at("hosted_vllm/page-e2e")
    done = run(tmp_path, steps_task, "--model", model, "--max-calls", 20)
    assert done.code == 2 and done.err.count("error:") == 1, done.err
    assert "<title>Sign in</title>" in done.err and model.partition("@")[2] in done.err
    assert len(odd.asked["page-e2e"]) == len(calls_of(tmp_path)) == 1


def test_a_model_that_only_reasons_is_told_once_and_ends_the_run_resumable(
    tmp_path: Path, steps_task: Path, odd: Odd
) -> None:
    model = odd.at("hosted_vllm/only_reasoning-e2e")
    done = run(tmp_path, steps_task, "--model", model, "--max-calls", 20)
    assert done.code == 2 and done.err.count("raise reply_tokens (now 4096)") == 2
    assert "the model used 4,096 tokens on reasoning" in done.err
    assert len(odd.asked["only_reasoning-e2e"]) == 3
    replied = [c.state for c in calls_of(tmp_path)]
    assert replied == [CallState.REPLIED] * 3, "nothing that was answered is lost"
    plain = odd.at("hosted_vllm/plain-after")
    more = evolve(
        "resume", "r", "--model", plain, "--max-variants", 1, "--json", cwd=tmp_path
    )
    assert more.code in (0, 1) and odd.asked["plain-after"], more.err


@pytest.mark.parametrize("server", ["hosted_vllm", "openai", "litellm_proxy"])
def test_a_server_that_does_not_run_is_one_line_and_the_command_that_starts_it(
    tmp_path: Path, steps_task: Path, server: str
) -> None:
    place, began = nowhere(), time.monotonic()
    given = ("--model", f"{server}/x@http://{place}/v1", "--price", f"{server}/x=1/1")
    keys = {"OPENAI_API_KEY": "sk-0", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    done = run(tmp_path, steps_task, *given, env=keys)
    again = run(tmp_path, steps_task, *given, "--dry-run", env=keys)
    for result in (done, again):
        assert result.code == 2 and result.err.count("error:") == 1, result.err
        assert f"no server answers at http://{place}/v1" in result.err
        assert "Traceback" not in result.err and len(result.err.splitlines()) < 4
    assert time.monotonic() - began < 20  # litellm's import is most of it
    assert (f"vllm serve x --port {place.partition(':')[2]}" in done.err) == (
        server == "hosted_vllm"
    )
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("model", "variable", "command"),
    [
        ("ollama:qwen3:8b", "OLLAMA_API_BASE", "ollama serve"),
        ("lmstudio:x", "LM_STUDIO_API_BASE", "lms server start"),
        ("llamacpp:x", "LLAMAFILE_API_BASE", "llama-server -m MODEL.gguf --port"),
    ],
)
def test_servers_have_short_names(
    tmp_path: Path, steps_task: Path, odd: Odd, model: str, variable: str, command: str
) -> None:
    down = run(
        tmp_path,
        steps_task,
        *("--model", model),
        env={variable: f"http://{nowhere()}/v1"},
    )
    assert down.code == 2 and command in down.err and ":x:" not in command, down.err
    assert f"error: {model}: no server answers" in down.err


def test_the_doctor_lists_a_servers_models_and_asks_with_the_runs_own_sizes(
    tmp_path: Path, odd: Odd
) -> None:
    odd.listed = [
        {"id": "context_of_vllm", "max_model_len": CONTEXT},
        {"id": "plain-doctor"},
    ]
    base = {"OLLAMA_API_BASE": f"http://127.0.0.1:{odd.port}"}
    try:
        done = evolve(
            "doctor",
            *("--model", "ollama:context_of_vllm", "--model", "ollama:plain-doctor"),
            *("--model", "ollama:unknown"),
            "--json",
            cwd=tmp_path,
            env=base,
        )
    finally:
        odd.listed = []
    told = [f for f in done.json() if "ollama:" in f["what"]]
    text = "\n".join(f"{f['state']} {f['what']}" for f in told)
    assert text.count("has context_of_vllm, plain-doctor") == 3, text
    assert f"warn ollama:context_of_vllm: its context is {CONTEXT} tokens" in text
    assert "fail model ollama:unknown: HTTP 404" in text and done.code == 3
    assert odd.asked["plain-doctor"][0]["max_tokens"] == 4096


def test_options_follow_a_models_name(
    tmp_path: Path, steps_task: Path, odd: Odd
) -> None:
    name = odd.at("hosted_vllm/plain-options")
    options = (
        "temperature=none max_tokens=900 reasoning_effort=low "
        'extra_body={"top_k": 20, "chat": {"thinking": false}} '
        "header.X-Team=search header.X-Pass=$TEAM_PASS"
    )
    secret = {"TEAM_PASS": "pass-0123456789"}
    more = ("--max-variants", 1, "--max-calls", 2)
    done = run(tmp_path, steps_task, "--model", f"{name} {options}", *more, env=secret)
    sent, head = odd.asked["plain-options"][0], odd.heads["plain-options"][0]
    assert "temperature" not in sent and sent["max_tokens"] == 900, done.err
    assert sent["reasoning_effort"] == "low" and sent["top_k"] == 20
    assert sent["chat"] == {"thinking": False}
    assert (head["x-team"], head["x-pass"]) == ("search", secret["TEAM_PASS"])
    for path in (tmp_path / "runs").rglob("*"):
        assert (
            not path.is_file() or secret["TEAM_PASS"].encode() not in path.read_bytes()
        )
    assert {call.model for call in calls_of(tmp_path)} == {name}
    unset = run(tmp_path, steps_task, "--model", f"{name} header.X-Pass=$NOT_THERE")
    assert unset.code == 2 and "NOT_THERE" in unset.err, unset.err
    wrong = run(tmp_path, steps_task, "--model", f"{name} temprature=1")
    assert wrong.code == 2 and "temprature" in wrong.err, wrong.err


def test_what_was_learned_is_known_after_a_restart(
    tmp_path: Path, tasks: Path, odd: Odd
) -> None:
    model = odd.at("hosted_vllm/no_temperature-resume")
    more = ("--operator", "rewrite")
    done = run(tmp_path, tasks / "cap_set", "--model", model, "--max-calls", 2, *more)
    assert done.err.count("temperature is left out") == 1, done.err
    before = len(odd.asked["no_temperature-resume"])
    again = evolve("resume", "r", "--max-calls", 4, "--json", cwd=tmp_path)
    later = odd.asked["no_temperature-resume"][before:]
    assert later and all("temperature" not in body for body in later), again.err
    replay = evolve("replay", "r", cwd=tmp_path)
    assert replay.code == 0 and "0 differences" in replay.err, replay.err


@pytest.mark.slow
def test_a_hopeless_model_is_given_up_and_the_other_goes_on(
    tmp_path: Path, steps_task: Path, odd: Odd, scripted: Start
) -> None:
    bad, good = odd.at("hosted_vllm/empty-hopeless"), scripted().model
    both = ("--model", bad, "--model", good, "--operator", "rewrite")
    done = run(tmp_path, steps_task, *both, "--max-variants", 40, "--window", 2)
    assert done.code == 0, done.err
    assert f"{bad} is given up: 20 replies in a row" in done.err
    assert done.err.count("replies and not one usable program") == 1
    assert 20 <= len(odd.asked["empty-hopeless"]) <= 26
    replay = evolve("replay", "r", cwd=tmp_path)
    assert replay.code == 0 and "0 differences" in replay.err, replay.err


def test_a_run_ends_when_no_model_is_left_and_another_may_go_on(
    tmp_path: Path, steps_task: Path, odd: Odd, scripted: Start
) -> None:
    alone = ("--model", odd.at("hosted_vllm/empty-alone"), "--operator", "rewrite")
    done = run(tmp_path, steps_task, *alone)
    assert done.code == 1 and done.err.count("error:") == 1, done.err
    assert "no model is left" in done.err and "evolve resume --model" in done.err
    assert 20 <= len(odd.asked["empty-alone"]) <= 26
    other = ("--model", scripted().model, "--max-variants", 3)
    more = evolve("resume", "r", *other, "--json", cwd=tmp_path)
    assert more.code == 0 and more.events()[-1]["variants"] == 3, more.err


def test_a_proxy_that_fails_is_named(tmp_path: Path, steps_task: Path) -> None:
    place = nowhere()
    proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy"), f"http://me:word@{place}")
    done = run(
        tmp_path,
        steps_task,
        *("--model", "hosted_vllm/x@http://models.example.com/v1"),
        env={"EVOLVE_PATIENCE_S": "0.1", **proxies, **NO_PROXY},
    )
    assert done.code == 1, done.err
    assert (
        f"the proxy http://{place} (HTTP_PROXY)" in done.err and "word" not in done.err
    )


# `--model cmd:COMMAND`

WRITER = f"""
import os, sys
prompt = sys.stdin.read()
assert "# Current program" in prompt and os.listdir(".") == [], os.listdir(".")
print({TEXT!r})
"""


@pytest.fixture
def command(tmp_path: Path) -> Callable[[str], str]:
    """A command that runs a program of Python."""

    def make(text: str) -> str:
        path = tmp_path / "model.py"
        path.write_text(text)
        return f"cmd:{shlex.join([sys.executable, str(path)])}"

    return make


def test_a_command_answers(
    tmp_path: Path, steps_task: Path, command: Callable[[str], str]
) -> None:
    model = command(WRITER)
    more = ("--operator", "rewrite", "--max-calls", 2)
    done = run(tmp_path, steps_task, "--model", model, *more)
    assert done.code == 0, done.err
    calls = calls_of(tmp_path)
    assert {call.model for call in calls} == {model}
    assert all(call.reply and TEXT in call.reply for call in calls)
    assert all("a command is not metered" in (call.error or "") for call in calls)
    assert all(call.prompt_tokens > 0 and call.cost_usd == 0 for call in calls)
    more_calls = evolve("resume", "r", "--max-calls", "+1", cwd=tmp_path)
    assert more_calls.code == 0 and len(calls_of(tmp_path)) == 3, more_calls.err


def test_a_budget_in_dollars_does_not_bound_a_command(
    tmp_path: Path, steps_task: Path, command: Callable[[str], str]
) -> None:
    done = run(tmp_path, steps_task, "--model", command(WRITER), "--budget", "1usd")
    assert done.code == 2 and "--max-calls" in done.err, done.err


def test_a_command_takes_no_longer_than_a_call_and_nothing_of_it_remains(
    tmp_path: Path, steps_task: Path, command: Callable[[str], str]
) -> None:
    sleeper = "import subprocess, sys, time\n" + (
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(77.125)'])\n"
        "time.sleep(77.125)\n"
    )
    done = run(
        tmp_path,
        steps_task,
        *("--model", command(sleeper), "--max-calls", 1),
        env={"EVOLVE_CALL_TIMEOUT_S": "0.5", "EVOLVE_PATIENCE_S": "0"},
    )
    assert "no complete answer in 0.5 s" in done.err, done.err
    left = [p.cmdline() for p in psutil.process_iter() if _sleeps(p)]
    assert left == []


def _sleeps(process: psutil.Process) -> bool:
    try:
        dead = process.status() == psutil.STATUS_ZOMBIE
        return not dead and "77.125" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


def test_a_command_that_fails_ends_the_run_after_three_calls(
    tmp_path: Path, steps_task: Path, command: Callable[[str], str]
) -> None:
    model = command("import sys\nsys.exit('Please log in first')")
    done = run(tmp_path, steps_task, "--model", model)
    assert done.code == 2 and done.err.count("error:") == 1, done.err
    assert "Please log in first" in done.err and len(calls_of(tmp_path)) == 3
    missing = run(tmp_path, steps_task, "--model", "cmd:no-such-program -p")
    assert missing.code == 2 and "no program 'no-such-program'" in missing.err


def test_only_the_user_names_a_command(tmp_path: Path, steps_task: Path) -> None:
    task = tmp_path / "task"
    task.mkdir()
    for path in steps_task.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            target = task / path.relative_to(steps_task)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    toml = (task / "task.toml").read_text()
    (task / "task.toml").write_text(f'{toml}\n[run]\nmodel = ["cmd:touch pwned"]\n')
    evolve("trust", task, cwd=tmp_path)
    done = run(tmp_path, task)
    assert done.code == 3 and "a task may not" in done.err, done.err
    (tmp_path / ".env").write_text("EVOLVE_MODEL=cmd:touch pwned\n")
    hidden = run(tmp_path, steps_task)
    assert hidden.code == 2 and "EVOLVE_MODEL" in hidden.err, hidden.err
    (tmp_path / ".env").unlink()
    assert run(tmp_path, steps_task, "--max-variants", 1).code == 0
    of_run = tmp_path / "runs" / "r" / "run.toml"
    text = of_run.read_text()
    of_run.write_text(text.replace("model = []", 'model = ["cmd:touch pwned"]'))
    assert "cmd:touch" in of_run.read_text()
    foreign = evolve("resume", "r", "--trust", "--max-variants", 4, cwd=tmp_path)
    assert foreign.code == 3 and "you have never named it" in foreign.err, foreign.err
