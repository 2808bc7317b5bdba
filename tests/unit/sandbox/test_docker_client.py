"""The connection to Docker's engine: where none answers, nothing stays open."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from evolve.sandbox import SandboxUnavailable
from evolve.sandbox.docker import connect
from tests.left_behind import nothing_left_behind


def test_no_engine_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = f"unix://{tmp_path}/docker.sock"
    monkeypatch.setenv("DOCKER_HOST", where)
    with (
        nothing_left_behind(),
        pytest.raises(SandboxUnavailable, match="No such file") as raised,
    ):
        connect()
    assert where in raised.value.message


def test_an_engine_that_answers_nonsense_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hangs up on whoever asks."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{tmp_path}/docker.sock")
        listening.listen()

        def hang_up() -> None:
            for _ in range(2):  # a try, then the question
                asking, _ = listening.accept()
                asking.close()

        server = threading.Thread(target=hang_up, daemon=True)
        server.start()
        with (
            nothing_left_behind(),
            pytest.raises(SandboxUnavailable, match="no Docker engine answers"),
        ):
            connect()
        server.join(10)
