"""The Docker daemon is stopped and started in the middle of a run. Run alone: `pytest -m daemon`."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli import EVOLVE
from tests.crash.test_kill import assert_stores_clean
from tests.crash.test_machine_faults import OWN_FAULTS

PATIENCE_S = 60.0


def wait_until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline, "the daemon does not do as it is told"
        time.sleep(0.2)


def daemon_answers() -> bool:
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


def start_daemon(log: Path) -> None:
    with log.open("ab") as file:
        subprocess.Popen(["dockerd"], stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                         start_new_session=True)
    wait_until(daemon_answers)


@pytest.mark.daemon
@pytest.mark.docker
@pytest.mark.timeout(280)
def test_a_run_waits_for_the_daemon(tmp_path: Path, steps_task: Path) -> None:
    assert os.geteuid() == 0, "only root can stop the daemon"
    command = [EVOLVE, "run", str(steps_task), "--max-variants", "80", "--name", "r", "--json",
               "--sandbox", "docker"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          cwd=tmp_path) as process:
        assert process.stdout is not None
        events = [json.loads(process.stdout.readline()) for _ in range(12)]
        subprocess.run(["pkill", "-TERM", "-x", "dockerd"], check=True)
        try:
            wait_until(lambda: not daemon_answers())
            time.sleep(3)
            assert process.poll() is None, "it waits"
        finally:
            wait_until(lambda: subprocess.run(["pgrep", "-x", "dockerd"], capture_output=True,
                                              check=False).returncode != 0)
            start_daemon(tmp_path / "dockerd.log")
        rest, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors
    events += [json.loads(line) for line in rest.splitlines()]
    waits = [e["message"] for e in events if e["event"] == "waiting"]
    assert waits and all("trying again" in message for message in waits)
    variants = [e for e in events if e["event"] == "variant" and e["status"] != "rejected"]
    assert len(variants) == events[-1]["variants"] == 80
    assert {e["reason"] for e in variants} <= OWN_FAULTS
    assert_stores_clean(tmp_path / "runs" / "r")
