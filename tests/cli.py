"""The real command line, as a user calls it: in this process, or in its own where that is the point."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import traceback
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import IO, Any, NamedTuple

from evolve.__main__ import main
from tests.left_behind import nothing_left_behind

EVOLVE = str(Path(sys.executable).parent / "evolve")


class Result(NamedTuple):
    """What a command gave."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


def evolve(
    *arguments: str | Path | float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
) -> Result:
    """Run `evolve` to its end in this process, as its console script does.

    Fails when the command leaves something behind in the process: a person's notebook, a service or
    the next test would find it there.
    """
    with _file() as given, _file() as out, _file() as err:
        given.write(stdin)
        given.seek(0)
        with (
            nothing_left_behind(),
            _surroundings(cwd or Path.cwd(), env or {}, given),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            sys.argv = [EVOLVE, *map(str, arguments)]
            code = _exit_code()
        return Result(code, _text_of(out), _text_of(err))


def evolve_process(
    *arguments: str | Path | float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 240.0,
    stdin: str = "",
) -> Result:
    """Run `evolve` to its end as a process: for tests of how it starts, ends, and prints."""
    done = subprocess.run(
        [EVOLVE, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | (env or {}),
        timeout=timeout,
        input=stdin,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def _file() -> IO[str]:
    """A stream with a file descriptor, which is not a terminal."""
    return tempfile.TemporaryFile("w+", encoding="utf-8", newline="")


def _text_of(stream: IO[str]) -> str:
    stream.flush()
    stream.seek(0)
    return stream.read()


@contextmanager
def _surroundings(cwd: Path, env: Mapping[str, str], stdin: IO[str]) -> Iterator[None]:
    """Context manager: give the command its own arguments, folder, input and environment."""
    folder, variables = os.getcwd(), dict(os.environ)
    before = sys.argv, sys.stdin
    os.environ.update(env)
    os.chdir(cwd)
    sys.stdin = stdin  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.argv, sys.stdin = before
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(variables)


def _exit_code() -> int:
    """What the process would have ended with; a traceback is printed as Python prints it."""
    try:
        main()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        sys.stderr.write(f"{end.code}\n")
        return 1
    except Exception:  # noqa: BLE001 - the interpreter itself is the next to see it
        traceback.print_exc()
        return 1
    return 0


class ScriptedServer:
    """`evolve scripted-model` as a process; stop it to take the endpoint down."""

    def __init__(self, *options: str | float) -> None:
        self._process = subprocess.Popen(
            [EVOLVE, "scripted-model", *map(str, options)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.model = self._process.stdout.readline().strip()
        assert self.model, "the scripted model did not start"

    @property
    def openai(self) -> str:
        """The same server as `openai/...`, which needs a key."""
        return self.model.replace("hosted_vllm/", "openai/")

    def stats(self) -> dict[str, int]:
        address = self.model.partition("@")[2].removesuffix("/v1")
        with urllib.request.urlopen(f"{address}/stats") as reply:
            found: dict[str, int] = json.load(reply)
        return found

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()
