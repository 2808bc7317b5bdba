"""The real command line, as a user calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

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


def evolve(*arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None,
           timeout: float = 240.0) -> Result:
    """Run `evolve` to its end."""
    done = subprocess.run([EVOLVE, *map(str, arguments)], capture_output=True, text=True, cwd=cwd,
                          env=os.environ | (env or {}), timeout=timeout, check=False)
    return Result(done.returncode, done.stdout, done.stderr)


class ScriptedServer:
    """`evolve scripted-model` as a process; stop it to take the endpoint down."""

    def __init__(self, *options: str | float) -> None:
        self._process = subprocess.Popen([EVOLVE, "scripted-model", *map(str, options)],
                                         stdout=subprocess.PIPE, text=True)
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
