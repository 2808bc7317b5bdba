"""The Docker daemon is stopped and started in the middle of a run. Run alone: `pytest -m daemon`."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.cli import EVOLVE
from tests.crash.daemon import daemon_is_gone, start_daemon, wait_until
from tests.crash.test_kill import assert_stores_clean
from tests.crash.test_machine_faults import OWN_FAULTS

VARIANTS = 700  # more than are done while the daemon takes its time to stop


@pytest.mark.daemon
@pytest.mark.docker
@pytest.mark.timeout(280)
def test_a_run_waits_for_the_daemon(tmp_path: Path, steps_task: Path) -> None:
    assert os.geteuid() == 0, "only root can stop the daemon"
    command = [
        EVOLVE,
        "run",
        str(steps_task),
        "--max-variants",
        str(VARIANTS),
        "--name",
        "r",
        "--json",
        "--sandbox",
        "docker",
    ]
    # a file, for nobody reads while the daemon is stopped
    printed = tmp_path / "events.jsonl"
    with (
        printed.open("w") as file,
        subprocess.Popen(
            command, stdout=file, stderr=subprocess.PIPE, text=True, cwd=tmp_path
        ) as process,
    ):
        wait_until(lambda: len(printed.read_text().splitlines()) > 10)
        subprocess.run(["pkill", "-TERM", "-x", "dockerd"], check=True)
        try:
            wait_until(daemon_is_gone)
            wait_until(lambda: "waiting" in printed.read_text())
            assert process.poll() is None, "it waits"
        finally:
            wait_until(daemon_is_gone)
            start_daemon(tmp_path / "dockerd.log")
        _, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors
    events = [json.loads(line) for line in printed.read_text().splitlines()]
    waits = [e["message"] for e in events if e["event"] == "waiting"]
    assert waits and all("trying again" in message for message in waits)
    variants = [
        e for e in events if e["event"] == "variant" and e["status"] != "rejected"
    ]
    assert len(variants) == events[-1]["variants"] == VARIANTS
    assert {e["reason"] for e in variants} <= OWN_FAULTS
    assert_stores_clean(tmp_path / "runs" / "r")
