"""The scorer's process of a peer's task: each evaluation runs in a separate fork.

Evaluators were written for a process that ends, or keep state that the next candidate
must not see. The modules that they import are loaded once, before the first fork.
"""

import ast
import importlib
import json
import os
import secrets
import shutil
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from evolve.candidate import CandidateError
from evolve.peers import formats, setup
from evolve.peers.arguments import CHANGES, NOT_PASSED_BACK, recorded
from evolve.peers.link import ORDINARY, CandidateGone, Inseparable
from evolve.peers.surroundings import APART
from evolve.sandbox.inside import child
from evolve.text import Data

_STANDINS = Path(__file__).with_name("standins")
# They start threads, or take long to import.
_NOT_AHEAD = ("jax", "torch", "tensorflow", "matplotlib")
# metric of a score that may differ from that of one process -> its key in the answer
_MARKS = {
    formats.CAUGHT: "caught",
    formats.TRANSPORT: "ratio",
    NOT_PASSED_BACK: "unasked",
    formats.TOOL_READ: "tool",
    APART: "apart",
}
CONFIG = json.loads(os.environ["EVOLVE_PEER"])
source = str(Path(CONFIG["evaluator"]).resolve())


def evaluate(candidate: Any, case: Any) -> Data:
    """Score a candidate as the peer's engine does.

    Args:
        candidate: the candidate in its sandbox
        case: its parameter `changes` names changes of arguments that come back; None: all,
            as the seed's do

    Returns:
        `score`, `metrics` and `feedback`.

    Raises:
        CandidateError: the candidate failed, is invalid, or can't be separated
    """
    with tempfile.TemporaryDirectory(prefix="evolve-peer-") as scratch:
        said = _in_a_fork(candidate, Path(scratch), case.params[CHANGES])
    if said.get("inseparable"):
        raise CandidateError("inseparable", said["inseparable"])
    if said.get("fault"):
        raise CandidateError(**said["fault"])
    if said.get("broken"):
        raise CandidateError("evaluator", said["broken"], said.get("frames", ""))
    if said["score"] is None:
        raise CandidateError("invalid", said["error"])
    marks = {mark: said[key] for mark, key in _MARKS.items() if said.get(key)}
    if case.params[CHANGES] is None:
        marks[CHANGES] = said["changes"]
    said["metrics"] = {**said["metrics"], **marks}
    return {key: said[key] for key in ("score", "metrics", "feedback")}


def _in_a_fork(candidate: Any, scratch: Path, changes: list[str] | None) -> Data:
    answer = scratch / "answer.json"
    pid = os.fork()
    if pid == 0:
        try:
            said = _score(candidate, scratch, changes)
            (scratch / "answer.new").write_text(json.dumps(said))
            (scratch / "answer.new").rename(answer)
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    if not answer.exists():
        code = os.waitstatus_to_exitcode(status)
        return {"broken": f"the evaluator's process ended with status {code}"}
    said = json.loads(answer.read_text())
    assert isinstance(said, dict)
    return said


def _score(candidate: Any, scratch: Path, changes: list[str] | None) -> Data:
    """Place the program, connect the stub, run the evaluator and collect the notes."""
    child.reseed()
    tempfile.tempdir = str(scratch / "tmp")
    results = scratch / "results"
    for folder in (Path(tempfile.tempdir), results):
        folder.mkdir()
    name = CONFIG["program"]
    folder, suffix = scratch / "program", Path(name).suffix
    folder.mkdir()
    stem = "main" if CONFIG["format"] == "shinka" else f"program_{secrets.token_hex(4)}"
    program = folder / f"{stem}{suffix}"
    program.write_bytes(candidate.files[name])
    link = setup.connect(
        candidate,
        {
            "scratch": str(scratch),
            "shared": CONFIG["shared"],
            "clocks": CONFIG["clocks"],
            "changes": changes,
            "limit": CONFIG["limit"],
            "program": str(program),
            "descriptor": candidate.descriptor,
            "evaluator_text": Path(source).read_text(errors="replace"),
            "folder": str(Path(source).parent),
            "name_inside": name,
            "path": [str(_STANDINS), *filter(None, sys.argv[3:])],
        },
    )
    link.begin()
    said: Data
    try:
        formats.before_stages.append(lambda: link.ledger.__setitem__("worked", 0))
        said = formats.evaluate(CONFIG, str(program), str(results))
    except (CandidateGone, Inseparable):
        said = {}  # recorded in a note
    except MemoryError as error:
        link.notes.fault(
            "memory",
            f"scoring it needs too much: {error!r}",
            traceback.format_exc()[-3000:],
        )
        said = {}
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a task author's code; reported whole
        said = {"broken": _in_one_line(error), "frames": _frames(error)}
    link.surroundings.compare()
    inseparable, raised = link.notes.read("inseparable"), link.notes.read(ORDINARY)
    unasked, tool = link.notes.read("unasked"), link.notes.read("tool")
    shutil.rmtree(results, ignore_errors=True)
    return said | {
        "inseparable": inseparable["message"] if inseparable else None,
        "fault": link.notes.read("fault") or (raised if said.get("broken") else None),
        "caught": raised["message"][:200] if raised else None,
        "changes": recorded(scratch),
        "unasked": unasked["message"] if unasked else None,
        "tool": tool["message"] if tool else None,
        "apart": bool(link.notes.read("apart")),
        "ratio": link.ledger.ratio(CONFIG["uncorrected"]),
    }


def _in_one_line(error: BaseException) -> str:
    """Return an evaluator's error with its place in the task's files."""
    if isinstance(error, formats.WrongResult):
        return f"{source}: {error}"
    frames = _of_task(error)
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else source
    return f"{place}: {type(error).__name__}: {error}"


def _of_task(error: BaseException) -> list[traceback.FrameSummary]:
    folder = Path(source).parent
    return [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(folder)
    ]


def _frames(error: BaseException) -> str:
    """Return the evaluator's own part of a traceback."""
    return "".join(traceback.format_list(_of_task(error)))[-3000:]


def _load_ahead() -> None:
    """Import the installed modules of the evaluator, to be inherited by forks."""
    wanted: set[str] = set()
    for node in ast.walk(ast.parse(Path(source).read_text(errors="replace"))):
        if isinstance(node, ast.Import):
            wanted |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            wanted.add(node.module)
    folder = Path(source).parent
    for name in sorted(wanted):
        top = name.partition(".")[0]
        if (
            top in _NOT_AHEAD
            or (folder / f"{top}.py").exists()
            or (folder / top).is_dir()
        ):
            continue
        try:
            importlib.import_module(name)
        except ImportError:
            continue  # if the evaluator needs it, its own import reports the error


sys.path.append(str(_STANDINS))
_load_ahead()
