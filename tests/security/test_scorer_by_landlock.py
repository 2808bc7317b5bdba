"""The scorer's process where bubblewrap does not work: Landlock keeps the user's files."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from evolve.evaluation import landlock
from evolve.evaluation.confinement import _by_landlock

LOOKS = """
import json, os, socket, sys
secret, port, victim = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
def tried(work):
    try:
        return str(work())
    except OSError as error:
        return type(error).__name__
def write(path):
    with open(path, "w") as file:
        file.write("x")
    return "written"
print(json.dumps({
    "read a file of the user": tried(lambda: open(secret).read()),
    "list the user's folder": tried(lambda: os.listdir(os.path.dirname(secret))),
    "write beside it": tried(lambda: write(secret + ".new")),
    "write in /tmp": tried(lambda: write("/tmp/evolve-landlock-test")),
    "change the task": tried(lambda: write("evaluate.py")),
    "read the task": tried(lambda: open("evaluate.py").read()),
    "write a scratch file": tried(lambda: write(os.environ["TMPDIR"] + "/x")),
    "connect": tried(lambda: socket.create_connection(("127.0.0.1", port), 2)),
    "listen": tried(lambda: socket.socket().bind(("127.0.0.1", 0))),
    "signal": tried(lambda: os.kill(victim, 0)),
    "link": tried(lambda: os.link("evaluate.py", os.environ["TMPDIR"] + "/linked")),
    "import": tried(lambda: __import__("numpy").__name__),
}))
"""
ALLOWED = {
    "read the task": "the scorer",
    "write a scratch file": "written",
    "import": "numpy",
}


@pytest.fixture
def found(tmp_path: Path) -> dict[str, str]:
    """What a command below Landlock can do."""
    if landlock.version() == 0:
        pytest.fail("this kernel has no Landlock: CI needs one that has")
    task, scratch = tmp_path / "task", tmp_path / "scratch"
    (tmp_path / "home").mkdir()
    secret = tmp_path / "home" / "id_rsa"
    secret.write_text("secret")
    task.mkdir()
    scratch.mkdir()
    (task / "evaluate.py").write_text("the scorer")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        arguments = (str(secret), str(port), str(os.getpid()))
        command = [sys.executable, "-c", LOOKS, *arguments]
        done = subprocess.run(
            _by_landlock(command, task, (), scratch),
            cwd=task,
            capture_output=True,
            text=True,
            check=True,
        )
    result: dict[str, str] = json.loads(done.stdout)
    return result


def test_nothing_of_the_user_is_within_reach(found: dict[str, str]) -> None:
    refused = {name: said for name, said in found.items() if name not in ALLOWED}
    newer = {"connect": 4, "listen": 4, "signal": 6}
    for name, said in refused.items():
        if landlock.version() >= newer.get(name, 1):
            assert said in ("PermissionError", "OSError"), (name, said)


def test_what_a_scorer_needs_is_there(found: dict[str, str]) -> None:
    assert {name: found[name] for name in ALLOWED} == ALLOWED
