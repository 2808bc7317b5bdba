"""Peers' task directories: ours, and what their own evaluators say in their own process."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from evolve.tasks import load_task
from tests.conftest import ROOT

FOLDER = ROOT / "tests" / "tasks" / "peers"
STANDINS = ROOT / "evolve" / "peers" / "standins"
SEPARATE = (
    "shinka_curve",
    "shinka_moves",
    "shinka_command",
    "openevolve_points",
    "openevolve_placement",
    "openevolve_script",
    "codeevolve_sum",
    "codeevolve_script",
    "codeevolve_c",
)
TOGETHER = "openevolve_together"

_OPENEVOLVE = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("evaluation_module", sys.argv[1])
module = importlib.util.module_from_spec(spec)
sys.modules["evaluation_module"] = module
spec.loader.exec_module(module)
result = module.evaluate(sys.argv[2])
json.dump(getattr(result, "metrics", result), open(sys.argv[3] + "/metrics.json", "w"))
"""


@functools.cache
def score_in_process(folder: Path, program: str | None = None) -> float | None:
    """The score of the seed or another program as the peer's engine takes it: no sandbox, no stub."""
    task = load_task(folder)
    assert task.peer is not None
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / f"candidate_program{Path(task.peer.program).suffix}"
        path.write_bytes(
            task.seed[task.peer.program] if program is None else program.encode()
        )
        for name in set(task.seed) - {task.peer.program}:
            (Path(scratch) / name).write_bytes(task.seed[name])
        script = str(task.evaluator)
        arguments = {
            "shinka": [script, "--program_path", str(path), "--results_dir", scratch],
            "codeevolve": [script, str(path), f"{scratch}/metrics.json"],
            "openevolve": ["-c", _OPENEVOLVE, script, str(path), scratch],
        }
        subprocess.run(
            [sys.executable, *arguments[task.peer.format]],
            check=False,
            cwd=folder,
            env={
                "PYTHONPATH": f"{STANDINS}:{task.evaluator.parent}",
                "PATH": "/usr/bin:/bin",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
        metrics = json.loads((Path(scratch) / "metrics.json").read_text())
        key = task.peer.fitness_key or "combined_score"
        return float(metrics[key]) if key in metrics else None
