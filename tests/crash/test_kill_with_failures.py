"""A thousand calls to a server that fails in every way, 32 at a time, and kill -9 on the way."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from evolve.archive import ArchiveReader, Call, CallState
from tests.cli import EVOLVE, ScriptedServer, evolve
from tests.crash.test_kill import assert_one_tree, assert_stores_clean

CALLS, CONCURRENCY, KILLS_AT = 1000, 32, (200, 450, 700)
FAILURES = {
    "busy": 0.08,
    "broken": 0.06,
    "reset": 0.04,
    "hang": 0.03,
    "trickle": 0.03,
    "empty": 0.02,
    "garbage": 0.02,
    "refusal": 0.01,
    "no_usage": 0.01,
}


def kill_when(
    command: list[str], server: ScriptedServer, calls: int, env: dict[str, str]
) -> None:
    """Start it, and kill it once the server has seen so many calls."""
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | env,
    ) as process:
        while server.stats()["calls"] < calls:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
        process.kill()


def stored_replies(run: Path) -> dict[int, str | None]:
    archive = ArchiveReader.open(run / "archive.db")
    found = {c.id: c.reply for c in archive.calls() if c.state is CallState.REPLIED}
    archive.close()
    return found


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_call_is_accounted_once(
    tmp_path: Path, steps_task: Path, scripted: Callable[..., ScriptedServer]
) -> None:
    fail = [
        part for name, rate in FAILURES.items() for part in ("--fail", f"{name}={rate}")
    ]
    server = scripted(*fail, "--latency", 0.05, "--retry-after", 0.2, "--hang", 30)
    env = {"EVOLVE_MODEL_CALLS": str(CONCURRENCY), "EVOLVE_CALL_TIMEOUT_S": "1.5"}
    limits = [
        "--max-calls",
        str(CALLS),
        "--max-variants",
        "100000",
        "--runs-dir",
        str(tmp_path),
    ]
    first = [
        EVOLVE,
        "run",
        str(steps_task),
        "--name",
        "r",
        "--model",
        server.model,
        "--price",
        f"{server.model}=1/1",
        *limits,
    ]
    kept: dict[int, str | None] = {}
    for number, calls in enumerate(KILLS_AT):
        kill_when(
            [EVOLVE, "resume", "r", *limits] if number else first, server, calls, env
        )
        before, kept = kept, stored_replies(tmp_path / "r")
        assert before.items() <= kept.items(), "a committed reply was lost"
    for _ in range(10):  # an unlucky proposal may end a run; it is resumable
        done = evolve("resume", "r", *limits, env=env)
        if done.code == 0:
            break
    assert done.code == 0, done.err
    assert kept.items() <= stored_replies(tmp_path / "r").items()
    assert_stores_clean(tmp_path / "r")
    assert_one_tree(evolve("tree", "r", "--runs-dir", tmp_path, "--json").json())
    assert_accounted(tmp_path / "r", server)


def assert_accounted(run: Path, server: ScriptedServer) -> None:
    archive = ArchiveReader.open(run / "archive.db")
    calls, spend = archive.calls(), archive.spend()
    archive.close()
    by_state = {state: [c for c in calls if c.state is state] for state in CallState}
    assert not by_state[CallState.SENT]
    assert len(calls) == spend.calls == CALLS
    used = _tokens(by_state[CallState.REPLIED]) + _tokens(by_state[CallState.FAILED])
    uncertain = sum(c.reserved_tokens for c in by_state[CallState.UNCERTAIN])
    assert spend.tokens == used + uncertain
    assert spend.usd == pytest.approx(spend.tokens / 1e6), (
        "one dollar a million, to the token"
    )
    replied = by_state[CallState.REPLIED]
    assert len({(c.proposal, c.purpose, c.step) for c in replied}) == len(replied), (
        "used once"
    )
    stats = server.stats()
    # What arrived has its row; a row whose request never arrived was cut off by a kill.
    assert 0 <= len(calls) - stats["calls"] <= len(KILLS_AT) * CONCURRENCY
    assert stats["replies"] + stats["no_usage"] + stats["refusal"] >= len(replied)
    assert len(by_state[CallState.FAILED]) <= stats["busy"] + stats["broken"]
    assert set(FAILURES) <= stats.keys(), "not every failure was played"


def _tokens(calls: list[Call]) -> int:
    return sum(c.prompt_tokens + c.completion_tokens for c in calls)
