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
import secrets
import socket
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sandbox.inside import telling, wire

_GOES_FIRST = "500"
RESULT_KEYS = ("score", "metrics", "feedback")


class CandidateError(Exception):
    """The candidate failed to answer. Let it pass, and the variant has failed with this reason."""

    def __init__(self, reason: str, message: str, log: str = "") -> None:
        super().__init__(message)
        self.reason, self.message, self.log = reason, message, log


@dataclass(frozen=True)
class Case:
    """The case to score on, as task.toml gives it.

    `seed` is the same for every variant of a run, another one in every run, and known to no
    candidate: draw hidden inputs from it. `attempt` counts the evaluations of a variant on this case:
    where scoring is noisy, draw the noise from both, and a run can be repeated.
    """

    id: str
    split: str
    params: Mapping[str, Any]
    seed: int
    attempt: int = 0


@dataclass(frozen=True)
class Completed:
    """A command that the candidate's sandbox ran."""

    exit: int
    stdout: bytes
    stderr: bytes


class Candidate:
    """A handle on the candidate: everything it answers is a claim, in plain data."""

    def __init__(self, stream: wire.Stream, files: Mapping[str, bytes], descriptor: int = -1) -> None:
        self._stream, self.descriptor = stream, descriptor
        self.files = files  # its source, path -> content
        self.seconds = 0.0  # wall time of the last call, measured outside the candidate

    def call(self, function: str, *args: Any, timeout_s: float | None = None, **kwargs: Any) -> Any:
        """Call a function of the candidate's entry file with plain arguments.

        Returns None, bool, int, str, bytes, finite floats, numeric numpy arrays, or lists, tuples
        and dicts of these. Raises `CandidateError`.
        """
        payload = wire.encode((list(args), kwargs))
        header = {"op": "call", "function": function, "timeout_s": timeout_s}
        return self._decoded(self._ask(header, payload)[1])

    def run(self, argv: Sequence[str], stdin: bytes = b"", timeout_s: float | None = None
            ) -> Completed:
        """Run a command in the candidate's folder. Raises `CandidateError`."""
        header = {"op": "run", "argv": list(argv), "timeout_s": timeout_s}
        reply, payload = self._ask(header, stdin)
        stdout, stderr = self._decoded(payload)
        return Completed(int(reply["exit"]), stdout, stderr)

    def put(self, files: Mapping[str, str | bytes]) -> None:
        """Add files to the candidate's folder, over its own: hidden tests. Raises `CandidateError`."""
        listing = {path: data.encode() if isinstance(data, str) else data
                   for path, data in files.items()}
        self._ask({"op": "put", "timeout_s": None}, wire.encode(listing))

    def fail(self, message: str) -> NoReturn:
        """Refuse the candidate's answer: the variant has failed, and the message says why."""
        raise CandidateError("invalid", message)

    def _ask(self, header: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
        header["token"] = secrets.token_hex(4)
        self._stream.write(wire.frame(header, payload))
        self._stream.flush()
        reply, answer = wire.read_frame(self._stream)
        while reply["token"] != header["token"]:  # to one of us that was killed while it waited
            reply, answer = wire.read_frame(self._stream)
        self.seconds = float(reply.get("seconds", 0.0))
        if not reply["ok"]:
            raise CandidateError(reply["reason"], reply["message"], reply["log"])
        return reply, answer

    def _decoded(self, payload: bytes) -> Any:
        try:
            return wire.decode(payload)
        except wire.Malformed as error:
            raise CandidateError("refused", f"its answer: {error}") from None


def main(evaluate_path: str, descriptor: int) -> None:
    """Load the evaluator, then score until the engine closes the socket."""
    stream = socket.socket(fileno=descriptor).makefile("rwb")
    with contextlib.suppress(OSError):  # where memory runs out, we go before the engine does
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
        case = Case(header["case"], header["split"], params, header["seed"], header["attempt"])
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


def score(evaluate: Any, candidate: Candidate, case: Case, path: str
          ) -> tuple[dict[str, Any], bytes]:
    """One evaluation; what it raises becomes a message."""
    try:
        result = evaluate(candidate, case)
        if not isinstance(result, dict):
            result = {"score": result}
        unknown = set(result) - set(RESULT_KEYS)
        if unknown or "score" not in result:
            raise TypeError(f"evaluate returned the keys {sorted(result)}; it may return "
                            f"{', '.join(RESULT_KEYS)}, and must return score")
        check_score(result["score"])
        return {"op": "result"}, wire.encode({
            "score": float(result["score"]), "metrics": checked_metrics(result.get("metrics", {})),
            "feedback": printable(result.get("feedback", ""))})
    except CandidateError as error:
        return {"op": "refused", "reason": error.reason, "message": error.message[:2000],
                "log": error.log}, b""
    except MemoryError as error:
        return {"op": "refused", "reason": "memory", "message": f"scoring it needs too much: {error!r}",
                "log": broken(error, path)["log"]}, b""
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a task author's code; reported whole
        return broken(error, path), b""


def prepare(op: str, case: Case, path: str) -> tuple[dict[str, Any], bytes]:
    """What an agent task says before anything is scored: its cases, or the workspace of one."""
    module = sys.modules["evaluate"]
    try:
        if not hasattr(module, op):
            return {"op": "nothing"}, b""
        made = module.cases() if op == "cases" else checked_workspace(module.workspace(case))
        return {"op": op}, wire.encode(made)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a task author's code; reported whole
        return broken(error, path), b""


def checked_workspace(made: Any) -> dict[str, Any]:
    """A statement, and files as path -> bytes. Raises `TypeError`."""
    if not isinstance(made, dict) or set(made) - {"statement", "files"} or "statement" not in made:
        raise TypeError('workspace must return {"statement": text, "files": {path: text or bytes}}')
    files = {str(path): data.encode() if isinstance(data, str) else bytes(data)
             for path, data in made.get("files", {}).items()}
    return {"statement": printable(made["statement"]), "files": files}


def checked_metrics(metrics: Any) -> dict[str, Any]:
    """Metrics are a dict of plain data. Raises `TypeError` or `ValueError`."""
    if not isinstance(metrics, dict):
        raise TypeError(f"evaluate returned metrics of type {type(metrics).__name__}, not a dict")
    plain = {str(key): value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0
             else value for key, value in metrics.items()}
    try:
        json.dumps(plain, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"evaluate returned metrics that are no plain data: {error}; a number that is "
                        "not finite is none") from None
    return plain


def printable(text: Any) -> str:
    """Text that can be stored anywhere: what is no Unicode is escaped."""
    return str(text).encode(errors="backslashreplace").decode()


def check_score(value: Any) -> None:
    """A score is one finite number. Raises `TypeError` or `ValueError` that says what it was."""
    if isinstance(value, bool) or not hasattr(value, "__float__") or isinstance(value, str):
        raise TypeError(f"evaluate returned a score of type {type(value).__name__}, not a number")
    if not math.isfinite(float(value)):
        raise ValueError(f"evaluate returned the score {float(value)}, which is not finite")


def broken(error: BaseException, path: str) -> dict[str, Any]:
    """Where in the evaluator it went wrong, and the end of the traceback."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__)
             if frame.filename == path]
    if isinstance(error, SyntaxError) and error.filename == path:
        lines = [error.lineno]
    return {"op": "broken", "message": f"{type(error).__name__}: {error}"[:2000],
            "line": lines[-1] if lines else None,
            "log": telling.told(error, __file__, 4000)}


def send(stream: wire.Stream, header: dict[str, Any], payload: bytes = b"") -> None:
    stream.write(wire.frame(header, payload))
    stream.flush()


if __name__ == "__main__":
    sys.modules["scorer"] = sys.modules["__main__"]  # so that evaluate.py can import CandidateError
    sys.path[:0] = sys.argv[3:]  # the task's own packages come before ours
    main(sys.argv[1], int(sys.argv[2]))
