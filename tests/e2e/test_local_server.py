"""`--model vllm:NAME`: started, waited for, used, stopped; a program stands in for vLLM."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.cli import EVOLVE, Result, evolve
from tests.conftest import ROOT

STANDIN = f"{sys.executable} {ROOT / 'tests' / 'vllm_standin.py'}"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {
        "EVOLVE_VLLM_COMMAND": STANDIN,
        "EVOLVE_CACHE_DIR": str(tmp_path / "cache"),
        "STANDIN_STARTS": str(tmp_path / "starts"),
        "PYTHONPATH": str(ROOT),
        "EVOLVE_SANDBOX": "local",
    }


def starts(env: dict[str, str]) -> list[tuple[int, str]]:
    path = Path(env["STANDIN_STARTS"])
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(line.partition(" ")[0]), line.partition(" ")[2]) for line in lines]


def assert_all_gone(env: dict[str, str], within_s: float = 30.0) -> None:
    """Server and worker, soon after the last user."""
    pids, deadline = [pid for pid, _ in starts(env)], time.monotonic() + within_s
    while alive := [pid for pid in pids if _runs(pid)]:
        assert time.monotonic() < deadline, f"still there: {alive}"
        time.sleep(0.2)


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def run(
    task: Path, cwd: Path, env: dict[str, str], model: str = "vllm:small", *more: str
) -> Result:
    return evolve(
        "run",
        task,
        "--model",
        model,
        "--max-variants",
        "3",
        "--json",
        *more,
        cwd=cwd,
        env=env,
    )


def test_no_proxy_leads_to_it(
    tmp_path: Path, steps_task: Path, env: dict[str, str]
) -> None:
    """Port 9 is the one where nobody listens."""
    nowhere = dict.fromkeys(
        ("HTTP_PROXY", "http_proxy", "ALL_PROXY"), "http://127.0.0.1:9"
    )
    done = run(steps_task, tmp_path, env | nowhere)
    assert done.code == 0 and done.events()[-1]["variants"] == 3, done.err
    assert_all_gone(env)


def test_it_is_started_used_and_stopped(
    tmp_path: Path, steps_task: Path, env: dict[str, str]
) -> None:
    env |= {
        "EVOLVE_VLLM_GPU_MEMORY": "0.5",
        "EVOLVE_VLLM_OPTIONS": "--max-model-len 4096",
    }
    done = run(steps_task, tmp_path, env, "vllm:small", "--name", "r")
    assert done.code == 0, done.err
    assert "vllm: starting small" in done.err and "answers after" in done.err
    servers = [words for _, words in starts(env) if words != "worker"]
    assert (
        len(servers) == 1
        and "--gpu-memory-utilization 0.5 --max-model-len 4096" in servers[0]
    )
    shown = evolve("show", "--json", cwd=tmp_path, env=env).json()
    assert all(call["model"] == "vllm:small" for call in shown["calls"]), (
        "the name has no port in it"
    )
    assert_all_gone(env)
    again = evolve("resume", "r", "--max-variants", "5", cwd=tmp_path, env=env)
    assert again.code == 0, again.err
    assert len([words for _, words in starts(env) if words != "worker"]) == 2
    assert_all_gone(env)


@pytest.mark.slow
def test_the_judge_of_novelty_is_served_too(
    tmp_path: Path, steps_task: Path, env: dict[str, str]
) -> None:
    done = run(
        steps_task,
        tmp_path,
        env | {"EVOLVE_NOVELTY_JUDGE": "vllm:judge", "EVOLVE_NOVELTY_GATE": "0.9"},
        "vllm:small",
        "--name",
        "r",
    )
    assert done.code == 0, done.err
    calls = [
        call
        for variant in evolve("tree", "--json", cwd=tmp_path, env=env).json()
        for call in evolve(
            "show", variant["id"], "--json", cwd=tmp_path, env=env
        ).json()["calls"]
    ]
    judged = [call["state"] for call in calls if call["model"] == "vllm:judge"]
    assert judged and set(judged) == {"replied"}
    assert_all_gone(env)


def test_kill_9_leaves_no_server(
    tmp_path: Path, steps_task: Path, env: dict[str, str]
) -> None:
    process = subprocess.Popen(
        [
            EVOLVE,
            "run",
            str(steps_task),
            "--model",
            "vllm:small",
            "--max-variants",
            "1000",
        ],
        cwd=tmp_path,
        env=os.environ | env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while len(starts(env)) < 2:
        time.sleep(0.05)
    time.sleep(2.0)
    assert all(_runs(pid) for pid, _ in starts(env))
    process.kill()
    process.wait()
    assert_all_gone(env)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("no-gpu", "finds no GPU"),
        ("no-weights", "no weights found for no-weights"),
        ("no-memory", "not enough memory"),
        ("riddle", "division by zero"),
    ],
)
def test_why_it_did_not_start(
    tmp_path: Path, steps_task: Path, env: dict[str, str], model: str, words: str
) -> None:
    done = run(steps_task, tmp_path, env, f"vllm:{model}")
    assert done.code == 3 and words in done.err, done.err
    assert (
        done.err.count("error:") == 1
        and "server.log" in done.err
        and "Traceback" not in done.err
    )
    assert_all_gone(env)


def test_vllm_is_not_installed(
    tmp_path: Path, steps_task: Path, env: dict[str, str]
) -> None:
    done = run(steps_task, tmp_path, env | {"EVOLVE_VLLM_COMMAND": "/nowhere/vllm"})
    assert done.code == 3 and "vllm is not installed" in done.err, done.err
    assert "EVOLVE_VLLM_COMMAND" in done.err


def test_it_takes_too_long(
    tmp_path: Path, steps_task: Path, env: dict[str, str]
) -> None:
    done = run(steps_task, tmp_path, env | {"EVOLVE_VLLM_START_S": "0.3"})
    assert done.code == 3 and "does not answer after 0.3 s" in done.err, done.err
    assert_all_gone(env)
