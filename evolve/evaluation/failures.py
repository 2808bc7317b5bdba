"""What a failure tells: type and place, where the inputs are hidden.

A candidate could print its inputs, or raise an exception with them, and later prompts would
show them to a model: the same inputs score all variants of a run.
"""

import builtins
import re
from dataclasses import replace

from evolve.archive import Evaluation, Files

# Reasons whose message is a claim of the candidate; those of others are the engine's.
_CLAIMED = ("exception", "refused", "memory", "output")
_FRAME = re.compile(r'^ *File "([^"\n]{1,300})", line (\d{1,7})', re.MULTILINE)
_FRAMES = 5


def without_inputs(row: Evaluation, files: Files) -> Evaluation:
    """Return a failed evaluation without anything that may be a hidden input.

    Args:
        row: The evaluation.
        files: Path -> content of the candidate, for the lines where it failed.

    Returns:
        The evaluation: its message names the type of the exception, its log the places.
        A message of the scorer's own (reason `invalid`) stays.
    """
    places = _places(row.log, files)
    message = row.message
    if row.reason in _CLAIMED:
        kind = message.partition(":")[0]
        known = isinstance(getattr(builtins, kind, None), type)
        message = kind if known else f"{row.reason}: its text is withheld"
        message += f" at {places[-1]}" if places else ""
    return replace(row, message=message, log="\n".join(places))


def _places(log: str, files: Files) -> list[str]:
    """Return the last lines of the candidate's files that a traceback names."""
    found = []
    for path, number in _FRAME.findall(log):
        lines = files.get(path, b"").decode(errors="replace").splitlines()
        if 0 < int(number) <= len(lines):
            found.append(f"{path}:{number}: {lines[int(number) - 1].strip()}"[:300])
    return found[-_FRAMES:]
