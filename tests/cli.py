"""The real command line, as a user calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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
