"""The scorer's process: it runs the task's `evaluate(candidate, case)`.

It starts with an empty environment and one socket, which the engine relays to the
candidate's sandbox. It never shares a process with a candidate, and holds no key.
`evaluate` returns a number, or a dict with `score` and optionally `metrics` and
`feedback`.
"""

import contextlib
import importlib.util
import json
import math
import os
import socket
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evolve import candidate as public
from evolve.candidate import Candidate, CandidateError, Case
from evolve.evaluation.extremes import NotFiniteError, breaks_by_its_numbers
from evolve.peers.formats import several_goals
from evolve.sandbox.inside import tracebacks, wire
from evolve.text import Data

_GOES_FIRST = "500"
TIMING = "EVOLVE_TIMING"  # JSON of the task's table [timing]
RESULT_KEYS = ("score", "metrics", "feedback")
MAX_METRICS_BYTES, MAX_FEEDBACK_CHARS = 256 << 10, 50_000


def main(evaluate_path: str, descriptor: int) -> None:
    """Load the evaluator, then score until the engine closes the socket.

    Args:
        evaluate_path: the task's evaluate.py
        descriptor: file descriptor of the socket
    """
    stream = socket.socket(fileno=descriptor).makefile("rwb")
    # if memory runs out, the kernel kills this process before the engine
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_GOES_FIRST)
    try:
        evaluate = load_evaluate(Path(evaluate_path), os.environ.get(TIMING))
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


class HiddenInputs(Case):
    """A case that tells its candidate when inputs are drawn from the secret seed.

    Args:
        case: The case.
        candidate: Its requests say so from then on.
    """

    def __init__(self, case: Case, candidate: Candidate) -> None:
        self.__dict__.update(vars(case), _candidate=candidate)

    def __getattribute__(self, name: str) -> Any:
        if name == "seed":
            self.__dict__["_candidate"].drawn = True
        return super().__getattribute__(name)


def load_evaluate(path: Path, timing: str | None = None) -> Any:
    """Load the function `evaluate` of the task's file.

    Args:
        path: the file
        timing: JSON of the table [timing]: then the file defines `draw`, and may define
            `check` and `accept`

    Returns:
        The function.

    Raises:
        TypeError: the file does not define it
    """
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location("evaluate", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["evaluate"] = module
    spec.loader.exec_module(module)
    if timing is not None:
        return speed_of(module, json.loads(timing))
    if not callable(getattr(module, "evaluate", None)):
        raise TypeError("it does not define evaluate(candidate, case)")
    return module.evaluate


def speed_of(module: Any, timing: Mapping[str, Any]) -> Any:
    """Return the function `evaluate` of a timed task.

    Args:
        module: evaluate.py
        timing: its table [timing]

    Returns:
        The function.

    Raises:
        TypeError: the file does not define `draw`
    """
    if not callable(getattr(module, "draw", None)):
        raise TypeError("it does not define draw(rng, case), the inputs of [timing]")

    def evaluate(candidate: Candidate, case: Case) -> dict[str, Any]:
        from evolve.timing import Plan, same

        def check(answer: Any, expected: Any, arguments: Any) -> None:
            if hasattr(module, "check"):
                module.check(candidate, answer, expected, arguments)
            elif not same(answer, expected, timing["tolerance"]):
                candidate.fail("an answer differs from that of the reference")

        if hasattr(module, "accept"):  # a wrong variant is not worth timing
            module.accept(candidate, case)
        plan = Plan(worthwhile=timing["worthwhile"], longest_s=timing["seconds"])
        confirms = case.split == "heldout"
        if confirms:  # `attempt` counts the looks
            plan = Plan.confirmation(case.attempt + 1, timing["seconds"])
        speed = candidate.measure(
            timing["function"],
            lambda rng: module.draw(rng, case),
            check,
            against="seed" if confirms else "best",
            plan=plan,
            clock=timing["clock"],
        )
        return speed.as_result()

    return evaluate


def score(
    evaluate: Any, candidate: Candidate, case: Case, path: str
) -> tuple[Data, bytes]:
    """Run one evaluation; exceptions become messages.

    Args:
        evaluate: function of the task
        candidate: access to the candidate
        case: the case
        path: the task's evaluate.py, for line numbers

    Returns:
        Header and payload of the message to the engine.
    """
    try:
        result = evaluate(candidate, HiddenInputs(case, candidate))
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
                "feedback": printable(result.get("feedback", ""))[:MAX_FEEDBACK_CHARS],
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
        found = broken(error, path)
        if breaks_by_its_numbers(error, candidate):
            message = f"its numbers are too large or too small: {found['message']}"
            found |= {"op": "refused", "reason": "invalid", "message": message}
        return found, b""


def prepare(op: str, case: Case, path: str) -> tuple[Data, bytes]:
    """Call `cases` or `workspace` of an agent task; exceptions become messages.

    Args:
        op: name of the function
        case: argument of `workspace`
        path: the task's evaluate.py, for line numbers

    Returns:
        Header and payload of the message to the engine.
    """
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


def checked_workspace(made: Any) -> Data:
    """Check and normalize the result of `workspace`.

    Args:
        made: value that the task returned

    Returns:
        "statement" and "files", with file contents as bytes.

    Raises:
        TypeError: another form
    """
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


def checked_metrics(metrics: Any) -> Data:
    """Check and normalize metrics.

    Args:
        metrics: value that the task returned

    Returns:
        Plain data with string keys.

    Raises:
        TypeError: not a dict, or not plain data
        NotFiniteError: a number in it is infinite, NaN, or has too many digits
        CandidateError: more than `MAX_METRICS_BYTES`: they hold what the candidate wrote
    """
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
        size = len(json.dumps(plain, allow_nan=False))
    except (TypeError, ValueError) as error:
        kind = NotFiniteError if isinstance(error, ValueError) else TypeError
        raise kind(
            f"evaluate returned metrics that are not plain data: {error}; numbers must be "
            "finite"
        ) from None
    if size > MAX_METRICS_BYTES:
        raise CandidateError(
            "refused",
            f"its metrics take {size:,} bytes, more than {MAX_METRICS_BYTES:,}",
        )
    return plain


def printable(text: Any) -> str:
    """Return a text that can be stored anywhere.

    Args:
        text: any value

    Returns:
        Its text, with invalid Unicode escaped.
    """
    return str(text).encode(errors="backslashreplace").decode()


def check_score(value: Any) -> None:
    """Check that a score is one finite number.

    Args:
        value: value that the task returned

    Raises:
        TypeError: not a number
        NotFiniteError: infinite or NaN
    """
    if (
        isinstance(value, bool)
        or not hasattr(value, "__float__")
        or isinstance(value, str)
    ):
        raise TypeError(f"evaluate returned a score: {several_goals(value)}")
    if not math.isfinite(float(value)):
        raise NotFiniteError(
            f"evaluate returned the score {float(value)}, which is not finite"
        )


def broken(error: BaseException, path: str) -> Data:
    """Describe an error of the evaluator.

    Args:
        error: the exception
        path: the task's evaluate.py

    Returns:
        Header with message, line in the evaluator, and the end of the traceback.
    """
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


def send(stream: wire.Stream, header: Data, payload: bytes = b"") -> None:
    """Write a message of header and payload to the stream, and flush it."""
    stream.write(wire.frame(header, payload))
    stream.flush()


if __name__ == "__main__":
    # needed to import `evolve` here, but not by child processes
    os.environ.pop("PYTHONPATH", None)
    # tasks imported CandidateError from this name before 0.2
    sys.modules["scorer"] = public
    sys.path[:0] = sys.argv[3:]  # the task's packages come first
    main(sys.argv[1], int(sys.argv[2]))
