"""The machine fails in the middle of a run: it goes on or waits, and no score comes of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest

from evolve.sandbox.docker import LABEL
from tests.cli import EVOLVE
from tests.crash.test_kill import assert_one_tree, assert_stores_clean

OWN_FAULTS = {"exception", "invalid", "unchanged", "duplicate", None}


@pytest.fixture
def client() -> Iterator[Any]:
    made = docker.from_env()
    yield made
    made.close()


def containers_of(client: Any, pid: int) -> list[Any]:
    """The sandboxes of one engine."""
    found = client.containers.list(filters={"label": LABEL}, ignore_removed=True)
    return [c for c in found if f"/{pid}/" in c.labels[LABEL]]


def kill_server(container: Any) -> None:
    """kill -9 of the fork server, from the host."""
    container.reload()
    pid = int(container.attrs["State"]["Pid"])
    if pid > 1:  # 0: it has just ended
        os.kill(pid, signal.SIGKILL)


@pytest.mark.docker
@pytest.mark.parametrize("how", ["container", "fork server"])
def test_killed_sandboxes_are_replaced(
    tmp_path: Path, steps_task: Path, client: Any, how: str
) -> None:
    command = [
        EVOLVE,
        "run",
        str(steps_task),
        "--max-variants",
        "30",
        "--name",
        "r",
        "--json",
    ]
    kills = 0
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        events = [json.loads(process.stdout.readline())]
        while process.poll() is None and kills < 4:
            for container in containers_of(client, process.pid)[:1]:
                try:
                    if how == "container":
                        container.kill()
                    else:
                        kill_server(container)
                    kills += 1
                except (docker.errors.APIError, ProcessLookupError):
                    continue  # it was just being replaced
            time.sleep(0.25)
        rest, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    events += [json.loads(line) for line in rest.splitlines()]
    assert kills == 4
    assert any(e["event"] == "waiting" for e in events)
    variants = [
        e for e in events if e["event"] == "variant" and e["status"] != "rejected"
    ]
    assert len(variants) == events[-1]["variants"] == 30
    assert {e["reason"] for e in variants} <= OWN_FAULTS
    assert_stores_clean(tmp_path / "runs" / "r")
    tree = subprocess.run(
        [EVOLVE, "tree", "--json"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    assert_one_tree(json.loads(tree.stdout))
    deadline = time.monotonic() + 10
    while containers_of(client, process.pid):
        assert time.monotonic() < deadline, "a run leaves no container behind"
        time.sleep(0.2)
