"""A peer's evaluator and its candidate in one sandbox, if they can't be separated.

The machine is protected, but the score is not: the candidate could have changed it.
Such scores have `EVALUATOR_SHARED` among their metrics.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from evolve.archive import Evaluation, Files
from evolve.peers.clock_use import clocks_of
from evolve.sandbox import Reason, Session
from evolve.sandbox.claims import read_output
from evolve.tasks import Task, task_files

EVALUATOR_SHARED = "evaluator shared with candidate"
_CODE = Path(__file__).parent
_PACKAGE = "evolve_peer"  # the name of this package inside the sandbox
_COPIED = ("__init__.py", "inside.py", "formats.py", "standins/**/*.py")
_INSIDE, _TASK, _PROGRAM = "evolve-peer", "evolve-task", "evolve-program"
_MAX_FILE = 8 << 20
_MAX_SAID, _MAX_METRICS, _MAX_TEXT = 256 << 10, 200, 1000


async def score_together(
    session: Session, task: Task, files: Files, row: Evaluation
) -> Evaluation:
    """Score a candidate in the session's sandbox; exceptions of it propagate.

    Args:
        session: a fresh sandbox
        task: a peer's task
        files: the candidate's tree, path -> content
        row: the evaluation to complete

    Returns:
        The row with score, or with reason and message.
    """
    assert task.peer is not None
    tree = (
        _code()
        | _folder(task)
        | {f"{_PROGRAM}/{name}": data for name, data in files.items()}
    )
    await session.load(tree, None)
    stem = "main" if task.peer.format == "shinka" else "program_of_candidate"
    program = f"{_PROGRAM}/{stem}{Path(task.peer.program).suffix}"
    config = peer_config(task) | {
        "folder": _TASK,
        "program_path": f"../{program}",
        "evaluator": task.peer.evaluator,
    }
    reply = await session.run(
        ["python3", f"{_INSIDE}/start.py", program, f"{_PROGRAM}/{task.peer.program}"],
        json.dumps(config).encode(),
        task.spec.limits.whole_evaluation_s,
    )
    out, err = read_output(reply.payload)
    return _read(row, reply.exit, out, err)


def peer_config(task: Task) -> dict[str, Any]:
    """Return the configuration for the code that runs a peer's evaluator.

    Args:
        task: a peer's task

    Returns:
        Values that JSON can hold.
    """
    peer = task.peer
    assert peer is not None
    use = clocks_of(task.folder, task.evaluator)
    return {
        "format": peer.format,
        "evaluator": str(task.evaluator),
        "program": peer.program,
        "shared": list(peer.shared),
        "fitness_key": peer.fitness_key,
        "limit": [task.spec.limits.time_s, _name_of_limit(task)],
        "clocks": bool(use.readings),
        "uncorrected": bool(use.uncorrected),
        "thresholds": None if peer.thresholds is None else list(peer.thresholds),
    }


def _name_of_limit(task: Task) -> str:
    """Return where the time limit of one evaluation is set."""
    if (task.folder / "task.toml").exists():
        return "limits.time_s in task.toml"
    formats = {
        "openevolve": "evaluator.timeout in config.yaml",
        "shinka": "`time` in the configuration of the job",
        "codeevolve": "this engine",
    }
    assert task.peer is not None
    return formats[task.peer.format]


_START = b"""import os, runpy, sys
os.path.exists(sys.argv[1]) or os.link(sys.argv[2], sys.argv[1])
here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, here)
del __file__  # else each process of a `spawn` pool runs this file again
runpy.run_module("evolve_peer.inside", run_name="__main__")
"""


def _code() -> dict[str, bytes]:
    found = {
        f"{_INSIDE}/{_PACKAGE}/{path.relative_to(_CODE)}": path.read_bytes()
        for pattern in _COPIED
        for path in sorted(_CODE.glob(pattern))
    }
    return found | {f"{_INSIDE}/start.py": _START}


def _folder(task: Task) -> dict[str, bytes]:
    """Return the task's files, except those that are too large."""
    found: dict[str, bytes] = {}
    for inner in task_files(task.folder):
        if (task.folder / inner).stat().st_size <= _MAX_FILE:
            found[f"{_TASK}/{inner.as_posix()}"] = (task.folder / inner).read_bytes()
    return found


def _read(row: Evaluation, status: int | None, out: bytes, err: bytes) -> Evaluation:
    log = err[-8000:].decode(errors="replace")
    try:
        # both may be the candidate's words: the size bounds the time that JSON takes
        said = json.loads(out.strip()[-_MAX_SAID:].rpartition(b"\n")[2])
        if "broken" in said:
            return replace(
                row, reason="evaluator", message=str(said["broken"])[-2000:], log=log
            )
        if said["score"] is None:
            return replace(
                row, reason="invalid", message=str(said["error"])[:2000], log=log
            )
        metrics = {
            key[:_MAX_TEXT]: value[:_MAX_TEXT] if isinstance(value, str) else value
            for key, value in list(said["metrics"].items())[:_MAX_METRICS]
            if isinstance(value, str) or _is_finite(value)
        }
        return replace(
            row,
            score=_finite(said["score"]),
            metrics=metrics | {EVALUATOR_SHARED: True},
            feedback=str(said["feedback"])[:4000],
            log=log,
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return replace(
            row,
            reason=Reason.CRASH.value,
            log=log,
            message=f"evaluator and candidate ended with status {status} without a result",
        )


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and abs(value) <= sys.float_info.max


def _finite(value: Any) -> float:
    try:
        number = float(value)
    except OverflowError:  # an integer
        number = float("inf")
    if number - number != 0:
        raise ValueError("a score that is not finite")
    return number
