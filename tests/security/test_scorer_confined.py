"""A scorer that runs what a candidate said: the candidate is in its process and finds nothing."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from evolve.archive import Evaluation
from evolve.errors import EvolveError
from evolve.evaluation import confinement, scorer_process
from tests.conftest import ROOT
from tests.judging import Judge

EVALUATE = """
import base64
def evaluate(candidate, case):
    found = {}
    exec(base64.b64decode(candidate.call("words")), {"found": found})
    return {"score": 1.0, "metrics": {"reached": sorted(found)}}
"""
WORDS = """
import os, signal, socket
def attempt(name, work):
    try:
        if work():
            found[name] = True
    except OSError:
        pass
def write(path):
    with open(path, "w") as file:
        return file.write("was here")
def connect(family, address):
    with socket.socket(family) as other:
        other.connect(address)
        return True
attempt("key", lambda: open(PLACES["key"]).read())
attempt("task", lambda: write(PLACES["task"]))
attempt("host", lambda: write(PLACES["host"]))
attempt("network", lambda: connect(socket.AF_INET, ("127.0.0.1", PLACES["port"])))
attempt("daemon", lambda: connect(socket.AF_UNIX, "/var/run/docker.sock"))
attempt("engine", lambda: os.kill(PLACES["pid"], 0) is None)
"""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A task, and a program whose words try what a person would not want; a server that is there."""
    task = tmp_path / "task"
    (task / "initial").mkdir(parents=True)
    (task / "evaluate.py").write_text(EVALUATE)
    (task / "task.toml").write_text(
        'name = "trusting"\ndescription = "Say something."\n'
    )
    (tmp_path / "key").write_text("sk-planted")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        places = {
            "key": str(tmp_path / "key"),
            "host": str(tmp_path / "written"),
            "pid": os.getpid(),
            "task": str(task / "planted.py"),
            "port": listening.getsockname()[1],
        }
        words = base64.b64encode(f"PLACES = {json.dumps(places)}\n{WORDS}".encode())
        program = f"def words():\n    return {words!r}\n"
        (task / "initial" / "program.py").write_text(program)
        yield task, program


def scored(task: Path, log: Path) -> Evaluation:
    with Judge("bubblewrap", log) as judge:
        return judge(task)


def test_what_a_candidate_says_reaches_nothing_from_the_scorers_process(
    host: tuple[Path, str], tmp_path: Path
) -> None:
    assert confinement.is_available()
    row = scored(host[0], tmp_path / "log")
    assert row.score == 1.0, row
    # What it writes is a copy of its own, and goes with the process.
    assert set(row.metrics["reached"]) <= {"task", "host"}
    assert not (host[0] / "planted.py").exists() and not (tmp_path / "written").exists()


def test_without_its_walls_all_of_it_would_be_reached(
    host: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confinement, "how", lambda: confinement.Confinement.NONE)
    reached = set(scored(host[0], tmp_path / "log").metrics["reached"])
    assert reached - {"daemon"} == {"key", "task", "host", "network", "engine"}
    assert (host[0] / "planted.py").exists() and (tmp_path / "written").exists()


def test_landlock_keeps_it_where_bubblewrap_does_not_work(
    host: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confinement, "is_available", lambda: False)
    assert scored(host[0], tmp_path / "log").metrics["reached"] == []


def test_a_large_folder_can_only_be_read(
    host: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confinement, "_COPIED_BYTES", 10)
    row = scored(host[0], tmp_path / "log")
    assert row.score == 1.0 and "task" not in row.metrics["reached"]


@pytest.mark.parametrize(("times", "scores"), [(2, True), (confinement.TRIES, False)])
def test_walls_that_fall_are_tried_again(
    host: tuple[Path, str],
    tmp_path: Path,
    times: int,
    scores: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when a mount that bubblewrap is about to show goes away: it really fails here."""
    left, real = [times], confinement.confined

    def fragile(command: list[str], *others: object) -> list[str]:
        whole = real(command, *others)  # type: ignore[arg-type]
        if not left[0]:
            return whole
        left[0] -= 1
        return [whole[0], "--ro-bind", "/no/such/mount", "/mnt", *whole[1:]]

    monkeypatch.setattr(scorer_process, "confined", fragile)
    if scores:
        assert scored(host[0], tmp_path / "log").score == 1.0
    else:
        with pytest.raises(EvolveError, match="its process died"):
            scored(host[0], tmp_path / "log")
    assert not left[0] and (tmp_path / "log").read_bytes().count(b"bwrap: ") == times


def test_an_interpreter_that_is_reached_over_hidden_links_starts(
    tmp_path: Path,
) -> None:
    """A virtual environment may be made from a link in a home, which scorers see as empty."""
    first, second = tmp_path / "bin" / "python3", tmp_path / "other" / "python3"
    for link, target in (
        (first, "../other/python3"),
        (second, os.path.realpath(sys.executable)),
    ):
        link.parent.mkdir()
        link.symlink_to(target)
    subprocess.run(
        [first, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True
    )
    python = tmp_path / "venv" / "bin" / "python"
    assert (python.parent / "python3").readlink() == first
    code = "import sys; from evolve.evaluation import confinement; sys.exit(not confinement.is_available())"
    done = subprocess.run(
        [python, "-c", code],
        check=False,
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": ":".join([str(ROOT), sysconfig.get_path("purelib")]),
        },
    )
    assert done.returncode == 0
