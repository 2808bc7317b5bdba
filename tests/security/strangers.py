"""Tasks and runs of a stranger, whose code must never run as the user."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from tests.cli import Result, evolve

SCORER = """def evaluate(candidate, case):
    return {"score": float(candidate.call("answer")), "feedback": "fine"}
"""
PROGRAM = "def answer():\n    return 1.0\n"


def write_task(folder: Path, toml: str = "", program: str = PROGRAM) -> Path:
    """Write the smallest task, with more lines for its task.toml."""
    (folder / "initial").mkdir(parents=True)
    (folder / "task.toml").write_text(
        f'name = "tiny"\ndescription = "return a large number"\n{toml}\n'
    )
    (folder / "initial" / "main.py").write_text(program)
    (folder / "evaluate.py").write_text(SCORER)
    return folder


def leaves(mark: Path) -> str:
    """Return a program that shows by a file that it runs as the user."""
    return f"import os\nos.system('id > {mark}')\n{PROGRAM}"


def new_run(place: Path, task: Path, *options: str | Path) -> Path:
    """Run a task without a model for three variants; return the run's folder."""
    arguments = ("--name", "given", "--max-variants", "3", "--runs-dir", place / "runs")
    done = evolve("run", task, *arguments, "--sandbox", "bubblewrap", *options)
    assert done.code == 0, done.err
    return place / "runs" / "given"


def make_foreign(run: Path) -> Path:
    """Remove the user's signature, as if somebody else had sent the run."""
    (run / "signature").unlink()
    return run


def on(run: Path, verb: str, *options: str | Path) -> Result:
    """Call a verb on a run."""
    return evolve(verb, run.name, "--runs-dir", run.parent, *options)


class Listener(ThreadingHTTPServer):
    """A server of a stranger that keeps the headers of all requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.heard: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        self.server.heard.append(str(self.headers.get("authorization")))
        self.send_error(500)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@contextmanager
def listening() -> Iterator[Listener]:
    """Context manager: a server of a stranger on loopback."""
    with Listener() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def copy_run(run: Path, place: Path) -> Path:
    """Copy a run to another folder of runs."""
    place.mkdir(parents=True)
    return Path(shutil.copytree(run, place / run.name))
