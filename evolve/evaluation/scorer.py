"""The scorer's process: runs the task's `evaluate(candidate, case)`, which asks for data.

It is started with an empty environment and one socket, which the engine relays to the candidate's
sandbox. It never shares a process with a candidate, and holds no key. `evaluate` returns a number,
or a dict with `score` and, if it likes, `metrics` and `feedback`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import os
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

from evolve import candidate as public
from evolve.candidate import Candidate, CandidateError, Case
from evolve.sandbox.inside import tracebacks, wire

_GOES_FIRST = "500"
RESULT_KEYS = ("score", "metrics", "feedback")


def main(evaluate_path: str, descriptor: int) -> None:
    """Load the evaluator, then score until the engine closes the socket."""
    stream = socket.socket(fileno=descriptor).makefile("rwb")
    # where memory runs out, we go before the engine does
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_GOES_FIRST)
    try:
        evaluate = load_evaluate(Path(evaluate_path))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a task author's code; reported whole
        send(stream, broken(error, evaluate_path))
        return
    send(stream, {"op": "ready"})
    while True:
        try:
            header, payload = wire.read_frame(stream)
        except EOFError:
            return
        files, params = wire.decode(payload)
        case = Case(
            header["case"], header["split"], params, header["seed"], header["attempt"]
        )
        if header["op"] == "evaluate":
            candidate = Candidate(stream, files, descriptor)
            send(stream, *score(evaluate, candidate, case, evaluate_path))
        else:
            send(stream, *prepare(header["op"], case, evaluate_path))


def load_evaluate(path: Path) -> Any:
    """The function `evaluate` of the task's file."""
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location("evaluate", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["evaluate"] = module
    spec.loader.exec_module(module)
    if not callable(getattr(module, "evaluate", None)):
        raise TypeError("it defines no function evaluate(candidate, case)")
    return module.evaluate


def score(
    evaluate: Any, candidate: Candidate, case: Case, path: str
) -> tuple[dict[str, Any], bytes]:
    """One evaluation; what it raises becomes a message."""
    try:
        result = evaluate(candidate, case)
        if not isinstance(result, dict):
            result = {"score": result}
        unknown = set(result) - set(RESULT_KEYS)
        if unknown or "score" not in result:
            raise TypeError(
                f"evaluate returned the keys {sorted(result)}; it may return "
                f"{', '.join(RESULT_KEYS)}, and must return score"
            )
        check_score(result["score"])
        return {"op": "result"}, wire.encode(
            {
                "score": float(result["score"]),
                "metrics": checked_metrics(result.get("metrics", {})),
                "feedback": printable(result.get("feedback", "")),
            }
        )
    except CandidateError as error:
        return {
            "op": "refused",
            "reason": error.reason,
            "message": error.message[:2000],
            "log": error.log,
        }, b""
    except MemoryError as error:
        return {
            "op": "refused",
            "reason": "memory",
            "message": f"scoring it needs too much: {error!r}",
            "log": broken(error, path)["log"],
        }, b""
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a task author's code; reported whole
        return broken(error, path), b""


def prepare(op: str, case: Case, path: str) -> tuple[dict[str, Any], bytes]:
    """What an agent task says before anything is scored: its cases, or the workspace of one."""
    module = sys.modules["evaluate"]
    try:
        if not hasattr(module, op):
            return {"op": "nothing"}, b""
        made = (
            module.cases()
            if op == "cases"
            else checked_workspace(module.workspace(case))
        )
        return {"op": op}, wire.encode(made)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a task author's code; reported whole
        return broken(error, path), b""


def checked_workspace(made: Any) -> dict[str, Any]:
    """A statement, and files as path -> bytes. Raises `TypeError`."""
    if (
        not isinstance(made, dict)
        or set(made) - {"statement", "files"}
        or "statement" not in made
    ):
        raise TypeError(
            'workspace must return {"statement": text, "files": {path: text or bytes}}'
        )
    files = {
        str(path): data.encode() if isinstance(data, str) else bytes(data)
        for path, data in made.get("files", {}).items()
    }
    return {"statement": printable(made["statement"]), "files": files}


def checked_metrics(metrics: Any) -> dict[str, Any]:
    """Metrics are a dict of plain data. Raises `TypeError` or `ValueError`."""
    if not isinstance(metrics, dict):
        raise TypeError(
            f"evaluate returned metrics of type {type(metrics).__name__}, not a dict"
        )
    plain = {
        str(key): value.item()
        if hasattr(value, "item") and getattr(value, "ndim", 1) == 0
        else value
        for key, value in metrics.items()
    }
    try:
        json.dumps(plain, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"evaluate returned metrics that are no plain data: {error}; a number that is "
            "not finite is none"
        ) from None
    return plain


def printable(text: Any) -> str:
    """Text that can be stored anywhere: what is no Unicode is escaped."""
    return str(text).encode(errors="backslashreplace").decode()


def check_score(value: Any) -> None:
    """A score is one finite number. Raises `TypeError` or `ValueError` that says what it was."""
    if (
        isinstance(value, bool)
        or not hasattr(value, "__float__")
        or isinstance(value, str)
    ):
        raise TypeError(
            f"evaluate returned a score of type {type(value).__name__}, not a number"
        )
    if not math.isfinite(float(value)):
        raise ValueError(
            f"evaluate returned the score {float(value)}, which is not finite"
        )


def broken(error: BaseException, path: str) -> dict[str, Any]:
    """Where in the evaluator it went wrong, and the end of the traceback."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == path
    ]
    if isinstance(error, SyntaxError) and error.filename == path:
        lines = [error.lineno]
    return {
        "op": "broken",
        "message": f"{type(error).__name__}: {error}"[:2000],
        "line": lines[-1] if lines else None,
        "log": tracebacks.format_traceback(error, __file__, 4000),
    }


def send(stream: wire.Stream, header: dict[str, Any], payload: bytes = b"") -> None:
    stream.write(wire.frame(header, payload))
    stream.flush()


if __name__ == "__main__":
    # how this process found `evolve`: no matter of its children
    os.environ.pop("PYTHONPATH", None)
    # where tasks imported CandidateError from before 0.2
    sys.modules["scorer"] = public
    sys.path[:0] = sys.argv[3:]  # the task's own packages come before ours
    main(sys.argv[1], int(sys.argv[2]))
